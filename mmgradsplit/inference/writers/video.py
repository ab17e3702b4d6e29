"""Videos of what was said of videos."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from ..images import Input, Video
from ..overlay import draw_overlay
from ..results import Metas, Result


class VideoWriter:
    """A video of each video, with what was said drawn over it."""

    pattern = '{name}.mp4'

    def __init__(self, out: Path, metas: Metas) -> None:
        self.out = out
        self.rates: dict[str, tuple[str, float]] = {}
        self.current: tuple[str, Any, Path] | None = None

    def planned(self, found: Sequence[Input], tasks: Sequence[str]) -> list[str]:
        """A file for each video.

        Raises:
            ValueError: If an input is no video.
        """
        for each in found:
            if not isinstance(each, Video):
                raise ValueError(f"--out-format video: '{each.source}' is no video")
            self.rates[each.source] = (each.name, each.rate)
        return [self.pattern.format(name=each.name) for each in found]

    def write(self, result: Result) -> list[Path]:
        """Draw and append a frame."""
        frame = draw_overlay(result)
        files = []
        if self.current is None or self.current[0] != result.source:
            files = self.close()
            name, rate = self.rates[result.source]
            path = self.out / self.pattern.format(name=name)
            partial = path.with_name(f'{path.stem}.partial.mp4')
            partial.parent.mkdir(parents=True, exist_ok=True)
            codec = cv2.VideoWriter.fourcc(*'mp4v')
            size = (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(str(partial), codec, rate, size)
            if not writer.isOpened():
                raise OSError(f"OpenCV cannot write the video '{path}'")
            self.current = (result.source, writer, path)
        self.current[1].write(frame)
        return files

    def close(self) -> list[Path]:
        """Finish the video that is being written."""
        if self.current is None:
            return []
        _, writer, path = self.current
        writer.release()
        shutil.move(path.with_name(f'{path.stem}.partial.mp4'), path)
        self.current = None
        return [path]
