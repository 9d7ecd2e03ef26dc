"""How good a model is that answers with numbers."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rushlight.inference.bootstrap import mean_of_images, with_interval
from rushlight.runtime.errors import NonFiniteError
from rushlight.runtime.measured import Measured


@dataclass(frozen=True)
class NumberScore:
    """How near the answers come to one of the numbers.

    Attributes:
        name: of the number.
        mean_absolute_error: how far off an answer is on average, in its unit.
        root_mean_square_error: likewise with far ones weighing more, in its unit.
        r2: the part of the variance that is explained: 1 where all answers are right, 0 where they are no better than
            always the mean of these images, below 0 where they are worse.
    """

    name: str
    mean_absolute_error: Measured
    root_mean_square_error: Measured
    r2: Measured

    def to_json(self) -> dict[str, Any]:
        """Without the name."""
        return {key: getattr(self, key).to_json() for key in _FIGURES}


_FIGURES = ("mean_absolute_error", "root_mean_square_error", "r2")


@dataclass(frozen=True)
class NumberEvaluation:
    """What `evaluate_numbers` found.

    Attributes:
        split: which part of the data was looked at.
        classes: names of the numbers, in the order of the outputs.
        per_number: one score a number.
        r2: the mean over the numbers.
        loss: mean squared error in units of the deviation over the training images, mean over the numbers.
        values: (N, K) answers.
        targets: (N, K) what is right.
        losses: (N,) squared error of each image, as in `loss`.
        views: the name of the test-time augmentation, `none` without.
    """

    split: str
    classes: list[str]
    per_number: list[NumberScore]
    r2: Measured
    loss: Measured
    values: np.ndarray = field(repr=False)
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
        if len(self.per_number) > 1:
            return "Explained variance (R2, mean over the numbers)", str(self.r2)
        (score,) = self.per_number
        return f"Mean absolute error of {score.name}", in_its_unit(score.mean_absolute_error)

    def most_wrong(self, count: int = 9) -> np.ndarray:
        """Positions of the images whose answers are furthest off, the worst first."""
        return np.argsort(-self.losses, kind="stable")[:count]

    def truth_in_words(self, row: int) -> str:
        """What is right about an image."""
        return _values_in_words(self.classes, self.targets[row])

    def answer_in_words(self, row: int) -> str:
        """What was said about it."""
        return _values_in_words(self.classes, self.values[row])

    def to_json(self) -> dict[str, Any]:
        """The object in `run.json` and from `evaluate --json`; without the images' own outputs."""
        alone = self.per_number[0].to_json() if len(self.per_number) == 1 else {}
        return {
            "split": self.split,
            "n": self.n,
            "views": self.views,
            **{key: value for key, value in alone.items() if key != "r2"},
            "r2": self.r2.to_json(),
            "loss": self.loss.to_json(),
            "classes": list(self.classes),
            "per_number": {score.name: score.to_json() for score in self.per_number},
        }

    def table(self) -> str:
        """The evaluation as text for a terminal."""
        views = "" if self.views == "none" else f", test-time augmentation {self.views}"
        lines = [f"{self.split}: {self.n:,} images{views}"]
        for score in self.per_number:
            lines += [
                score.name,
                f"  mean absolute error     {in_its_unit(score.mean_absolute_error)}",
                f"  root mean square error  {in_its_unit(score.root_mean_square_error)}",
                f"  explained variance R2   {score.r2}",
            ]
        return "\n".join(lines)


def evaluate_numbers(
    values: np.ndarray, targets: np.ndarray, classes: list[str], split: str, deviation: np.ndarray, views: str = "none"
) -> NumberEvaluation:
    """Judge answers that are numbers.

    Args:
        values: (N, K) answers, in their units.
        targets: (N, K) what is right.
        classes: the K names.
        split: which part of the data this is.
        deviation: (K,) of each number over the training images.
        views: the test-time augmentation behind the answers.

    Raises:
        NonFiniteError: an answer is not finite.
        ValueError: the shapes do not fit each other, or there is nothing to judge.
    """
    values, targets = np.asarray(values, np.float64), np.asarray(targets, np.float64)
    if not len(values) or values.shape != targets.shape or values.shape[1] != len(classes):
        raise ValueError(f"values {values.shape}, targets {targets.shape} and {len(classes)} names differ")
    if not np.isfinite(values).all():
        raise NonFiniteError(
            f"the model's answers are not finite ({split}); its training diverged, so train again with a lower "
            "learning rate"
        )
    errors, count = values - targets, len(values)
    scores = []
    for name, wrong, truth in zip(classes, errors.T, targets.T, strict=True):
        off = np.abs(wrong)
        mean = mean_of_images(off)
        root, r2 = with_interval(lambda counts, w=wrong, t=truth: _root_and_r2(w, t, counts), count)  # type: ignore[misc]
        scores.append(NumberScore(name, mean, root, r2))
    (r2,) = with_interval(lambda counts: _mean_r2(errors, targets, counts), count, len(classes))
    losses = ((errors / deviation) ** 2).mean(axis=1)
    return NumberEvaluation(
        split=split,
        classes=list(classes),
        per_number=scores,
        r2=r2,
        loss=mean_of_images(losses),
        values=values,
        targets=targets,
        losses=losses,
        views=views,
    )


def _root_and_r2(errors: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(R, 2), of one number (N,), where each image counts so often."""
    squares = counts.astype(np.float64) @ errors**2
    return np.stack([np.sqrt(squares / len(errors)), _explained(squares, truth, counts)], axis=1)


def _mean_r2(errors: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(R, 1): the mean of R2 over the numbers (N, K)."""
    squares = counts.astype(np.float64) @ errors**2
    each = [_explained(squares[:, i], truth[:, i], counts) for i in range(truth.shape[1])]
    mean: np.ndarray = np.mean(each, axis=0)[:, None]
    return mean


def _explained(squares: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """R2 from sums of squared errors (R,)."""
    centred, count = truth - truth.mean(), len(truth)  # else the difference of two large squares would be rounded away
    weights = counts.astype(np.float64)
    total = weights @ centred**2 - (weights @ centred) ** 2 / count
    with np.errstate(invalid="ignore", divide="ignore"):
        explained: np.ndarray = np.where(
            total > 1e-12 * max(1e-300, float(centred @ centred)), 1 - squares / total, np.nan
        )
    return explained


def in_its_unit(quantity: Measured) -> str:
    """A measured quantity in the unit of a number, with four digits: `12.31 (95 % interval 11.02 to 13.6, n = 80)`."""
    if math.isnan(quantity.value):
        return f"undefined (n = {quantity.n:,})"
    if quantity.interval is None:
        return f"{quantity.value:.4g} (n = {quantity.n:,})"
    low, high = quantity.interval
    return f"{quantity.value:.4g} (95 % interval {low:.4g} to {high:.4g}, n = {quantity.n:,})"


def _values_in_words(names: list[str], values: np.ndarray) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values, strict=True))
