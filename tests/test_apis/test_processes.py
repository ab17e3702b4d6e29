"""The exchange between processes ends with the tool that began it."""

import os
from pathlib import Path

import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmgradsplit.apis import stop_processes


def gloo_threads() -> int:
    tasks = Path('/proc/self/task')
    return sum('gloo' in (tasks / name / 'comm').read_text() for name in os.listdir(tasks))


def end_twice(rank: int, folder: str) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=1)
    model = DistributedDataParallel(nn.Linear(2, 2))
    runner = dict(model=model)
    runner['itself'] = runner  # as mmengine's runner, which is part of reference cycles
    before = gloo_threads()
    del model, runner
    stop_processes()
    after = gloo_threads()
    stop_processes()  # one process, or one that has ended already
    Path(folder, 'found').write_text(f'{before > 0} {after} {dist.is_initialized()}')


def test_process_group_and_its_threads_end(tmp_path: Path) -> None:
    mp.start_processes(end_twice, (str(tmp_path),), nprocs=1, start_method='fork')
    assert (tmp_path / 'found').read_text() == 'True 0 False'
