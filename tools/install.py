"""Makes the project's environment from a bare Python: `make install` calls it before every job.

Standard library only. The syntax is kept old, so that an old Python gets a sentence, not a
SyntaxError. How the traps of the toolboxes are avoided is declared, and explained, in
pyproject.toml ([tool.uv]) and requirements.in.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = 'uv==0.13.9'
MMCV = 'onedl-mmcv'
OLDEST, NEWEST = (3, 10), (3, 12)
# What decides which packages are installed: when one of these changes, the next call installs.
INPUTS = ['requirements.txt', 'pyproject.toml', 'setup.py', 'tools/install.py']
DEFAULT_CUDA_HOME = '/usr/local/cuda'
BYTES_PER_COMPILER = 3 * 2**30  # the largest of mmcv's sources takes 2 GB to compile


def fingerprint(ops: bool) -> str:
    """Hash of everything that decides what is installed; at its end, whether with mmcv's ops."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    digest.update(sys.version.encode() + str(ROOT).encode())
    return f'{digest.hexdigest()} ops={ops:d}'


def check_python() -> None:
    """Exit with a sentence if this Python cannot run the pinned packages."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            'install: Python 3.10, 3.11 or 3.12 is needed, but {} is {}.{}; name another one: '
            'make PYTHON=python3.11 ...'.format(sys.executable, *sys.version_info[:2])
        )


def check_compiler(ops: bool) -> None:
    """Exit with a sentence if something is compiled here, and cannot be."""
    if ops:
        what, variable, default, language = "mmcv's ops are", 'CXX', 'c++', 'C++'
    elif sys.version_info[:2] == (3, 12):
        what = 'xtcocotools, which has no wheel for Python 3.12, is'
        variable, default, language = 'CC', 'cc', 'C'
    else:
        return
    missing = []
    compiler = os.getenv(variable, default).split()[0]
    if shutil.which(compiler) is None:
        missing.append(f'{language} compiler ({compiler})')
    if not Path(sysconfig.get_paths()['include'], 'Python.h').is_file():
        missing.append('Python.h for Python {}.{}'.format(*sys.version_info[:2]))
    if missing:
        sys.exit(
            f'install: {what} compiled here, but there is no {" and no ".join(missing)}; '
            'on Debian or Ubuntu: apt-get install build-essential python3-dev'
        )


def find_cuda() -> str:
    """Folder of the CUDA toolkit by which mmcv's ops can be compiled; empty without one."""
    nvcc = shutil.which('nvcc')
    homes = [str(Path(nvcc).resolve().parent.parent)] if nvcc else []
    homes += [DEFAULT_CUDA_HOME]
    # What is said counts alone: an empty CUDA_HOME compiles for the CPU.
    for home in [os.environ['CUDA_HOME']] if 'CUDA_HOME' in os.environ else homes:
        # torch's headers include those of its libraries, which a toolkit of nvcc alone has not.
        headers = [Path(home, 'include'), *Path(home).glob('targets/*/include')]
        whole = any(Path(folder, 'cusparse.h').is_file() for folder in headers)
        if home and Path(home, 'bin', 'nvcc').is_file() and whole:
            return home
    return ''


