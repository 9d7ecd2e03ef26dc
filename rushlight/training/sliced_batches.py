"""The rank's part of batches from anywhere, such as a DataLoader: every rank goes through all and cuts out its part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from rushlight.runtime import distributed, nested
from rushlight.runtime.errors import InputError
from rushlight.runtime.seeds import random_state, set_random_state
from rushlight.runtime.sharing import PartOfBatch, slice_of_rank


def part_of_rank(batches: Any) -> Any:
    """What falls to this rank of each batch; with one process, or where it was cut already, the batches themselves.

    Batches that have `for_rank(rank, ranks)` cut themselves, which saves reading the rest. Others are tuples of
    tensors whose first dimension counts samples.
    """
    if distributed.ranks() == 1 or isinstance(batches, SlicedBatches):
        return batches
    if hasattr(batches, "for_rank"):
        return batches.for_rank(distributed.rank(), distributed.ranks())
    return (SlicedFromAnywhere if hasattr(batches, "iterate_from") else SlicedBatches)(batches)


class SlicedBatches:
    """Batches of which this rank takes its rows.

    Args:
        source: the batches of one process.
    """

    def __init__(self, source: Any) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    @property
    def batch_size(self) -> int | None:
        """Samples in a whole batch, where the source says it."""
        return getattr(self.source, "batch_size", None)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass is of, where the source can."""
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(epoch)

    def __iter__(self) -> Iterator[PartOfBatch]:
        # A DataLoader draws its order as a pass begins: all ranks draw it from the numbers that the writer has.
        own = random_state()
        set_random_state(nested.of_writer(random_state))
        batches = iter(self.source)
        first = next(batches, None)
        if not distributed.is_writer():
            set_random_state(own)
        if first is not None:
            yield _rows(first)
            yield from map(_rows, batches)


class SlicedFromAnywhere(SlicedBatches):
    """The same of batches that can be begun anywhere, which therefore draw no random numbers from a generator."""

    def __iter__(self) -> Iterator[PartOfBatch]:
        return self.iterate_from(0)

    def iterate_from(self, batch_index: int) -> Iterator[PartOfBatch]:
        """The batches of the present epoch from one on."""
        yield from map(_rows, self.source.iterate_from(batch_index))


def _rows(batch: Any) -> PartOfBatch:
    if not isinstance(batch, tuple | list) or not all(isinstance(part, Tensor) and part.ndim for part in batch):
        raise InputError(
            "several processes can only cut batches that are tuples of tensors, with samples in the first dimension; "
            "give the batches a method for_rank(rank, ranks)"
        )
    count = len(batch[-1])
    if any(len(part) != count for part in batch):
        raise InputError("the tensors of a batch differ in length, so several processes cannot share it")
    mine = slice_of_rank(count, distributed.rank(), distributed.ranks())
    share = (mine.stop - mine.start) / count
    return PartOfBatch((part[mine] if share else part[:1] for part in batch), share)
