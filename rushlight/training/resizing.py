"""Begin with smaller images, which teach most of it for a part of the cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rushlight.runtime.errors import InputError
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rushlight.training.learner import Learner


class ProgressiveResizing(Callback):
    """Train on smaller images first (Howard 2018, in fast.ai's entry to DAWNBench), and measure on the same size.

    The batches must have an `image_size` that may be set between batches, as `ImageBatches` have. Convolutional models
    that pool over positions take any size; whatever statistics they keep of normalisation get used to the last size.

    Args:
        sizes: pairs of progress (0 to 1, increasing) and side in pixels: `[(0.3, 24)]` uses 24 pixels until 30 % of
            training are done, then the full size.

    Raises:
        InputError: the progress does not increase within 0 to 1, or a size is not positive.
    """

    def __init__(self, sizes: Sequence[tuple[float, int]]) -> None:
        ends = [end for end, _ in sizes]
        if ends != sorted(set(ends)) or not all(0 < end < 1 for end in ends) or any(size < 1 for _, size in sizes):
            raise InputError(f"sizes are pairs of increasing progress between 0 and 1, and pixels, not {list(sizes)}")
        self.sizes = list(sizes)
        self._progress = 1.0

    def state_dict(self) -> dict[str, Any]:
        """How far training is; nothing between fits, when images have their full size."""
        return {} if self._progress >= 1.0 else {"progress": self._progress}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._resize(state["progress"])

    def fit_start(self, learner: Learner) -> None:
        parts = [part for part in (learner.data.train, learner.data.valid) if part is not None]
        self._full = [(part, getattr(part, "image_size", None)) for part in parts]
        if any(size is None for _, size in self._full):
            raise InputError("progressive resizing needs batches with an image_size, such as those of ImageData")
        self._resize(0.0)

    def step_done(self, learner: Learner) -> None:
        self._resize(learner.progress)

    def fit_end(self, learner: Learner) -> None:
        self._resize(1.0)

    def _resize(self, progress: float) -> None:
        self._progress = progress
        smaller = next((size for end, size in self.sizes if progress < end), None)
        part: Any
        for part, full in self._full:
            part.image_size = full if smaller is None else smaller


def growing(sizes: Sequence[int], full: int) -> list[Callback]:
    """Images of each size for an equal part of training, then as long at full size; nothing where there are no sizes.

    Args:
        sizes: sides in pixels, each larger than the one before and smaller than `full`.
        full: side of the images.

    Raises:
        InputError: the sizes do not grow towards the full one.
    """
    whole = [*sizes, full]
    if any(before >= after or before < 1 for before, after in pairwise(whole)):
        told = ", ".join(map(str, sizes))
        raise InputError(f"progressive sizes grow towards the {full} pixels of the images, which {told} do not")
    parts = len(whole)
    return [ProgressiveResizing([((i + 1) / parts, size) for i, size in enumerate(sizes)])] if sizes else []
