"""How good a classifier is on images it was not trained on, and how sure that number is.

Everything is computed from the outputs and the targets alone, in float64, so that it does not depend on how
the images were batched.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from rushlight.inference.bootstrap import mean_of_images
from rushlight.runtime.errors import NonFiniteError
from rushlight.runtime.measured import Measured, proportion

CALIBRATION_BINS = 15

_CLASSES_SHOWN = 30


@dataclass(frozen=True)
class ClassScore:
    """How well one class is recognised.

    Attributes:
        name: the class.
        precision: of the images given this label, the part that has it; undefined where none was given it.
        recall: of the images that have this label, the part that was given it; undefined where none has it.
        support: the images that have this label.
    """

    name: str
    precision: Measured
    recall: Measured
    support: int


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers that were about equally sure.

    Attributes:
        low: the bin holds confidences above this ...
        high: ... up to this.
        confidence: their mean; NaN without answers.
        right: the part of them that was right.
    """

    low: float
    high: float
    confidence: float
    right: Measured

    def to_json(self) -> dict[str, Any]:
        """As `Evaluation.to_json` holds it."""
        edges = {"low": self.low, "high": self.high, "confidence": self.confidence}
        return edges | {"right": self.right.to_json()}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate_logits` found.

    Attributes:
        split: which part of the data was looked at: `valid` or `test`.
        classes: their names, in the order of the outputs.
        accuracy: with Wilson's interval.
        loss: mean cross-entropy in nats an image, with the normal interval.
        calibration_error: see `calibration_error`; without an interval.
        per_class: one score a class, in the order of `classes`.
        confusion: (C, C) counts; rows are the true classes, columns the predicted ones.
        probabilities: (N, C), in the order of the images.
        targets: (N,) true classes.
        losses: (N,) cross-entropy of each image, in nats.
        views: the name of the test-time augmentation, `none` without.
    """

    split: str
    classes: list[str]
    accuracy: Measured
    loss: Measured
    calibration_error: Measured
    per_class: list[ClassScore]
    confusion: np.ndarray
    probabilities: np.ndarray = field(repr=False)
    targets: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)
    views: str = "none"

    @property
    def n(self) -> int:
        """The images that were evaluated."""
        return len(self.targets)

    @property
    def headline(self) -> tuple[str, str]:
        """The figure to look at first: its name, and what it is."""
        return "Accuracy", self.accuracy.percent()

    @property
    def predictions(self) -> np.ndarray:
        """The most probable class of each image, (N,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def reliability(self) -> list[ReliabilityBin]:
        """How often the model is right when it says that it is so sure; see `reliability_bins`."""
        return reliability_bins(self.probabilities.max(axis=1), self.predictions == self.targets)

    def most_wrong(self, count: int = 9) -> np.ndarray:
        """Where to look first: the wrongly answered images, those with the highest loss first.

        Returns:
            At most `count` positions in the evaluated part; fewer where fewer answers were wrong.
        """
        wrong = np.flatnonzero(self.predictions != self.targets)
        return wrong[np.argsort(-self.losses[wrong], kind="stable")][:count]

    def truth_in_words(self, row: int) -> str:
        """What an image really is."""
        return self.classes[self.targets[row]]

    def answer_in_words(self, row: int) -> str:
        """What was said about it."""
        return f"{self.classes[self.predictions[row]]}, {100 * self.probabilities[row].max():.0f} %"

    def to_json(self) -> dict[str, Any]:
        """The object in `run.json` and from `evaluate --json`; without the images' own outputs."""
        return {
            "split": self.split,
            "n": self.n,
            "views": self.views,
            "accuracy": self.accuracy.to_json(),
            "loss": self.loss.to_json(),
            "calibration_error": self.calibration_error.to_json(),
            "reliability": [found.to_json() for found in self.reliability if found.right.n],
            "classes": list(self.classes),
            "per_class": {
                score.name: {
                    "precision": score.precision.to_json(),
                    "recall": score.recall.to_json(),
                    "support": score.support,
                }
                for score in self.per_class
            },
            "confusion": self.confusion.tolist(),
        }

    def table(self) -> str:
        """The evaluation as text for a terminal; of more than 30 classes, the worst recognised are shown."""
        views = "" if self.views == "none" else f", test-time augmentation {self.views}"
        lines = [
            f"{self.split}: {self.n:,} images{views}",
            f"accuracy           {self.accuracy.percent()}",
            f"loss               {self.loss}",
            f"calibration error  {self.calibration_error.percent()}",
            "",
        ]
        # NaN (a class without images) sorts last.
        shown = self.per_class
        if len(shown) > _CLASSES_SHOWN:
            shown = sorted(shown, key=lambda score: (score.support == 0, score.recall.value))[:_CLASSES_SHOWN]
        width = max(len("class"), *(len(score.name) for score in shown))
        lines.append(f"{'class':<{width}}  images  precision  recall")
        for score in shown:
            precision, recall = _cell(score.precision), _cell(score.recall)
            lines.append(f"{score.name:<{width}}  {score.support:>6,}  {precision:>9}  {recall:>6}")
        if len(self.per_class) > len(shown):
            lines.append(f"(the {len(shown)} classes with the lowest recall, of {len(self.per_class)})")
        return "\n".join(lines)


def evaluate_logits(
    logits: torch.Tensor, targets: torch.Tensor, classes: list[str], split: str, *, views: str = "none"
) -> Evaluation:
    """Judge a classifier's outputs.

    Args:
        logits: (N, C) outputs before the softmax; logarithms of probabilities serve as well.
        targets: (N,) true classes, 0 to C - 1.
        classes: the C names.
        split: which part of the data this is, `valid` or `test`.
        views: the test-time augmentation behind the outputs.

    Raises:
        NonFiniteError: an output is NaN, or all outputs of an image are minus infinity.
        ValueError: the shapes do not fit each other, a target is out of range, or there is nothing to judge.
    """
    count, outputs = logits.shape
    if count == 0:
        raise ValueError("there are no outputs to evaluate")
    if outputs != len(classes) or targets.shape != (count,):
        raise ValueError(
            f"logits {tuple(logits.shape)}, targets {tuple(targets.shape)} and {len(classes)} classes differ"
        )
    truth = targets.cpu().numpy().astype(np.int64)
    if truth.min() < 0 or truth.max() >= outputs:
        raise ValueError(f"targets lie between {truth.min()} and {truth.max()}, not within 0 and {outputs - 1}")

    log_probabilities = torch.log_softmax(logits.detach().cpu().double(), dim=1).numpy()
    broken = int(np.isnan(log_probabilities).any(axis=1).sum())
    if broken:
        raise NonFiniteError(
            f"the model's outputs are not finite for {broken:,} of {count:,} images ({split}); "
            "its training diverged, so train again with a lower learning rate"
        )
    losses = -log_probabilities[np.arange(count), truth]
    probabilities = np.exp(log_probabilities)
    predictions = probabilities.argmax(axis=1)
    confusion = confusion_matrix(truth, predictions, outputs)
    correct = predictions == truth
    return Evaluation(
        split=split,
        classes=list(classes),
        accuracy=proportion(int(correct.sum()), count),
        loss=mean_of_images(losses),
        calibration_error=Measured(calibration_error(probabilities.max(axis=1), correct), None, count, None),
        per_class=class_scores(confusion, classes),
        confusion=confusion,
        probabilities=probabilities,
        targets=truth,
        losses=losses,
        views=views,
    )


def confusion_matrix(targets: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Counts of (true class, predicted class), as a (C, C) int64 array with true classes as rows."""
    return np.bincount(targets * classes + predictions, minlength=classes * classes).reshape(classes, classes)


def class_scores(confusion: np.ndarray, classes: list[str]) -> list[ClassScore]:
    """Precision and recall of each class, with Wilson's intervals, from the (C, C) confusion matrix."""
    hits, predicted, support = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    return [
        ClassScore(
            name,
            precision=proportion(hits[index], predicted[index]),
            recall=proportion(hits[index], support[index]),
            support=int(support[index]),
        )
        for index, name in enumerate(classes)
    ]


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """The expected calibration error (Guo et al., "On calibration of modern neural networks", 2017).

    Images are sorted into equally wide bins `(low, high]` by the probability given to the answer. In a bin,
    a calibrated model is right as often as it says; the error is the mean distance between the two, each bin
    weighted by its images.

    Args:
        confidence: (N,) the highest probability of each image, 0 to 1.
        correct: (N,) whether that answer is right.
        bins: how many bins; the paper takes 15.

    Returns:
        Between 0 (calibrated) and 1.
    """
    _, bin_of = _binned(confidence, bins)
    gaps = np.bincount(bin_of, weights=confidence - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def reliability_bins(confidence: np.ndarray, correct: np.ndarray, bins: int = CALIBRATION_BINS) -> list[ReliabilityBin]:
    """What a reliability diagram shows, bin by bin; see `calibration_error`.

    Args:
        confidence: (N,) the highest probability of each image, 0 to 1.
        correct: (N,) whether that answer is right.
        bins: how many bins.
    """
    edges, bin_of = _binned(confidence, bins)
    counts = np.bincount(bin_of, minlength=bins)
    sure, right = (np.bincount(bin_of, weights=values, minlength=bins) for values in (confidence, correct))
    return [
        ReliabilityBin(
            float(edges[i]),
            float(edges[i + 1]),
            float(sure[i] / counts[i]) if counts[i] else math.nan,
            proportion(int(right[i]), int(counts[i])),
        )
        for i in range(bins)
    ]


def _binned(confidence: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of equally wide bins, and the bin of each value."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    # side="left" puts a confidence that equals an edge into the bin below it, as (low, high] asks.
    return edges, np.searchsorted(edges[1:-1], confidence, side="left")


def _cell(score: Measured) -> str:
    return "-" if score.n == 0 else f"{100 * score.value:.1f} %"
