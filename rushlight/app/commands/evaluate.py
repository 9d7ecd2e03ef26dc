"""`rushlight evaluate`."""

from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json


def evaluate(
    run: options.Run,
    split: Annotated[
        str,
        typer.Option(
            "--split",
            metavar="valid|test",
            help="Which images to measure on: valid (set aside in training) or test (never looked at before; "
            "measure there once, at the very end).",
        ),
    ] = "valid",
    tta: options.TestTimeAugmentation = False,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="IMAGES",
            help="Other images than the run's own: a folder, CSV file or name.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure how good a trained model is.

    Prints the accuracy with its 95 % interval (the range in which the true accuracy plausibly lies; more
    images make it narrower), the loss, and for each class how often the model finds it and how often it is
    right about it.

    \b
    Examples:
      rushlight evaluate runs/images/photos-1
      rushlight evaluate runs/images/photos-1 --split test --tta
    """
    from rushlight.app.run_evaluation import evaluate_run

    evaluation = evaluate_run(run, split, data=data, tta=tta, device=device, precision=precision)
    if as_json:
        print_json(evaluation.to_json())
    else:
        print(evaluation.table())
