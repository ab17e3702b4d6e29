"""Makes the project's environment from a bare Python: `make install` calls it before every job.

Standard library only. The syntax is kept old, so that an old Python gets a sentence, not a
SyntaxError. How the traps of the toolboxes are avoided is declared, and explained, in
pyproject.toml ([tool.uv]) and requirements.in.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = 'uv==0.13.9'
OLDEST, NEWEST = (3, 10), (3, 12)
# What decides which packages are installed: when one of these changes, the next call installs.
INPUTS = ['requirements.txt', 'pyproject.toml', 'setup.py', 'tools/install.py']
BYTES_PER_COMPILER = 3 * 2**30  # the largest of mmcv's sources takes 2 GB to compile


def fingerprint() -> str:
    """Hash of everything that decides what is installed."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    digest.update(sys.version.encode() + str(ROOT).encode() + os.getenv('FORCE_CUDA', '0').encode())
    return digest.hexdigest()


def check_python() -> None:
    """Exit with a sentence if this Python cannot run the pinned packages."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            'install: Python 3.10, 3.11 or 3.12 is needed, but {} is {}.{}; name another one: '
            'make PYTHON=python3.11 ...'.format(sys.executable, *sys.version_info[:2])
        )


def check_compiler() -> None:
    """Exit with a sentence if mmcv's ops cannot be compiled here."""
    missing = []
    compiler = os.getenv('CXX', 'c++').split()[0]
    if shutil.which(compiler) is None:
        missing.append(f'C++ compiler ({compiler})')
    if not Path(sysconfig.get_paths()['include'], 'Python.h').is_file():
        missing.append('Python.h for Python {}.{}'.format(*sys.version_info[:2]))
    if missing:
        sys.exit(
            f"install: mmcv's ops are compiled here, but there is no {' and no '.join(missing)}; "
            'on Debian or Ubuntu: apt-get install build-essential python3-dev'
        )


def jobs() -> int:
    """How many compilers may run at once: one a core, as far as the memory goes."""
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return max(1, min(os.cpu_count() or 1, memory // BYTES_PER_COMPILER))


def run(command: list, **environment: str) -> None:
    """Run a command in the project's root; exit with a sentence if it fails."""
    result = subprocess.run(command, cwd=str(ROOT), env=dict(os.environ, **environment))
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


def install(venv: Path) -> None:
    """Install the pinned packages and the project itself into ``venv``."""
    uv = bootstrap_uv()
    python = venv / 'bin' / 'python'
    version = '{}.{}'.format(*sys.version_info[:2])
    if not (venv / 'lib' / ('python' + version)).is_dir():
        run([uv, 'venv', '--quiet', '--clear', '--python', sys.executable, venv])
    environment = {
        'MAX_JOBS': os.getenv('MAX_JOBS', str(jobs())),
        'UV_HTTP_TIMEOUT': os.getenv('UV_HTTP_TIMEOUT', '300'),  # torch's packages are large
    }
    # requirements.txt is complete, so nothing is resolved (--no-deps): to resolve, uv would fetch
    # mmcv's source again from registries that forbid caching, and then compile it again.
    command = [uv, 'pip', 'install', '--python', python, '--no-deps', '-r', 'requirements.txt']
    if os.getenv('FORCE_CUDA') == '1':
        # Not read by any build: it gives the wheel with CUDA ops its own place in uv's cache.
        command += ['--config-settings-package', 'onedl-mmcv:force-cuda=1']
    else:
        # mmcv compiles for CUDA where it sees a GPU, which takes long and a CUDA toolkit that fits
        # torch's; the models of this project's configs use none of these ops.
        environment['CUDA_VISIBLE_DEVICES'] = ''
    run(command, **environment)
    editable = ['--no-deps', '--no-build-isolation', '--editable', '.']
    run([uv, 'pip', 'install', '--quiet', '--python', python] + editable)
    run([python, '-c', 'import mmgradsplit'])


def main() -> None:
    """Install, unless the last installation was the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', default='.venv', help='folder of the environment')
    venv = ROOT / parser.parse_args().venv
    check_python()
    stamp, wanted = venv / 'installed', fingerprint()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    check_compiler()
    started = time.time()
    print(
        f'install: into {venv}; the first time on a machine this downloads 5 GB and compiles '
        "mmcv's ops, 10 to 20 minutes on two cores",
        flush=True,
    )
    install(venv)
    stamp.write_text(wanted)
    print(f'install: done in {time.time() - started:.0f} s', flush=True)


if __name__ == '__main__':
    main()
