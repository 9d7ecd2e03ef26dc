"""`rushlight mix`."""

from pathlib import Path
from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import command_line, print_json
from rushlight.runtime.errors import InputError


def mix(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs of 'train text' on the same text.", show_default=False),
    ],
    ngram: Annotated[
        bool,
        typer.Option("--ngram", help="Let an n-gram model join, which counts what followed what in the training part."),
    ] = False,
    ngram_weight: Annotated[
        float | None,
        typer.Option(
            "--ngram-weight",
            metavar="FRACTION",
            callback=options.fraction,
            help="How much the n-gram model counts in the mean. Without it: 0.2.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Let several models of a text answer together.

    Models that were trained with other seeds, sizes or kinds of network err in different places. The mean of their
    probabilities expects a text better than each of them; it takes the time of all. An n-gram model costs nothing to
    speak of, and errs in other places than any network: with --ngram even a single run gains, if its network was not
    guided by one already (as that of 'train text' is where no --model is named).

    \b
    Examples:
      rushlight train text book.txt --minutes 10 --seed 0 --output first
      rushlight train text book.txt --minutes 10 --seed 1 --output second
      rushlight mix first second --output both
      rushlight generate both "Once upon a time"
    """
    if ngram_weight is not None and not ngram:
        raise InputError("--ngram-weight needs --ngram")

    from rushlight.app.mixed_runs import mix_into_run_folder
    from rushlight.inference.text_mixture import NGRAM_WEIGHT

    weight = (NGRAM_WEIGHT if ngram_weight is None else ngram_weight) if ngram else None
    mixed = mix_into_run_folder(runs, output, device, weight)
    if as_json:
        print_json(mixed.to_json())
        return
    print(mixed.table())
    print(f"The model: {mixed.folder}")
    print(f"Let it write on from a beginning: {command_line('generate', mixed.folder, 'Once upon')}")
