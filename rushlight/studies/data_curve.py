"""Would more images help? Accuracy against the number of training images, and what twice as many would do.

A linear head is solved on features of a pretrained body, which are computed once, so that a point costs seconds. The
numbers are those of that model; another network has another accuracy, but what more images are worth to it is mostly
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.data.splits import draw_by_class
from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured, proportion
from rushlight.studies.power_law import Band, ErrorCurve
from rushlight.tasks.frozen_body import FrozenBody
from rushlight.tasks.linear_heads import solve_linear_head

FEWEST = 16  # training images
FEWEST_SIZES = 4  # points that a law is fitted to
MOST_SIZES = 9
TIMES = (2, 4)
WORTH_IT = 0.005  # a gain of half a point
_FEWEST_OF_A_CLASS, _FEWEST_ERRORS = 25, 5  # validation images, and errors at the smallest number of training images


@dataclass(frozen=True)
class ClassGain:
    """What twice as many images would do for a class.

    Attributes:
        name: the class.
        recall: the part of its validation images that is recognised now, over seeds.
        gain: of it, with its interval; None where its validation images are too few to tell.
    """

    name: str
    recall: Measured
    gain: Measured | None

    def in_words(self) -> str:
        """The verdict."""
        if self.gain is None:
            return f"too few mistakes or images ({self.recall.n:,} to validate on) to tell"
        return _verdict(self.gain)

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        gain = None if self.gain is None else self.gain.to_json()
        return {"recall": self.recall.to_json(), "gain_of_twice": gain}


@dataclass(frozen=True)
class DataCurve:
    """What was measured and what is expected.

    Attributes:
        name: of the data.
        curve: the measurements and their laws.
        seeds: each number of images was drawn with so many.
        classes: what can be said of each.
    """

    name: str
    curve: ErrorCurve
    seeds: int
    classes: list[ClassGain]

    @property
    def ahead(self) -> np.ndarray:
        """Numbers of images that there are not yet: twice and four times."""
        return self.curve.sizes[-1] * np.array(TIMES)

    def measured(self) -> list[Measured]:
        """The accuracy for each number of images, with the interval over seeds and validation images."""
        return [_measured(self.curve, place) for place in range(len(self.curve.sizes))]

    def expected(self) -> list[Measured]:
        """The accuracy for twice and four times as many, with the band in which it would be measured."""
        return _of_band(self.curve.band(self.ahead), self.curve)

    def gain(self, times: int) -> Measured:
        """What so many times as many images would gain."""
        return _gain(self.curve, times)

    def check(self) -> tuple[int, int]:
        """How many of the larger half of the numbers the laws of the smaller half foretell, and of how many."""
        half = (len(self.curve.sizes) + 1) // 2
        band = self.curve.first(half).band(self.curve.sizes[half:])
        means = self.curve.accuracies[half:].mean(axis=1)
        return int(((band.low <= means) & (means <= band.high)).sum()), len(means)

    def sentence(self) -> str:
        """The answer in words."""
        now, (twice, _) = self.measured()[-1], self.expected()
        low, high = twice.interval or (twice.value,) * 2
        return (
            f"With {self.curve.sizes[-1]:,} training images the accuracy is {100 * now.value:.1f} %; with twice as "
            f"many, {100 * twice.value:.1f} % is to be expected (95 % band {100 * low:.1f} to {100 * high:.1f}): "
            f"{_verdict(self.gain(2))}."
        )

    def table(self) -> str:
        """As text for a terminal."""
        rows = [(f"{size:,}", m, "") for size, m in zip(self.curve.sizes.tolist(), self.measured(), strict=True)]
        rows += [(f"{size:,}", m, "  expected") for size, m in zip(self.ahead.tolist(), self.expected(), strict=True)]
        width = max(len("images"), *(len(size) for size, _, _ in rows))
        lines = [f"{'images':>{width}}  accuracy"]
        for size, m, remark in rows:
            low, high = m.interval or (m.value,) * 2
            lines.append(f"{size:>{width}}  {100 * m.value:.1f} % ({100 * low:.1f} to {100 * high:.1f}){remark}")
        if len(self.classes) > 2 or any(one.gain is not None for one in self.classes):
            lines += ["", "Twice as many images, by class:"]
            names = max(len(one.name) for one in self.classes)
            lines += [f"  {one.name:<{names}}  recall {one.recall.percent()}: {one.in_words()}" for one in self.classes]
        inside, of = self.check()
        lines += [
            "",
            f"Fitted to the smaller half of these numbers alone, the law foretold {inside} of the {of} others.",
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        inside, of = self.check()
        return {
            "name": self.name,
            "seeds": self.seeds,
            "validation_images": self.curve.correct.shape[2],
            "sizes": self.curve.sizes.tolist(),
            "accuracy": [m.to_json() for m in self.measured()],
            "accuracies": self.curve.accuracies.tolist(),
            "expected": {str(size): m.to_json() for size, m in zip(self.ahead.tolist(), self.expected(), strict=True)},
            "gain": {str(times): self.gain(times).to_json() for times in TIMES},
            "classes": {one.name: one.to_json() for one in self.classes},
            "check": {"inside": inside, "of": of},
            "sentence": self.sentence(),
        }


def measure_data_curve(
    body: FrozenBody,
    seeds: int = 5,
    sizes: Sequence[int] | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> DataCurve:
    """Measure accuracy against the number of training images, and fit what it follows.

    Args:
        body: what is said of the images; they need a validation part.
        seeds: each number of images is drawn with so many, a smaller draw being part of a larger one.
        sizes: numbers of training images; by default halves of all of them.
        report: is told after each training.

    Raises:
        InputError: there are too few images, no validation part, or targets other than one class an image.
    """
    train, targets = body.features("train"), body.targets("train")
    valid, truths = body.features("valid"), body.targets("valid")
    chosen = usual_sizes(len(targets), len(body.data.classes)) if sizes is None else sorted(set(sizes))
    _refuse_unusable(chosen, len(targets), len(body.data.classes), seeds)
    correct = np.zeros((len(chosen), seeds, len(truths)), bool)
    for place, size in enumerate(chosen):
        strength = None
        for seed in range(seeds):
            if seed and size == len(targets):  # all of them: every draw is the same
                correct[place, seed] = correct[place, 0]
            else:
                rows = draw_by_class(targets, size, seed)
                solved = solve_linear_head(
                    [train[rows]], targets[rows], len(body.data.classes), seed, strength=strength
                )
                strength = solved.strength  # chosen once for each number of images, among those of the first seed
                correct[place, seed] = solved.probabilities(valid).argmax(axis=1) == truths
            report(1)
    curve = ErrorCurve(np.array(chosen), correct)
    gains = [_class_gain(curve, truths == label, name) for label, name in enumerate(body.data.classes)]
    return DataCurve(body.data.name, curve, seeds, gains)


def usual_sizes(images: int, classes: int) -> list[int]:
    """All of the images, half of them, a quarter, ...: at most nine numbers, down to two a class."""
    sizes: list[int] = []
    size = images
    while size >= max(FEWEST, 2 * classes) and len(sizes) < MOST_SIZES:
        sizes.append(size)
        size //= 2
    return sizes[::-1]


def _refuse_unusable(sizes: Sequence[int], images: int, classes: int, seeds: int) -> None:
    if len(sizes) < FEWEST_SIZES:
        least = max(FEWEST, 2 * classes)
        raise InputError(
            f"a curve needs at least {FEWEST_SIZES} numbers of training images, and {images:,} images of {classes:,} "
            f"classes give {len(sizes)} ({least:,} or more, each twice the last); gather more first"
        )
    if sizes[-1] > images or sizes[0] < classes:
        raise InputError(
            f"numbers of training images lie between {classes:,} (one a class) and {images:,} (all of them)"
        )
    if seeds < 2:
        raise InputError("one seed does not tell how much the choice of images matters; give at least 2")


def _class_gain(curve: ErrorCurve, of_class: np.ndarray, name: str) -> ClassGain:
    count = int(of_class.sum())
    if not count:
        return ClassGain(name, Measured(float("nan"), None, 0, None), None)
    own = curve.of_images(of_class)
    can_tell = count >= _FEWEST_OF_A_CLASS and (~own.correct[0]).sum(axis=1).mean() >= _FEWEST_ERRORS
    return ClassGain(name, _measured(own, -1), _gain(own, 2) if can_tell else None)


def _measured(curve: ErrorCurve, place: int) -> Measured:
    """The mean accuracy at a number of images; seeds and validation images are drawn again for its interval."""
    random = np.random.default_rng(curve.seed)
    _, seeds, images = curve.correct.shape
    right = curve.correct[place].astype(np.float32)
    means = [
        float(
            (right @ np.bincount(random.integers(0, images, images), minlength=images))[
                random.integers(0, seeds, seeds)
            ].mean()
        )
        / images
        for _ in range(400)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    if low == high:  # without a mistake there is nothing to draw again
        return proportion(round(float(right.mean()) * images), images)
    return Measured(float(right.mean()), (float(low), float(high)), images, "bootstrap")


def _gain(curve: ErrorCurve, times: int) -> Measured:
    middle, low, high = curve.gain(times)
    return Measured(middle, (low, high), curve.correct.shape[2], "bootstrap")


def _of_band(band: Band, curve: ErrorCurve) -> list[Measured]:
    return [
        Measured(float(middle), (float(low), float(high)), curve.correct.shape[2], "bootstrap")
        for middle, low, high in zip(band.middle, band.low, band.high, strict=True)
    ]


def _verdict(gain: Measured) -> str:
    """Whether twice as many images help."""
    low, high = gain.interval or (gain.value,) * 2
    points = f"{100 * low:.1f} to {100 * high:.1f} points"
    if low >= WORTH_IT:
        return f"more images would help, by {points}"
    if high < WORTH_IT:
        return f"more images would hardly help, by {points}"
    return f"more images may help, by {points}"
