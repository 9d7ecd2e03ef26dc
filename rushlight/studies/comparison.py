"""Is one way of training better than another? Paired differences over seeds, their intervals, and a verdict in words.

Every variation is trained with the same seeds on the same parts of the data, so a variation and the baseline are
compared seed by seed: what a seed does to both cancels out.

Where several variations are compared with one baseline, one of them soon looks better by chance. The intervals are
therefore widened by Bonferroni's correction: with `m` comparisons each is made for a confidence of 1 - 0.05 / m, so
that all of them together hold the truth in at least 95 % of studies, however the comparisons depend on each other (they
share the baseline, so they do). Holm's step-down tests would find a little more, but have no intervals of that form;
here the interval that is printed and the verdict beside it are one statement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import numpy as np

from rushlight.runtime.measured import Measured

CONFIDENCE = 0.95
BOOTSTRAP_SAMPLES = 10_000
SEEDS_TO_BEGIN_WITH = 5  # seeds: with three, Student's t asks for differences of several deviations
_NO_SPREAD = 1e-9  # of an interval beside its mean: nothing but rounding
MOST_SEEDS_NAMED = 999  # of a difference that would take more, one had better say that there is none to speak of

Outcome = Literal["better", "worse", "not distinguishable", "cannot tell", "failed"]


@dataclass(frozen=True)
class Quantity:
    """What runs are compared by.

    Attributes:
        name: its name among the results of a run.
        unit: what differences are counted in.
        scale: what values are multiplied by to be in that unit.
        higher_is_better: of two values the better one.
        decimals: shown of values and differences.
        in_history: its name in the history of a training, where that is another one.
    """

    name: str
    unit: str
    scale: float
    higher_is_better: bool
    decimals: int
    in_history: str | None = None


ACCURACY = Quantity("accuracy", "points", 100, True, 1)
LOSS = Quantity("loss", "nats", 1, False, 4, "valid_loss")
MEAN_AVERAGE_PRECISION = Quantity("mean_average_precision", "points", 100, True, 1)
EXPLAINED_VARIANCE = Quantity("r2", "of the variance", 1, True, 4)
QUANTITIES = {each.name: each for each in (ACCURACY, LOSS, MEAN_AVERAGE_PRECISION, EXPLAINED_VARIANCE)}


@dataclass(frozen=True)
class Comparison:
    """A variation beside the baseline.

    Attributes:
        difference: mean over the seeds of variation minus baseline, with the corrected t interval that the verdict
            rests on.
        alone: the same with the plain 95 % interval, which holds if this were the only comparison.
        differences: by seed.
        comparisons: how many the interval is corrected for.
        outcome: the verdict in one word.
        seeds_needed: about how many seeds would tell, if the difference is what it looks like; None where it is told
            already, cannot be estimated, or is out of reach.
    """

    difference: Measured
    alone: Measured
    differences: dict[int, float]
    comparisons: int
    outcome: Outcome
    seeds_needed: int | None

    @property
    def bootstrap(self) -> Measured:
        """The same mean with a bootstrap interval, to be seen beside the others."""
        return bootstrap_of_mean(list(self.differences.values()))

    def verdict(self, quantity: Quantity) -> str:
        """In words, with the numbers in the quantity's unit."""
        n = self.difference.n
        seeds = f"{n} seed{'' if n == 1 else 's'}"
        if self.outcome == "failed":
            return "failed"
        if self.outcome == "cannot tell" and n > 1:
            return f"the same difference in all {seeds}: it is measured too coarsely to tell how much seeds differ"
        if self.outcome == "cannot tell":
            return f"one seed cannot tell: it does not show how much seeds differ; give --seeds {SEEDS_TO_BEGIN_WITH}"
        if self.outcome == "not distinguishable":
            if self.seeds_needed is None:
                return f"not distinguishable with {seeds}"
            return f"not distinguishable with {seeds}: about {self.seeds_needed} would be needed"
        low, high = sorted(abs(end) * quantity.scale for end in self.difference.interval or (0.0, 0.0))
        ends = f"{low:.{quantity.decimals}f} to {high:.{quantity.decimals}f}"
        return f"{self.outcome} by {ends} {quantity.unit}"

    def to_json(self) -> dict[str, Any]:
        """As a study's results keep it."""
        return {
            "difference": self.difference.to_json(),
            "alone": self.alone.to_json(),
            "bootstrap": self.bootstrap.to_json(),
            "differences": {str(seed): difference for seed, difference in self.differences.items()},
            "comparisons": self.comparisons,
            "outcome": self.outcome,
            "seeds_needed": self.seeds_needed,
        }


