"""The exchange between processes ends with the tool that began it."""

import gc
import os
import weakref
from pathlib import Path
from unittest import mock

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
    held = weakref.ref(model)
    before, collect, found = gloo_threads(), gc.collect, []
    del model, runner

    def collecting() -> None:
        collect()
        found.append((held() is None, gloo_threads()))

    with mock.patch('gc.collect', collecting):
        stop_processes()
    ((gone, between),) = found
    after = gloo_threads()
    stop_processes()  # one process, or one that has ended already
    alive = before == between > 0
    Path(folder, 'found').write_text(f'{gone} {alive} {after} {dist.is_initialized()}')


def test_process_group_and_its_threads_end(tmp_path: Path) -> None:
    """After the collection of the model: it locks the interpreter, which a thread may wait for."""
    mp.start_processes(end_twice, (str(tmp_path),), nprocs=1, start_method='fork')
    assert (tmp_path / 'found').read_text() == 'True True 0 False'
