"""The exchange between processes ends with the tool that began it."""

from pathlib import Path

import torch.distributed as dist
import torch.multiprocessing as mp

from mmgradsplit.apis import stop_processes


def end_twice(rank: int, folder: str) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=1)
    stop_processes()
    assert not dist.is_initialized()
    stop_processes()  # one process, or one that has ended already


def test_process_group_ends(tmp_path: Path) -> None:
    mp.spawn(end_twice, (str(tmp_path),), nprocs=1)
