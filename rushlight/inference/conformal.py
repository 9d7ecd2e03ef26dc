"""Answers that are sets of classes, made so large that they hold the right one as often as was asked for.

Where a model knows, the set is one class; where it does not, the set says among which. That the right class is within
holds for any model, good or bad, as long as the images come from where the calibration images came from, and it
holds on average over them, not for each class or each kind of image.

This is split conformal prediction (Papadopoulos et al., "Inductive confidence machines for regression", 2002) with the
least ambiguous sets (Sadinle, Lei and Wasserman, "Least ambiguous set-valued classifiers with bounded error levels",
2019): a class is in the set where its loss is no greater than the losses of the right classes mostly were on images
that were not trained on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured, mean_with_interval, proportion
from rushlight.runtime.seeds import epoch_order

_ROUNDING = 1e-6  # nats; a probability in float32 must not fall out of a set by its last digit


@dataclass(frozen=True)
class ConformalSets:
    """The rule that makes sets of one coverage.

    Attributes:
        coverage: the part of the answers whose set holds the right class, at least; between 0 and 1.
        n: the images it was calibrated on.
        threshold: the largest loss, in nats, of a class within a set.
    """

    coverage: float
    n: int
    threshold: float

    @classmethod
    def calibrated(cls, losses: Sequence[float] | np.ndarray, coverage: float) -> "ConformalSets":
        """Find the threshold.

        Args:
            losses: (N,) minus the logarithm of the probability given to the right class, of images that were not
                trained on.
            coverage: wanted, between 0 and 1.

        Raises:
            InputError: the coverage is not between 0 and 1, or more than so few images can vouch for.
        """
        if not 0 < coverage < 1:
            raise InputError(f"a coverage of {coverage:g} is not between 0 and 1; 0.95 is usual")
        count = len(losses)
        rank = quantile_rank(count, coverage)
        if rank > count:
            most = f"; they can vouch for at most {_percent_below(count / (count + 1))} %" if count else ""
            raise InputError(
                f"a coverage of {100 * coverage:g} % needs at least {fewest_images(coverage):,} calibration images, "
                f"and there are {count:,}{most}"
            )
        return cls(coverage, count, float(np.sort(np.asarray(losses, np.float64))[rank - 1]))

    def members(self, probabilities: np.ndarray, allow_empty: bool = False) -> np.ndarray:
        """Which classes are in the set of each image.

        Args:
            probabilities: (N, C).
            allow_empty: leave a set empty where no class is likely enough. Without it the most probable class is
                always within, which a person expects; the coverage of a model that is right more often than was
                asked for then lies above it.

        Returns:
            (N, C) bool.
        """
        with np.errstate(divide="ignore"):
            within = -np.log(np.asarray(probabilities, np.float64)) <= self.threshold + _ROUNDING
        if not allow_empty and len(within):
            within[np.arange(len(within)), np.argmax(probabilities, axis=1)] = True
        return within

    @property
    def expected(self) -> tuple[float, float]:
        """Between what the coverage lies, in 95 of 100 draws of so many calibration images.

        Over draws it is distributed as Beta(k, n + 1 - k), k the rank of the threshold (Vovk, "Conditional validity of
        inductive conformal predictors", 2012).
        """
        from scipy.stats import beta

        rank = quantile_rank(self.n, self.coverage)
        low, high = beta.interval(0.95, rank, self.n + 1 - rank)
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.expected
        return (
            f"the right class is within for at least {100 * self.coverage:g} % of images like the {self.n:,} it was "
            f"calibrated on (by the luck of these: {100 * low:.1f} to {100 * high:.1f} %)"
        )


def quantile_rank(count: int, coverage: float) -> int:
    """Which of so many ordered calibration losses is the threshold, from 1; more than `count` where none serves.

    One more than the plain quantile would be: the new image is one of `count + 1` that are exchangeable.
    """
    return math.ceil((count + 1) * coverage - 1e-9)


def fewest_images(coverage: float) -> int:
    """The least number of calibration images that can vouch for a coverage: 19 for 95 %."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


@dataclass(frozen=True)
class SetScores:
    """How sets did on labelled images.

    Attributes:
        asked: the coverage that was asked for.
        coverage: the part whose set held the right class.
        size: mean number of classes in a set.
        single: the part whose set was one class.
        everything: the part whose set was all classes.
        halves: whether one half of the images calibrated the sets of the other, so that none vouched for itself.
    """

    asked: float
    coverage: Measured
    size: Measured
    single: Measured
    everything: Measured
    halves: bool

    def to_json(self) -> dict[str, Any]:
        """As `evaluate --json` prints it."""
        measured = {name: getattr(self, name).to_json() for name in ("coverage", "size", "single", "everything")}
        return {"asked": self.asked, **measured, "halves": self.halves}

    def table(self) -> str:
        """As text for a terminal."""
        how = (
            "each half of these images measured with sets calibrated on the other"
            if self.halves
            else "calibrated on the validation part of the training"
        )
        return "\n".join(
            [
                f"Sets that hold the right class with a coverage of {100 * self.asked:g} %; {how}:",
                f"right class within  {self.coverage.percent()}",
                f"classes in a set    {self.size}",
                f"one class alone     {self.single.percent()}",
                f"could be anything   {self.everything.percent()}",
            ]
        )


def score_sets(members: np.ndarray, targets: np.ndarray, asked: float, halves: bool = False) -> SetScores:
    """Judge sets.

    Args:
        members: (N, C) bool, from `ConformalSets.members`.
        targets: (N,) true classes.
        asked: the coverage that was asked for.
        halves: as in `SetScores`.
    """
    count, sizes = len(targets), members.sum(axis=1)
    return SetScores(
        asked,
        coverage=proportion(int(members[np.arange(count), targets].sum()), count),
        size=mean_with_interval(float(sizes.sum()), float((sizes**2).sum()), count),
        single=proportion(int((sizes == 1).sum()), count),
        everything=proportion(int((sizes == members.shape[1]).sum()), count),
        halves=halves,
    )


def score_in_halves(probabilities: np.ndarray, targets: np.ndarray, coverage: float, seed: int = 0) -> SetScores:
    """Judge sets on the very images that would calibrate them: each half with the other half's threshold.

    Args:
        probabilities: (N, C).
        targets: (N,) true classes.
        coverage: wanted.
        seed: of the halves.

    Raises:
        InputError: half of the images cannot vouch for the coverage.
    """
    count = len(targets)
    losses = -np.log(np.maximum(probabilities[np.arange(count), targets], np.finfo(np.float64).tiny))
    order = epoch_order(count, seed, 0).numpy()
    members = np.zeros(probabilities.shape, bool)
    for calibration, measured in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        members[measured] = ConformalSets.calibrated(losses[calibration], coverage).members(probabilities[measured])
    return score_sets(members, targets, coverage, halves=True)


def in_words(candidates: Sequence[str], classes: int, most: int = 5) -> str:
    """A set for a person: `cat`, `cat or dog`, or that it could be anything.

    Args:
        candidates: the classes in the set, the most probable first.
        classes: how many there are in all.
        most: of a larger set, only so many are named.
    """
    if len(candidates) == classes:
        return f"could be anything: {'either' if classes == 2 else f'any of the {classes:,} classes'}"
    if len(candidates) > most:
        return f"{', '.join(candidates[:most])} or {len(candidates) - most:,} more"
    return " or ".join([", ".join(candidates[:-1]), candidates[-1]] if len(candidates) > 1 else candidates)


def _percent_below(share: float) -> str:
    """Rounded down, so that what is said to be possible is."""
    return f"{math.floor(1000 * share) / 10:g}"
