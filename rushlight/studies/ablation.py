"""What an ablation found: every variation beside the baseline, over the same seeds and the same parts of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rushlight.runtime.measured import Measured, mean_of_runs
from rushlight.studies.comparison import QUANTITIES, Comparison, Quantity, compare
from rushlight.studies.store import Outcome
from rushlight.studies.variations import Cell, Variation


@dataclass(frozen=True)
class Row:
    """One variation.

    Attributes:
        variation: how its runs were trained.
        values: what each seed reached.
        failures: why the seeds failed that did, in one line each.
        seconds: that each seed took.
        comparison: with the baseline; None for the baseline itself.
    """

    variation: Variation
    values: dict[int, float]
    failures: dict[int, str]
    seconds: dict[int, float]
    comparison: Comparison | None

    @property
    def mean(self) -> Measured:
        """Over the seeds, with Student's t interval."""
        return mean_of_runs(list(self.values.values())) if self.values else Measured(math.nan, None, 0, None)

    def to_json(self) -> dict[str, Any]:
        """As `results.json` keeps it."""
        return {
            "variation": self.variation.label,
            "settings": dict(self.variation.settings),
            "mean": self.mean.to_json(),
            "values": {str(seed): value for seed, value in self.values.items()},
            "failures": {str(seed): why for seed, why in self.failures.items()},
            "seconds": {str(seed): round(seconds, 1) for seed, seconds in self.seconds.items()},
            "comparison": None if self.comparison is None else self.comparison.to_json(),
        }


@dataclass(frozen=True)
class AblationResult:
    """The whole study.

    Attributes:
        data: what the data is called.
        measured_on: the part on which runs were compared, in words.
        quantity: what they were compared by.
        seeds: of each variation.
        rows: the baseline first.
    """

    data: str
    measured_on: str
    quantity: Quantity
    seeds: list[int]
    rows: list[Row]

    @classmethod
    def of(
        cls,
        data: str,
        measured_on: str,
        quantity: Quantity,
        variations: Sequence[Variation],
        seeds: Sequence[int],
        outcomes: Mapping[Cell, Outcome],
    ) -> AblationResult:
        """Put together what became of the cells; those that are not done are left out.

        Args:
            data: what the data is called.
            measured_on: the part on which runs were compared, in words.
            quantity: what to compare by.
            variations: the baseline first.
            seeds: of each variation.
            outcomes: of the cells.
        """
        found = [_runs(variation, seeds, quantity, outcomes) for variation in variations]
        return cls(data, measured_on, quantity, list(seeds), _compared(found, quantity))

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> AblationResult:
        """The study that `to_json` wrote; it is compared anew, from the values of its seeds.

        Raises:
            KeyError, TypeError, ValueError: it is no such thing.
        """
        quantity = QUANTITIES[kept["quantity"]]
        rows = [
            Row(
                Variation.of(row["settings"]),
                {int(seed): float(value) for seed, value in row["values"].items()},
                {int(seed): str(why) for seed, why in row["failures"].items()},
                {int(seed): float(seconds) for seed, seconds in row["seconds"].items()},
                None,
            )
            for row in kept["rows"]
        ]
        seeds = [int(seed) for seed in kept["seeds"]]
        return cls(str(kept["data"]), str(kept["measured_on"]), quantity, seeds, _compared(rows, quantity))

    @property
    def columns(self) -> list[str]:
        """Headings of `cells`."""
        unit = f" ({self._percent()})" if self._percent() else ""
        return [
            "variation",
            "seeds",
            f"{self.quantity.name.replace('_', ' ')}{unit}, 95 %",
            f"difference ({self.quantity.unit})",
            "verdict",
        ]

    def cells(self) -> list[list[str]]:
        """The table as text, one list a row."""
        return [
            [
                row.variation.label,
                str(len(row.values)) + (f", {len(row.failures)} failed" if row.failures else ""),
                _with_interval(row.mean, self.quantity),
                "" if row.comparison is None else _with_interval(row.comparison.difference, self.quantity, signed=True),
                "(baseline)" if row.comparison is None else row.comparison.verdict(self.quantity),
            ]
            for row in self.rows
        ]

    def note(self) -> str:
        """What the table's figures are, in a few sentences."""
        comparisons = len(self.rows) - 1
        seeds = f"{len(self.seeds)} seeds" if len(self.seeds) > 1 else "one seed"
        how = f"Measured on {self.measured_on}, {seeds}; differences are paired by seed."
        if comparisons > 1:
            how += (
                f" Their intervals hold together with 95 % (Student's t, Bonferroni's correction for {comparisons} "
                "comparisons)."
            )
        return how if self.quantity.higher_is_better else how + " Less is better."

    def markdown(self) -> str:
        """The table, every value, and the differences in two other ways, for a page."""
        comparisons = len(self.rows) - 1
        lines = [self.columns, ["---"] * len(self.columns), *self.cells()]
        table = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
        values = ["", f"| variation | {' | '.join(f'seed {seed}' for seed in self.seeds)} | alone, t | bootstrap |"]
        values.append(f"| {' | '.join(['---'] * (len(self.seeds) + 3))} |")
        for row in self.rows:
            shown = [_number(row.values.get(seed, math.nan), self.quantity) for seed in self.seeds]
            other = () if row.comparison is None else (row.comparison.alone, row.comparison.bootstrap)
            ends = [_with_interval(measured, self.quantity, signed=True) for measured in other] or ["", ""]
            values.append(f"| {row.variation.label} | {' | '.join([*shown, *ends])} |")
        if len(self.seeds) > 1 and comparisons:
            values += [
                "",
                "*alone*: the difference with the 95 % interval that would hold if this were the only comparison. "
                "*bootstrap*: the same by resampling the seeds, which with fewer than some ten is too narrow. Neither "
                "decides the verdict.",
            ]
        failures = [
            f"- {row.variation.label}, seed {seed}, failed: {why}"
            for row in self.rows
            for seed, why in row.failures.items()
        ]
        return "\n".join([*table, "", self.note(), *values, *([""] if failures else []), *failures, ""])

    def to_json(self) -> dict[str, Any]:
        """As `results.json` keeps it, and `--json` prints it."""
        return {
            "data": self.data,
            "measured_on": self.measured_on,
            "quantity": self.quantity.name,
            "seeds": self.seeds,
            "rows": [row.to_json() for row in self.rows],
        }

    def _percent(self) -> str:
        return "%" if self.quantity.scale == 100 else self.quantity.unit


