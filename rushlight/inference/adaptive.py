"""Two ways in which a model learns from the text that it is measured on, after it was measured on it.

Both see each token only once its loss is counted, as a compressor does. They say how well a model adapts; beside the
loss of a model that stays as it is they do not belong, so they are always reported on lines of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from rushlight.inference.text_evaluation import TextEvaluation, evaluation_of
from rushlight.inference.writer import Writer
from rushlight.nn.language_model import map_state

DYNAMIC_WINDOW = 20  # tokens between two steps of learning
CACHE_WINDOW = 100  # tokens whose outputs are computed at once


def dynamic_evaluation(
    writer: Writer, tokens: np.ndarray, split: str = "valid", *, lr: float = 1e-3, decay: float = 2e-3
) -> TextEvaluation:
    """Go on training while reading (Krause, Kahembwe, Murray & Renals, "Dynamic evaluation", 2018).

    After every window the weights take a step along its gradient, each divided by its root mean square so far, and are
    drawn back a little to where they began. The writer's own model stays as it is.

    Args:
        writer: of the model.
        tokens: (N,) the text, read as one stream.
        split: which part it is.
        lr: size of a step.
        decay: the share of the way back to the beginning that is gone at every step.

    Returns:
        As `Writer.evaluate`.
    """
    model = copy.deepcopy(writer.model).eval()  # without dropout
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    origin = [weight.detach().clone() for weight in weights]
    squares = [torch.zeros_like(weight) for weight in weights]
    state: Any = None
    losses: list[Tensor] = []
    for step, (inputs, targets) in enumerate(_windows(tokens, DYNAMIC_WINDOW, writer.device), start=1):
        with torch.backends.cudnn.flags(enabled=False):  # which has no gradients for a recurrent layer that measures
            logits, state = model(inputs, state)
            loss = cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
            gradients = torch.autograd.grad(loss.mean(), weights)
        losses.append(loss.detach())
        state = map_state(Tensor.detach, state)
        with torch.no_grad():
            for weight, first, square, gradient in zip(weights, origin, squares, gradients, strict=True):
                square.add_(gradient.square())
                weight.sub_(lr * gradient / ((square / step).sqrt() + 1e-8)).lerp_(first, decay)
    return evaluation_of(torch.cat(losses), tokens[1:], writer.tokenizer, split)


@torch.inference_mode()
def neural_cache(
    writer: Writer,
    tokens: np.ndarray,
    split: str = "valid",
    *,
    length: int = 2000,
    sharpness: float = 0.3,
    share: float = 0.1,
) -> TextEvaluation:
    """Mix in what followed where the model was in a like state (Grave, Joulin & Usunier, "neural cache", 2017).

    Args:
        writer: of the model.
        tokens: (N,) the text, read as one stream.
        split: which part it is.
        length: how many positions back are remembered.
        sharpness: factor of the products of features, whose softmax says how alike two states are.
        share: of the cache in the mixture.

    Returns:
        As `Writer.evaluate`.
    """
    model = writer.model.eval()
    state: Any = None
    losses: list[Tensor] = []
    past: Tensor | None = None  # features of earlier positions (S, H), and what followed there (S, V)
    followed: Tensor | None = None
    for inputs, targets in _windows(tokens, CACHE_WINDOW, writer.device):
        features, state = model.forward_features(inputs, state)
        logits = model.forward_head(features)[:, 0].float()
        features, wanted = features[:, 0].float(), targets[:, 0]
        now = one_hot(wanted, logits.shape[-1]).float()
        keys = features if past is None else torch.cat([past, features])
        values = now if followed is None else torch.cat([followed, now])
        probabilities = torch.softmax(logits, dim=-1)
        alike = sharpness * features @ keys.T
        # A position sees those before it, and of these the last `length`.
        place = torch.arange(len(keys), device=keys.device)
        own = place[-len(features) :, None]
        hidden = (place >= own) | (place < own - length)
        weights = torch.softmax(alike.masked_fill(hidden, -torch.inf), dim=-1).nan_to_num()
        mixed = (1 - share) * probabilities + share * weights @ values
        has_past = (~hidden).any(dim=1, keepdim=True)
        found = torch.where(has_past, mixed, probabilities).gather(1, wanted[:, None])
        losses.append(-found[:, 0].log())
        past, followed = keys[-length:], values[-length:]
    return evaluation_of(torch.cat(losses), tokens[1:], writer.tokenizer, split)


def _windows(tokens: np.ndarray, length: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(tokens) - 1, length):
        window = torch.from_numpy(tokens[start : start + length + 1].astype(np.int64)).to(device)[:, None]
        yield window[:-1], window[1:]
