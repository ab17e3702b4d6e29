"""All results in one file of JSON Lines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..images import Input
from ..results import Metas, Result


class JsonWriter:
    """JSON Lines: an object for each picture."""

    file = 'predictions.jsonl'

    def __init__(self, out: Path, metas: Metas) -> None:
        self.path = out / self.file
        self.lines: Any = None

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """The file."""
        return [self.file]

    def write(self, result: Result) -> list[Path]:
        """Write a line, which can be read at once."""
        new = self.lines is None
        if new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.lines = self.path.open('w', encoding='utf-8')
        self.lines.write(json.dumps(result.as_json(), ensure_ascii=False) + '\n')
        self.lines.flush()
        return [self.path] if new else []

    def close(self) -> list[Path]:
        """Close the file."""
        if self.lines is not None:
            self.lines.close()
        return []
