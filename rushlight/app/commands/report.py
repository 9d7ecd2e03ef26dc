"""`rushlight report`."""

from pathlib import Path
from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json


def report(
    run: options.Run,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="The file to write. Without it: report.html in the run's folder.",
            rich_help_panel="Machine and files",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Make the report of a trained model, of several seeds or of a study: one page to read, print or send.

    It tells the result with its interval, how the model learned, what it confuses, where it was most wrong and
    why, and what to do next; of a model of text also what surprised it and what it writes. The page is one file
    that holds all its pictures and asks nothing of the network. Training makes it too; type this to make it
    again, of an old run for instance. Where the data has gone, it comes without examples. Of the folder of a
    study (ablate, tune) or of several seeds (train --seeds) it has the comparison, or the mean and every run.

    \b
    Examples:
      rushlight report runs/images/photos-1
      rushlight report runs/text/book-1 --output book.html
      rushlight report runs/studies/photos-1
    """
    from rushlight.app.report.kinds import report_folder

    path = report_folder(run, output=output, device=device, precision=precision)
    if as_json:
        print_json({"report": path})
    else:
        print(f"The report, to open in a browser: {path}")
