"""What the documents say: their sections, fenced blocks and commands."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from torch import nn

ROOT = Path(__file__).resolve().parents[1]
# Without the pages that include another document.
DOCUMENTS = [
    *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'configs/README.md')),
    *sorted(path for path in ROOT.glob('docs/**/*.md') if not path.read_text().startswith('```')),
]
FENCE = re.compile(r'^```(\S*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
HEADING = re.compile(r'^#+ .*$', re.MULTILINE)
# A command in a sentence or a table: it begins with a program or a script, and has arguments.
INLINE = re.compile(
    r'`((?:[A-Z_]+=\w+ )*(?:(?:python|bash|make|mmgradsplit) |(?:tools/)?[\w/]+\.(?:py|sh) )[^`]+)`'
)
CONFIG = re.compile(r'`((?!_)[\w]+/\w+\.py)`')
NEEDS = re.compile(r'^\*\*Needs\*\*.*?\.$', re.MULTILINE | re.DOTALL)
# What is no command of ours, and nothing to check.
FOREIGN = ('cp', 'git', 'cd', 'source', 'pip', 'tensorboard', 'apt-get')
# Bash expands a block and says each command's words, which end with \0; a command with \1.
SAY = r"""
say() { printf '%s\0' "$@"; printf '\1'; }
for program in python bash make mmgradsplit; do eval "$program() { say $program \"\$@\"; }"; done
python() { say "${PYTHONPATH:+PYTHONPATH=$PYTHONPATH}" python "$@"; }
"""
Words = tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A document from one heading to the next.

    Attributes:
        document: Relative to the repository.
        heading: The heading, without its marks.
        text: What is below it.
    """

    document: str
    heading: str
    text: str

    def __str__(self) -> str:
        return f'{self.document}: {self.heading}'

    def blocks(self, *languages: str) -> list[str]:
        """The fenced blocks of a language."""
        return [text for language, text in FENCE.findall(self.text) if language in languages]

    def commands(self) -> list[Words]:
        """The words of every command: of `bash` blocks, as bash expands them, and of sentences."""
        sentences = FENCE.sub('', self.text)
        inline = [re.sub(r'\s+', ' ', text) for text in INLINE.findall(sentences)]
        if self.document == 'configs/README.md':  # where the name of a config stands for a command
            script = 'test' if 'across data sets' in self.heading else 'train'
            tail = ' CHECKPOINT' if script == 'test' else ''
            inline += [
                f'tools/{script}.py configs/{name}{tail}' for name in CONFIG.findall(sentences)
            ]
        return [words for text in [*self.blocks('bash'), *inline] for words in expand(text)]

    def needs(self) -> set[str]:
        """Folders of data that the section says its commands need, which are not drawn here."""
        said = NEEDS.findall(self.text)
        return {folder for sentence in said for folder in re.findall(r'`(data/\w+)`', sentence)}


def sections(path: Path) -> Iterator[Section]:
    """The sections of a document; a line of a fenced block is no heading."""
    text = path.read_text()
    fences = [match.span() for match in FENCE.finditer(text)]
    headings = [
        match
        for match in HEADING.finditer(text)
        if not any(start <= match.start() < end for start, end in fences)
    ]
    ends = [*(match.start() for match in headings[1:]), len(text)]
    for match, end in zip(headings, ends, strict=True):
        document = str(path.relative_to(ROOT))
        yield Section(document, match[0].lstrip('# '), text[match.end() : end])


def expand(text: str) -> list[Words]:
    """The words of each command of ours in a piece of bash, which is not executed."""
    if re.match(r'(tools|benchmarks)/\S+\.(py|sh) ', text):
        text = ('bash ' if '.sh ' in text else 'python ') + text
    elif name := re.match(r'\w+\.py ', text):  # in the table of tools/analysis_tools
        (path,) = ROOT.glob(f'tools/**/{name[0].strip()}')
        text = f'python {path.relative_to(ROOT).parent}/{text}'
    skip = '\n'.join(f'{program}() {{ :; }}' for program in FOREIGN)
    said = subprocess.run(
        ['bash', '-eufc', f'{SAY}\n{skip}\nPATH=\n{text}'],
        capture_output=True,
        text=True,
        env={},
        cwd=ROOT,
    )
    assert said.returncode == 0, f'{text}\n{said.stderr}'
    commands = [part.split('\0')[:-1] for part in said.stdout.split('\1')[:-1]]
    return [tuple(plain(word) for word in words if word) for words in commands]


def plain(word: str) -> str:
    """A word without the brackets and dots that say what may be left out or repeated."""
    return word if '=' in word else word.strip('[]').removesuffix('...')


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Leave weights as the memory was: drawing 50 million takes a second, and nobody looks."""
    with contextlib.ExitStack() as stack:
        for kind in (nn.modules.conv._ConvNd, nn.Linear):
            stack.enter_context(mock.patch.object(kind, 'reset_parameters', lambda self: None))
        yield


def write_project(folder: Path) -> Path:
    """A folder with the repository's files and the pages' examples, to call commands in.

    A fenced Python block whose first line is a comment with a path is this file.
    """
    for name in ('benchmarks', 'configs', 'tools', 'Makefile'):
        (folder / name).symlink_to(ROOT / name)
    for section in SECTIONS:
        for block in section.blocks('python'):
            if name := re.match(r'# (my_project/\S+|\w+\.py)\n', block):
                path = folder / name[1]
                path.parent.mkdir(exist_ok=True)
                again = path.exists() and '/' in name[1]
                assert not again, f'{section}: {name[1]} is in another section as well'
                with path.open('a') as file:  # docs/your_own_data.md writes its files in parts
                    file.write(block)
    return folder


SECTIONS = [section for path in DOCUMENTS for section in sections(path)]
