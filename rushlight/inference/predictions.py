"""What a model says about one image: a class, several labels, or numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

from rushlight.inference.conformal import in_words


class Answer(Protocol):
    """What the answers of all kinds have in common.

    Attributes:
        measure: what `of` gives: `probability` or `value`.
    """

    measure: ClassVar[str]

    @property
    def source(self) -> str:
        """The file's path, or `image 0`, `image 1`, ... by position."""

    @property
    def subject(self) -> str:
        """The class, label or number that is explained where none is asked for."""

    def cells(self) -> tuple[str, ...]:
        """The answer for a person, in the columns of a table."""

    def briefly(self, name: str) -> str:
        """The answer in a few words, with what it says of one class, label or number."""

    def of(self, name: str) -> float:
        """The probability of a class or label, or a number in its unit."""

    def agrees(self, other: Any, name: str) -> bool:
        """Whether another answer says the same of one class, label or number."""

    def to_json(self) -> dict[str, Any]:
        """The object that `rushlight predict --json` holds for the image."""


@dataclass(frozen=True)
class Prediction:
    """The class of one image.

    Attributes:
        source: the file's path, or `image 0`, `image 1`, ... by position.
        label: the most probable class.
        probability: of that class, 0 to 1.
        probabilities: of every class, the most probable first.
        candidates: where a coverage was asked for, the classes among which the right one is, the most probable first.
    """

    source: str
    label: str
    probability: float
    probabilities: dict[str, float]
    candidates: tuple[str, ...] | None = None

    measure: ClassVar[str] = "probability"

    def to_json(self) -> dict[str, Any]:
        """The object that `rushlight predict --json` holds for the image."""
        facts = asdict(self)
        if self.candidates is None:
            del facts["candidates"]
        return facts

    def in_words(self) -> str:
        """The candidates for a person: one class, several, or that it could be anything."""
        return in_words(self.candidates or (self.label,), len(self.probabilities))

    @property
    def subject(self) -> str:
        """The class."""
        return self.label

    def cells(self) -> tuple[str, ...]:
        """The class, its probability, and the candidates where there are some."""
        candidates = () if self.candidates is None else (self.in_words(),)
        return (self.label, f"{100 * self.probability:5.1f} %", *candidates)

    def briefly(self, name: str) -> str:
        """The three most probable classes, the one that is asked for among them."""
        return _most_probable(self.probabilities, name)

    def of(self, name: str) -> float:
        """The probability of a class."""
        return self.probabilities[name]

    def agrees(self, other: Prediction, name: str) -> bool:
        """Whether another answer is the same class."""
        return self.label == other.label


@dataclass(frozen=True)
class LabelsPrediction:
    """The labels of one image.

    Attributes:
        source: as in `Prediction`.
        labels: those that are given, the most probable first.
        probabilities: of every label, the most probable first; each between 0 and 1 for itself.
    """

    source: str
    labels: list[str]
    probabilities: dict[str, float]

    measure: ClassVar[str] = "probability"

    def to_json(self) -> dict[str, Any]:
        """The object that `rushlight predict --json` holds for the image."""
        return asdict(self)

    @property
    def subject(self) -> str:
        """The most probable label."""
        return next(iter(self.probabilities))

    def cells(self) -> tuple[str, ...]:
        """The labels with their probabilities; where there is none, the likeliest."""
        if self.labels:
            return (", ".join(f"{label} {100 * self.probabilities[label]:.1f} %" for label in self.labels),)
        label, probability = next(iter(self.probabilities.items()))
        return (f"no label (likeliest: {label} {100 * probability:.1f} %)",)

    def briefly(self, name: str) -> str:
        """The three most probable labels, the one that is asked for among them."""
        return _most_probable(self.probabilities, name)

    def of(self, name: str) -> float:
        """The probability of a label."""
        return self.probabilities[name]

    def agrees(self, other: LabelsPrediction, name: str) -> bool:
        """Whether a label is given in both answers, or in neither."""
        return (name in self.labels) == (name in other.labels)


@dataclass(frozen=True)
class NumberPrediction:
    """The numbers of one image, in their units.

    Attributes:
        source: as in `Prediction`.
        values: by name.
        intervals: by name: between what the right number lies, as often as `coverage` says; None where too few images
            were set aside to tell.
        coverage: how often all the numbers lie within, for images like those that were set aside in training.
        decimals: by name, how many are worth showing.
    """

    source: str
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]] | None
    coverage: float | None
    decimals: dict[str, int]

    measure: ClassVar[str] = "value"

    def to_json(self) -> dict[str, Any]:
        """The object that `rushlight predict --json` holds for the image."""
        facts = asdict(self)
        del facts["decimals"]
        return facts

    @property
    def subject(self) -> str:
        """The first number."""
        return next(iter(self.values))

    def cells(self) -> tuple[str, ...]:
        """Each number and, where there is one, its interval."""
        cells: list[str] = []
        for name, value in self.values.items():
            cells.append(f"{name} {self._shown(name, value)}")
            if self.intervals is not None:
                low, high = self.intervals[name]
                cells.append(f"({self._shown(name, low)} to {self._shown(name, high)})")
        return tuple(cells)

    def briefly(self, name: str) -> str:
        """One number."""
        return f"{name} {self._shown(name, self.values[name])}"

    def of(self, name: str) -> float:
        """One number."""
        return self.values[name]

    def agrees(self, other: NumberPrediction, name: str) -> bool:
        """Whether another answer lies within the interval of this one, if it has one."""
        if self.intervals is None:
            return True
        low, high = self.intervals[name]
        return low <= other.values[name] <= high

    def _shown(self, name: str, value: float) -> str:
        return f"{value:.{self.decimals[name]}f}"


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read, and why."""

    source: str
    reason: str


class Predictions(list[Any]):
    """The answers in the order of the inputs, and in `skipped` the images that could not be read."""

    def __init__(self, answers: Iterable[Answer] = (), skipped: Iterable[Skipped] = ()) -> None:
        super().__init__(answers)
        self.skipped = list(skipped)


def _most_probable(probabilities: dict[str, float], name: str, count: int = 3) -> str:
    shown = list(probabilities.items())[:count]
    if name not in dict(shown):
        shown[-1] = (name, probabilities[name])
    return ", ".join(f"{_shortened(label)} {100 * probability:.1f} %" for label, probability in shown)


def _shortened(name: str, length: int = 16) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
