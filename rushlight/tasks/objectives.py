"""What it means to learn each kind of target: what training makes small, and what is measured beside it.

To learn another kind of target: a function that makes an `Objective`, and its line in `OBJECTIVES`. How its targets are
read stands in `rushlight.data.targets`, and how its answers are given in `rushlight.inference.answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from rushlight.inference.answers import Answers, ClassAnswers, LabelAnswers, NumberAnswers
from rushlight.inference.thresholds import USUAL_THRESHOLD
from rushlight.runtime.errors import InputError
from rushlight.tasks.linear_heads import Solution, solve_label_head, solve_linear_head, solve_number_head
from rushlight.tasks.target_metrics import ExplainedVariance, MeanAveragePrecision
from rushlight.training.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    NumberLoss,
    balanced_class_weights,
    balanced_label_weights,
    binary_cross_entropy,
    cross_entropy,
)
from rushlight.training.metrics import Accuracy, Metric

if TYPE_CHECKING:
    from rushlight.data.images import ImageData

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LossSettings:
    """What a person may ask of the loss.

    Attributes:
        label_smoothing: share of each target spread evenly over the classes; None for what suits the recipe.
        class_weights: `balanced`, so that rare classes count as much as frequent ones, or one weight a class.
    """

    label_smoothing: float | None = None
    class_weights: str | Sequence[float] | None = None

    @property
    def balanced(self) -> bool:
        """Whether rare classes are to count more."""
        return self.class_weights is not None


@dataclass(frozen=True)
class Objective:
    """What one kind of target asks of training.

    Attributes:
        loss: what training makes small, from outputs and targets.
        measured_loss: what is measured beside it on images that are not trained on, the same whatever the settings, so
            that runs with different ones can be compared.
        metrics: makes what else is measured every epoch; models are compared by the first, of which more is better.
        answers: what the outputs mean.
        solve: solves a linear head from views of the features and the targets of the training part, with a seed.
    """

    loss: Loss
    measured_loss: Loss
    metrics: Callable[[], list[Metric]]
    answers: Answers
    solve: Callable[[Sequence[np.ndarray], np.ndarray, int], Solution]


class ImageStep:
    """The forward step of an image task: the loss as configured while training, the plain one while measuring."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __call__(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        images, targets = batch
        outputs = model(images)
        loss = self.objective.loss if model.training else self.objective.measured_loss
        return outputs, loss(outputs, targets)


def one_label(data: ImageData, settings: LossSettings, usual_smoothing: float) -> Objective:
    """One of several classes: cross-entropy in nats, and accuracy."""
    chosen = settings.class_weights
    weights: Sequence[float] | Tensor | None
    if isinstance(chosen, str):
        if chosen != "balanced":
            raise InputError(f"class weights are 'balanced' or one number a class, not '{chosen}'")
        weights = balanced_class_weights(data.train.targets, len(data.classes))
    else:
        weights = chosen
    smoothing = usual_smoothing if settings.label_smoothing is None else settings.label_smoothing
    classes, balanced = len(data.classes), settings.balanced
    return Objective(
        CrossEntropy(smoothing, weights),
        cross_entropy,
        lambda: [Accuracy()],
        ClassAnswers(),
        lambda features, targets, seed: solve_linear_head(features, targets, classes, seed, balanced),
    )


def several_labels(data: ImageData, settings: LossSettings, usual_smoothing: float) -> Objective:
    """Any of several labels: binary cross-entropy in nats, and mean average precision. Unasked nothing is smoothed."""
    chosen = settings.class_weights
    weights: Tensor | None = None
    if isinstance(chosen, str):
        if chosen != "balanced":
            raise InputError(f"class weights are 'balanced' or one number a label, not '{chosen}'")
        weights = balanced_label_weights(data.train.targets)
    elif chosen is not None:
        having = torch.as_tensor(chosen, dtype=torch.float32)
        if having.shape != (len(data.classes),) or not bool((having.isfinite() & (having > 0)).all()):
            raise InputError(f"class weights must be one number above 0 for each of the {len(data.classes)} labels")
        weights = torch.stack([torch.ones_like(having), having])
    balanced = settings.balanced
    return Objective(
        BinaryCrossEntropy(settings.label_smoothing or 0.0, weights),
        binary_cross_entropy,
        lambda: [MeanAveragePrecision()],
        LabelAnswers((USUAL_THRESHOLD,) * len(data.classes)),
        lambda features, targets, seed: solve_label_head(features, targets, seed, balanced),
    )


def numbers(data: ImageData, settings: LossSettings, usual_smoothing: float) -> Objective:
    """Numbers: smooth L1 in deviations of the training part, measured as squared error, and explained variance."""
    if settings.label_smoothing or settings.class_weights is not None:
        raise InputError("a number has no classes: leave out label smoothing and class weights")
    targets = data.train.targets.double()
    mean, deviation = targets.mean(dim=0), targets.std(dim=0, correction=0)
    flat = [name for name, each in zip(data.classes, deviation.tolist(), strict=True) if not each > 0]
    if flat:
        raise InputError(f"every training image has the same {flat[0]}: there is nothing to learn")
    answers = NumberAnswers(tuple(mean.tolist()), tuple(deviation.tolist()))
    return Objective(
        NumberLoss(answers.mean, answers.deviation),
        NumberLoss(answers.mean, answers.deviation, squared=True),
        lambda: [ExplainedVariance(answers)],
        answers,
        lambda features, targets, seed: solve_number_head(
            features, (targets - np.array(answers.mean)) / np.array(answers.deviation), seed
        ),
    )


OBJECTIVES: dict[str, Callable[[ImageData, LossSettings, float], Objective]] = {
    "label": one_label,
    "labels": several_labels,
    "number": numbers,
}
