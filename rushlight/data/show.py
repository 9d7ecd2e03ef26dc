"""A grid of images with their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rushlight.runtime.figures import as_written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES = 1.5  # side of one image


def image_grid(images: np.ndarray, titles: Sequence[str], columns: int | None = None) -> Figure:
    """Draw images in rows, each under its title.

    Args:
        images: (N, H, W, C) uint8; of more than three channels the first three are shown.
        titles: one an image.
        columns: images a row; None for about as many as there are rows.

    Returns:
        A figure that belongs to no window: a notebook shows it, and `savefig` writes it.
    """
    from matplotlib.figure import Figure

    count = len(images)
    columns = columns or max(1, math.ceil(math.sqrt(count)))
    rows = max(1, math.ceil(count / columns))
    figure = Figure(figsize=(_INCHES * columns, (_INCHES + 0.25) * rows), layout="constrained")
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if i < count:
            axes.imshow(images[i][..., :3], interpolation="nearest")
            axes.set_title(as_written(titles[i]), fontsize=8)
    return figure
