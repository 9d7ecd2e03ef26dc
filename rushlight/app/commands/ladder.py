"""`rushlight ladder`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json
from rushlight.runtime.errors import InputError

RUNGS = 7


def ladder(
    images: options.Images,
    rungs: Annotated[
        str, typer.Option("--rungs", metavar="RANGE", help="Which of the seven: 1-7, 3, or 1,4,6.")
    ] = f"1-{RUNGS}",
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            metavar="NUMBER",
            callback=options.positive,
            help="How often to train each, from different random starts; three or more give an interval.",
        ),
    ] = 1,
    epochs_scale: Annotated[
        float,
        typer.Option(
            "--epochs-scale",
            metavar="NUMBER",
            callback=options.positive,
            help="Multiplies the length of each recipe: 0.5 trains half as long.",
        ),
    ] = 1.0,
    equal_epochs: Annotated[
        int | None,
        typer.Option(
            "--equal-epochs",
            metavar="NUMBER",
            callback=options.positive,
            help="Train every rung for the same number of epochs, which makes them comparable.",
            show_default=False,
        ),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write the results as JSON to this file too.",
            rich_help_panel="Machine and files",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train seven networks, each a step further.

    From a fully connected network up to a residual one: see what each step brings.

    Trains seven networks of growing depth on the same images, each with the recipe of the 2018 lecture that
    introduced them, and prints parameters, seconds an epoch and accuracy beside the lecture's. On CIFAR-10
    this takes hours on two processor cores; --epochs-scale and --rungs shorten it.

    \b
    Example:
      rushlight ladder cifar10 --rungs 1-3 --epochs-scale 0.5
    """
    chosen = parse_rungs(rungs)

    from rushlight.app.image_runs import ImageSource
    from rushlight.data.images import ImageData
    from rushlight.runtime.files import write_json
    from rushlight.runtime.memory import reuse_freed_memory
    from rushlight.runtime.terminal import note
    from rushlight.studies.ladder import BATCH_SIZE, run_ladder

    reuse_freed_memory()

    def load(number: int) -> ImageData:
        # The recipes are fixed, so no validation part is needed where there is a test part.
        settings = {"batch_size": BATCH_SIZE, "augment": "small", "device": device}
        data = ImageSource.of(images, size=32, seed=number).load(**settings)
        return ImageSource.of(images, size=32, seed=number, fit_all=True).load(**settings) if data.has_test else data

    result = run_ladder(
        load,
        chosen,
        range(seed, seed + seeds),
        epochs_scale=epochs_scale,
        equal_epochs=equal_epochs,
        device=device,
        precision=precision,
        report=note,
    )
    if output is not None:
        write_json(output, result)
    if as_json:
        print_json(result)
    else:
        print(result.table())


def parse_rungs(text: str) -> list[int]:
    """The numbers that a person means by `1-7`, `3` or `1,4-6`, in order and once each.

    Raises:
        InputError: it is written otherwise, or a number lies outside 1 to 7.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if match is None:
            raise InputError(f"--rungs {text}: give numbers from 1 to {RUNGS} such as 1-{RUNGS}, 3, or 1,4,6")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= RUNGS:
            raise InputError(f"--rungs {text}: the rungs are numbered from 1 to {RUNGS}, lower number first")
        numbers.update(range(first, last + 1))
    return sorted(numbers)
