"""Small charts as SVG, drawn into the page so that its style sheet gives them their colours in light, dark and print.

Each has a title and a description for those who do not see it. They are drawn at the width of a phone and scaled up
from there, so that their letters stay legible everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from rushlight.app.report.scores import Reliability

WIDTH, HEIGHT = 380, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 30, 42
_DOTS_UP_TO = 25  # points of a line; with more they would run into each other
_MOST_POINTS = 400


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        label: what it is.
        points: pairs of x and y, from left to right.
        style: a class of the style sheet: `first` or `second`.
        band: lower and upper ends of y at each point; empty without.
    """

    label: str
    points: Sequence[tuple[float, float]]
    style: str = "first"
    band: Sequence[tuple[float, float]] = ()

    def thinned(self) -> Line:
        """The same with fewer points, the first and the last among them."""
        step = -(-len(self.points) // _MOST_POINTS)
        if step <= 1:
            return self
        chosen = sorted({*range(0, len(self.points), step), len(self.points) - 1})
        band = [self.band[place] for place in chosen] if self.band else ()
        return Line(self.label, [self.points[place] for place in chosen], self.style, band)


class _Frame:
    """Axes: from values to places in the picture, with ticks at round numbers."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], *, whole_x: bool = False, most_y: float = float("inf")
    ) -> None:
        self.x_ticks = _ticks(*x, most=6, whole=whole_x)
        self.y_ticks = [tick for tick in _ticks(*y, most=5) if tick <= most_y]
        self.x_range = x if x[1] > x[0] else (x[0] - 0.5, x[0] + 0.5)
        self.y_range = (min(y[0], self.y_ticks[0]), max(y[1], self.y_ticks[-1]))
        self.x_ticks = [tick for tick in self.x_ticks if self.x_range[0] <= tick <= self.x_range[1]]

    def across(self, value: float) -> float:
        low, high = self.x_range
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low)

    def down(self, value: float) -> float:
        low, high = self.y_range
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    def draw(self, x_label: str, y_label: str, percent: tuple[bool, bool]) -> list[Markup]:
        parts = []
        for tick, text in zip(self.y_ticks, _labels(self.y_ticks, percent[1]), strict=True):
            y = self.down(tick)
            parts += [
                Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                    _LEFT, WIDTH - _RIGHT, y, y
                ),
                Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
                    _LEFT - 6, y + 4, text
                ),
            ]
        for tick, text in zip(self.x_ticks, _labels(self.x_ticks, percent[0]), strict=True):
            parts.append(
                Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                    self.across(tick), HEIGHT - _BOTTOM + 17, text
                )
            )
        parts.append(
            Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6, x_label
            )
        )
        parts.append(Markup('<text class="label" x="2" y="12">{}</text>').format(y_label))
        return parts


def line_chart(
    title: str,
    description: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    percent: bool = False,
    from_zero: bool = False,
) -> Markup:
    """Lines over a common axis, with a band where they have one.

    Args:
        title: what is drawn.
        description: what it shows, for those who do not see it.
        lines: at least one point in all.
        x_label: what goes from left to right.
        y_label: what goes up; it stands above the axis, where it is read without turning the head.
        percent: whether y is a part of 1, to be shown as a percentage.
        from_zero: whether the axis begins at 0.
    """
    lines = [line.thinned() for line in lines if line.points]
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points] + [end for line in lines for ends in line.band for end in ends]
    frame = _Frame((min(xs), max(xs)), (0.0 if from_zero else min(ys), max(ys)), whole_x=True,
                   most_y=1.0 + 1e-9 if percent else float("inf"))  # fmt: skip
    parts = frame.draw(x_label, y_label, (False, percent))
    for line in lines:
        if line.band:
            upper = [(x, high) for (x, _), (_, high) in zip(line.points, line.band, strict=True)]
            lower = [(x, low) for (x, _), (low, _) in zip(line.points, line.band, strict=True)]
            parts.append(
                Markup('<polygon class="band {}" points="{}"/>').format(
                    line.style, _places(frame, [*upper, *reversed(lower)])
                )
            )
    for line in lines:
        parts.append(Markup('<polyline class="line {}" points="{}"/>').format(line.style, _places(frame, line.points)))
        if len(line.points) <= _DOTS_UP_TO:
            parts += [
                Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>').format(
                    line.style, frame.across(x), frame.down(y)
                )
                for x, y in line.points
            ]
    return _svg(title, description, parts)


def reliability_chart(title: str, description: str, bins: Sequence[Reliability]) -> Markup:
    """How often answers are right against how sure they were, with intervals, and beneath it how many there were."""
    frame = _Frame((0.0, 1.0), (0.0, 1.0))
    parts = frame.draw("how sure the model says it is", "how often it is right", (True, True))
    floor, most = frame.down(0.0), max(found.right.n for found in bins)
    for found in bins:
        left, right = frame.across(found.low), frame.across(found.high)
        height = max(1.5, 0.22 * (floor - _TOP) * found.right.n / most)
        parts.append(
            Markup('<rect class="amount" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                left + 1, floor - height, right - left - 2, height
            )
        )
    corners = (frame.across(0), frame.down(0), frame.across(1), frame.down(1))
    parts.append(Markup('<line class="ideal" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(*corners))
    for found in bins:
        x = frame.across(found.confidence)
        low, high = found.right.interval or (found.right.value,) * 2
        parts += [
            Markup('<line class="whisker first" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(
                x, x, frame.down(low), frame.down(high)
            ),
            Markup('<circle class="dot first" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(
                x, frame.down(found.right.value)
            ),
        ]
    return _svg(title, description, parts)


def _svg(title: str, description: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>').format(
        WIDTH, HEIGHT, title, description, Markup("").join(parts)
    )


def _places(frame: _Frame, points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{frame.across(x):.1f},{frame.down(y):.1f}" for x, y in points)


def _ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    if not high > low:
        if whole:
            return [low]
        spread = abs(low) * 0.1 or 1.0
        low, high = low - spread, high + spread
    locator = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10], integer=whole, min_n_ticks=2)
    return [float(tick) for tick in locator.tick_values(low, high)]


def _labels(ticks: Sequence[float], percent: bool) -> list[str]:
    """All with as many decimals as one of them needs."""
    values = [(100 * tick if percent else tick) + 0.0 for tick in ticks]  # the 0 takes the sign from a zero
    texts = [f"{value:.6g}" for value in values]
    if any("e" in text for text in texts):
        return [text.replace("e-0", "e-") for text in texts]
    decimals = max(len(text.partition(".")[2]) for text in texts)
    return [f"{value:,.{decimals}f}{' %' if percent else ''}" for value in values]
