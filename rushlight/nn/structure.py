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


def layer_groups_of(module: nn.Module) -> dict[str, nn.Module]:
    """The layer groups of any module, from input to output.

    Args:
        module: its own `layer_groups()` is used where it has one. Otherwise its groups are its direct
            children that have parameters, in the order of their definition; or, where these do not hold every
            parameter exactly once, the module as a whole under the name "model".

    Returns:
        Names and modules; never empty.
    """
    own_groups = getattr(module, "layer_groups", None)
    if callable(own_groups):
        return dict(own_groups())
    children = {name: child for name, child in module.named_children() if any(True for _ in child.parameters())}
    held = [id(parameter) for child in children.values() for parameter in child.parameters()]
    once = len(held) == len(set(held)) == sum(1 for _ in module.parameters())
    return children if children and once else {"model": module}
