"""A text as numbers for all that `language_model_peers.py` compares: the same split, vocabulary and judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

FOLDER = Path("runs/benchmarks/texts")
STREAMS, WINDOW = 32, 100  # of what is measured


def numbered(name: str) -> dict[str, np.ndarray]:
    """Training and validation part as numbers, and how many there are, as Rushlight reads it.

    It is in lower case; characters that occur less than three times in the training part are unknown (number 0).

    Args:
        name: a name of the catalog.
    """
    kept = FOLDER / f"{name}.npz"
    if not kept.is_file():
        from rushlight.data.text import TextData

        data = TextData.from_name(name, lowercase=True, minimum_frequency=3, device="cpu")
        kept.parent.mkdir(parents=True, exist_ok=True)
        parts = {part: np.asarray(data.part(part).tokens, np.int64) for part in ("train", "valid")}
        np.savez(kept, **parts, vocabulary=np.array(data.tokenizer.size))
    with np.load(kept) as found:
        return {key: found[key] for key in found.files}


def streams(tokens: np.ndarray, count: int, window: int, shift: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows (count, window) of so many streams read side by side, each with what follows every token.

    Args:
        shift: tokens at the beginning that are left out, so that windows end elsewhere in the next pass.
    """
    length = (len(tokens) - 1 - shift) // count
    inputs, targets = (
        torch.from_numpy(tokens[shift + ahead : shift + ahead + count * length]).view(count, length) for ahead in (0, 1)
    )
    for start in range(0, length, window):
        yield inputs[:, start : start + window], targets[:, start : start + window]


@torch.inference_mode()
def loss_with_state(step: Callable[[Tensor, Any], tuple[Tensor, Any]], tokens: np.ndarray) -> float:
    """Mean nats a token of a model that keeps a state, over all of a text in 32 streams.

    Args:
        step: from tokens (B, T) and a state, None at first, to logits (B, T, V) and the next state.
    """
    state, total, count = None, 0.0, 0
    for inputs, targets in streams(tokens, STREAMS, WINDOW):
        logits, state = step(inputs, state)
        total += float(functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum"))
        count += targets.numel()
    return total / count


@torch.inference_mode()
def loss_with_context(model: Callable[[Tensor], Tensor], tokens: np.ndarray, context: int) -> float:
    """Mean nats a token of a model of fixed context; each token is judged with at least half of it before.

    Args:
        model: from tokens (B, T) to logits (B, T, V).
        context: T.
    """
    half = context // 2
    windows = np.lib.stride_tricks.sliding_window_view(tokens, context + 1)[::half]
    total, count = 0.0, 0
    for start in range(0, len(windows), 64):
        rows = torch.from_numpy(windows[start : start + 64].copy())
        logits, targets = model(rows[:, :-1]), rows[:, 1:]
        first = 0 if start == 0 else half
        losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
        total += float(losses[:, half:].sum()) + (float(losses[0, :half].sum()) if first == 0 else 0.0)
        count += losses[:, half:].numel() + (half if first == 0 else 0)
    return total / count
