"""Intervals for what has no formula: draw the images again, with replacement, and see how far the figure moves.

B. Efron, "Bootstrap methods: another look at the jackknife", 1979; the interval is that of the percentiles.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from rushlight.runtime.measured import Measured, mean_with_interval

MOST_RESAMPLES, FEWEST_RESAMPLES = 1000, 200
_FEW_IMAGES = 2000
_NUMBERS_AT_ONCE = 4_000_000  # bounds the memory
_NUMBERS_IN_ALL = 100_000_000  # bounds the time, to seconds

Statistic = Callable[[np.ndarray], np.ndarray]
"""From how often each image was drawn, (R, N) float32, to one or several figures, (R, ...)."""


def resampled(statistic: Statistic, count: int, columns: int = 1, seed: int = 0) -> np.ndarray:
    """A statistic of many resamples of the images.

    Args:
        statistic: of how often each image was drawn.
        count: N, the images.
        columns: how many numbers it looks at for each image; with many there are fewer resamples, at least 200.
        seed: of the draws.

    Returns:
        (R, ...).
    """
    resamples = min(MOST_RESAMPLES, max(FEWEST_RESAMPLES, _NUMBERS_IN_ALL // max(1, count * columns)))
    return np.concatenate([statistic(counts) for counts in _draws(count, resamples, seed)])


def with_interval(statistic: Statistic, count: int, columns: int = 1, seed: int = 0) -> list[Measured]:
    """Several figures with their 95 % intervals.

    Args:
        statistic: gives (R, K); what cannot be said of a resample is NaN.
        count, columns, seed: as in `resampled`.

    Returns:
        K measured quantities; without an interval where there are fewer than two images.
    """
    values = statistic(np.ones((1, count), np.float32))[0]
    if count < 2:
        return [Measured(float(value), None, count, None) for value in values]
    return [
        measured(float(value), draws, count)
        for value, draws in zip(values, resampled(statistic, count, columns, seed).T, strict=True)
    ]


def mean_of_images(values: np.ndarray) -> Measured:
    """The mean of a quantity that is known of each image, such as the loss.

    The losses of a good model are nearly all small and a few large, so that the normal interval of few images would
    reach below 0; that of resamples does not. Of many images both are the same, and the formula takes no time.

    Args:
        values: (N,).
    """
    count = len(values)
    if count > _FEW_IMAGES:
        exact = values.astype(np.float64)
        return mean_with_interval(float(exact.sum()), float((exact**2).sum()), count)
    return with_interval(lambda counts: (counts @ values / max(1, count))[:, None], count)[0]


def measured(value: float, draws: np.ndarray, count: int) -> Measured:
    """A value with the interval that its resamples (R,) give.

    There is none where all resamples give the same, as where every answer is right: to draw the same images again can
    not show what others would.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws) or not math.isfinite(value) or draws.max() - draws.min() <= 1e-12 * abs(value):
        return Measured(value, None, count, None)
    low, high = np.percentile(draws, (2.5, 97.5))
    return Measured(value, (float(low), float(high)), count, "bootstrap")


def _draws(count: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    at_once = max(1, _NUMBERS_AT_ONCE // count)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = random.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float32)