def jobs() -> int:
    """How many compilers may run at once: one a core, as far as the memory goes."""
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return max(1, min(os.cpu_count() or 1, memory // BYTES_PER_COMPILER))


def run(command: list, text: str = '', **environment: str) -> None:
    """Run a command in the project's root with ``text`` as its input; exit where it fails."""
    variables = dict(os.environ, **environment)
    result = subprocess.run(command, cwd=str(ROOT), env=variables, input=text, text=True)
    if result.returncode:
        sys.exit('install: failed (see above): ' + ' '.join(map(str, command)))


def bootstrap_uv() -> Path:
    """Install uv into an environment of its own; return its path."""
    home = ROOT / '.cache' / UV.replace('==', '-')
    uv = home / 'bin' / 'uv'
    if not uv.is_file():
        # --clear: what an interrupted call left behind.
        run([sys.executable, '-m', 'venv', '--clear', home])
        run([home / 'bin' / 'python', '-m', 'pip', 'install', '--quiet', UV])
    return uv


def install(venv: Path, ops: bool) -> None:
    """Install the pinned packages and the project itself into ``venv``, with mmcv's ops or not."""
    uv = bootstrap_uv()
    python = venv / 'bin' / 'python'
    version = '{}.{}'.format(*sys.version_info[:2])
    if not (venv / 'lib' / ('python' + version)).is_dir():
        run([uv, 'venv', '--quiet', '--clear', '--python', sys.executable, venv])
    # torch's packages are large.
    environment = {'UV_HTTP_TIMEOUT': os.getenv('UV_HTTP_TIMEOUT', '300')}
    # requirements.txt is complete, so nothing is resolved (--no-deps): to resolve, uv would fetch
    # mmcv's source again from registries that forbid caching, and then build it again.
    pinned = [uv, 'pip', 'install', '--python', python, '--no-deps', '-r']
    # Both builds of mmcv have the same version, so that one would be taken for the other.
    run([uv, 'pip', 'uninstall', '--quiet', '--python', python, MMCV])
    if ops:
        text = (ROOT / 'requirements.txt').read_text()
        others = '\n'.join(line for line in text.splitlines() if not line.startswith(MMCV))
        run(pinned + ['-'], others, **environment)
        run([uv, 'pip', 'install', '--quiet', '--python', python, 'ninja', 'psutil'])
        environment.update(build_environment(venv))
    run(pinned + ['requirements.txt'] + (build_options() if ops else []), **environment)
    editable = ['--no-deps', '--no-build-isolation', '--editable', '.']
    run([uv, 'pip', 'install', '--quiet', '--python', python] + editable)
    run([python, '-c', 'import mmgradsplit, mmcv.ops, xtcocotools.mask'])


def build_options() -> list:
    """Options by which uv compiles mmcv's ops: against the torch that is in the environment."""
    torch = re.search(r'^torch==(\S+)', (ROOT / 'requirements.txt').read_text(), re.MULTILINE)
    assert torch
    options = ['--no-build-isolation-package', MMCV]
    # No build reads these. uv keeps the compiled wheel under them, so that another torch or CUDA
    # never meets a stale one ("undefined symbol").
    for setting in ('torch=' + torch.group(1), 'cuda=' + find_cuda()):
        options += ['--config-settings-package', MMCV + ':' + setting]
    return options


def build_environment(venv: Path) -> dict:
    """Variables that the build of mmcv reads: for CUDA where its toolkit is, GPU or not."""
    path = str(venv / 'bin') + os.pathsep + os.environ['PATH']  # ninja
    environment = {'PATH': path, 'MAX_JOBS': os.getenv('MAX_JOBS', str(jobs()))}
    cuda = find_cuda()
    if not cuda:
        return dict(environment, CUDA_VISIBLE_DEVICES='')
    if shutil.which('nvidia-smi') is None:
        # Without a GPU torch does not know for which to compile. These run on all newer ones, too.
        environment['TORCH_CUDA_ARCH_LIST'] = os.getenv('TORCH_CUDA_ARCH_LIST', '7.5+PTX')
    return dict(environment, CUDA_HOME=cuda, FORCE_CUDA='1')


def main() -> None:
    """Install, unless the last installation was the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', default='.venv', help='folder of the environment')
    ops = "1: compile mmcv's ops; 0: do not; by default as the last time, at first not"
    parser.add_argument('--ops', choices=['0', '1', ''], default='', help=ops)
    arguments = parser.parse_args()
    venv = ROOT / arguments.venv
    check_python()
    stamp = venv / 'installed'
    last = stamp.read_text() if stamp.is_file() else ''
    compiled = arguments.ops == '1' or (not arguments.ops and last.endswith('ops=1'))
    wanted = fingerprint(compiled)
    if last == wanted:
        return
    check_compiler(compiled)
    started = time.time()
    print(f'install: into {venv}; the first time on a machine this downloads 3 GB', flush=True)
    if compiled:
        device = 'CUDA by ' + find_cuda() if find_cuda() else 'CPU alone (no whole CUDA toolkit)'
        print(f"install: mmcv's ops are compiled for {device}, which takes a while", flush=True)
    if stamp.is_file():  # from here on, what was installed is not there as a whole
        stamp.write_text(f'ops={compiled:d}')
    install(venv, compiled)
    stamp.write_text(wanted)
    print(f'install: done in {time.time() - started:.0f} s', flush=True)


if __name__ == '__main__':
    main()
