"""What every section is, and those that all runs share: how it learned, what to do next, how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from rushlight.app.report import words
from rushlight.app.report.advice import Advice
from rushlight.app.report.charts import Line, line_chart
from rushlight.app.report.record import RunRecord, measured_of
from rushlight.runtime.measured import Measured

_ROWS_SHOWN = 60  # of the table beside the curves
_VERSIONS = ("rushlight", "python", "torch", "platform", "processor", "threads", "cuda")


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its address in the page; letters and hyphens.
        title: its heading.
        template: the file in `templates/` that draws it; everything it is given is escaped.
        values: what the template is given.
    """

    anchor: str
    title: str
    template: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A figure at the top of the page: what it is, the value, and what to know about it."""

    name: str
    value: str
    about: str = ""


@dataclass(frozen=True)
class Headline:
    """The top of the page.

    Attributes:
        title: what the report is about.
        sentence: the result in one plain sentence, with its interval.
        figures: a few figures beside it.
        notes: what a reader must know before believing them.
        aside: what is good to know.
    """

    title: str
    sentence: str
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)
    aside: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing with its caption, and the key to its lines: pairs of style and label."""

    drawing: Markup
    caption: str
    key: list[tuple[str, str]] = field(default_factory=list)


def curves_section(record: RunRecord, unit: str) -> Section:
    """How losses, metrics and the learning rate went, as charts and as a table.

    Args:
        record: of the run.
        unit: what the loss is counted in.
    """
    rows = [row for row in record.history if isinstance(row.get("epoch"), (int, float))]
    drawn = (_loss_chart(rows, unit), *_metric_charts(rows), _rate_chart(rows)) if len(rows) > 1 else ()
    charts = [chart for chart in drawn if chart is not None]
    shown = [rows[place] for place in _spread(len(rows), _ROWS_SHOWN)]
    metrics = _metric_names(rows)
    header = ["epoch", "training loss", "validation loss", *(name.replace("_", " ") for name in metrics), "rate"]
    table = [
        [
            f"{row['epoch']:g}",
            _cell(row.get("train_loss")),
            _cell(row.get("valid_loss")),
            *(_cell(row.get(name)) for name in metrics),
            f"{row['lr']:.2e}" if isinstance(row.get("lr"), (int, float)) else "",
        ]
        for row in shown
    ]
    values = {"charts": charts, "header": header, "table": table, "epochs": len(rows)}
    return Section("curves", "How it learned", "curves.html", values)


def advice_section(advice: Sequence[Advice]) -> Section:
    """What to do next, the most urgent first."""
    return Section("next", "What to do next", "advice.html", {"advice": advice})


def origin_section(record: RunRecord, model: Sequence[tuple[str, str]]) -> Section:
    """The exact command, versions, data and time: what it takes to make the run again.

    Args:
        record: of the run.
        model: rows of name and value about the model.
    """
    data = record.fact("data")
    data = data if isinstance(data, dict) else {}
    fingerprint = data.get("fingerprint")
    settings = [(name, value) for name, value in data.items() if name not in ("fingerprint", "name_or_path")]
    seconds = record.fact("seconds")
    groups = [
        ("Model", [(name, value) for name, value in model if value]),
        (
            "Data",
            [
                ("source", str(data.get("name_or_path", "not recorded"))),
                *((name.replace("_", " "), _plain(value)) for name, value in settings if value is not None),
                ("fingerprint", str(fingerprint or "not recorded")),
            ],
        ),
        ("Versions", [(name, str(record.fact("versions", name))) for name in _VERSIONS if _known(record, name)]),
        (
            "Time",
            [
                (name, str(value))
                for name, value in (
                    ("started", record.words("started")),
                    ("finished", record.words("finished")),
                    ("took", words.duration(seconds) if isinstance(seconds, (int, float)) else None),
                    ("device", record.words("device")),
                    ("precision", record.words("precision")),
                )
                if value
            ],
        ),
    ]
    values = {"command": record.command_line, "groups": groups, "folder": str(record.folder)}
    return Section("origin", "How it was made", "origin.html", values)


