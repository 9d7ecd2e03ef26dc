"""The one form of a measured quantity: a value, its 95 % interval, and how many observations it rests on.

Every number that the project reports about a model (in `run.json`, `history.jsonl`, what `--json` prints,
tables and reports) is a `Measured`, so that no accuracy is ever shown without saying how sure it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Any


@dataclass(frozen=True)
class Measured:
    """A value with its 95 % interval.

    Attributes:
        value: the estimate; NaN where there was nothing to measure (written as `null` in JSON).
        interval: lower and upper end of the 95 % interval, or `None` where there is none.
        n: the observations behind it: images, tokens, or runs.
        method: how the interval was made: `wilson`, `normal`, `t`, `bootstrap`, or `None` without one.
    """

    value: float
    interval: tuple[float, float] | None
    n: int
    method: str | None

    def to_json(self) -> dict[str, Any]:
        """The form in every file and in what `--json` prints; strict JSON, so NaN becomes `None`."""
        return {
            "value": self.value if math.isfinite(self.value) else None,
            "interval": None if self.interval is None else list(self.interval),
            "n": self.n,
            "method": self.method,
        }

    @staticmethod
    def is_json(data: Any) -> bool:
        """Whether something is what `to_json` gives."""
        return isinstance(data, dict) and data.keys() == {"value", "interval", "n", "method"}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Measured":
        """The quantity that `to_json` wrote.

        Raises:
            KeyError: a field is missing.
        """
        value, interval = data["value"], data["interval"]
        return cls(
            value=math.nan if value is None else float(value),
            interval=None if interval is None else (float(interval[0]), float(interval[1])),
            n=int(data["n"]),
            method=data["method"],
        )

    def percent(self) -> str:
        """The value as a percentage: `91.2 % (95 % interval 90.6 to 91.7, n = 10,000)`."""
        return self._words(scale=100, decimals=self.percent_decimals, unit=" %")

    @property
    def percent_decimals(self) -> int:
        """How many decimals of a percentage to show: one, or as many more as it takes to see the interval."""
        width = 0.0 if self.interval is None else 100 * (self.interval[1] - self.interval[0])
        return 1 if width <= 0 else min(4, max(1, math.ceil(-math.log10(width / 2))))

    def __str__(self) -> str:
        return self._words(scale=1, decimals=4, unit="")

    def _words(self, scale: float, decimals: int, unit: str) -> str:
        if math.isnan(self.value):
            return f"undefined (n = {self.n:,})"
        text = f"{self.value * scale:.{decimals}f}{unit}"
        if self.interval is None:
            return f"{text} (n = {self.n:,})"
        low, high = (f"{end * scale:.{decimals}f}" for end in self.interval)
        return f"{text} (95 % interval {low} to {high}, n = {self.n:,})"


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion (E. B. Wilson, 1927).

    Unlike the textbook `p +- 1.96 s`, it keeps its coverage for small n and for proportions near 0 or 1,
    where good classifiers live, and never leaves [0, 1].

    Args:
        successes: how many of the n succeeded.
        n: trials, at least 1.
        confidence: the coverage wanted, between 0 and 1.

    Raises:
        ValueError: `n` is below 1, `successes` is not between 0 and `n`, or `confidence` not between 0 and 1.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a proportion needs 0 <= successes <= n and n >= 1, not {successes} of {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies between 0 and 1, not at {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    shrink = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrink
    half_width = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrink
    # At the edges the ends are exact; rounding would put them a hair beside.
    low = 0.0 if successes == 0 else max(0.0, centre - half_width)
    high = 1.0 if successes == n else min(1.0, centre + half_width)
    return low, high


def proportion(successes: int, n: int) -> Measured:
    """A proportion with its Wilson interval, for example an accuracy; undefined (NaN) where n is 0.

    Raises:
        ValueError: `successes` is not between 0 and `n`.
    """
    successes, n = int(successes), int(n)
    if n == 0 and successes == 0:
        return Measured(math.nan, None, 0, None)
    return Measured(successes / n if n else math.nan, wilson_interval(successes, n), n, "wilson")


def mean_with_interval(total: float, total_of_squares: float, n: int) -> Measured:
    """A mean with its normal interval, from sums that can be accumulated batch by batch.

    Args:
        total: the sum of the observations.
        total_of_squares: the sum of their squares.
        n: how many there were; with fewer than 2 there is no interval.
    """
    if n < 1:
        return Measured(math.nan, None, 0, None)
    mean = total / n
    if n < 2 or not math.isfinite(mean):
        return Measured(mean, None, n, None)
    # Rounding can take the difference of two near-equal sums below zero.
    variance = max(0.0, (total_of_squares - total * mean) / (n - 1))
    half_width = NormalDist().inv_cdf(0.975) * math.sqrt(variance / n)
    return Measured(mean, (mean - half_width, mean + half_width), n, "normal")


def mean_of_runs(values: Sequence[float]) -> Measured:
    """The mean over a few runs, one a seed, with Student's t interval; no interval for a single run.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("there are no runs to average")
    runs = [float(value) for value in values]
    mean = fmean(runs)
    if len(runs) < 2 or not math.isfinite(mean):
        return Measured(mean, None, len(runs), None)
    from scipy.special import stdtrit  # here, because scipy takes longer to import than this whole package

    half_width = float(stdtrit(len(runs) - 1, 0.975)) * stdev(runs) / math.sqrt(len(runs))
    return Measured(mean, (mean - half_width, mean + half_width), len(runs), "t")
