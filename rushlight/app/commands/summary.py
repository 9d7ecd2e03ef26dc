"""`rushlight summary`."""

from dataclasses import asdict
from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json


def summary(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="The name of a network, such as resnet18.", show_default=False),
    ],
    classes: Annotated[
        int,
        typer.Option("--classes", metavar="NUMBER", callback=options.positive, help="Classes to tell apart."),
    ] = 10,
    size: Annotated[
        int,
        typer.Option("--size", metavar="PIXELS", callback=options.positive, help="Width and height of an image."),
    ] = 32,
    as_json: options.Json = False,
) -> None:
    """Show the layers of a network.

    For each layer: the shape of what it gives (channels x height x width) and its parameters, the numbers it
    learns.

    \b
    Example:
      rushlight summary resnet18 --size 64
    """
    import torch

    from rushlight.nn.models import UnknownModel, build_model
    from rushlight.runtime.errors import InputError
    from rushlight.training.summary import summarize

    try:
        network = build_model(model, classes=classes, size=size)
        table = summarize(network, torch.zeros(1, 3, size, size))
    except UnknownModel as error:
        raise InputError(str(error)) from None
    except (RuntimeError, ValueError) as error:
        raise InputError(f"'{model}' cannot work on images of {size} pixels: {error}") from None
    if as_json:
        rows = [asdict(row) for row in table.rows]
        print_json({"model": model, "parameters": table.parameters, "trainable": table.trainable, "layers": rows})
    else:
        print(table)
