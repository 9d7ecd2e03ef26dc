"""Any model of the package `timm` as a body, which brings hundreds of pretrained networks."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from rushlight.runtime.errors import InputError

TIMM_PREFIX = "timm/"


class TimmBody(nn.Module):
    """A model of timm that gives a feature map, whatever it is inside.

    The tokens of a transformer are folded back to the grid that they were cut from, without the ones in front that
    stand for no place.

    Args:
        name: a model of timm.
        pretrained: with its published weights.
        channels: of the images.

    Attributes:
        features: channels of the feature map.
        size: side in pixels of the images that it was trained on.
        mean: of each channel that it expects, in units of 0 to 1.
        std: likewise the deviation.

    Shape:
        (B, channels, H, W) to (B, C, h, w).

    Raises:
        InputError: timm is not installed, has no such model, or cannot fetch its weights.
    """

    def __init__(self, name: str, pretrained: bool = True, channels: int = 3) -> None:
        super().__init__()
        if ":" in name:  # `hf-hub:` and the like would fetch a description of a model, also where no weights are wanted
            raise InputError(f"'{TIMM_PREFIX}{name}': only models that timm itself knows by name can be used")
        try:
            import timm
        except ImportError:
            raise InputError(f"'{TIMM_PREFIX}{name}' needs the package timm: pip install 'rushlight[timm]'") from None
        try:
            model: Any = timm.create_model(name, pretrained=pretrained, in_chans=channels, num_classes=0)
        except Exception as error:  # each of its models fails in a way of its own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"timm cannot make '{name}': {reason}") from error
        settings = timm.data.resolve_model_data_config(model)
        self.model = model
        self.features = int(model.num_features)
        self.size = int(settings["input_size"][-1])
        self.mean, self.std = tuple(settings["mean"]), tuple(settings["std"])

    def forward(self, x: Tensor) -> Tensor:
        """Images to the feature map."""
        return as_map(self.model.forward_features(x), self.features, int(getattr(self.model, "num_prefix_tokens", 0)))

    def layer_groups(self) -> dict[str, nn.Module]:
        """Two: up to the middle of the longest part, and from there on.

        The parameters of the model itself (a transformer's class token and its positions) belong to the early part.
        """
        children = [child for child in self.model.children() if any(True for _ in child.parameters())]
        longest = max(range(len(children)), key=lambda i: sum(p.numel() for p in children[i].parameters()))
        blocks = list(children[longest].children()) or [children[longest]]
        middle = len(blocks) // 2
        early = nn.Sequential(*children[:longest], *blocks[:middle])
        for key, parameter in self.model._parameters.items():
            if parameter is not None:
                early.register_parameter(key, parameter)
        return {"early": early, "late": nn.Sequential(*blocks[middle:], *children[longest + 1 :])}


def as_map(features: Tensor, channels: int, prefix_tokens: int = 0) -> Tensor:
    """What any of timm's bodies returns as a map with the channels first.

    Args:
        features: (B, C, h, w), (B, h, w, C), or tokens (B, prefix + h * w, C).
        channels: C.
        prefix_tokens: tokens in front that stand for no place.

    Returns:
        (B, C, h, w); a body without places gives h = w = 1.

    Raises:
        InputError: the shape is none of these.
    """
    if features.ndim == 4:
        return features if features.shape[1] == channels else features.permute(0, 3, 1, 2)
    if features.ndim == 2:
        return features[:, :, None, None]
    tokens = features[:, prefix_tokens:]
    side = math.isqrt(tokens.shape[1])
    if features.ndim != 3 or side * side != tokens.shape[1]:
        raise InputError(f"features of shape {tuple(features.shape)} are no map of a square image")
    return tokens.transpose(1, 2).unflatten(2, (side, side))
