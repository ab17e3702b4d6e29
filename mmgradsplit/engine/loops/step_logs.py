"""What the steps of an iteration log, read from the device together."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class StepLogs:
    """Logs of the steps of an iteration, which stay on the device until they are read.

    Reading a number from a GPU waits until all work before it is done. So the numbers of all steps
    are read at once.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Any, dict[str, Any]]] = []

    def add(self, step: Any, logs: Mapping[str, Any]) -> None:
        """Take the logs of a step.

        Args:
            step: The step, as :meth:`read` gives it back.
            logs: Numbers and tensors by name.
        """
        held = {key: v.detach() if isinstance(v, Tensor) else v for key, v in logs.items()}
        self._steps.append((step, held))

    def read(self) -> list[tuple[Any, dict[str, Any]]]:
        """The steps with their logs, tensors of one floating-point number as numbers; begin anew.

        This is the one wait for the device.
        """
        steps, self._steps = self._steps, []
        waiting: dict[torch.device, list[tuple[dict[str, Any], str, Tensor]]] = {}
        for _, logs in steps:
            for key, value in logs.items():
                if isinstance(value, Tensor) and value.is_floating_point() and value.numel() == 1:
                    waiting.setdefault(value.device, []).append((logs, key, value))
        for entries in waiting.values():
            # In double precision, in which a number of any type stays what it is.
            numbers = torch.stack([value.reshape(()).double() for *_, value in entries])
            for (logs, key, _), number in zip(entries, numbers.tolist(), strict=True):
                logs[key] = number
        return steps
