"""Metrics that accumulate on the device and are read once an epoch.

Each keeps sums, and divides only in `compute`: sums can be added over batches, and over processes, means cannot.
"""

from typing import Any, Protocol

import torch
from torch import Tensor

from rushlight.runtime.distributed import ranks, total
from rushlight.runtime.measured import Measured, mean_with_interval, proportion


class Metric(Protocol):
    """What the loop asks of a metric.

    Where several processes measure, it also has `add_up()`, which adds to what this one counted what the others did; it
    is called before `compute`.
    """

    name: str

    def reset(self) -> None:
        """Forget everything."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Add one batch."""

    def compute(self) -> Measured:
        """The value over all batches since the last reset, with its interval."""


class Accuracy:
    """The share of samples whose largest output stands at the target, with its Wilson interval.

    `update` takes outputs (..., classes) and integer targets (...), or target probabilities of the outputs' shape.
    """

    name = "accuracy"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._correct: Tensor | int = 0
        self._count = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        if targets.is_floating_point():
            targets = targets.argmax(-1)
        self._correct = self._correct + (outputs.argmax(-1) == targets).sum()
        self._count += targets.numel()

    def add_up(self) -> None:
        """Count what all ranks counted."""
        correct, count = total(torch.tensor([int(self._correct), self._count])).tolist()
        self._correct, self._count = correct, count

    def compute(self) -> Measured:
        return proportion(int(self._correct), self._count)


class BatchMeans:
    """The mean of a quantity known as one mean a batch, such as the loss.

    The interval comes from the spread of the batch means ("batch means"): what a single sample contributed is not
    known, and need not be. `samples` counts what was added. Of several processes each adds its part of every batch.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._means: list[Tensor] = []
        self._weights: list[int] = []

    def update(self, mean: Tensor, weight: int) -> None:
        """Add one batch.

        Args:
            mean: the batch's mean, a scalar tensor.
            weight: how many samples it is the mean of.
        """
        # Only noted here: arithmetic on single numbers would cost as much as a layer of a small net.
        self._means.append(mean.detach())
        self._weights.append(weight)
        self.samples += weight

    @property
    def is_empty(self) -> bool:
        """Whether no batch was added."""
        return not self._means

    def state_dict(self) -> dict[str, Any]:
        """What was added so far."""
        return {"means": torch.stack(self._means) if self._means else None, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on adding to what another one had."""
        self._means = [] if state["means"] is None else list(state["means"])
        self._weights = list(state["weights"])
        self.samples = sum(self._weights)

    def compute(self) -> Measured:
        """The mean over all samples, of all processes, which all have to ask for it."""
        means = torch.stack(self._means).cpu().double()
        weights, samples = torch.tensor(self._weights, dtype=torch.float64), self.samples
        if ranks() > 1:
            means, weights = _over_ranks(means, weights)
            samples = int(weights.sum())
        weights = weights / samples
        mean = float(means @ weights)
        batches = len(means)
        if batches < 2:
            return Measured(mean, None, samples, None)
        square = float((means - mean).square() @ weights) + mean**2
        interval = mean_with_interval(mean * batches, square * batches, batches).interval
        return Measured(mean, interval, samples, "batch means")


def _over_ranks(means: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each whole batch, and its weight, from those of the parts."""
    sums = torch.where(weights > 0, means * weights, 0.0)
    sums, weights = total(torch.stack([sums, weights]))
    return sums / weights, weights


def samples_in(targets: Tensor) -> int:
    """How many samples a batch's targets stand for: elements of integer targets, rows of probabilities."""
    return targets.shape[0] if targets.is_floating_point() else targets.numel()
