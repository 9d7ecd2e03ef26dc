"""`rushlight evaluate`."""

from typing import Annotated

import typer

from rushlight.app import options, text_options
from rushlight.app.printing import print_json


def evaluate(
    run: options.Run,
    split: Annotated[
        str,
        typer.Option(
            "--split",
            metavar="valid|test",
            help="Which part to measure on: valid (set aside in training) or test (never looked at before; "
            "measure there once, at the very end).",
        ),
    ] = "valid",
    tta: options.TestTimeAugmentation = False,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Other images or another text than the run's own: a path or a name. Measured whole, unless it has "
            "valid/ or test/.",
            show_default=False,
        ),
    ] = None,
    encoding: text_options.Encoding = None,
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic",
            help="Of a model of text: measure also while it goes on learning from what it has read.",
        ),
    ] = False,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache",
            help="Of a model of text: measure also with a memory of what followed in like places.",
        ),
    ] = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure how good a trained model is.

    Of an image classifier: the accuracy with its 95 % interval (the range in which the true accuracy plausibly
    lies; more images make it narrower), the loss, and for each class how often the model finds it and how often
    it is right about it. Of a model of text: how well it expects the text, in nats and bits, less being better.

    \b
    Examples:
      rushlight evaluate runs/images/photos-1
      rushlight evaluate runs/images/photos-1 --split test --tta
      rushlight evaluate runs/text/book-1 --dynamic
    """
    from rushlight.app.run_evaluation import evaluate_run

    evaluation = evaluate_run(
        run,
        split,
        data=data,
        encoding=encoding,
        tta=tta,
        dynamic=dynamic,
        cache=cache,
        device=device,
        precision=precision,
    )
    if as_json:
        print_json(evaluation.to_json())
    else:
        print(evaluation.table())
