"""docs/tutorial.ipynb runs from top to bottom, and is committed with what it shows."""

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / 'docs/tutorial.ipynb'
LIMIT = 10**6
SETTING = re.compile(r'^ITERATIONS = \d+')


def outputs(notebook: Any, kind: str) -> list[str]:
    """What of one MIME type the cells show."""
    return [
        output['data'][kind]
        for cell in notebook.cells
        for output in cell.get('outputs', ())
        if kind in output.get('data', {})
    ]


def shown(notebook: Any) -> tuple[int, list[list[str]]]:
    """How many pictures, and which metrics in each of the tables."""
    tables = outputs(notebook, 'text/markdown')
    rows = [re.findall(r'^\| (\w+/\w+) \|', table, re.MULTILINE) for table in tables]
    return len(outputs(notebook, 'image/png')), rows


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1').items():
        monkeypatch.setenv(name, value)
    assert NOTEBOOK.stat().st_size < LIMIT
    committed = nbformat.read(NOTEBOOK, as_version=4)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == 'code')
    first.source, number = SETTING.subn('ITERATIONS = 2', first.source)
    assert number == 1
    notebook.metadata.kernelspec.name = 'python3'
    client = NotebookClient(notebook, timeout=300, resources=dict(metadata=dict(path=tmp_path)))
    client.execute()  # raises what a cell raises
    assert shown(notebook) == shown(committed)
    assert shown(notebook)[1][-1] == ['attribute/F1', 'parsing/mIoU', 'reid/mAP']
    trained = [run.name for run in sorted((tmp_path / 'work_dirs/tutorial').iterdir())]
    assert trained == ['three_tasks', 'two_tasks']


def test_the_committed_notebook_is_of_one_run() -> None:
    cells = [
        cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == 'code'
    ]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    text = NOTEBOOK.read_text()
    assert str(ROOT) not in text and sys.prefix not in text
