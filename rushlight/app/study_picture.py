"""The picture of an ablation: a point for every seed, and how far each variation lies from the baseline."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rushlight.runtime.figures import as_written
from rushlight.runtime.measured import Measured
from rushlight.studies.ablation import AblationResult, Row

_INCHES_A_ROW = 0.5
_COLOURS = {"better": "#0072b2", "worse": "#d55e00"}  # told apart by colour-blind readers, and in grey print
_UNDECIDED = "#666666"


def picture(result: AblationResult) -> Figure:
    """Draw what each seed reached, and beside it the differences from the baseline with their intervals.

    Args:
        result: of the study.
    """
    rows = result.rows
    quantity = result.quantity
    figure = Figure(figsize=(10, 1.5 + _INCHES_A_ROW * len(rows)), layout="constrained")
    values, differences = figure.subplots(1, 2, sharey=True)
    for place, row in enumerate(rows):
        colour = _colour(row)
        scaled = [value * quantity.scale for value in row.values.values()]
        _points(values, scaled, place, colour)
        _interval(values, row.mean, quantity.scale, place, colour)
        if row.comparison is not None:
            _points(differences, [d * quantity.scale for d in row.comparison.differences.values()], place, colour)
            _interval(differences, row.comparison.difference, quantity.scale, place, colour)
    differences.axvline(0, color="black", linewidth=0.8)
    values.set_yticks(range(len(rows)), [as_written(row.variation.label) for row in rows])
    values.set_ylim(len(rows) - 0.5, -0.5)
    unit = "%" if quantity.scale == 100 else quantity.unit
    values.set_xlabel(f"{quantity.name.replace('_', ' ')} ({unit}), mean with 95 % interval", fontsize=9)
    direction = "more is better" if quantity.higher_is_better else "less is better"
    comparisons = len(rows) - 1
    together = f", together 95 % for {comparisons}" if comparisons > 1 else ", 95 % interval"
    differences.set_xlabel(
        f"difference from {as_written(rows[0].variation.label)} ({quantity.unit}{together}; {direction})", fontsize=9
    )
    for axes in (values, differences):
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{as_written(result.data)}: {result.measured_on}, {len(result.seeds)} seed{'s' * (len(result.seeds) > 1)}",
        fontsize=10,
    )
    return figure


def _colour(row: Row) -> str:
    outcome = "" if row.comparison is None else row.comparison.outcome
    return _COLOURS.get(outcome, _UNDECIDED)


def _points(axes: Axes, values: list[float], place: int, colour: str) -> None:
    # Above the interval, and spread a little, so that seeds which agree can still be counted.
    heights = [place - 0.26 + 0.07 * ((number % 3) - 1) for number in range(len(values))]
    axes.plot(values, heights, "o", color=colour, markersize=4, alpha=0.6, markeredgewidth=0)


def _interval(axes: Axes, measured: Measured, scale: float, place: int, colour: str) -> None:
    value, interval = measured.value * scale, measured.interval
    if interval is not None:
        axes.plot([end * scale for end in interval], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt")
    axes.plot([value], [place], "|", color=colour, markersize=14, markeredgewidth=2.5)
