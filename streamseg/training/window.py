"""The losses since the last line of metrics, kept on the device until somebody asks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .workers import WorkerGroup

__all__ = ["Health", "Window"]


@dataclass
class Window:
    """Means over the steps between two lines of metrics.

    Attributes:
        sums: by name, a scalar on the device each.
        count: steps.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        """One step's scalars."""
        for name, value in values.items():
            value = value.detach().double()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1

    def take(self, group: WorkerGroup) -> dict[str, float]:
        """The means over steps and workers, fetched from the device at once; the window is empty then."""
        if not self.count:
            return {}
        means = group.mean(torch.stack(list(self.sums.values())) / self.count).tolist()
        taken = dict(zip(self.sums, means, strict=True))
        self.sums, self.count = {}, 0
        return taken

    def state(self) -> dict[str, Any]:
        return {"sums": {name: value.cpu() for name, value in self.sums.items()}, "count": self.count}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.count = state["count"]


@dataclass
class Health:
    """Losses and gradient norms that were not looked at yet; looking waits for the device.

    Attributes:
        overflows: steps in a row, up to the last one looked at, whose gradients were not finite.
    """

    overflows: int = 0
    _steps: list[int] = field(default_factory=list)
    _values: list[Tensor] = field(default_factory=list)

    def add(self, step: int, loss: Tensor, gradient_norm: Tensor) -> None:
        self._steps.append(step)
        self._values.append(torch.stack((loss.detach().float(), gradient_norm.detach().float())))

    def first_bad_step(self, allowed_overflows: int) -> int | None:
        """The first step that is one too many, if any; what was looked at is forgotten.

        Args:
            allowed_overflows: so many steps in a row may be not finite: float16's scaler skips them.
        """
        if not self._steps:
            return None
        rows = torch.stack(self._values).tolist()
        steps, self._steps, self._values = self._steps, [], []
        for step, row in zip(steps, rows, strict=True):
            self.overflows = 0 if all(map(math.isfinite, row)) else self.overflows + 1
            if self.overflows > allowed_overflows:
                return step
        return None