def compare(
    baseline: Mapping[int, float],
    variation: Mapping[int, float],
    *,
    higher_is_better: bool = True,
    comparisons: int = 1,
) -> Comparison:
    """Compare a variation with the baseline, seed by seed.

    Args:
        baseline: value of each seed.
        variation: value of each seed; only seeds that both have are used.
        higher_is_better: False for a loss.
        comparisons: how many comparisons with this baseline there are in all.

    Returns:
        The comparison; with no seed in common its outcome is `failed`, with one `cannot tell`.

    Raises:
        ValueError: `comparisons` is below 1.
    """
    if comparisons < 1:
        raise ValueError(f"there is at least one comparison, not {comparisons}")
    differences = {seed: variation[seed] - baseline[seed] for seed in sorted(baseline) if seed in variation}
    values = list(differences.values())
    level = 1 - (1 - CONFIDENCE) / comparisons
    corrected = f"paired t, Bonferroni {comparisons}" if comparisons > 1 else "paired t"
    difference = mean_with_t_interval(values, level, corrected)
    return Comparison(
        difference,
        mean_with_t_interval(values, CONFIDENCE, "paired t"),
        differences,
        comparisons,
        _outcome(difference, higher_is_better),
        seeds_needed(values, level) if difference.interval and _contains_zero(difference.interval) else None,
    )


def mean_with_t_interval(values: Sequence[float], level: float, method: str) -> Measured:
    """A mean with Student's t interval.

    Args:
        values: one a seed.
        level: the coverage wanted, between 0 and 1.
        method: how the interval is called.
    """
    n = len(values)
    if not n:
        return Measured(math.nan, None, 0, None)
    mean = fmean(values)
    if n < 2 or not all(math.isfinite(value) for value in values):
        return Measured(mean, None, n, None)
    half_width = t_quantile(n - 1, level) * _deviation(values) / math.sqrt(n)
    return Measured(mean, (mean - half_width, mean + half_width), n, method)


def bootstrap_of_mean(values: Sequence[float], level: float = CONFIDENCE, seed: int = 0) -> Measured:
    """A mean with its percentile bootstrap interval (Efron, 1979).

    It assumes no shape of the distribution, but with fewer than some ten seeds it is too narrow, as it knows no value
    outside those it has seen; so it stands beside the t interval and decides nothing.

    Args:
        values: one a seed.
        level: the coverage wanted, between 0 and 1.
        seed: of the resampling.
    """
    n = len(values)
    if not n:
        return Measured(math.nan, None, 0, None)
    if n < 2 or not all(math.isfinite(value) for value in values):
        return Measured(fmean(values), None, n, None)
    drawn = np.random.default_rng(seed).integers(0, n, (BOOTSTRAP_SAMPLES, n))
    means = np.asarray(values)[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Measured(fmean(values), (float(low), float(high)), n, "bootstrap")


def seeds_needed(values: Sequence[float], level: float) -> int | None:
    """About how many seeds it would take to tell a difference from zero, if it is what it looks like.

    Args:
        values: differences, one a seed.
        level: the coverage of the interval that is to leave out zero.

    Returns:
        The smallest number, or None where the mean or the spread is zero or the number would be beyond all reason.
    """
    mean, deviation = abs(fmean(values)), _deviation(values) if len(values) > 1 else 0.0
    if not mean or not deviation or not math.isfinite(mean * deviation):
        return None
    from scipy.special import stdtrit

    n = np.arange(max(2, len(values) + 1), MOST_SEEDS_NAMED + 1)
    tells = stdtrit(n - 1, (1 + level) / 2) * deviation / np.sqrt(n) < mean
    return int(n[tells.argmax()]) if tells.any() else None


def t_quantile(degrees_of_freedom: int, level: float) -> float:
    """How many standard errors an interval of that coverage reaches to each side."""
    from scipy.special import stdtrit  # here, because scipy takes longer to import than this whole package

    return float(stdtrit(degrees_of_freedom, (1 + level) / 2))


def _contains_zero(interval: tuple[float, float]) -> bool:
    return interval[0] <= 0 <= interval[1]


def _outcome(difference: Measured, higher_is_better: bool) -> Outcome:
    if difference.n == 0:
        return "failed"
    if difference.interval is None:
        return "cannot tell" if math.isfinite(difference.value) else "failed"
    width = difference.interval[1] - difference.interval[0]
    if difference.value and width < _NO_SPREAD * abs(difference.value):
        # Of few images the same number more were right every time, by chance; no spread is no certainty.
        return "cannot tell"
    if _contains_zero(difference.interval):
        return "not distinguishable"
    return "better" if (difference.value > 0) == higher_is_better else "worse"


def _deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation (`statistics.stdev` is exact, and a hundred times as slow)."""
    return float(np.std(values, ddof=1))
