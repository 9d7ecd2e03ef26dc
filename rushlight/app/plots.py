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
from rushlight.runtime.files import atomic_write_bytes

DOTS_PER_INCH = 150
_NUMBERS_UP_TO = 20  # classes; with more, the cells are too small for their numbers
_NAMES_UP_TO = 40
_INCHES_A_LETTER = 0.09


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, completely or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    from io import BytesIO

    picture = BytesIO()
    # Tight: the constrained layout cuts the outer label off where long names stand beside a square picture.
    figure.savefig(picture, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight")
    atomic_write_bytes(path, picture.getvalue())


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
        names = [_shortened(name, 18) for name in classes]
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


def most_wrong(
    images: np.ndarray, truths: Sequence[str], answers: Sequence[str], probabilities: Sequence[float]
) -> Figure:
    """The images on which the model was surest of a wrong answer, each with the truth and the answer.

    Args:
        images: uint8 `(N, H, W, 3)`, the most wrong first.
        truths: their true classes.
        answers: what the model said.
        probabilities: how sure it was of that, 0 to 1.
    """
    titles = [
        f"{_shortened(truth)}\nsaid {_shortened(answer)}, {100 * probability:.0f} %"
        for truth, answer, probability in zip(truths, answers, probabilities, strict=True)
    ]
    figure = image_grid(images, titles, columns=min(4, max(2, len(images))))
    headline = "The worst mistakes: what it is,\nand what the model said" if titles else "No mistake"
    figure.suptitle(headline, fontsize=9)
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
            axes.text(column, row, character.replace("$", "\\$"), ha="center", va="center", fontsize=8,
                      family="monospace", color=colour)  # fmt: skip
    figure.colorbar(picture, ax=axes, fraction=0.03, label="surprise, in nats")
    return figure


def _shortened(name: str, length: int = 12) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
