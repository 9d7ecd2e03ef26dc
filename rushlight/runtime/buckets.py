"""Many tensors in few messages: side by side in long ones, which several processes add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed

from rushlight.runtime.distributed import lost_processes_named

BYTES = 25_000_000  # of one message at most, if no tensor is longer; PyTorch's own data-parallel training takes as many


class Buckets:
    """Room for tensors of these shapes, kinds and devices.

    Args:
        like: the tensors, in the same order on every rank.

    Attributes:
        views: of the room, one for each tensor, laid out in memory as it is.
    """

    def __init__(self, like: Sequence[Tensor]) -> None:
        self.views: list[Tensor] = [torch.empty(0)] * len(like)
        self._flat: list[Tensor] = []
        alike: dict[Any, list[int]] = defaultdict(list)
        for index, tensor in enumerate(like):
            alike[tensor.device, tensor.dtype].append(index)
        for (device, dtype), indices in alike.items():
            for members in _cut(indices, like):
                flat = torch.zeros(sum(like[i].numel() for i in members), device=device, dtype=dtype)
                self._flat.append(flat)
                start = 0
                for i in members:
                    self.views[i] = _view(flat, start, like[i])
                    start += like[i].numel()

    def add_up(self) -> None:
        """Replace what is in the views by its sum over all ranks."""
        with lost_processes_named():
            for message in [distributed.all_reduce(flat, async_op=True) for flat in self._flat]:
                message.wait()

    def take_from_writer(self) -> None:
        """Replace what is in the views by what the writer has there."""
        with lost_processes_named():
            for message in [distributed.broadcast(flat, 0, async_op=True) for flat in self._flat]:
                message.wait()


@torch.no_grad()
def make_as_on_writer(tensors: Sequence[Tensor]) -> None:
    """Overwrite tensors by those of the writer.

    Args:
        tensors: of the same shapes and kinds on every rank.
    """
    distinct = list({id(tensor): _sendable(tensor.detach()) for tensor in tensors}.values())
    buckets = Buckets(distinct)
    for view, tensor in zip(buckets.views, distinct, strict=True):
        view.copy_(tensor)
    buckets.take_from_writer()
    for view, tensor in zip(buckets.views, distinct, strict=True):
        tensor.copy_(view)


def _sendable(tensor: Tensor) -> Tensor:
    """The same memory, of a kind that gloo knows."""
    return tensor.view(torch.uint8) if tensor.dtype == torch.bool else tensor


def _cut(indices: Sequence[int], like: Sequence[Tensor]) -> list[list[int]]:
    cut: list[list[int]] = []
    size = BYTES
    for index in indices:
        if size + like[index].nbytes > BYTES:
            cut.append([])
            size = 0
        cut[-1].append(index)
        size += like[index].nbytes
    return cut


def _view(flat: Tensor, start: int, tensor: Tensor) -> Tensor:
    """Where a tensor stands in a long one; in its own order in memory, so that copying goes straight through."""
    strides = torch.empty_like(tensor, device="meta").stride()  # as they are, if nothing is left out or overlaps
    return flat.as_strided(tensor.shape, strides, start)
