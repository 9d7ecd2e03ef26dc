"""The ladder: seven image classifiers, each one idea better than the last.

They repeat the models of a 2018 lecture on CIFAR-10, at (B, 3, 32, 32) and 10 classes with its very number of
parameters:

    rung  model                 the new idea                                          parameters
    1     fully_connected       one hidden layer                                         123,330
    2     convolutions          3x3 filters at stride 2 in place of the hidden layer      37,490
    3     conv_layers           the same as a layer of its own, with padding              37,490
    4     batch_norm_net        batch normalisation; a larger first filter               155,970
    5     deep_net              twice as deep                                            462,570
    6     residual_net          deeper again, with shortcuts                             769,170
    7     wide_residual_net     wider, with dropout                                    1,966,234

They differ from the lecture's in three things. They return logits: its log-softmax belongs to the loss.
Evaluation uses an exponentially weighted average of the batches' statistics, where the lecture kept those of
the last batch and set the average as an exercise (`norm_statistics="last_batch"` brings them back). And a
batch norm has an epsilon: after a ReLU a channel can be zero over a whole batch, and would otherwise be
divided by zero.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal, get_args

from torch import Tensor, nn

from rushlight.nn.batch_norm import BatchNorm2d
from rushlight.nn.layers import ConvLayer, Norm, ResidualConvLayer, activation_named, global_max_pool

NormStatistics = Literal["average", "last_batch"]
"""Statistics to evaluate with: the exponentially weighted average over the batches, or the last batch's."""


