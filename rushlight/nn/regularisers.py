"""What keeps a recurrent network from learning its text by heart, and PyTorch's layers lack.

Each is a pure function; those with something to keep have a thin class. Together they are the AWD-LSTM of Merity,
Keskar & Socher, "Regularizing and optimizing LSTM language models" (2017).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding


def locked_dropout(x: Tensor, probability: float, training: bool = True) -> Tensor:
    """Dropout with one mask for all positions of a window (Gal & Ghahramani 2016, "variational" dropout).

    A mask drawn anew at every position would disturb the memory of a recurrent layer at every step; a locked one only
    hides some of its parts for a while.

    Args:
        x: (T, B, E).
        probability: that a part of the vector is dropped, for a stream's whole window.
        training: False returns `x`.

    Returns:
        (T, B, E), scaled so that the mean stays.
    """
    if not training or not probability:
        return x
    mask = x.new_empty(1, *x.shape[1:]).bernoulli_(1 - probability).div_(1 - probability)
    return x * mask


def embedding_dropout(tokens: Tensor, weight: Tensor, probability: float, training: bool = True) -> Tensor:
    """Look tokens up in an embedding from which whole tokens are dropped for the window (Gal & Ghahramani 2016).

    Args:
        tokens: int64, any shape.
        weight: (V, E).
        probability: that a token's vector is zero wherever it occurs.
        training: False looks up plainly.

    Returns:
        The tokens' shape with E added.
    """
    if training and probability:
        mask = weight.new_empty(len(weight), 1).bernoulli_(1 - probability).div_(1 - probability)
        weight = weight * mask
    return embedding(tokens, weight)


def weight_drop(weight: Tensor, probability: float, training: bool = True) -> Tensor:
    """Dropout on the hidden-to-hidden weights, the same ones for a whole window (Wan et al. 2013, "DropConnect").

    Args:
        weight: (rows, H).
        probability: that a single weight is zero.
        training: False returns the weight.
    """
    return dropout(weight, probability, training) if training and probability else weight


def activation_penalty(outputs: Tensor) -> Tensor:
    """Activation regularisation: the mean square of what the last layer showed (T, B, H), a scalar (Merity 2017)."""
    return outputs.float().square().mean()


def change_penalty(outputs: Tensor) -> Tensor:
    """Its temporal form: the mean square of the change from one position to the next, a scalar; 0 for one position."""
    if len(outputs) < 2:
        return outputs.new_zeros((), dtype=torch.float32)
    return (outputs[1:] - outputs[:-1]).float().square().mean()


class LockedDropout(nn.Module):
    """`locked_dropout` as a layer.

    Args:
        probability: from 0 to below 1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise ValueError(f"a dropout is a probability from 0 to below 1, not {probability}")
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, E) to the same shape."""
        return locked_dropout(x, self.probability, self.training)

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"{self.probability:g}"
