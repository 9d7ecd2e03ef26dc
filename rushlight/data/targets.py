"""What there is to learn about an image: one of several classes, any of several labels, or numbers.

| name     | target of a file           | targets of a part   | where from                                       |
|----------|----------------------------|---------------------|--------------------------------------------------|
| `label`  | the number of its class    | (N,) int64          | class folders, a column of names                 |
| `labels` | the numbers of its labels  | (N, labels) float32 | a column of lists, `cat;indoors`                 |
| `number` | the numbers, in their unit | (N, columns) float32| columns of numbers                               |

What training and answering make of each stands in `rushlight.tasks.objectives` and `rushlight.inference.answers`.
"""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import numpy as np

from rushlight.data.splits import (
    choose_validation,
    choose_validation_by_labels,
    counted,
    draw,
    draw_by_class,
    draw_by_labels,
)
from rushlight.runtime.errors import InputError

Target = int | tuple[float, ...]
"""A class; or the labels by number, ascending; or the numbers themselves."""


class TargetKind(Protocol):
    """How one kind of target is kept, split, drawn, counted and said.

    Attributes:
        name: of the kind.
        split_rule: how a validation part is chosen, in words.
        draw_rule: how some of many are chosen, in words.
        too_few: what is so where none can be set aside, in words.
    """

    name: str
    split_rule: str
    draw_rule: str
    too_few: str

    def array(self, targets: Sequence[Target], names: Sequence[str]) -> np.ndarray:
        """The targets of many files as an array, one row each."""

    def choose_validation(
        self, targets: Sequence[Target | None], files: Sequence[str], fraction: float, seed: int
    ) -> list[int]:
        """Which samples to validate on; see `rushlight.data.splits`."""

    def of_array(self, array: np.ndarray) -> list[Target]:
        """The way back from `array`."""

    def drawn(self, array: np.ndarray, count: int, seed: int) -> np.ndarray:
        """Positions of so many samples."""

    def notes(self, targets: Sequence[Target], names: Sequence[str]) -> list[str]:
        """What a person should know about the targets of the training part.

        Raises:
            InputError: there is nothing to learn.
        """

    def table(self, array: np.ndarray, names: Sequence[str]) -> dict[str, str]:
        """Rows of a summary: what is counted or measured, and how it is said."""

    def in_words(self, row: Any, names: Sequence[str]) -> str:
        """One target as a person reads it."""

    def outputs(self, names: Sequence[str]) -> str:
        """What a model answers, as a person reads it: `10 classes`."""


class OneLabel:
    """One of several classes."""

    name = "label"
    split_rule = "stratified by class"
    draw_rule = "by class"
    too_few = "no class has two images"

    def array(self, targets: Sequence[Target], names: Sequence[str]) -> np.ndarray:
        return np.array(targets, np.int64).reshape(len(targets))

    def choose_validation(
        self, targets: Sequence[Target | None], files: Sequence[str], fraction: float, seed: int
    ) -> list[int]:
        return choose_validation(targets, files, fraction, seed)  # type: ignore[arg-type]

    def of_array(self, array: np.ndarray) -> list[Target]:
        return list(array.tolist())

    def drawn(self, array: np.ndarray, count: int, seed: int) -> np.ndarray:
        return draw_by_class(array, count, seed)

    def notes(self, targets: Sequence[Target], names: Sequence[str]) -> list[str]:
        counts = counted((label,) for label in targets)  # type: ignore[misc]
        single = [names[label] for label in sorted(counts) if counts[label] == 1]
        if not single:
            return []
        which = f"class {listed(single)} has" if len(single) == 1 else f"classes {listed(single)} have"
        return [f"warning: {which} one training image, which is too few to learn from or to validate on"]

    def table(self, array: np.ndarray, names: Sequence[str]) -> dict[str, str]:
        counts = np.bincount(array, minlength=len(names)).tolist()
        return {name: f"{count:,}" for name, count in zip(names, counts, strict=True)}

    def in_words(self, row: Any, names: Sequence[str]) -> str:
        return names[int(row)]

    def outputs(self, names: Sequence[str]) -> str:
        return f"{len(names)} classes"


