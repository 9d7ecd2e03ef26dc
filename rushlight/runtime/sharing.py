"""Which part of a batch each of several processes takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def slice_of_rank(count: int, rank: int, ranks: int) -> slice:
    """The rank's part of `count` things in a row: contiguous, and of sizes that differ by one at most.

    Args:
        count: things to share.
        rank: from 0.
        ranks: how many share them.
    """
    return slice(rank * count // ranks, (rank + 1) * count // ranks)


class PartOfBatch(tuple[Any, ...]):
    """What falls to this rank of a batch.

    Every rank has to take part in every step, so where nothing falls to it the part is one sample that counts for
    nothing: it goes through the model like any other, and its share is 0.

    Args:
        parts: inputs, targets and their like.
        share: which part of the whole batch it is, from 0 to 1; those of all ranks add up to 1.
    """

    share: float

    def __new__(cls, parts: Iterable[Any], share: float) -> PartOfBatch:
        made = super().__new__(cls, parts)
        made.share = share
        return made


def share_of(batch: Any) -> float:
    """Which part of a whole batch it is; 1 for a batch that is not shared."""
    return batch.share if isinstance(batch, PartOfBatch) else 1.0
