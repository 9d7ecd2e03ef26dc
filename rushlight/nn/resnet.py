"""The ResNet family, from one description: which block, and how many of it in each of the four stages.

- He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015: basic and bottleneck blocks,
  the depths.
- He, Zhang, Ren and Sun, "Identity Mappings in Deep Residual Networks", 2016: pre-activation blocks.
- Goyal et al., "Accurate, Large Minibatch SGD", 2017: residual branches that start at zero
  (`zero_init_residual`).

The names and shapes in a state dict are those that torchvision published weights under, so these load as they
are. As there, a bottleneck block has its stride in the 3x3 convolution; the paper of 2015 has it in the first
1x1, where it throws away three quarters of the input unseen.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from rushlight.nn.layers import global_average_pool

STAGE_WIDTHS = (64, 128, 256, 512)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A padded 3x3 convolution without bias: a normalisation follows it."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution without bias: a linear map of the channels at each position."""
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He 2015, figure 5, left); ResNet-18 and 34.

    Args:
        in_channels: C of the input.
        width: channels of the convolutions; the output has `expansion * width`.
        stride: 2 halves the image.
        first: this is the first block of the net; only pre-activation blocks ask.

    Shape:
        (B, in_channels, H, W) to (B, expansion * width, H / stride, W / stride).
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, *, first: bool = False) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = normalised_shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        return self.relu(branch + (x if self.downsample is None else self.downsample(x)))

    def zero_branch(self) -> None:
        """Make the block start as its shortcut: the last scale is 0 (Goyal 2017, section 5.1)."""
        nn.init.zeros_(self.bn2.weight)


class BottleneckBlock(nn.Module):
    """A 1x1 convolution to few channels, a 3x3 among them, a 1x1 back to many (He 2015, figure 5, right);
    ResNet-50 and up.

    Arguments and shape as in `BasicBlock`.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, *, first: bool = False) -> None:
        super().__init__()
        out_channels = self.expansion * width
        self.conv1 = conv1x1(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = normalised_shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu(self.bn1(self.conv1(x)))
        branch = self.relu(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        return self.relu(branch + (x if self.downsample is None else self.downsample(x)))

    def zero_branch(self) -> None:
        """Make the block start as its shortcut: the last scale is 0 (Goyal 2017, section 5.1)."""
        nn.init.zeros_(self.bn3.weight)


class PreactivationBasicBlock(nn.Module):
    """`BasicBlock` with normalisation and ReLU before each convolution, so that the shortcut is never touched
    (He 2016).

    Arguments and shape as in `BasicBlock`. Where the shape changes, the activated input serves both paths.
    The first block of a net comes after an activated stem and has no activation of its own in front (He 2016,
    appendix).
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, *, first: bool = False) -> None:
        super().__init__()
        self.bn1 = nn.Identity() if first else nn.BatchNorm2d(in_channels)
        self.relu1 = nn.Identity() if first else nn.ReLU(inplace=True)
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(width, width)
        self.downsample = plain_shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu1(self.bn1(x))
        branch = self.conv1(activated)
        branch = self.conv2(self.relu2(self.bn2(branch)))
        return branch + (x if self.downsample is None else self.downsample(activated))

    def zero_branch(self) -> None:
        """Make the block start as its shortcut; no norm follows the last convolution, so that is 0."""
        nn.init.zeros_(self.conv2.weight)


class PreactivationBottleneckBlock(nn.Module):
    """`BottleneckBlock` with normalisation and ReLU before each convolution; as `PreactivationBasicBlock`."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, *, first: bool = False) -> None:
        super().__init__()
        out_channels = self.expansion * width
        self.bn1 = nn.Identity() if first else nn.BatchNorm2d(in_channels)
        self.relu1 = nn.Identity() if first else nn.ReLU(inplace=True)
        self.conv1 = conv1x1(in_channels, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(width, width, stride)
        self.bn3 = nn.BatchNorm2d(width)
        self.relu3 = nn.ReLU(inplace=True)
        self.conv3 = conv1x1(width, out_channels)
        self.downsample = plain_shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu1(self.bn1(x))
        branch = self.conv1(activated)
        branch = self.conv2(self.relu2(self.bn2(branch)))
        branch = self.conv3(self.relu3(self.bn3(branch)))
        return branch + (x if self.downsample is None else self.downsample(activated))

    def zero_branch(self) -> None:
        """Make the block start as its shortcut; no norm follows the last convolution, so that is 0."""
        nn.init.zeros_(self.conv3.weight)


def plain_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """None where the shape stays, else a 1x1 convolution (He 2015, option B)."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(conv1x1(in_channels, out_channels, stride))


def normalised_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """`plain_shortcut` with a batch norm after it."""
    shortcut = plain_shortcut(in_channels, out_channels, stride)
    return None if shortcut is None else shortcut.append(nn.BatchNorm2d(out_channels))


Block = BasicBlock | BottleneckBlock | PreactivationBasicBlock | PreactivationBottleneckBlock


@dataclass(frozen=True)
class ResNetDescription:
    """One member of the family.

    Attributes:
        block: what the stages are made of.
        block_counts: how many of it, stage by stage (He 2015, table 1).
        preactivation: the blocks leave their sum unactivated, so the body ends with one more norm and ReLU.
    """

    block: type[Block]
    block_counts: tuple[int, int, int, int]
    preactivation: bool = False


