"""What the loop asks of data, and how a batch gets to the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rushlight.runtime.errors import InputError
from rushlight.runtime.sharing import PartOfBatch
from rushlight.training.sliced_batches import part_of_rank


class BatchSource(Protocol):
    """Batches that can be gone through again and again; a DataLoader is one.

    If it has `set_epoch(epoch)`, that is called before every pass.
    """

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Batches:
    """The part that trains and the part that is measured; of several processes each has its share of every batch."""

    train: BatchSource
    valid: BatchSource | None = None

    @classmethod
    def of(cls, data: Any) -> Batches:
        """From an object with `train` and perhaps `valid`, or from a tuple of one or two.

        Raises:
            InputError: it is neither, or there is no batch to train on.
        """
        train: Any
        valid: Any
        if isinstance(data, tuple):
            train, valid = (*data, None, None)[:2]
        else:
            train, valid = getattr(data, "train", None), getattr(data, "valid", None)
        if not hasattr(train, "__iter__"):
            raise InputError(
                f"data of type {type(data).__name__} has no batches: give an object with `train` (and `valid`), each "
                "an iterable of (inputs, targets), or a tuple of them"
            )
        if hasattr(train, "__len__") and len(train) == 0:
            raise InputError("the training part has no batch: it is empty, or smaller than one batch")
        return cls(part_of_rank(train), None if valid is None else part_of_rank(valid))


def move_to_device(batch: Any, device: torch.device) -> Any:
    """A batch with every tensor on the device, images in channels-last memory; tuples and lists become tuples."""
    if isinstance(batch, Tensor):
        memory_format = torch.channels_last if batch.ndim == 4 else torch.preserve_format
        return batch.to(device, non_blocking=True, memory_format=memory_format)
    if isinstance(batch, tuple | list):
        moved = tuple(move_to_device(part, device) for part in batch)
        return PartOfBatch(moved, batch.share) if isinstance(batch, PartOfBatch) else moved
    return batch


def in_channels_last(model: nn.Module) -> nn.Module:
    """The model with channels-last convolution weights, the layout in which convolutions run fastest."""
    if any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model
