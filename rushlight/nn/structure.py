"""What a model tells about itself: a body, a head, and named layer groups.

Freezing, rates by layer group, cached features and activation maps use these three methods and nothing else,
so they work with any model that has them. A plain `nn.Module` trains and predicts just as well, with fewer of
the extras.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class StructuredModel(Protocol):
    """A model whose `forward(x)` is `forward_head(forward_features(x))`."""

    def forward_features(self, x: Tensor) -> Tensor:
        """The body: images (B, channels, H, W) to features (B, C, h, w), or (B, C) without positions."""
        ...

    def forward_head(self, features: Tensor) -> Tensor:
        """The head: what the body returned to logits (B, classes)."""
        ...

    def layer_groups(self) -> dict[str, nn.Module]:
        """Named parts, ordered from input to output, that hold every parameter exactly once."""
        ...
