"""From the logits of the next token to a token: how boldly a model writes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rushlight.runtime.errors import InputError


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Refuse settings with which nothing can be drawn.

    Raises:
        InputError: the temperature is not above 0, or `top_k` or `top_p` leaves no token.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InputError(
            f"the temperature must be more than 0, not {temperature:g}; for the surest token, ask for greedy"
        )
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k must be at least 1, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise InputError(f"top_p is a share above 0 and at most 1, not {top_p:g}")


def next_token_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """The probabilities to draw the next token from.

    Args:
        logits: (..., V); minus infinity for a token that must not come.
        temperature: below 1 the likely becomes likelier, above 1 all becomes more alike.
        top_k: keep so many tokens, the likeliest (Fan et al. 2018).
        top_p: keep the likeliest that together have this probability at least (Holtzman et al. 2020, "nucleus").

    Returns:
        (..., V) float32, each row with sum 1.
    """
    logits = logits.float() / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    probabilities = torch.softmax(logits, dim=-1)
    if top_p is None or top_p >= 1:
        return probabilities
    # By logits, of which some differ where the probabilities are rounded to the same; of equals the first stays.
    order = logits.argsort(dim=-1, descending=True, stable=True)
    ordered = probabilities.gather(-1, order)
    beyond = ordered.cumsum(-1) - ordered >= top_p  # what stands before has the share already; the first always stays
    kept = torch.zeros_like(probabilities).scatter(-1, order, ordered.masked_fill(beyond, 0.0))
    return kept / kept.sum(-1, keepdim=True)