class SeveralLabels:
    """Any of several labels, or none."""

    name = "labels"
    split_rule = "so that each label has its share"
    draw_rule = "with one for each label at least"
    too_few = "no label is on two images"

    def array(self, targets: Sequence[Target], names: Sequence[str]) -> np.ndarray:
        matrix = np.zeros((len(targets), len(names)), np.float32)
        for row, labels in zip(matrix, targets, strict=True):
            row[list(map(int, _several(labels)))] = 1
        return matrix

    def choose_validation(
        self, targets: Sequence[Target | None], files: Sequence[str], fraction: float, seed: int
    ) -> list[int]:
        return choose_validation_by_labels(targets, files, fraction, seed)  # type: ignore[arg-type]

    def of_array(self, array: np.ndarray) -> list[Target]:
        return [tuple(np.flatnonzero(row).tolist()) for row in array]

    def drawn(self, array: np.ndarray, count: int, seed: int) -> np.ndarray:
        return draw_by_labels(array, count, seed)

    def notes(self, targets: Sequence[Target], names: Sequence[str]) -> list[str]:
        counts = counted(map(_several, targets))  # type: ignore[arg-type]
        single = [name for label, name in enumerate(names) if counts[label] == 1]
        always = [name for label, name in enumerate(names) if counts[label] == len(targets)]
        if not names or not counts:
            raise InputError("no training image has a label, so there is nothing to tell apart; give some their labels")
        if len(always) == len(names):
            raise InputError(f"every training image has the labels {listed(always)}, so there is nothing to tell apart")
        notes = []
        if single:
            which = f"label {listed(single)} has" if len(single) == 1 else f"labels {listed(single)} have"
            notes.append(f"warning: {which} one training image, which is too few to learn from or to validate on")
        if always:
            notes.append(f"warning: every training image has {listed(always)}, so nothing can be learned about it")
        return notes

    def table(self, array: np.ndarray, names: Sequence[str]) -> dict[str, str]:
        counts = np.count_nonzero(array, axis=0).tolist()
        none = int((~array.any(axis=1)).sum())
        rows = {name: f"{count:,}" for name, count in zip(names, counts, strict=True)}
        return rows | ({"(no label)": f"{none:,}"} if none else {})

    def in_words(self, row: Any, names: Sequence[str]) -> str:
        return ", ".join(name for name, has in zip(names, row, strict=True) if has > 0.5) or "(no label)"

    def outputs(self, names: Sequence[str]) -> str:
        return f"{len(names)} labels, any of which an image may have" if len(names) > 1 else f"the label '{names[0]}'"


class Numbers:
    """One or several numbers, each in its own unit."""

    name = "number"
    split_rule = "drawn at random"
    draw_rule = "drawn at random"
    too_few = "there is one image"

    def array(self, targets: Sequence[Target], names: Sequence[str]) -> np.ndarray:
        return np.array(targets, np.float32).reshape(len(targets), len(names))

    def choose_validation(
        self, targets: Sequence[Target | None], files: Sequence[str], fraction: float, seed: int
    ) -> list[int]:
        return choose_validation([None if target is None else 0 for target in targets], files, fraction, seed)

    def of_array(self, array: np.ndarray) -> list[Target]:
        return [tuple(row) for row in array.tolist()]

    def drawn(self, array: np.ndarray, count: int, seed: int) -> np.ndarray:
        return draw(len(array), count, seed)

    def notes(self, targets: Sequence[Target], names: Sequence[str]) -> list[str]:
        for name, values in zip(names, np.array(targets, np.float64).reshape(-1, len(names)).T, strict=True):
            if len(values) and (values == values[0]).all():
                raise InputError(f"every training image has the same {name}, {values[0]:g}: there is nothing to learn")
        return []

    def table(self, array: np.ndarray, names: Sequence[str]) -> dict[str, str]:
        rows = {}
        for name, values in zip(names, array.astype(np.float64).T, strict=True):
            rows[f"mean {name}"] = f"{values.mean():.4g}" if len(values) else ""
            rows["  deviation" if len(names) == 1 else f"  deviation of {name}"] = f"{values.std():.4g}"
        return rows

    def in_words(self, row: Any, names: Sequence[str]) -> str:
        return ", ".join(f"{name} {float(value):.4g}" for name, value in zip(names, row, strict=True))

    def outputs(self, names: Sequence[str]) -> str:
        return f"a number ({names[0]})" if len(names) == 1 else f"{len(names)} numbers ({', '.join(names)})"


TARGETS: dict[str, TargetKind] = {"label": OneLabel(), "labels": SeveralLabels(), "number": Numbers()}
AUTO = "auto"  # what the data look like


def _several(target: Target) -> Collection[float]:
    return target if isinstance(target, tuple) else (target,)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in quotes, of many only the first."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + rest
