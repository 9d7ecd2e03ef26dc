"""Heads: what makes an answer of the feature map of a body.

To add one: write a module from a feature map (B, C, h, w) to logits (B, classes), add its line to `HEADS`. A head whose
logits are sums over the positions of the map says so with `evidence`, from which activation maps are drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rushlight.nn.layers import average_and_max_pool, global_average_pool


class PooledHead(nn.Module):
    """Pool each channel over all positions, normalise, and map to the classes.

    Args:
        features: C of the feature map.
        classes: outputs.
        dropout: probability that a pooled feature is dropped while training.
        with_maximum: pool with average and maximum side by side, else with the average alone.
        hidden_size: units of a layer between; None for a linear head.

    Shape:
        (B, C, h, w) to (B, classes), for any h and w.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        dropout: float = 0.0,
        *,
        with_maximum: bool = False,
        hidden_size: int | None = None,
    ) -> None:
        super().__init__()
        self.with_maximum = with_maximum
        pooled = features * (2 if with_maximum else 1)
        self.norm: Any = nn.BatchNorm1d(pooled)
        self.hidden = None if hidden_size is None else HiddenLayer(pooled, hidden_size, dropout)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size or pooled, classes)
        nn.init.zeros_(self.linear.bias)

    def pool(self, feature_map: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C), or (B, 2C) with the maxima after the averages; of a body in bfloat16 too, float32."""
        if feature_map.dtype != torch.float64:
            feature_map = feature_map.float()
        return average_and_max_pool(feature_map) if self.with_maximum else global_average_pool(feature_map)

    def forward_pooled(self, pooled: Tensor) -> Tensor:
        """Pooled features (B, C) or (B, 2C) to logits (B, classes)."""
        pooled = self.norm(pooled)
        if self.hidden is not None:
            pooled = self.hidden(pooled)
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits

    def forward(self, feature_map: Tensor) -> Tensor:
        """The feature map to logits."""
        return self.forward_pooled(self.pool(feature_map))

    def evidence(self, feature_map: Tensor) -> Tensor | None:
        """How much each position adds to each logit (Zhou et al. 2016, "class activation map").

        A maximum is of one position and adds there. Together with `constant` the map adds up to the logits that are
        computed without dropout and with the running statistics.

        Args:
            feature_map: (B, C, h, w).

        Returns:
            (B, classes, h, w); None where a hidden layer stands between.
        """
        if self.hidden is not None:
            return None
        _, channels, height, width = feature_map.shape
        weights = self._weights_of_pooled()
        averages = weights[:, :channels] / (height * width)
        evidence = torch.einsum("bchw,kc->bkhw", feature_map, averages)
        if self.with_maximum:
            maxima, places = F.adaptive_max_pool2d(feature_map, 1, return_indices=True)
            added = maxima.flatten(1)[:, None] * weights[:, channels:]  # (B, classes, C)
            at = places.flatten(1)[:, None].expand_as(added)
            evidence = evidence.flatten(2).scatter_add(2, at, added).view_as(evidence)
        return evidence

    def constant(self) -> Tensor:
        """What the logits are beside the evidence: (classes,)."""
        shift = self.norm.bias - self.norm.running_mean * self._scale()
        constant: Tensor = self.linear(shift)
        return constant

    def _scale(self) -> Tensor:
        scale: Tensor = self.norm.weight * (self.norm.running_var + self.norm.eps).rsqrt()
        return scale

    def _weights_of_pooled(self) -> Tensor:
        """The linear layer and the normalisation before it as one matrix: (classes, pooled)."""
        return self.linear.weight * self._scale()


class HiddenLayer(nn.Sequential):
    """Dropout, linear, ReLU, batch norm.

    Args:
        features: inputs.
        hidden_size: outputs.
        dropout: probability that an input is dropped while training.
    """

    def __init__(self, features: int, hidden_size: int, dropout: float) -> None:
        super().__init__(
            nn.Dropout(dropout),
            nn.Linear(features, hidden_size),
            nn.ReLU(inplace=True),
            nn.BatchNorm1d(hidden_size),
        )


class ConvolutionalHead(nn.Module):
    """The lecture's head: a 3x3 convolution to one channel a class, then the average over all positions.

    So the last feature map is the evidence itself.

    Args:
        features: C of the feature map.
        classes: outputs.
        dropout: probability that a channel is dropped while training.

    Shape:
        (B, C, h, w) to (B, classes), for any h and w.
    """

    def __init__(self, features: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(dropout)
        self.convolution = nn.Conv2d(features, classes, 3, padding=1)

    def forward(self, feature_map: Tensor) -> Tensor:
        """The feature map to logits."""
        return global_average_pool(self.convolution(self.dropout(feature_map)))

    def evidence(self, feature_map: Tensor) -> Tensor:
        """How much each position adds to each logit: (B, classes, h, w)."""
        _, _, height, width = feature_map.shape
        evidence: Tensor = self.convolution(feature_map) / (height * width)
        return evidence

    def constant(self) -> Tensor:
        """What the logits are beside the evidence: nothing, as the bias is in the map."""
        return self.convolution.weight.new_zeros(len(self.convolution.weight))


def average_and_maximum(features: int, classes: int, dropout: float = 0.0) -> PooledHead:
    """Average and maximum of each channel, and a linear layer: the default."""
    return PooledHead(features, classes, dropout, with_maximum=True)


def average(features: int, classes: int, dropout: float = 0.0) -> PooledHead:
    """The average of each channel, and a linear layer."""
    return PooledHead(features, classes, dropout)


def two_layer(features: int, classes: int, dropout: float = 0.0) -> PooledHead:
    """Average and maximum of each channel, a layer of 512 units, and a linear layer."""
    return PooledHead(features, classes, dropout, with_maximum=True, hidden_size=512)


HEADS: dict[str, Callable[..., nn.Module]] = {
    "average_and_maximum": average_and_maximum,
    "average": average,
    "convolution": ConvolutionalHead,
    "two_layer": two_layer,
}