RESNETS: dict[str, ResNetDescription] = {
    "resnet18": ResNetDescription(BasicBlock, (2, 2, 2, 2)),
    "resnet34": ResNetDescription(BasicBlock, (3, 4, 6, 3)),
    "resnet50": ResNetDescription(BottleneckBlock, (3, 4, 6, 3)),
    "resnet101": ResNetDescription(BottleneckBlock, (3, 4, 23, 3)),
    "resnet152": ResNetDescription(BottleneckBlock, (3, 8, 36, 3)),
    "preact_resnet18": ResNetDescription(PreactivationBasicBlock, (2, 2, 2, 2), preactivation=True),
    "preact_resnet34": ResNetDescription(PreactivationBasicBlock, (3, 4, 6, 3), preactivation=True),
    "preact_resnet50": ResNetDescription(PreactivationBottleneckBlock, (3, 4, 6, 3), preactivation=True),
    "preact_resnet101": ResNetDescription(PreactivationBottleneckBlock, (3, 4, 23, 3), preactivation=True),
    "preact_resnet152": ResNetDescription(PreactivationBottleneckBlock, (3, 8, 36, 3), preactivation=True),
}


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, average over all positions, linear layer.

    Args:
        description: the member of the family.
        classes: outputs.
        channels: of the images.
        small_images: a 3x3 stem at full size, in place of the published 7x7 at stride 2 and max-pool, which
            together keep one position in sixteen.
        zero_init_residual: every block starts as its shortcut (Goyal 2017).
        dropout: probability that a feature is dropped before the linear layer.

    Shape:
        (B, channels, H, W) to logits (B, classes), for any H and W.
    """

    def __init__(
        self,
        description: ResNetDescription,
        classes: int,
        channels: int = 3,
        *,
        small_images: bool = False,
        zero_init_residual: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width = STAGE_WIDTHS[0]
        if small_images:
            self.conv1 = conv3x3(channels, width)
            self.maxpool: nn.Module = nn.Identity()
        else:
            self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        block, expansion, counts = description.block, description.block.expansion, description.block_counts
        self.layer1 = stage(block, width, STAGE_WIDTHS[0], counts[0], stride=1, first=True)
        self.layer2 = stage(block, STAGE_WIDTHS[0] * expansion, STAGE_WIDTHS[1], counts[1], stride=2)
        self.layer3 = stage(block, STAGE_WIDTHS[1] * expansion, STAGE_WIDTHS[2], counts[2], stride=2)
        self.layer4 = stage(block, STAGE_WIDTHS[2] * expansion, STAGE_WIDTHS[3], counts[3], stride=2)
        features = STAGE_WIDTHS[3] * expansion
        self.final_activation: nn.Module = (
            nn.Sequential(nn.BatchNorm2d(features), nn.ReLU(inplace=True))
            if description.preactivation
            else nn.Identity()
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(features, classes)
        self.initialise(zero_init_residual)

    def initialise(self, zero_init_residual: bool) -> None:
        """Draw the convolutions' weights so that gradients keep their size through ReLUs.

        He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", 2015, equation 14.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, Block):
                    module.zero_branch()

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, C, H / 32, W / 32); with the stem for small images H / 8 and W / 8."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.final_activation(x)

    def forward_head(self, features: Tensor) -> Tensor:
        """The feature map (B, C, h, w) to logits (B, classes)."""
        return self.fc(self.dropout(global_average_pool(features)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def layer_groups(self) -> dict[str, nn.Module]:
        """Three, as the lecture fine-tunes them: what hardly needs to change, what does, what is new.

        The first two are made up of parts that the published names keep apart.
        """
        return {
            "early": nn.Sequential(self.conv1, self.bn1, self.layer1, self.layer2),
            "late": nn.Sequential(self.layer3, self.layer4, self.final_activation),
            "head": self.fc,
        }


def stage(
    block: type[Block], in_channels: int, width: int, count: int, stride: int, *, first: bool = False
) -> nn.Sequential:
    """`count` blocks of one width; the first of them changes the shape."""
    out_channels = width * block.expansion
    changing = block(in_channels, width, stride, first=first)
    return nn.Sequential(changing, *(block(out_channels, width) for _ in range(count - 1)))


def resnet(
    description: ResNetDescription,
    classes: int,
    channels: int = 3,
    size: int = 32,
    *,
    small_images: bool | None = None,
    zero_init_residual: bool = False,
    dropout: float = 0.0,
) -> ResNet:
    """A ResNet for images of a size.

    Args:
        description: the member of the family, from `RESNETS`.
        classes: outputs.
        channels: of the images.
        size: side of the images in pixels; the model takes any, but up to 64 it gets the stem for small
            images.
        small_images: True or False says which stem, whatever the size. Published weights need False.
        zero_init_residual: see `ResNet`.
        dropout: see `ResNet`.
    """
    return ResNet(
        description,
        classes,
        channels,
        small_images=size <= 64 if small_images is None else small_images,
        zero_init_residual=zero_init_residual,
        dropout=dropout,
    )
