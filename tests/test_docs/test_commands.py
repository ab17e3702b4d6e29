"""Every command of the documents is one that works.

All of them are expanded by bash, parsed by the tool's own parser, and prepared with the configs
and options that they name. Those of `RUN` are called, on drawn data of a few samples. A section
whose commands read data that is not drawn here says so in a line: "**Needs** `data/...`."
"""

import argparse
import functools
import glob
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from fixtures_docs import ROOT, SECTIONS, Section, Words, write_project
from mmengine.config import Config

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.cli import COMMANDS as COMMANDS_OF_OURS
from mmgradsplit.cli import make_parser
from mmgradsplit.config_files import find_config

COMMANDS = {words: section for section in SECTIONS for words in section.commands()}
DRAWN = {'data/pedestrians', 'data/scenes', 'data/houses'}
# What of a config's data a tool reads; others read none, or that of training and validation.
READS = {
    'test': ('test_dataloader',),
    'predict': ('val_dataloader',),
    'complexity': (),
    'graph': (),
    'exported_graphs': (),
    'published_complexity': (),
    'conflict_frequency': ('train_dataloader',),
    'gradient_angles': ('train_dataloader',),
    'methods': ('train_dataloader',),
    'major_iteration': ('train_dataloader',),
    'allocation': ('train_dataloader',),
    'loading': ('train_dataloader',),
}
TRAINING = ('train_dataloader', 'val_dataloader')


class Parsed(Exception):
    """What a tool has parsed, in place of what it would do with it."""


def parse(words: Words) -> tuple[str, argparse.Namespace] | None:
    """Name of the tool of a command, and its arguments by the tool's own parser.

    Args:
        words: The command.

    Returns:
        None for a command that is not one of our tools.
    """
    words = tuple(word for word in words if not word.startswith('PYTHONPATH='))
    program, *arguments = words
    if program == 'mmgradsplit':
        if arguments[0] in COMMANDS_OF_OURS and len(arguments) == 1:  # named in a sentence
            return None
        if arguments[0].startswith('-'):  # --help, --print-completion
            with pytest.raises(SystemExit):
                make_parser().parse_args(arguments)
            return None
        args = make_parser().parse_args(arguments)
        return getattr(args, 'set', arguments[0]).replace('-', '_'), args
    if program == 'make':
        for word in arguments:
            name, is_variable, _ = word.partition('=')
            pattern = rf'\b{name}\b' if is_variable else f'^{name}:'
            assert re.search(pattern, (ROOT / 'Makefile').read_text(), re.MULTILINE), word
        return None
    script, *arguments = arguments
    if script == '-m':  # of another package
        return None
    if script == '-c':
        compile(arguments[0], script, 'exec')
        return None
    if program == 'bash':  # the number of processes comes last of what these read themselves
        own = dict(dist_train=1, dist_test=2)[Path(script).stem]
        assert int(arguments.pop(own)) > 0
        script = f'tools/{Path(script).stem.removeprefix("dist_")}.py'

    parse_args = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, given: list[str] | None = None) -> None:
        raise Parsed(parse_args(self, arguments if given is None else given))

    with (
        mock.patch.object(argparse.ArgumentParser, 'parse_args', stop),
        mock.patch.object(sys, 'path', [str(ROOT / 'benchmarks'), *sys.path]),
        mock.patch.object(sys, 'argv', [script, *arguments]),
        pytest.raises(Parsed) as parsed,
    ):
        runpy.run_path(str(ROOT / script), run_name='__main__')
    return Path(script).stem, parsed.value.args[0]


@functools.cache
def read(config: str) -> Config:
    return Config.fromfile(find_config(config))


def prepared(args: argparse.Namespace) -> Iterator[Config]:
    """The configs of a command, with its options; a name in capitals is left to the reader."""
    configs = getattr(args, 'configs', None) or [getattr(args, 'config', None)]
    for name in configs:
        if name and not re.fullmatch(r'-|(configs/)?[A-Z]+(\.py)?', name):
            options = getattr(args, 'cfg_options', None)
            yield prepare(read(name), None, options, method=getattr(args, 'method', None))


def folders(value: Any) -> set[str]:
    """The folders of data in a part of a config."""
    if isinstance(value, Mapping):
        value = value.values()
    elif isinstance(value, str):
        return set(re.findall(r'^data/\w+', value))
    elif not isinstance(value, list | tuple):
        return set()
    return set().union(*map(folders, value))