class FullyConnectedNet(nn.Module):
    """One hidden layer over the pixels; takes images of one size only.

    Args:
        classes: outputs.
        channels: of the images.
        size: side of the images in pixels.
        hidden_size: units of the hidden layer.

    Shape:
        (B, channels, size, size) to logits (B, classes).
    """

    def __init__(self, classes: int, channels: int, size: int, hidden_size: int) -> None:
        super().__init__()
        self.image_shape = (channels, size, size)
        self.hidden = nn.Linear(channels * size * size, hidden_size)
        self.activation = nn.ReLU()
        self.head = nn.Linear(hidden_size, classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, channels, size, size) to (B, hidden_size); there are no positions left to keep.

        Raises:
            ValueError: the images have another shape.
        """
        if x.shape[1:] != self.image_shape:
            raise ValueError(
                f"a fully connected net takes images of the one shape it was built for, {self.image_shape}, "
                f"but was given {tuple(x.shape[1:])}; build it for that size, or take a convolutional model"
            )
        return self.activation(self.hidden(x.flatten(1)))

    def forward_head(self, features: Tensor) -> Tensor:
        """(B, hidden_size) to logits (B, classes)."""
        return self.head(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def layer_groups(self) -> dict[str, nn.Module]:
        return {"body": self.hidden, "head": self.head}


class ConvNet(nn.Module):
    """Rungs 2 to 7: a stem, stages that halve the image, the maximum over all positions, a linear layer.

    Args:
        stem: the first layer, at full size; None where the stages start from the pixels.
        stages: the body.
        features: channels that the last stage returns.
        classes: outputs.
        dropout: probability that a feature is dropped before the linear layer.

    Shape:
        (B, channels, H, W) to logits (B, classes), for any H and W that the stages leave something of.
    """

    def __init__(
        self, stem: nn.Module | None, stages: nn.Sequential, features: int, classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stages = stages
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the feature map (B, features, h, w)."""
        return self.stages(x if self.stem is None else self.stem(x))

    def forward_head(self, features: Tensor) -> Tensor:
        """The feature map (B, features, h, w) to logits (B, classes)."""
        return self.head(self.dropout(global_max_pool(features)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def layer_groups(self) -> dict[str, nn.Module]:
        stem = {} if self.stem is None else {"stem": self.stem}
        return {**stem, "stages": self.stages, "head": self.head}


def fully_connected(classes: int, channels: int = 3, size: int = 32, *, hidden_size: int = 40) -> FullyConnectedNet:
    """Rung 1: pixels, one hidden layer, ReLU, logits."""
    return FullyConnectedNet(classes, channels, size, hidden_size)


def convolutions(classes: int, channels: int = 3, size: int = 32, *, widths: Sequence[int] = (20, 40, 80)) -> ConvNet:
    """Rung 2: 3x3 convolutions at stride 2 without padding, ReLU after each.

    Args:
        classes: outputs.
        channels: of the images.
        size: side of the images in pixels; checked, because without padding too small an image leaves
            nothing.
        widths: channels of each convolution.

    Raises:
        ValueError: the images are too small.
    """
    smallest = 2 ** (len(widths) + 1) - 1  # size -> (size - 3) // 2 + 1 at each convolution, and 1 must be left
    if size < smallest:
        raise ValueError(
            f"{len(widths)} convolutions without padding need images of at least {smallest} pixels, not "
            f"{size}; take 'conv_layers', which pads, or larger images"
        )
    return ConvNet(
        None,
        halving_stages([channels, *widths], partial(ConvLayer, norm="none", padding=0)),
        widths[-1],
        classes,
    )


def conv_layers(classes: int, channels: int = 3, size: int = 32, *, widths: Sequence[int] = (20, 40, 80)) -> ConvNet:
    """Rung 3: the same convolutions as a layer, padded by one pixel, so that no border pixel is left out."""
    return ConvNet(None, halving_stages([channels, *widths], partial(ConvLayer, norm="none")), widths[-1], classes)


def batch_norm_net(
    classes: int,
    channels: int = 3,
    size: int = 32,
    *,
    widths: Sequence[int] = (10, 20, 40, 80, 160),
    norm: Norm = "after_relu",
    norm_statistics: NormStatistics = "average",
    activation: str = "relu",
    by_hand: bool = False,
) -> ConvNet:
    """Rung 4: a 5x5 stem, then 3x3 convolutions at stride 2, each with ReLU and batch norm.

    Args:
        classes: outputs.
        channels: of the images.
        size: takes any; named for the common signature of all models.
        widths: channels of the stem and of each stage.
        norm: where the batch norm stands; see `ConvLayer`.
        norm_statistics: what it evaluates with: "average" or "last_batch".
        activation: a name of `ACTIVATIONS` in `rushlight.nn.layers`.
        by_hand: use the batch norm written out in `rushlight.nn.batch_norm`: the same answers, slower.
    """
    layer, _ = normalised_layers(norm, norm_statistics, activation, by_hand)
    return ConvNet(plain_stem(channels, widths[0]), halving_stages(widths, layer), widths[-1], classes)


def deep_net(
    classes: int,
    channels: int = 3,
    size: int = 32,
    *,
    widths: Sequence[int] = (10, 20, 40, 80, 160),
    norm: Norm = "after_relu",
    norm_statistics: NormStatistics = "average",
    activation: str = "relu",
    residual: bool = False,
    by_hand: bool = False,
) -> ConvNet:
    """Rung 5: rung 4 with a stride-1 layer after each stride-2 layer.

    Arguments as in `batch_norm_net`, and `residual`: whether that layer adds its output to its input.
    """
    layer, shortcut = normalised_layers(norm, norm_statistics, activation, by_hand)
    stages = halving_stages(widths, layer, stride_one_layers(1, shortcut if residual else layer))
    return ConvNet(plain_stem(channels, widths[0]), stages, widths[-1], classes)


def residual_net(
    classes: int,
    channels: int = 3,
    size: int = 32,
    *,
    widths: Sequence[int] = (10, 20, 40, 80, 160),
    norm: Norm = "after_relu",
    norm_statistics: NormStatistics = "average",
    activation: str = "relu",
    residual: bool = True,
    by_hand: bool = False,
) -> ConvNet:
    """Rung 6: rung 4 with two residual layers after each stride-2 layer.

    Arguments as in `batch_norm_net`, and `residual`: False leaves the shortcuts out, at the same depth and size.
    """
    layer, shortcut = normalised_layers(norm, norm_statistics, activation, by_hand)
    stages = halving_stages(widths, layer, stride_one_layers(2, shortcut if residual else layer))
    return ConvNet(plain_stem(channels, widths[0]), stages, widths[-1], classes)


def wide_residual_net(
    classes: int,
    channels: int = 3,
    size: int = 32,
    *,
    widths: Sequence[int] = (16, 32, 64, 128, 256),
    dropout: float = 0.2,
    norm: Norm = "after_relu",
    norm_statistics: NormStatistics = "average",
    activation: str = "relu",
    residual: bool = True,
    by_hand: bool = False,
) -> ConvNet:
    """Rung 7: rung 6 with more channels, a 7x7 stem that is normalised too, and dropout before the linear
    layer.

    Arguments as in `residual_net`, and `dropout`, the probability that a feature is dropped.
    """
    layer, shortcut = normalised_layers(norm, norm_statistics, activation, by_hand)
    stages = halving_stages(widths, layer, stride_one_layers(2, shortcut if residual else layer))
    return ConvNet(layer(channels, widths[0], kernel_size=7), stages, widths[-1], classes, dropout)


def plain_stem(channels: int, width: int) -> nn.Conv2d:
    """The stem of rungs 4 to 6: a 5x5 convolution with a bias, without activation or normalisation."""
    return nn.Conv2d(channels, width, kernel_size=5, padding=2)


def halving_stages(
    widths: Sequence[int],
    layer: Callable[..., nn.Module],
    then: Callable[[int], Sequence[nn.Module]] = lambda width: (),
) -> nn.Sequential:
    """A stage for each pair of neighbours: a stride-2 layer, then what `then` makes for the new width."""
    return nn.Sequential(
        *(nn.Sequential(layer(before, after, stride=2), *then(after)) for before, after in pairwise(widths))
    )


def stride_one_layers(count: int, layer: Callable[..., nn.Module]) -> Callable[[int], list[nn.Module]]:
    """For `halving_stages`: so many layers that keep size and channels, residual or plain ones."""
    return lambda width: [layer(width, width) for _ in range(count)]


def normalised_layers(
    norm: Norm, norm_statistics: NormStatistics, activation: str, by_hand: bool
) -> tuple[Callable[..., ConvLayer], Callable[..., ResidualConvLayer]]:
    """`ConvLayer` and `ResidualConvLayer` with their normalisation and activation filled in.

    Raises:
        ValueError: `norm_statistics` is neither of the two, or there is no such activation.
    """
    if norm_statistics not in get_args(NormStatistics):
        raise ValueError(
            f"norm_statistics is '{norm_statistics}', but can be only {', '.join(get_args(NormStatistics))}"
        )
    momentum = 1.0 if norm_statistics == "last_batch" else 0.1
    norm_class = partial(BatchNorm2d if by_hand else nn.BatchNorm2d, momentum=momentum)
    settings: dict[str, Any] = {"norm": norm, "norm_class": norm_class, "activation": activation_named(activation)}
    return partial(ConvLayer, **settings), lambda channels, _: ResidualConvLayer(channels, **settings)
