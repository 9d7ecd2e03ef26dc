"""The results in `run.json`, with types; whoever wrote the file, what is not believable is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.app.report.record import measured_of
from rushlight.runtime.measured import Measured

_MOST_CLASSES = 5000


@dataclass(frozen=True)
class ClassScores:
    """How well one class is recognised; see `evaluation.ClassScore`."""

    name: str
    recall: Measured | None
    precision: Measured | None
    images: int


@dataclass(frozen=True)
class Reliability:
    """The answers of about one probability: how sure they were, and how often they were right."""

    low: float
    high: float
    confidence: float
    right: Measured


@dataclass(frozen=True)
class ConfusedPair:
    """How often one class was taken for another."""

    truth: str
    answer: str
    count: int
    of_truth: int

    @property
    def share(self) -> float:
        """Of the images of the true class."""
        return self.count / max(1, self.of_truth)


@dataclass(frozen=True)
class ImageScores:
    """What an evaluation of images says; see `evaluation.Evaluation.to_json`."""

    accuracy: Measured
    loss: Measured | None
    calibration_error: Measured | None
    classes: list[str]
    per_class: list[ClassScores]
    confusion: np.ndarray | None
    reliability: list[Reliability]
    views: str

    @classmethod
    def from_json(cls, value: Any) -> ImageScores | None:
        """The scores; None where the object has no accuracy."""
        if not isinstance(value, dict):
            return None
        accuracy = measured_of(value.get("accuracy"))
        if accuracy is None:
            return None
        classes = [str(name) for name in _list(value.get("classes"))[:_MOST_CLASSES]]
        found = value.get("per_class")
        rows: dict[str, Any] = found if isinstance(found, dict) else {}
        return cls(
            accuracy,
            measured_of(value.get("loss")),
            measured_of(value.get("calibration_error")),
            classes,
            [_class_scores(name, rows[name]) for name in classes if isinstance(rows.get(name), dict)],
            _confusion(value.get("confusion"), len(classes)),
            [row for row in map(_reliability, _list(value.get("reliability"))) if row is not None],
            str(value.get("views", "none")),
        )

    def most_confused(self, count: int) -> list[ConfusedPair]:
        """Which class was taken for which other most often."""
        if self.confusion is None:
            return []
        wrong = self.confusion * (1 - np.eye(len(self.classes), dtype=int))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = [divmod(int(place), len(self.classes)) for place in order]
        return [
            ConfusedPair(
                self.classes[row], self.classes[column], int(wrong[row, column]), int(self.confusion[row].sum())
            )
            for row, column in pairs
            if wrong[row, column]
        ]

    @property
    def mistakes(self) -> int:
        """How many answers were wrong."""
        return round(self.accuracy.n * (1 - self.accuracy.value))


@dataclass(frozen=True)
class TextScores:
    """What an evaluation of a text says; see `text_evaluation.TextEvaluation.to_json`."""

    unit: str
    loss: Measured
    bits_per_token: Measured | None
    bits_per_character: Measured | None
    perplexity_per_word: Measured | None

    @classmethod
    def from_json(cls, value: Any) -> TextScores | None:
        """The scores; None where the object has no loss."""
        if not isinstance(value, dict):
            return None
        loss = measured_of(value.get("loss"))
        if loss is None:
            return None
        return cls(
            str(value.get("unit", "token")),
            loss,
            bits_per_token=measured_of(value.get("bits_per_token")),
            bits_per_character=measured_of(value.get("bits_per_character")),
            perplexity_per_word=measured_of(value.get("perplexity_per_word")),
        )


def _class_scores(name: str, row: dict[str, Any]) -> ClassScores:
    support = row.get("support")
    images = support if isinstance(support, int) else 0
    return ClassScores(name, measured_of(row.get("recall")), measured_of(row.get("precision")), images)


def _reliability(row: Any) -> Reliability | None:
    try:
        right = measured_of(row["right"])
        low, high, confidence = (float(row[name]) for name in ("low", "high", "confidence"))
    except (KeyError, TypeError, ValueError):
        return None
    if right is None or not 0 <= low < high <= 1 or not 0 <= confidence <= 1:
        return None
    return Reliability(low, high, confidence, right)


def _confusion(value: Any, classes: int) -> np.ndarray | None:
    try:
        counts = np.array(value, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        return None
    return counts if classes and counts.shape == (classes, classes) and (counts >= 0).all() else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