@functools.cache
def needed(words: Words) -> frozenset[str]:
    """The folders of data that a command reads, after its arguments and configs were read."""
    parsed = parse(words)
    if parsed is None:
        return frozenset()
    tool, args = parsed
    if tool == 'digits':
        return frozenset(['data/digits'])  # of MNIST and CIFAR-10, which are not there either
    keys = READS.get(tool, TRAINING)
    if getattr(args, 'no_validate', False):
        keys = ('train_dataloader',)
    found: set[str] = set()
    for cfg in prepared(args):
        for key in keys:
            loaders = cfg.get(key) or {}
            of = {task: loaders[task] for task in cfg.get('tasks', ()) if task in loaders}
            found |= folders(of or loaders)
    return frozenset(found)


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp('project'))


@pytest.fixture(autouse=True)
def in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project / 'my_project'))
    monkeypatch.delenv('LOCAL_RANK', raising=False)


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 150


@pytest.mark.parametrize('words', COMMANDS, ids=shlex.join)
def test_a_command_is_understood(words: Words) -> None:
    for word in words:
        if re.match(r'(configs|tools|benchmarks|my_project)/', word) and 'NAME' not in word:
            assert Path(word).exists(), word
    needed(words)


@pytest.mark.parametrize('section', SECTIONS, ids=str)
def test_a_section_says_what_data_it_needs(section: Section) -> None:
    """No more and no less than what its commands read and what is not drawn here."""
    assert section.needs() == set().union(*map(needed, section.commands())) - DRAWN


# ---- commands that are called ----

PEOPLE = (
    '--attribute-train 8 --attribute-val 3 --attribute-test 4 --reid-train-ids 4 --reid-test-ids 3 '
    '--images-per-id 12 --distractors 2 --pose-train 6 --pose-val 5 --parsing-train 4 '
    '--parsing-val 3 --workers 1'
)


def loaders(stage: str, *tasks: str, **keys: Any) -> str:
    """Options for dataloaders that are read in this process."""
    keys |= dict(num_workers=0, persistent_workers=False)
    names = [f'{stage}_dataloader.{task}' for task in tasks] or [f'{stage}_dataloader']
    return ' '.join(f'{name}.{key}={value}' for name in names for key, value in keys.items())


