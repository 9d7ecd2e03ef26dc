"""Fast nets for small images: most accuracy for few floating-point operations.

The ideas are those of the CIFAR-10 speed runs: a fixed first layer that whitens patches (Page 2019, "How to train your
ResNet"; Shankar et al. 2020), three groups of two 3x3 convolutions of which the first passes its input on (a partial
identity, Zagoruyko & Komodakis 2017, "DiracNets"), pooling before the nonlinearity, batch norm without scales, a scaled
output (Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498).

Larger images are whitened in larger patches taken further apart, so that everything after the first layer sees about
31 x 31 positions whatever the size of the image.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rushlight.nn.layers import activation_named

COMPONENTS = 12  # patch patterns kept, each with both signs: all of a 2 x 2 x 3 patch, the strongest of a larger one
VARIANCE_FLOOR = 5e-4  # added to every variance, so that patterns which hardly occur are not blown up into noise


FAST_WIDTHS = (16, 24, 32, 48, 64, 96)  # channels of the first group; the two others have four times as many


class FastNet(nn.Module):
    """A patch-whitening layer, three groups of convolutions, a linear head.

    Args:
        classes: number of outputs.
        channels: of the input.
        size: height and width of the input in pixels; decides how large and how far apart whitened patches are.
        widths: channels of the three groups.
        output_scale: factor of the logits; the head starts large and this keeps the first losses small.
        partial_identity: begin each convolution as one that passes its input on.
        activation: a name of `ACTIVATIONS` in `rushlight.nn.layers`.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 3,
        size: int = 32,
        widths: tuple[int, int, int] = (64, 256, 256),
        output_scale: float = 1 / 9,
        partial_identity: bool = True,
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        if size < 16:
            raise ValueError(
                f"a fast net halves its maps three times and needs images of at least 16 pixels, not {size}"
            )
        stride = max(1, round(size / 32))
        patch = 2 * stride
        components = min(COMPONENTS * min(stride, 2), channels * patch**2)
        self.whiten = PatchWhitening(channels, components, patch, stride)
        make_activation = activation_named(activation)
        self.activation = make_activation()
        in_channels = (2 * components, *widths[:2])
        self.groups = nn.Sequential(
            *(ConvGroup(i, o, partial_identity, make_activation) for i, o in zip(in_channels, widths, strict=True))
        )
        self.head = nn.Linear(widths[-1], classes, bias=False)
        self.output_scale = output_scale

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to feature maps (B, F, h, w)."""
        return self.groups(self.activation(self.whiten(x)))

    def forward_head(self, features: Tensor) -> Tensor:
        """Feature maps (B, F, h, w) to logits (B, classes): the strongest response anywhere decides."""
        return self.head(features.amax((-2, -1))) * self.output_scale

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, classes)."""
        return self.forward_head(self.forward_features(x))

    def layer_groups(self) -> dict[str, nn.Module]:
        """From input to output."""
        return {"whiten": self.whiten, "groups": self.groups, "head": self.head}


class PatchWhitening(nn.Module):
    """A convolution whose filters are computed from training images and then stay; only its bias is trained.

    Every pattern stands twice, with both signs, because the nonlinearity that follows keeps only one half of each.

    Args:
        channels: of the input (B, C, H, W).
        components: patterns kept; the output has twice as many channels.
        patch: height and width of a patch in pixels.
        stride: distance of patches in pixels.
    """

    weight: Tensor

    def __init__(self, channels: int, components: int, patch: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        # A buffer: no optimizer and no unfreezing may touch it. Until `fit` is called it is a random projection.
        random = nn.init.orthogonal_(torch.empty(components, channels * patch**2))
        weight = random.unflatten(1, (channels, patch, patch))
        self.register_buffer("weight", torch.cat((weight, -weight)))
        self.bias = nn.Parameter(torch.zeros(2 * components))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 2 x components, h, w)."""
        return nn.functional.conv2d(x, self.weight, self.bias, self.stride)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute the filters.

        Args:
            images: (N, C, H, W), normalised as in training; a few thousand are enough.
        """
        weight = whitening_filters(images, self.weight.shape[-1], len(self.weight) // 2)
        self.weight.copy_(torch.cat((weight, -weight)))


class ConvGroup(nn.Module):
    """Convolution, 2x2 max-pooling, norm, activation; convolution, norm, activation.

    Args:
        in_channels: C of the input (B, C, H, W).
        out_channels: C of the output (B, C, H // 2, W // 2).
        partial_identity: begin the convolutions as ones that pass their input on.
        activation: makes the activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        partial_identity: bool = True,
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, out_channels, partial_identity)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = ShiftNorm(out_channels)
        self.conv2 = _convolution(out_channels, out_channels, partial_identity)
        self.norm2 = ShiftNorm(out_channels)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H // 2, W // 2)."""
        x = self.activation(self.norm1(self.pool(self.conv1(x))))
        return self.activation(self.norm2(self.conv2(x)))


def _convolution(in_channels: int, out_channels: int, partial_identity: bool) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    if partial_identity:
        nn.init.dirac_(conv.weight.data[:in_channels])
    return conv


class ShiftNorm(nn.BatchNorm2d):
    """Batch norm with a learned shift but no scale: the next convolution can scale as well.

    The quickly moving statistics (0.4 a step) suit short trainings, in which the statistics of a hundred steps ago are
    those of another network.
    """

    ones: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=0.4, affine=False)
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("ones", torch.ones(channels), persistent=False)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What follows the normalisation, (C,) each; for who takes the statistics over the parts of a larger batch."""
        return self.ones, self.shift

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.ones,
            self.shift,
            self.training,
            self.momentum or 0.0,
            self.eps,
        )


def whitening_filters(images: Tensor, patch: int, components: int) -> Tensor:
    """Convolution filters whose responses to the images' patches are uncorrelated, with a variance of about 1.

    Args:
        images: (N, C, H, W).
        patch: height and width of the patches.
        components: how many filters, the directions of largest variance first.

    Returns:
        Filters (components, C, patch, patch).
    """
    covariance, count = torch.zeros((), device=images.device), 0
    for chunk in images.split(256):  # all patches of all images at once would fill the memory
        patches = nn.functional.unfold(chunk.float(), patch, stride=max(1, patch // 2)).mT.flatten(0, 1)
        covariance = covariance + patches.mT @ patches
        count += len(patches)
    variances, directions = torch.linalg.eigh(covariance / count)
    strongest = directions.mT.flip(0)[:components] / torch.sqrt(variances.flip(0)[:components, None] + VARIANCE_FLOOR)
    return strongest.unflatten(1, (images.shape[1], patch, patch))


def fast_net(
    classes: int,
    channels: int = 3,
    size: int = 32,
    width: int = 64,
    output_scale: float = 1 / 9,
    partial_identity: bool = True,
    activation: str = "gelu",
) -> FastNet:
    """A fast net with groups of `width`, `4 x width` and `4 x width` channels; the other options are those of it."""
    widths = (width, 4 * width, 4 * width)
    return FastNet(classes, channels, size, widths, output_scale, partial_identity, activation)
