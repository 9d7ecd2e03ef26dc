"""What the outputs of a model mean, for each kind of target: an activation, an answer in words, and how it is judged.

To answer about another kind of target: a class with the methods of `Answers`, and its line in `ANSWERS`. How targets
are read stands in `rushlight.data.targets`, and how they are learned in `rushlight.tasks.objectives`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rushlight.inference.calibration import Calibration, calibrate, fit_label_temperature, kept_losses
from rushlight.inference.conformal import ConformalSets, fewest_images
from rushlight.inference.evaluation import Evaluation, evaluate_logits
from rushlight.inference.labels_evaluation import LabelsEvaluation, evaluate_labels
from rushlight.inference.number_evaluation import NumberEvaluation, evaluate_numbers
from rushlight.inference.predictions import Answer, LabelsPrediction, NumberPrediction, Prediction
from rushlight.inference.thresholds import USUAL_THRESHOLD, cross_fitted_thresholds

AnyEvaluation = Evaluation | LabelsEvaluation | NumberEvaluation
USUAL_COVERAGE = 0.95  # of the interval around a number, where none was asked for


class Answers(Protocol):
    """What outputs (B, K) mean.

    Attributes:
        kind: a key of `ANSWERS`.
        exclusive: only one of the outputs can be true, so that evidence for one speaks against the others.
    """

    kind: str
    exclusive: bool

    def of(self, outputs: Tensor) -> Tensor:
        """Answers (B, K) of outputs: probabilities, or numbers in their units."""

    def outputs_of(self, answers: Tensor) -> Tensor:
        """The outputs that would have given these answers, the way back from a mean over several views."""

    def prediction(
        self, source: str, row: np.ndarray, names: Sequence[str], calibration: Calibration, coverage: float | None
    ) -> Answer:
        """One row of answers in the form that a person is given."""

    def evaluate(
        self, outputs: Tensor, targets: Tensor, names: list[str], split: str, views: str, own: bool = False
    ) -> AnyEvaluation:
        """Judge outputs.

        Args:
            outputs: (N, K).
            targets: what is right.
            names: of the outputs.
            split: which part of the data this is.
            views: the test-time augmentation behind the outputs.
            own: the images are those on which something was chosen that the answers go by. Then each is judged by what
                the others would have chosen.
        """

    def calibrated(self, outputs: Tensor, targets: Tensor) -> Calibration:
        """What images that were not trained on say of how sure the answers are."""

    def direction(self, answers: Tensor) -> Tensor:
        """Which way (B, K) a heat map explains: 1 for what raises an answer, -1 for what lowers it."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in a model file, `kind` among it."""


@dataclass(frozen=True)
class ClassAnswers:
    """One of several classes: a softmax."""

    kind = "label"
    exclusive = True

    @classmethod
    def from_json(cls, kept: Mapping[str, Any], names: Sequence[str]) -> "ClassAnswers":
        return cls()

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def of(self, outputs: Tensor) -> Tensor:
        return torch.softmax(outputs.float(), dim=1)

    def outputs_of(self, answers: Tensor) -> Tensor:
        # A probability that rounds to 0 must not become a loss of infinity.
        return answers.clamp_min(torch.finfo(torch.float32).tiny).log()

    def prediction(
        self, source: str, row: np.ndarray, names: Sequence[str], calibration: Calibration, coverage: float | None
    ) -> Prediction:
        order = np.argsort(-row, kind="stable")
        probabilities = {names[index]: float(row[index]) for index in order}
        label, probability = next(iter(probabilities.items()))
        candidates = None
        if coverage is not None:
            within = ConformalSets.calibrated(calibration.losses, coverage).members(row[None])[0]
            candidates = tuple(names[index] for index in order if within[index])
        return Prediction(source, label, probability, probabilities, candidates)

    def evaluate(
        self, outputs: Tensor, targets: Tensor, names: list[str], split: str, views: str, own: bool = False
    ) -> Evaluation:
        return evaluate_logits(outputs, targets, names, split, views=views)

    def calibrated(self, outputs: Tensor, targets: Tensor) -> Calibration:
        return calibrate(outputs, targets)

    def direction(self, answers: Tensor) -> Tensor:
        return torch.ones_like(answers)


