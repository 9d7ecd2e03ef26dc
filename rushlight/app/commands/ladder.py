"""`rushlight ladder`."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from rushlight.app import options, text_options
from rushlight.app.printing import print_json
from rushlight.runtime.errors import InputError

IMAGE_RUNGS, TEXT_RUNGS = 7, 10


def ladder(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Images or a text: a folder with one folder of images for each class, a CSV file, a text file, or the "
            "name of a known data set ('rushlight data list' shows them).",
            show_default=False,
        ),
    ],
    rungs: Annotated[
        str | None,
        typer.Option("--rungs", metavar="RANGE", help="Which of them: 1-7, 3, or 1,4,6.", show_default="all"),
    ] = None,
    encoding: text_options.Encoding = None,
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
            help="Train every rung for the same number of epochs, which makes them comparable (images only).",
            show_default=False,
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            "--lr",
            metavar="NUMBER",
            callback=options.positive,
            help="With --equal-epochs: the highest learning rate, one for all rungs. Without it: each rung's own.",
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
    """Train a row of networks, each a step further.

    See what each step brings: seven networks for images, from a fully connected one up to a residual one, or ten for
    a text, from three characters at a time up to an LSTM that keeps its state. Each is trained with the recipe of the
    2018 lecture that introduced it; parameters, seconds an epoch and the result stand beside the lecture's. A whole
    ladder takes an hour or more on two processor cores; --epochs-scale and --rungs shorten it.

    \b
    Examples:
      rushlight ladder cifar10 --rungs 1-3 --epochs-scale 0.5
      rushlight ladder nietzsche --rungs 7,9
    """
    is_text = _is_text(data)
    chosen = parse_rungs(rungs, TEXT_RUNGS if is_text else IMAGE_RUNGS)
    if is_text and equal_epochs is not None:
        raise InputError("--equal-epochs is for images; for a text, use --epochs-scale")
    if lr is not None and equal_epochs is None:
        raise InputError("--lr goes with --equal-epochs; the recipes have rates of their own")

    from rushlight.runtime.files import write_json
    from rushlight.runtime.memory import reuse_freed_memory

    reuse_freed_memory()
    numbers = range(seed, seed + seeds)
    result: Any
    if is_text:
        result = _text_ladder(data, chosen, numbers, epochs_scale, encoding, device)
    else:
        result = _image_ladder(data, chosen, numbers, epochs_scale, equal_epochs, lr, device, precision)
    if output is not None:
        write_json(output, result)
    if as_json:
        print_json(result)
    else:
        print(result.table())


def _image_ladder(
    images: str,
    rungs: list[int],
    seeds: range,
    epochs_scale: float,
    equal_epochs: int | None,
    lr: float | None,
    device: str,
    precision: str,
) -> Any:
    from rushlight.app.image_runs import ImageSource
    from rushlight.data.images import ImageData
    from rushlight.runtime.terminal import note
    from rushlight.studies.ladder import BATCH_SIZE, run_ladder

    def load(number: int) -> ImageData:
        # The recipes are fixed, so no validation part is needed where there is a test part.
        settings = {"batch_size": BATCH_SIZE, "augment": "small", "device": device}
        data = ImageSource.of(images, size=32, seed=number).load(**settings)
        data.require_classes("the ladder")
        return ImageSource.of(images, size=32, seed=number, fit_all=True).load(**settings) if data.has_test else data

    return run_ladder(
        load,
        rungs,
        seeds,
        epochs_scale=epochs_scale,
        equal_epochs=equal_epochs,
        lr=lr,
        device=device,
        precision=precision,
        report=note,
    )


def _text_ladder(
    text: str, rungs: list[int], seeds: range, epochs_scale: float, encoding: str | None, device: str
) -> Any:
    from rushlight.app.text_runs import TextSource
    from rushlight.data.text import TextData
    from rushlight.runtime.terminal import note
    from rushlight.studies.text_ladder import STREAMS, WINDOW, run_text_ladder

    def lowered(number: int) -> TextData:
        source = TextSource.of(text, lowercase=True, minimum_frequency=3, encoding=encoding)
        return source.load(batch_size=STREAMS, window=WINDOW, shift=False, seed=number, device=device)

    return run_text_ladder(
        lambda: TextSource.of(text, encoding=encoding).load(device=device),
        lowered,
        rungs,
        seeds,
        epochs_scale=epochs_scale,
        device=device,
        report=note,
    )


def _is_text(name_or_path: str) -> bool:
    """Whether a name of the catalog or a path is a text; anything else is taken for images."""
    from rushlight.data.catalog import DATASETS

    if name_or_path in DATASETS:
        return DATASETS[name_or_path].kind == "text"
    path = Path(name_or_path).expanduser()
    return path.is_file() and path.suffix.lower() not in (".csv", ".tsv")


def parse_rungs(text: str | None, highest: int) -> list[int]:
    """The numbers that a person means by `1-7`, `3` or `1,4-6`, in order and once each; all of them by None.

    Raises:
        InputError: it is written otherwise, or a number lies outside 1 to the highest.
    """
    if text is None:
        return list(range(1, highest + 1))
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if match is None:
            raise InputError(f"--rungs {text}: give numbers from 1 to {highest} such as 1-{highest}, 3, or 1,4,6")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= highest:
            raise InputError(f"--rungs {text}: the rungs are numbered from 1 to {highest}, lower number first")
        numbers.update(range(first, last + 1))
    return sorted(numbers)