def _loss_chart(rows: Sequence[dict[str, Any]], unit: str) -> Chart | None:
    # What is trained on is harder than what is measured: augmented images, dropout, perhaps smoothed labels.
    names = (("train_loss", "training, as it is trained", "second"), ("valid_loss", "validation", "first"))
    lines = [Line(label, _points(rows, name), style) for name, label, style in names]
    lines = [line for line in lines if line.points]
    if not lines:
        return None
    drawing = line_chart("Loss against the epoch", _told(lines), lines, x_label="epoch", y_label=f"loss, {unit}")
    return Chart(drawing, "Less is better.", [(line.style, line.label) for line in lines])


def _metric_charts(rows: Sequence[dict[str, Any]]) -> list[Chart]:
    charts = []
    for name in _metric_names(rows):
        measured = [(row["epoch"], quantity) for row in rows if (quantity := measured_of(row.get(name)))]
        if not measured:
            continue
        label = name.replace("_", " ")
        line = Line(
            f"validation {label}",
            [(epoch, quantity.value) for epoch, quantity in measured],
            band=[quantity.interval or (quantity.value, quantity.value) for _, quantity in measured],
        )
        is_part = all(0 <= end <= 1 for ends in line.band for end in ends)
        drawing = line_chart(
            f"{label.capitalize()} against the epoch", _told([line], is_part), [line],
            x_label="epoch", y_label=label, percent=is_part,
        )  # fmt: skip
        caption = f"{label.capitalize()} on the validation part; the band is the 95\N{NO-BREAK SPACE}% interval."
        charts.append(Chart(drawing, caption, [("first", "validation")]))
    return charts


def _rate_chart(rows: Sequence[dict[str, Any]]) -> Chart | None:
    line = Line("learning rate at the end of the epoch", _points(rows, "lr"))
    if len(line.points) < 2:
        return None
    drawing = line_chart(
        "Learning rate against the epoch", _told([line]), [line], x_label="epoch", y_label="learning rate",
        from_zero=True,
    )  # fmt: skip
    return Chart(drawing, "Learning rate: the size of a step, at the end of each epoch.", [("first", "learning rate")])


def _told(lines: Sequence[Line], percent: bool = False) -> str:
    """What a chart shows, in words."""

    def figure(value: float) -> str:
        return words.percent(value) if percent else f"{value:.4g}"

    told = []
    for line in lines:
        (first, start), (last, end) = line.points[0], line.points[-1]
        if len(line.points) == 1:
            told.append(f"{line.label}: {figure(end)} at epoch {last:g}")
            continue
        low = min(line.points, key=lambda point: point[1])
        high = max(line.points, key=lambda point: point[1])
        told.append(
            f"{line.label}: {figure(start)} at epoch {first:g}, {figure(end)} at epoch {last:g}; lowest "
            f"{figure(low[1])} at epoch {low[0]:g}, highest {figure(high[1])} at epoch {high[0]:g}"
        )
    return ". ".join(told) + "."


def _points(rows: Sequence[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    points = []
    for row in rows:
        value = _number(row.get(name))
        if value is not None:
            points.append((row["epoch"], value))
    return points


def _number(value: Any) -> float | None:
    """A finite number, plain or measured; None where it is not one."""
    quantity = measured_of(value)
    if quantity is not None:
        return quantity.value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")
    return value if is_number else None


def _metric_names(rows: Sequence[dict[str, Any]]) -> list[str]:
    names = {name: None for row in rows for name, value in row.items() if measured_of(value) is not None}
    return [name for name in names if name not in ("train_loss", "valid_loss")]


def _cell(value: Any) -> str:
    number = _number(value)
    return "" if number is None else f"{number:.4f}"


def _spread(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def _known(record: RunRecord, name: str) -> bool:
    return record.fact("versions", name) is not None


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def figure_of(name: str, quantity: Measured | None, unit: str = "", places: int | None = None) -> list[Figure]:
    """A measured quantity as a figure for the top; nothing where it was not measured."""
    if quantity is None:
        return []
    places = words.places_for(quantity) if places is None else places
    interval = words.decimal_interval(quantity, places)
    about = f"{words.INTERVAL}: {interval}" if interval else ""
    return [Figure(name, f"{words.decimal(quantity, places)}{unit}", about)]