@dataclass(frozen=True)
class LabelAnswers:
    """Any of several labels: a sigmoid each.

    Attributes:
        thresholds: the probability from which each label is given.
        are_chosen: whether they were chosen on the validation part.
    """

    thresholds: tuple[float, ...]
    are_chosen: bool = False

    kind = "labels"
    exclusive = False

    @classmethod
    def from_json(cls, kept: Mapping[str, Any], names: Sequence[str]) -> "LabelAnswers":
        thresholds, are_chosen = kept.get("thresholds", [USUAL_THRESHOLD] * len(names)), kept.get("are_chosen", False)
        _require_numbers(thresholds, len(names))
        if not all(0 <= threshold <= 1 for threshold in thresholds):
            raise ValueError("a threshold is not a probability")
        if type(are_chosen) is not bool:
            raise ValueError("are_chosen is neither true nor false")
        return cls(tuple(thresholds), are_chosen)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "thresholds": list(self.thresholds), "are_chosen": self.are_chosen}

    def of(self, outputs: Tensor) -> Tensor:
        return outputs.float().sigmoid()

    def outputs_of(self, answers: Tensor) -> Tensor:
        return torch.logit(answers.double(), eps=1e-12).float()

    def prediction(
        self, source: str, row: np.ndarray, names: Sequence[str], calibration: Calibration, coverage: float | None
    ) -> LabelsPrediction:
        order = np.argsort(-row, kind="stable")
        given = [names[index] for index in order if row[index] >= self.thresholds[index]]
        return LabelsPrediction(source, given, {names[index]: float(row[index]) for index in order})

    def evaluate(
        self, outputs: Tensor, targets: Tensor, names: list[str], split: str, views: str, own: bool = False
    ) -> LabelsEvaluation:
        thresholds = np.array(self.thresholds)
        if own and self.are_chosen:
            thresholds = cross_fitted_thresholds(self.of(outputs).numpy(), targets.numpy() > 0.5)
        return evaluate_labels(outputs, targets, names, split, thresholds=thresholds, views=views)

    def calibrated(self, outputs: Tensor, targets: Tensor) -> Calibration:
        return Calibration(fit_label_temperature(outputs, targets))

    def direction(self, answers: Tensor) -> Tensor:
        return torch.ones_like(answers)


@dataclass(frozen=True)
class NumberAnswers:
    """One or several numbers: outputs in deviations from the mean over the training images.

    Attributes:
        mean: of each number over the training images.
        deviation: likewise the standard deviation.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    kind = "number"
    exclusive = False

    @classmethod
    def from_json(cls, kept: Mapping[str, Any], names: Sequence[str]) -> "NumberAnswers":
        mean, deviation = kept["mean"], kept["deviation"]
        _require_numbers(mean, len(names))
        _require_numbers(deviation, len(names))
        if min(deviation) <= 0:
            raise ValueError("a deviation is not above 0")
        return cls(tuple(mean), tuple(deviation))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "mean": list(self.mean), "deviation": list(self.deviation)}

    def of(self, outputs: Tensor) -> Tensor:
        mean, deviation = (torch.tensor(values, dtype=torch.float64) for values in (self.mean, self.deviation))
        return outputs.cpu().double() * deviation + mean

    def outputs_of(self, answers: Tensor) -> Tensor:
        mean, deviation = (torch.tensor(values, dtype=torch.float64) for values in (self.mean, self.deviation))
        return ((answers.double() - mean) / deviation).float()

    def prediction(
        self, source: str, row: np.ndarray, names: Sequence[str], calibration: Calibration, coverage: float | None
    ) -> NumberPrediction:
        if coverage is None and len(calibration.losses) >= fewest_images(USUAL_COVERAGE):
            coverage = USUAL_COVERAGE
        values = {name: float(value) for name, value in zip(names, row, strict=True)}
        intervals = None
        if coverage is not None:
            reach = ConformalSets.calibrated(calibration.losses, coverage).threshold
            off = {name: reach * scale for name, scale in zip(names, calibration.scales, strict=True)}
            intervals = {name: (value - off[name], value + off[name]) for name, value in values.items()}
        decimals = {
            name: max(0, 2 - math.floor(math.log10(each))) for name, each in zip(names, self.deviation, strict=True)
        }
        return NumberPrediction(source, values, intervals, coverage, decimals)

    def evaluate(
        self, outputs: Tensor, targets: Tensor, names: list[str], split: str, views: str, own: bool = False
    ) -> NumberEvaluation:
        values = self.of(outputs).numpy()
        return evaluate_numbers(values, targets.double().numpy(), names, split, np.array(self.deviation), views)

    def calibrated(self, outputs: Tensor, targets: Tensor) -> Calibration:
        """How far off the answers are; of several numbers that which is furthest off, as it goes for that number."""
        if not len(targets):
            return Calibration()
        off = (self.of(outputs) - targets.double()).abs()
        least = 1e-9 * torch.tensor(self.deviation, dtype=torch.float64)
        scales = off.square().mean(dim=0).sqrt().maximum(least)
        return Calibration(losses=kept_losses((off / scales).amax(dim=1).numpy()), scales=tuple(scales.tolist()))

    def direction(self, answers: Tensor) -> Tensor:
        """Away from the mean over the training images, which is what would be said of an image that tells nothing."""
        return torch.where(answers.double() >= torch.tensor(self.mean, dtype=torch.float64), 1.0, -1.0)


ANSWERS: dict[str, Callable[[Mapping[str, Any], Sequence[str]], Answers]] = {
    "label": ClassAnswers.from_json,
    "labels": LabelAnswers.from_json,
    "number": NumberAnswers.from_json,
}


def answers_of(kept: Mapping[str, Any] | None, names: Sequence[str]) -> Answers:
    """What the outputs mean of a model whose file says so.

    Args:
        kept: what `Answers.to_json` gave; None for one of several classes, as files of old have it.
        names: of the outputs.

    Raises:
        ValueError, KeyError, TypeError: it cannot be.
    """
    kept = kept or {"kind": "label"}
    return ANSWERS[kept["kind"]](kept, names)


def _require_numbers(values: Any, count: int) -> None:
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise ValueError(f"not {count} numbers")
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise ValueError("not finite numbers")