def _compared(rows: Sequence[Row], quantity: Quantity) -> list[Row]:
    """The rows with each but the first compared with the first."""
    compared = [
        replace(
            row,
            comparison=compare(
                rows[0].values,
                row.values,
                higher_is_better=quantity.higher_is_better,
                comparisons=len(rows) - 1,
            ),
        )
        for row in rows[1:]
    ]
    return [*rows[:1], *compared]


def _runs(variation: Variation, seeds: Sequence[int], quantity: Quantity, outcomes: Mapping[Cell, Outcome]) -> Row:
    values, failures, seconds = {}, {}, {}
    for seed in seeds:
        outcome = outcomes.get(Cell(variation, seed), Outcome())
        if outcome.failure is not None:
            failures[seed] = outcome.failure
        elif outcome.result is not None:
            measured = Measured.from_json(outcome.result["results"][quantity.name])
            if math.isfinite(measured.value):
                values[seed] = measured.value
            else:
                failures[seed] = f"its {quantity.name} is no finite number"
            seconds[seed] = float(outcome.result.get("seconds", math.nan))
    return Row(variation, values, failures, seconds, None)


def _number(value: float, quantity: Quantity, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value * quantity.scale:{'+' if signed else ''}.{quantity.decimals}f}"


def _with_interval(measured: Measured, quantity: Quantity, signed: bool = False) -> str:
    value = _number(measured.value, quantity, signed)
    if measured.interval is None:
        return value
    low, high = (_number(end, quantity, signed) for end in measured.interval)
    return f"{value} ({low} to {high})"
