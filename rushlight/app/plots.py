"""Pictures of a result, as matplotlib figures that need no screen.

Each function draws into a `Figure` of its own and touches no global state of matplotlib, so figures may be
drawn in any thread and shown in a notebook or saved. Colours keep their meaning for colour-blind readers and
in grey print. The curves of training are drawn by `History.plot`, the learning-rate sweep by `LRSweep.plot`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rushlight.data.show import image_grid
from rushlight.inference.evaluation import Evaluation
from rushlight.runtime.figures import as_written, png_of
from rushlight.runtime.files import atomic_write_bytes
from rushlight.studies.data_curve import DataCurve

DOTS_PER_INCH = 150
_NUMBERS_UP_TO = 20  # classes; with more, the cells are too small for their numbers
_NAMES_UP_TO = 40
_INCHES_A_LETTER = 0.09


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, completely or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    atomic_write_bytes(path, png_of(figure, DOTS_PER_INCH))


def confusion_matrix(confusion: np.ndarray, classes: Sequence[str]) -> Figure:
    """Which class was taken for which: rows are the true classes, columns the answers.

    Shades show the part of each row, so that classes of unequal size compare; the numbers are counts of
    images.

    Args:
        confusion: counts `(classes, classes)`, row = truth, column = answer.
        classes: their names.
    """
    counts = np.asarray(confusion)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    count = len(classes)
    side = float(np.clip(2.6 + 0.42 * count, 4.2, 10))  # inches; wider, and names shrink in a page of 800 pixels
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="answer of the model", ylabel="true class")
    axes.set_title(f"{int(counts.sum()):,} images, {100 * np.trace(counts) / max(1, counts.sum()):.1f} % right")
    if count <= _NAMES_UP_TO:
        names = [as_written(shortened(name, 18)) for name in classes]
        long = _INCHES_A_LETTER * max(map(len, names), default=0) > (side - 1.6) / count
        axes.set_xticks(range(count), names, rotation=45 if long else 0, ha="right" if long else "center",
                        rotation_mode="anchor" if long else "default")  # fmt: skip
        axes.set_yticks(range(count), names)
    if count <= _NUMBERS_UP_TO:
        for row, column in zip(*np.nonzero(counts), strict=True):
            dark = parts[row, column] > 0.5
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center",
                      color="white" if dark else "black", fontsize=9 if count <= 12 else 7)  # fmt: skip
    bar = figure.colorbar(picture, ax=axes, fraction=0.046, label="part of the true class")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    return figure


def reliability(evaluation: Evaluation) -> Figure:
    """How often answers were right, beside how sure the model was of them; calibrated, both agree.

    The bars are Wilson's 95 % intervals; below stands how many answers were so sure.

    Args:
        evaluation: of the images.
    """
    bins = evaluation.reliability
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="as sure as right")
    filled = [one for one in bins if one.right.n]
    confidence = [one.confidence for one in filled]
    rates = [one.right.value for one in filled]
    intervals = [one.right.interval or (one.right.value,) * 2 for one in filled]
    errors = np.array([(rate - low, high - rate) for rate, (low, high) in zip(rates, intervals, strict=True)]).T
    above.errorbar(confidence, rates, np.maximum(errors, 0), fmt="o", color="tab:blue", capsize=3, label="answers")
    above.set(ylabel="part that was right", ylim=(-0.03, 1.03), xlim=(0, 1))
    above.set_title(f"{evaluation.n:,} images, calibration error {100 * evaluation.calibration_error.value:.1f} %")
    above.legend(loc="lower right", frameon=False)
    below.bar([one.low for one in bins], [one.right.n for one in bins], width=1 / len(bins), align="edge",
              color="tab:blue", edgecolor="white")  # fmt: skip
    below.set(xlabel="how sure the model was", ylabel="answers")
    for axis in (above.yaxis, below.xaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    return figure


def most_wrong(images: np.ndarray, truths: Sequence[str], answers: Sequence[str]) -> Figure:
    """The images about which the model was most wrong, each with the truth and the answer.

    Args:
        images: uint8 `(N, H, W, 3)`, the most wrong first.
        truths: what they are.
        answers: what the model said, and how sure it was.
    """
    titles = [
        f"{shortened(truth, 24)}\nsaid {shortened(answer, 24)}" for truth, answer in zip(truths, answers, strict=True)
    ]
    figure = image_grid(images, titles, columns=min(4, max(2, len(images))))
    headline = "The worst mistakes: what it is,\nand what the model said" if titles else "No mistake"
    figure.suptitle(headline, fontsize=9)
    return figure


def data_curve(found: DataCurve) -> Figure:
    """Accuracy against the number of training images: a point a seed, the law with its band, and what lies ahead.

    Args:
        found: the measurements and their laws.
    """
    curve = found.curve
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    grid = np.geomspace(curve.sizes[0], found.ahead[-1], 80)
    band = curve.band(grid)
    axes.fill_between(grid, band.low, band.high, color="tab:blue", alpha=0.15, linewidth=0, label="95 % band")
    axes.plot(grid, band.middle, color="tab:blue", linewidth=1.5, label="power law")
    for seed, column in enumerate(curve.accuracies.T):
        axes.plot(curve.sizes, column, "o", color="black", markersize=3.5, alpha=0.6,
                  label="measured, a point a seed" if seed == 0 else None)  # fmt: skip
    axes.axvline(float(curve.sizes[-1]), color="0.6", linestyle="--", linewidth=1)
    axes.annotate("all there are", (float(curve.sizes[-1]), 1.01), xycoords=("data", "axes fraction"), ha="center",
                  fontsize=8, color="0.35")  # fmt: skip
    ticks = [*curve.sizes.tolist(), *found.ahead.tolist()]
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=45)
    axes.set(xlabel="training images", ylabel="accuracy on the validation images")
    axes.set_ylim(top=min(1.005, float(band.high.max()) + 0.01))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.legend(loc="lower right", frameon=False)
    return figure


def coloured_text(tokens: Sequence[str], losses: np.ndarray, width: int = 80) -> Figure:
    """A text in which every token stands on a colour that says how much it surprised the model.

    Args:
        tokens: the text in pieces.
        losses: (N,) nats; NaN where nothing was predicted, which stays white.
        width: characters in a line.
    """
    lines: list[list[tuple[str, float]]] = [[]]
    for token, loss in zip(tokens, losses, strict=True):
        for character in token:
            if character == "\n" or len(lines[-1]) >= width:
                lines.append([])
            if character != "\n":
                lines[-1].append((character, float(loss)))
    grid = np.full((len(lines), width), np.nan)
    for row, line in enumerate(lines):
        grid[row, : len(line)] = [loss for _, loss in line]
    high = max(1.0, float(np.nanquantile(losses, 0.98)) if np.isfinite(losses).any() else 1.0)
    figure = Figure(figsize=(width * _INCHES_A_LETTER + 1.2, 0.22 * len(lines) + 0.6), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(grid, cmap="YlOrRd", vmin=0, vmax=high, aspect="auto", interpolation="nearest")
    axes.set_axis_off()
    for row, line in enumerate(lines):
        for column, (character, loss) in enumerate(line):
            colour = "white" if loss > 0.75 * high else "black"
            axes.text(column, row, as_written(character), ha="center", va="center", fontsize=8,
                      family="monospace", color=colour)  # fmt: skip
    figure.colorbar(picture, ax=axes, fraction=0.03, label="surprise, in nats")
    return figure


def shortened(name: str, length: int = 12) -> str:
    """A name that fits, with an ellipsis where something is left out."""
    return name if len(name) <= length else name[: length - 1] + "…"
