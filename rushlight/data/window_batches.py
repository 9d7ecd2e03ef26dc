"""Windows of a text in any order, each by itself: what a model without a memory of its own is trained on."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rushlight.runtime.errors import InputError
from rushlight.runtime.seeds import epoch_order
from rushlight.runtime.sharing import PartOfBatch, slice_of_rank


class WindowBatches:
    """Batches `(inputs, targets)` of windows.

    Args:
        tokens: (N,) integers.
        window: T, tokens in a window.
        stride: from the beginning of one window to that of the next.
        many: predict what follows every token, targets (T, B); without it what follows the last, targets (B,).
        batch_size: windows a batch.
        shuffle: take them in a new order every epoch.
        seed: of the order.

    Raises:
        InputError: there is not one whole window.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        window: int,
        stride: int,
        *,
        many: bool = False,
        batch_size: int = 512,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        if len(tokens) <= window:
            raise InputError(f"{len(tokens):,} tokens hold no window of {window} with a token after it")
        windows = np.lib.stride_tricks.sliding_window_view(tokens, window + 1)[::stride]
        self._windows = windows  # a view: nothing is copied until a batch is taken
        self.many, self.batch_size, self.shuffle, self.seed = many, batch_size, shuffle, seed
        self.epoch = 0
        self._rank, self._ranks = 0, 1

    def __len__(self) -> int:
        return -(-len(self._windows) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass is of."""
        self.epoch = epoch

    def for_rank(self, rank: int, ranks: int) -> WindowBatches:
        """The rank's part of every batch.

        Args:
            rank: from 0.
            ranks: how many share each batch.
        """
        part = copy.copy(self)
        part._rank, part._ranks = rank, ranks
        return part

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self._windows)
        order = epoch_order(count, self.seed, self.epoch) if self.shuffle else torch.arange(count)
        for rows in order.split(self.batch_size):
            mine = rows[slice_of_rank(len(rows), self._rank, self._ranks)]
            window = torch.from_numpy(self._windows[(mine if len(mine) else rows[:1]).numpy()].T.astype(np.int64))
            batch = window[:-1], window[1:] if self.many else window[-1]
            yield batch if self._ranks == 1 else PartOfBatch(batch, len(mine) / len(rows))
        self.epoch += 1
