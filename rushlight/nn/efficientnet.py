"""EfficientNet-Lite0: a body for photographs that is quick on a processor without an accelerator.

- Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019: the stages.
- Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020: ReLU6 in place of swish and no
  squeeze-and-excitation, so that it runs everywhere.
- Sandler et al., "MobileNetV2", 2018: the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM = 1e-3, 0.01  # those that the published weights were trained with


@dataclass(frozen=True)
class Stage:
    """Blocks of one width (Tan and Le 2019, table 1); the first of them may halve the image.

    Attributes:
        blocks: how many.
        kernel_size: of their depthwise convolutions.
        stride: of the first block.
        expansion: how many times wider a block is inside.
        channels: of what it gives.
    """

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


STEM_CHANNELS, FEATURES = 32, 1280
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class SamePadConv2d(nn.Conv2d):
    """A convolution without bias whose output has ceil(input / stride) positions, as TensorFlow pads.

    At stride 2 and an even size one more row is added below than above. The published weights have learned where their
    pixels lie; with the symmetric padding of PyTorch each halving would shift them by half a pixel.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        (size, *_), (step, *_) = self.kernel_size, self.stride
        rows, columns = (max(0, (-(-side // step) - 1) * step + size - side) for side in x.shape[-2:])
        above, left = rows // 2, columns // 2
        if rows == 2 * above and columns == 2 * left:  # what the convolution itself can add, without a copy
            return nn.functional.conv2d(x, self.weight, None, self.stride, (above, left), 1, self.groups)
        padded = pad(x, (left, columns - left, above, rows - above))
        return nn.functional.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)


def conv_norm(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution and its batch norm."""
    norm = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM)
    return [SamePadConv2d(in_channels, out_channels, kernel_size, stride, groups), norm]


class InvertedResidual(nn.Module):
    """Widen, look around in each channel by itself, narrow again; added to the input where the shape stays.

    Args:
        in_channels: of the input.
        stage: the shape of the block.
        stride: 2 halves the image.

    Shape:
        (B, in_channels, H, W) to (B, stage.channels, H / stride, W / stride).
    """

    def __init__(self, in_channels: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inside = in_channels * stage.expansion
        widen = [*conv_norm(in_channels, inside, 1), nn.ReLU6(inplace=True)] if stage.expansion > 1 else []
        self.branch = nn.Sequential(
            *widen,
            *conv_norm(inside, inside, stage.kernel_size, stride, groups=inside),
            nn.ReLU6(inplace=True),
            *conv_norm(inside, stage.channels, 1),
        )
        self.has_shortcut = stride == 1 and in_channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.branch(x)
        return x + branch if self.has_shortcut else branch


class EfficientNetLite0(nn.Module):
    """The body: images to a feature map of 1,280 channels and a 32nd of the side.

    Args:
        channels: of the images.

    Shape:
        (B, channels, H, W) to (B, 1280, ceil(H / 32), ceil(W / 32)), for any H and W.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm(channels, STEM_CHANNELS, 3, stride=2), nn.ReLU6(inplace=True))
        stages, before = [], STEM_CHANNELS
        for stage in STAGES:
            blocks = []
            for number in range(stage.blocks):
                blocks.append(InvertedResidual(before, stage, stage.stride if number == 0 else 1))
                before = stage.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.last = nn.Sequential(*conv_norm(before, FEATURES, 1), nn.ReLU6(inplace=True))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """Images to the feature map."""
        features: Tensor = self.last(self.stages(self.stem(x)))
        return features

    def layer_groups(self) -> dict[str, nn.Module]:
        """Two: what finds edges and textures, and what finds parts."""
        stages = list(self.stages)
        return {"early": nn.Sequential(self.stem, *stages[:4]), "late": nn.Sequential(*stages[4:], self.last)}


def renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of this body from one under the names of the original port of the net to PyTorch.

    The names there are `_conv_stem`, `_bn0`, `_blocks.N._expand_conv`, `_conv_head`; the thousand classes' layer `_fc`
    is left out.

    Raises:
        KeyError: a tensor is missing.
    """
    own: dict[str, Tensor] = {}

    def take(target: str, conv: str, norm: str) -> None:
        place, number = target.rsplit(".", 1)
        own[f"{target}.weight"] = published[f"{conv}.weight"]
        for part in ("weight", "bias", "running_mean", "running_var"):
            own[f"{place}.{int(number) + 1}.{part}"] = published[f"{norm}.{part}"]
        own[f"{place}.{int(number) + 1}.num_batches_tracked"] = torch.tensor(0)

    take("stem.0", "_conv_stem", "_bn0")
    block = 0
    for index, stage in enumerate(STAGES):
        for number in range(stage.blocks):
            old, new = f"_blocks.{block}", f"stages.{index}.{number}.branch"
            if stage.expansion > 1:
                take(f"{new}.0", f"{old}._expand_conv", f"{old}._bn0")
            start = 3 if stage.expansion > 1 else 0
            take(f"{new}.{start}", f"{old}._depthwise_conv", f"{old}._bn1")
            take(f"{new}.{start + 3}", f"{old}._project_conv", f"{old}._bn2")
            block += 1
    take("last.0", "_conv_head", "_bn1")
    return own
