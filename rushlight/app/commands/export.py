"""`rushlight export`."""

from pathlib import Path
from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json


def export(
    run: options.Run,
    to: Annotated[
        str, typer.Option("--to", metavar="FORMAT", help="onnx, or torch-export for PyTorch's own.")
    ] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Where to write. Without it: model.onnx (or model.pt2) in the run's folder.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write a trained model for programs that do not have Rushlight.

    The file takes pixels as they are and gives probabilities: normalisation and temperature are inside, and the labels
    stand in its metadata. Of a language model the state is an input and an output. Before the file is written, it is
    asked 100 times what the original is asked, and refused if it answers otherwise.

    Needs: pip install 'rushlight[onnx]'

    \b
    Examples:
      rushlight export runs/images/photos-1 --to onnx
      rushlight export runs/text/book-1 --output book.onnx
    """
    from rushlight.inference.export.exporting import export_model
    from rushlight.inference.export.formats import FORMATS

    options.check_name("--to", to, FORMATS)
    exported = export_model(run, to, output)
    if as_json:
        print_json(exported)
        return
    found = exported.comparison
    print(f"{exported.path} ({FORMATS[to].note})")
    print(
        f"{found.same} of {found.predictions} answers are those of the original; largest difference of the logarithm "
        f"of a probability: {found.largest_difference:.1e}"
    )
