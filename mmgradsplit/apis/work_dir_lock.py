"""One work dir, one run."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = '.run.lock'
# What each launcher calls the number of a process.
RANKS = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')
TAKEN = (errno.EACCES, errno.EAGAIN)
# File systems of clusters that are mounted without locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def only_run_in(work_dir: str | Path, launcher: str = 'none') -> Iterator[None]:
    """Within this context no other run trains in a folder; its processes together are one run.

    The lock is the operating system's own: it ends with the process, however that ends, and is not
    handed on to the workers of a data loader, which outlive a killed process by some seconds.

    Args:
        work_dir: The folder; it is made.
        launcher: How the processes of distributed training were started.

    Raises:
        FileExistsError: If another run trains there.
    """
    if int(os.environ.get(RANKS.get(launcher, ''), 0)):
        yield
        return
    Path(work_dir).mkdir(parents=True, exist_ok=True)
    file = os.open(Path(work_dir, NAME), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, f'process {os.getpid()} on {socket.gethostname()}'.encode(), 0)
        except OSError as error:
            if error.errno in TAKEN:
                other = os.pread(file, 200, 0).decode(errors='replace') or 'process unknown'
                raise FileExistsError(
                    f"work_dir '{work_dir}' is in use by another run ({other}), whose checkpoints "
                    f'would be overwritten: wait for its end, or choose another --work-dir'
                ) from error
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(file)
