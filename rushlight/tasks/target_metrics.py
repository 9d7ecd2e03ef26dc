"""Metrics of models with several labels or numbers, for the rows of the history.

They keep the outputs of the whole part, which is small, as these figures are no sums over batches.
"""

import torch
from torch import Tensor

from rushlight.inference.answers import Answers
from rushlight.inference.labels_evaluation import average_precisions
from rushlight.runtime.distributed import gathered
from rushlight.runtime.measured import Measured


class _Kept:
    """Outputs and targets of all batches since the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Add one batch."""
        self._outputs.append(outputs.detach().float().cpu())
        self._targets.append(targets.detach().cpu())

    def add_up(self) -> None:
        """Have what all ranks had, in the order of the batches."""
        numbers = [torch.full((len(part),), number) for number, part in enumerate(self._targets)]
        order = torch.cat(gathered(torch.cat(numbers))).argsort(stable=True)
        self._outputs = [torch.cat(gathered(torch.cat(self._outputs)))[order]]
        self._targets = [torch.cat(gathered(torch.cat(self._targets)))[order]]

    def _all(self) -> tuple[Tensor, Tensor]:
        return torch.cat(self._outputs), torch.cat(self._targets)


class MeanAveragePrecision(_Kept):
    """The mean over the labels of their average precision; see `LabelsEvaluation`."""

    name = "mean_average_precision"

    def compute(self) -> Measured:
        """With its bootstrap interval."""
        outputs, targets = self._all()
        return average_precisions(outputs.numpy(), targets.numpy() > 0.5)[1]


class ExplainedVariance(_Kept):
    """R2, the part of the variance that is explained, mean over the numbers; see `NumberEvaluation`.

    Args:
        answers: say what the outputs mean.
    """

    name = "r2"

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    def compute(self) -> Measured:
        """With its bootstrap interval."""
        outputs, targets = self._all()
        names = [str(i) for i in range(targets.shape[1])]
        evaluation = self._answers.evaluate(outputs, targets, names, "valid", "none")
        return evaluation.r2  # type: ignore[union-attr]
