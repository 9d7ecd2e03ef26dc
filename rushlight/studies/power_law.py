"""How an error falls with the number of examples: a power law, its band, and what it says of more examples.

Over a wide range the error of a learner on n examples is close to `floor + scale * n ** -exponent` (Hestness et al.,
"Deep learning scaling is predictable, empirically", 2017). A few noisy points do not tell the floor, and much that lies
ahead depends on it; so the law is fitted with a floor and without, each to many resamples of the measurements, and the
band holds them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EXPONENTS = np.linspace(0.05, 1.5, 59)
CONFIDENCE = 0.95
SAMPLES = 1000  # of the bootstrap; each is fitted with and without a floor


@dataclass(frozen=True)
class PowerLaws:
    """Laws that were fitted to resamples of one set of measurements.

    Attributes:
        floor: (L,) error that no number of examples takes away.
        scale: (L,).
        exponent: (L,).
    """

    floor: np.ndarray
    scale: np.ndarray
    exponent: np.ndarray

    def errors(self, sizes: np.ndarray) -> np.ndarray:
        """What each law expects: (L, S) for (S,) numbers of examples, between 0 and 1."""
        sizes = np.asarray(sizes, np.float64)
        return np.clip(self.floor[:, None] + self.scale[:, None] * sizes ** -self.exponent[:, None], 0, 1)

    def gains(self, now: float, then: float) -> np.ndarray:
        """By how much each law expects the error to fall from one number of examples to another, (L,)."""
        errors = self.errors(np.array([now, then]))
        return errors[:, 0] - errors[:, 1]


def fit_power_law(sizes: np.ndarray, errors: np.ndarray, variances: np.ndarray, floor: bool = True) -> PowerLaws:
    """Fit one law to each row of errors, by least squares with weights.

    For a given exponent the law is linear in floor and scale, neither of which may be negative; the exponent is the
    best of a grid.

    Args:
        sizes: (S,) numbers of examples, 2 or more.
        errors: (L, S) measured errors, 0 to 1.
        variances: (L, S) of the errors.
        floor: whether there is one; else it is 0.
    """
    values, weights = np.asarray(errors, np.float64), 1 / np.asarray(variances, np.float64)
    best = np.full(len(values), np.inf)
    found = [np.zeros(len(values)) for _ in range(3)]
    for exponent in EXPONENTS:
        falling = (np.asarray(sizes, np.float64) / sizes[0]) ** -exponent  # relative, so that numbers stay near 1
        total, first, second = weights.sum(1), weights @ falling, weights @ falling**2
        level, slope = (weights * values).sum(1), (weights * values) @ falling
        determinant = np.maximum(total * second - first**2, 1e-12)
        base = (level * second - slope * first) / determinant if floor else np.zeros(len(values))
        steep = (slope - base * first) / second
        without_floor, flat = slope / second, level / total
        base, steep = np.where(base < 0, 0, base), np.where(base < 0, without_floor, steep)
        base, steep = np.where(steep < 0, flat if floor else 0, base), np.maximum(steep, 0)
        residuals = (weights * (values - base[:, None] - steep[:, None] * falling) ** 2).sum(1)
        better = residuals < best
        best = np.where(better, residuals, best)
        for kept, new in zip(found, (base, steep * float(sizes[0]) ** exponent, exponent), strict=True):
            kept[better] = new[better] if isinstance(new, np.ndarray) else new
    return PowerLaws(*found)


@dataclass(frozen=True)
class Band:
    """What laws say for some numbers of examples.

    Attributes:
        sizes: (S,).
        middle: (S,) the median of the accuracies that the laws expect.
        low, high: (S,) between which a measurement on as many validation images would lie, in 95 of 100 cases.
    """

    sizes: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray


class ErrorCurve:
    """Right and wrong answers for several numbers of examples and seeds, and the laws that they allow.

    Args:
        sizes: (S,) numbers of examples, ascending.
        correct: (S, R, N) whether each of N validation images was answered rightly after a training on so many
            examples that were drawn with each of R seeds.
        seed: of the resamples.
    """

    def __init__(self, sizes: np.ndarray, correct: np.ndarray, seed: int = 0) -> None:
        self.sizes, self.correct, self.seed = np.asarray(sizes, np.int64), np.asarray(correct, bool), seed
        self.laws = self._laws()

    @property
    def accuracies(self) -> np.ndarray:
        """(S, R) measured."""
        return self.correct.mean(axis=2)

    def first(self, count: int) -> ErrorCurve:
        """The curve of the smallest few numbers of examples."""
        return ErrorCurve(self.sizes[:count], self.correct[:count], self.seed)

    def of_images(self, chosen: np.ndarray) -> ErrorCurve:
        """The curve that some of the validation images give, such as those of a class."""
        return ErrorCurve(self.sizes, self.correct[:, :, chosen], self.seed)

    def band(self, sizes: np.ndarray) -> Band:
        """What is to be expected at these numbers of examples."""
        errors = self.laws.errors(sizes)
        count = self.correct.shape[2]
        # A law says what is to be expected; what is measured on so many images scatters around it.
        random = np.random.default_rng(self.seed)
        # Half an image of noise, so that the band has no steps where an error is one image more or less.
        measured = (random.binomial(count, errors) + random.uniform(-0.5, 0.5, errors.shape)) / count
        ends = np.quantile(1 - measured, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
        low, high = np.clip(ends, 0, 1)
        return Band(np.asarray(sizes), 1 - np.median(errors, axis=0), low, high)

    def gain(self, times: float) -> tuple[float, float, float]:
        """What so many times as many examples as the largest number would gain: median, and 95 % interval."""
        gains = self.laws.gains(self.sizes[-1], times * self.sizes[-1])
        low, middle, high = np.quantile(gains, [(1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2])
        return float(middle), float(low), float(high)

    def _laws(self) -> PowerLaws:
        """Laws for resamples of seeds and of validation images, with a floor and without."""
        random = np.random.default_rng(self.seed)
        _, seeds, images = self.correct.shape
        wrong = (~self.correct).astype(np.float32)
        errors = []
        for _ in range(SAMPLES):
            # The same images and seeds for all sizes: what they have of their own lifts or lowers the whole curve.
            weight = np.bincount(random.integers(0, images, images), minlength=images).astype(np.float32) / images
            errors.append((wrong @ weight)[:, random.integers(0, seeds, seeds)].mean(axis=1))
        values = np.stack(errors).astype(np.float64)
        rate = (1 - self.accuracies).mean(axis=1)
        # No error among so many images does not mean that there is none (Agresti and Coull, 1998).
        rate = (rate * images + 1) / (images + 2)
        between = self.accuracies.var(axis=1, ddof=1) if seeds > 1 else 0.0
        variances = np.broadcast_to(rate * (1 - rate) / images + between / seeds, values.shape)
        with_floor = fit_power_law(self.sizes, values, variances)
        without = fit_power_law(self.sizes, values, variances, floor=False)
        return PowerLaws(
            *(
                np.concatenate([getattr(laws, name) for laws in (with_floor, without)])
                for name in ("floor", "scale", "exponent")
            )
        )
