"""What the models are made of: a convolution with its activation and normalisation, and global pooling."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["after_relu", "before_relu", "none"]
"""Where batch norm is: after the ReLU (the lecture), before it (Ioffe and Szegedy 2015), nowhere."""


def relu() -> nn.Module:
    """The default activation. In place: no convolution or batch norm needs its own output to go backward."""
    return nn.ReLU(inplace=True)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": relu,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "none": nn.Identity,
}


def activation_named(name: str) -> Callable[[], nn.Module]:
    """What makes the activation of that name.

    Raises:
        ValueError: `name` is no key of `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation is '{name}', but can be only {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class ConvLayer(nn.Module):
    """Convolution, activation and batch normalisation, in the order that `norm` says.

    The convolution has a bias only where no normalisation follows it: the normalisation's shift does the same
    work. The two orders have the same parameters under the same names.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel_size: side of the square filter in pixels.
        stride: step of the filter in pixels.
        padding: zeros added on each side; None is `kernel_size // 2`, which keeps the image's size at stride
            1.
        norm: "after_relu", "before_relu" or "none".
        norm_class: makes the normalisation from the number of channels; `torch.nn.BatchNorm2d` or ours.
        activation: makes the activation.

    Shape:
        (B, in_channels, H, W) to (B, out_channels, about H / stride, about W / stride).

    Raises:
        ValueError: `norm` is none of the three.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        padding: int | None = None,
        norm: Norm = "after_relu",
        norm_class: Callable[[int], nn.Module] = nn.BatchNorm2d,
        activation: Callable[[], nn.Module] = relu,
    ) -> None:
        super().__init__()
        if norm not in get_args(Norm):
            raise ValueError(f"norm is '{norm}', but can be only {', '.join(get_args(Norm))}")
        self.convolution = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2 if padding is None else padding,
            bias=norm == "none",
        )
        self.activation = activation()
        self.norm = nn.Identity() if norm == "none" else norm_class(out_channels)
        self.norm_first = norm == "before_relu"

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        return self.activation(self.norm(x)) if self.norm_first else self.norm(self.activation(x))


class ResidualConvLayer(nn.Module):
    """A stride-1 `ConvLayer` that adds its output to its input, so that it need learn only the difference.

    He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015. This is the lecture's short
    form, one convolution to a shortcut; `rushlight.nn.resnet` has the published blocks.

    Args:
        channels: C of input and output.
        kernel_size: side of the square filter in pixels, odd.
        norm: see `ConvLayer`.
        norm_class: see `ConvLayer`.
        activation: see `ConvLayer`.

    Shape:
        (B, C, H, W) to (B, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        norm: Norm = "after_relu",
        norm_class: Callable[[int], nn.Module] = nn.BatchNorm2d,
        activation: Callable[[], nn.Module] = relu,
    ) -> None:
        super().__init__()
        self.layer = ConvLayer(channels, channels, kernel_size, norm=norm, norm_class=norm_class, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


def global_average_pool(x: Tensor) -> Tensor:
    """The mean of each channel over all positions: (B, C, H, W) to (B, C)."""
    return x.mean(dim=(2, 3))


def global_max_pool(x: Tensor) -> Tensor:
    """The maximum of each channel over all positions: (B, C, H, W) to (B, C).

    Not `amax`, which shares the gradient between equal maxima: after a ReLU many positions are equal.
    """
    return F.adaptive_max_pool2d(x, 1).flatten(1)


def average_and_max_pool(x: Tensor) -> Tensor:
    """Average and maximum of each channel side by side: (B, C, H, W) to (B, 2C), the averages first.

    The head's pooling in the lecture's library: the average says how much of a feature there is, the maximum
    whether there is any.
    """
    return torch.cat([global_average_pool(x), global_max_pool(x)], dim=1)
