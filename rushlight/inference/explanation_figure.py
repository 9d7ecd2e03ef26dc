"""The picture of an explanation: the photograph, the heat over it, and a closer look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rushlight.inference.class_maps import METHOD_NAMES
from rushlight.runtime.figures import as_written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rushlight.inference.explain import Explanation

_COLOURS = "inferno"  # from dark to light in every kind of colour vision, and in grey print
_INCHES = 3.4


def explanation_figure(explanation: Explanation, closer: Explanation | None = None) -> Figure:
    """Draw an explanation.

    Args:
        explanation: of one image.
        closer: of its hottest region, which is then marked and shown beside.

    Returns:
        A figure that belongs to no window: a notebook shows it, and `savefig` writes it.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    columns = 2 if closer is None else 3
    figure = Figure(figsize=(_INCHES * columns + 0.6, _INCHES + 0.7), layout="constrained")
    axes = figure.subplots(1, columns)
    for place in axes:
        place.set_axis_off()
    axes[0].imshow(explanation.pixels)
    axes[0].set_title(as_written(_answer(explanation)), fontsize=9)
    heat = _over(axes[1], explanation)
    method = METHOD_NAMES[explanation.method]
    axes[1].set_title(as_written(f"{explanation.evidence}\n({method})"), fontsize=9)
    bar = figure.colorbar(heat, ax=axes[1], fraction=0.046, ticks=[0, 1])
    bar.ax.set_yticklabels(["nothing", "most"])
    if closer is not None:
        left, top, right, bottom = _in_pixels(explanation)
        for place in axes[:2]:
            place.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="white", lw=2.5))
            place.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="black", lw=1))
        _over(axes[2], closer)
        agrees = explanation.prediction.agrees(closer.prediction, explanation.label)
        verdict = "a closer look agrees" if agrees else "a closer look disagrees"
        axes[2].set_title(as_written(f"{verdict}:\n{_answer(closer)}"), fontsize=9)
    return figure


def heat_grid(explanations: list[Explanation], titles: list[str], columns: int = 5) -> Figure:
    """Many images with their heat, each under its title.

    Args:
        explanations: of the images.
        titles: one an image.
        columns: images a row.
    """
    from matplotlib.figure import Figure

    columns = max(1, min(columns, len(explanations)))
    rows = max(1, -(-len(explanations) // columns))
    figure = Figure(figsize=(2.2 * columns, 2.6 * rows), layout="constrained")
    for number, place in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        place.set_axis_off()
        if number < len(explanations):
            _over(place, explanations[number])
            place.set_title(as_written(titles[number]), fontsize=8)
    return figure


def heat_pixels(explanation: Explanation) -> np.ndarray:
    """The photograph in grey under its heat, as an image of its own: (S, S, 3) uint8."""
    from matplotlib import colormaps

    opacity = _opacity(explanation)[:, :, None]
    colours = 255 * colormaps[_COLOURS](explanation.heat)[:, :, :3]
    mixed: np.ndarray = (1 - opacity) * _grey(explanation)[:, :, None] + opacity * colours
    return mixed.round().astype(np.uint8)


def _over(axes, explanation: Explanation):  # type: ignore[no-untyped-def]  # matplotlib's own are untyped here
    """The photograph in grey, and over it the heat, the more opaque the hotter."""
    axes.imshow(_grey(explanation), cmap="gray", vmin=0, vmax=255)
    return axes.imshow(explanation.heat, cmap=_COLOURS, vmin=0, vmax=1, alpha=_opacity(explanation))


def _grey(explanation: Explanation) -> np.ndarray:
    grey: np.ndarray = explanation.pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey


def _opacity(explanation: Explanation) -> np.ndarray:
    opacity: np.ndarray = 0.15 + 0.5 * explanation.heat
    return opacity


def _answer(explanation: Explanation) -> str:
    """The answer, with what it says of the class that is explained."""
    return explanation.prediction.briefly(explanation.label)


def _in_pixels(explanation: Explanation) -> tuple[float, float, float, float]:
    """The hottest region in pixels of what the model saw."""
    size = len(explanation.heat)
    left, top, right, bottom = explanation.box
    across, down = size / (right - left), size / (bottom - top)
    region = explanation.hottest_region()
    return (
        (region[0] - left) * across,
        (region[1] - top) * down,
        (region[2] - left) * across,
        (region[3] - top) * down,
    )
