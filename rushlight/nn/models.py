"""Every model by name. To add one: write a function, add its line to `MODELS`.

The function takes `(classes, channels=3, size=32)` and options by keyword that JSON can hold, and returns a
module that maps images (B, channels, size, size) to logits (B, classes). A checkpoint keeps the name and the
arguments, and is built again from them; so a name, once published, keeps its meaning.
"""

import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import partial
from typing import Any

from torch import nn

from rushlight.nn import ladder
from rushlight.nn.backbones import backbone_classifier
from rushlight.nn.fast import FAST_WIDTHS, fast_net
from rushlight.nn.resnet import RESNETS, resnet

MODELS: dict[str, Callable[..., nn.Module]] = {
    # The ladder: one idea a rung, smallest first.
    "fully_connected": ladder.fully_connected,
    "convolutions": ladder.convolutions,
    "conv_layers": ladder.conv_layers,
    "batch_norm_net": ladder.batch_norm_net,
    "deep_net": ladder.deep_net,
    "residual_net": ladder.residual_net,
    "wide_residual_net": ladder.wide_residual_net,
    # The ResNets: resnet18 to resnet152, preact_resnet18 to preact_resnet152.
    **{name: partial(resnet, description) for name, description in RESNETS.items()},
    # The fast nets for small images, narrowest first.
    **{f"fast_{width}": partial(fast_net, width=width) for width in FAST_WIDTHS},
    # A pretrained body and a new head; which ones, its options say.
    "backbone_classifier": backbone_classifier,
}


class UnknownModel(ValueError):
    """There is no model of that name, or it has no such option."""


def build_model(name: str, classes: int, channels: int = 3, size: int = 32, **options: Any) -> nn.Module:
    """A model by its name in `MODELS`.

    Args:
        name: a key of `MODELS`.
        classes: outputs, at least 1.
        channels: of the images, at least 1.
        size: side of the images in pixels, at least 1.
        **options: the model's own; see its function.

    Raises:
        UnknownModel: no such model, or no such option of it.
        ValueError: an argument has a value that the model cannot be built with.
    """
    if name not in MODELS:
        raise UnknownModel(f"there is no model '{name}': {nearest(name, MODELS)}")
    for what, value in (("classes", classes), ("channels", channels), ("size", size)):
        if value < 1:
            raise ValueError(f"{what} is {value}, but model '{name}' needs at least 1")
    known = model_options(name)
    for option in options:
        if option not in known:
            raise UnknownModel(f"model '{name}' has no option '{option}': {nearest(option, known)}")
    return MODELS[name](classes, channels, size, **options)


def model_options(name: str) -> dict[str, Any]:
    """A model's options with their defaults: the arguments of its function beside the common three."""
    return options_of(MODELS[name], "classes", "channels", "size")


def options_of(function: Callable[..., Any], *common: str) -> dict[str, Any]:
    """The arguments of a model's function with their defaults, without those that all models have in common."""
    parameters = inspect.signature(function).parameters
    return {key: p.default for key, p in parameters.items() if key not in common}


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that helps with a misspelt name. (The layers below this package are not its to import.)"""
    known = list(known)
    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(known)}" if known else "it has none"