TASKS = ('attribute', 'reid', 'pose', 'parsing')
DEMO = (
    '--cfg-options train_cfg.iters_per_epoch=1 train_dataloader.reid.sampler.batch_size=4 '
    + loaders('train', *TASKS, batch_size=2)
    + ' train_dataloader.reid.batch_size=4'
    + ' '
    + loaders('val', *TASKS)
)
ONCE = ' train_cfg.max_epochs=2 custom_hooks=[]'
SCENES = (
    '--cfg-options train_cfg.max_epochs=1 train_cfg.val_begin=1 '
    'default_hooks.checkpoint.interval=1 '
    + loaders('train', batch_size=2)
    + ' '
    + loaders('val', 'seg', 'depth', 'normal', batch_size=2)
)
TRAIN = 'python tools/train.py '
TWO_TASKS = 'configs/gradsplit/r18gn_4task_demo.py work_dirs/two_tasks/epoch_5.pth '
# Commands as they stand in the documents, in this order, with what makes them small and what they
# leave; `cp` puts a checkpoint where the next one expects it.
RUN = [
    (
        'python tools/dataset_converters/pedestrians.py --out data/pedestrians',
        PEOPLE,
        'data/pedestrians',
    ),
    (
        'python tools/dataset_converters/scenes.py --out data/scenes',
        '--train 4 --val 2',
        'data/scenes',
    ),
    # docs/data.md
    (
        'python tools/check_data.py configs/gradsplit/r18gn_4task_demo.py',
        '--pictures 2 --workers 0',
        'work_dirs/r18gn_4task_demo/check/check.json',
    ),
    # docs/get_started.md
    (
        f'{TRAIN} configs/gradsplit/r18gn_4task_demo.py --work-dir work_dirs/two_tasks '
        '--cfg-options tasks="[attribute,pose]"',
        DEMO,
        'work_dirs/two_tasks/epoch_5.pth',
    ),
    (
        f'{TRAIN} configs/gradsplit/r18gn_4task_demo.py --method multihead '
        '--work-dir work_dirs/two_tasks_multihead --cfg-options tasks="[attribute,pose]"',
        DEMO + ' custom_hooks=[]',
        'work_dirs/two_tasks_multihead/epoch_5.pth',
    ),
    (
        'python tools/analysis_tools/report.py work_dirs/two_tasks work_dirs/two_tasks_multihead '
        '--out work_dirs/report',
        '',
        'work_dirs/report/curves.png',
    ),
    (
        f'python tools/predict.py {TWO_TASKS} --cfg-options tasks="[attribute,pose]" --out panels',
        '--num-images 1 --cfg-options ' + loaders('val', *TASKS),
        'panels/*',
    ),
    (
        f'python tools/test.py {TWO_TASKS} --cfg-options tasks="[attribute,pose]" '
        '--out metrics.json',
        '--cfg-options ' + loaders('test', *TASKS),
        'metrics.json',
    ),
    # docs/initial_weights.md and docs/cross_dataset.md
    ('cp work_dirs/two_tasks/epoch_5.pth work_dirs/demo/epoch_5.pth', '', ''),
    (
        f'{TRAIN} configs/gradsplit/r18gn_4task_demo.py --work-dir work_dirs/fine_tuned '
        '--cfg-options load_from=work_dirs/demo/epoch_5.pth',
        DEMO + ONCE + ' tasks=[attribute]',
        'work_dirs/fine_tuned/epoch_2.pth',
    ),
    (
        'python tools/test.py configs/cross_dataset/r18gn_4task_demo_market1501_attributes.py '
        'work_dirs/demo/epoch_5.pth',
        '--cfg-options ' + loaders('test', 'attribute'),
        'work_dirs/r18gn_4task_demo_market1501_attributes',
    ),
    # docs/backbones.md
    *(
        (f'{TRAIN} my_project/{name}_demo.py', DEMO + ONCE, f'work_dirs/{name}_demo/epoch_2.pth')
        for name in ('convnext', 'hrnet', 'regnet')
    ),
    ('python tools/analysis_tools/complexity.py my_project/convnext_demo.py', '', ''),
    # docs/extend.md, docs/joint_training.md and docs/gradients.md
    (
        f'PYTHONPATH=my_project {TRAIN} my_project/unit_gradients_scenes.py',
        SCENES,
        'work_dirs/unit_gradients_scenes/epoch_1.pth',
    ),
    (
        f'{TRAIN} configs/sta/ista_r18_scenes.py',
        SCENES,
        'work_dirs/ista_r18_scenes/epoch_1.pth',
    ),
    ('cp work_dirs/ista_r18_scenes/epoch_1.pth work_dirs/ft_r18_scenes/epoch_8.pth', '', ''),
    (
        'python tools/analysis_tools/gradient_angles.py configs/sta/ft_r18_scenes.py '
        'work_dirs/ft_r18_scenes/epoch_8.pth --modules backbone layer4 --batches 100 --out angles',
        '--batches 2 --cfg-options ' + loaders('train', batch_size=2),
        'angles/*.png',
    ),
    # docs/experiments/task_relations.md
    (
        'python tools/analysis_tools/threshold_sweep.py '
        'configs/_base_/relations/gradsplit_table_a1.json --out masks.png',
        '',
        'masks.png',
    ),
]
# Tools that are called by a test of their own.
ELSEWHERE = {
    'check': 'test_analysis/test_data_check.py',
    'gpu': 'test_benchmarks_gpu.py',
    'loading': 'test_benchmarks_gpu.py',
    'export': 'test_export/test_toolbox.py',
    'gallery': 'test_inference/test_gallery.py',
    'serve': 'test_inference/test_serve.py',
    'graph': 'test_export/test_graph.py',
    'exported_graphs': 'test_export/test_graph.py',
    'shared_size': 'test_inference/test_shared_size.py',
    'publish': 'test_export/test_publish.py',
    'configs': 'test_cli/test_commands.py',
    'conflict_frequency': 'test_analysis/test_conflicts.py',
    'compare_relations': 'test_analysis/test_relation_estimate.py',
    'published_complexity': 'test_analysis/test_complexity.py',
    'estimate_relations': 'test_studies/test_relation_estimation.py',
    'compare_methods': 'test_studies/test_comparison.py',
    'train_seeds': 'test_studies/test_seeds.py',
    'digits': 'test_synthetic/test_digits.py',
    'make_metafiles': 'test_docs/test_metafiles.py',
    'methods': 'test_benchmarks.py',
    'major_iteration': 'test_benchmarks.py',
    'allocation': 'test_benchmarks.py',
    'trajectories': 'test_benchmarks.py',
}


def test_commands_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for command, small, leaves in RUN:
        words = tuple(shlex.split(command))
        if words[0] == 'cp':
            Path(words[2]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(*words[1:])
            continue
        assert words in COMMANDS, command
        script = words.index('python') + 1
        monkeypatch.setattr(sys, 'argv', [*words[script:], *shlex.split(small)])
        runpy.run_path(words[script], run_name='__main__')
        assert not leaves or glob.glob(leaves), command


def test_every_tool_is_called_by_a_test() -> None:
    tools = {parsed[0] for words in COMMANDS if (parsed := parse(words))}
    called = {
        parsed[0]
        for line, *_ in RUN
        if line[:2] != 'cp' and (parsed := parse(tuple(shlex.split(line))))
    }
    assert tools == called | set(ELSEWHERE)
    for tool, test in ELSEWHERE.items():
        assert tool in (ROOT / 'tests' / test).read_text(), tool
