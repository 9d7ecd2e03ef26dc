"""What happened in training: one row an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rushlight.runtime.measured import Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History:
    """The rows of all fits of a learner, oldest first.

    A row is a dict of `epoch`, `step`, `lr`, `seconds` (of this epoch), `train_loss`, and, where there is a validation
    part, `valid_loss` and one entry a metric. Measured quantities are `Measured`.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def append(self, row: dict[str, Any]) -> None:
        """Add the row of an epoch."""
        self.rows.append(row)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]

    def column(self, name: str) -> list[tuple[int, float]]:
        """Pairs of epoch and value, for the rows that have the quantity."""
        return [(row["epoch"], _value(row[name])) for row in self.rows if row.get(name) is not None]

    @property
    def metric_names(self) -> list[str]:
        """The names of the measured quantities other than the losses."""
        names = {name: None for row in self.rows for name, value in row.items() if isinstance(value, Measured)}
        return [name for name in names if name not in ("train_loss", "valid_loss")]

    def plot(self) -> Figure:
        """Losses, and beside them the metrics, against the epoch."""
        from matplotlib.figure import Figure

        metrics = self.metric_names
        figure = Figure(figsize=(10 if metrics else 5.5, 4), layout="constrained")
        axes = figure.subplots(1, 2 if metrics else 1, squeeze=False)[0]
        # What is trained on is harder than what is measured: augmented images, and perhaps smoothed labels.
        for name, style, label in (
            ("train_loss", "--", "training, as it is trained"),
            ("valid_loss", "-", "validation"),
        ):
            points = self.column(name)
            if points:
                axes[0].plot(*zip(*points, strict=True), style, marker=".", label=label)
        axes[0].set(xlabel="epoch", ylabel="loss")
        axes[0].legend()
        for name in metrics:
            rows = [row for row in self.rows if row.get(name) is not None]
            epochs = [row["epoch"] for row in rows]
            axes[1].plot(epochs, [row[name].value for row in rows], marker=".", label=name)
            bounds = [row[name].interval or (row[name].value,) * 2 for row in rows]
            axes[1].fill_between(epochs, *zip(*bounds, strict=True), alpha=0.2)
        if metrics:
            axes[1].set(xlabel="epoch", ylabel="validation, with 95 % interval")
            axes[1].legend()
        return figure


def _value(quantity: Measured | float) -> float:
    return quantity.value if isinstance(quantity, Measured) else float(quantity)


def row_to_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it stands in `history.jsonl`."""
    return {name: value.to_json() if isinstance(value, Measured) else value for name, value in row.items()}


def row_from_json(row: dict[str, Any]) -> dict[str, Any]:
    """The row that `row_to_json` gave."""
    return {name: Measured.from_json(value) if isinstance(value, dict) else value for name, value in row.items()}
