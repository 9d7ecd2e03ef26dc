"""`rushlight evaluate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rushlight.app import options, text_options
from rushlight.app.printing import print_json
from rushlight.runtime.errors import InputError


def evaluate(
    runs: options.Runs,
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
    coverage: options.Coverage = None,
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
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FOLDER",
            help="Draw there what an image classifier takes for what, and how far its probabilities can be relied on.",
            rich_help_panel="Machine and files",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure how good a trained model is.

    Of an image classifier: the accuracy with its 95 % interval (the range in which the true accuracy plausibly
    lies; more images make it narrower), the loss, and for each class how often the model finds it and how often
    it is right about it. Where an image may have several labels: how well they are found, at all thresholds and at
    the one used. Of numbers: how far off they are, in their unit, and the part of their variance that is explained.
    Of a model of text: how well it expects the text, in nats and bits, less being better. Of several runs, or a
    folder that 'train --seeds' made: every value, and their mean with its interval over the runs.

    What a model does on the test part of its own data is kept in the run, and the page of 'report' shows it.

    \b
    Examples:
      rushlight evaluate runs/images/photos-1
      rushlight evaluate runs/images/photos-1 --split test --tta
      rushlight evaluate runs/images/photos-1 --coverage 0.95 --output pictures
      rushlight evaluate runs/text/book-1 --dynamic
      rushlight evaluate runs/images/photos-1 runs/images/photos-2
    """
    from rushlight.app.run_evaluation import AdaptiveEvaluations, ImageEvaluation, evaluate_run, keep_in_run
    from rushlight.app.several_runs import SeveralRuns, runs_in

    every = [found for run in runs for found in runs_in(run)]
    settings: dict[str, Any] = {
        "data": data,
        "encoding": encoding,
        "tta": tta,
        "coverage": coverage,
        "dynamic": dynamic,
        "cache": cache,
        "device": device,
        "precision": precision,
    }

    def evaluated(run: Path) -> ImageEvaluation | AdaptiveEvaluations:
        found = evaluate_run(run, split, **settings)
        if split == "test" and data is None and not tta:
            keep_in_run(run, split, found)
        return found

    if len(every) > 1:
        if output is not None:
            raise InputError(f"--output draws what one model does; here are {len(every)} runs")
        several = SeveralRuns.of(split, every, [evaluated(run).to_json() for run in every])
        if as_json:
            print_json(several.to_json())
        else:
            print(several.table())
        return
    evaluation = evaluated(every[0])
    if output is not None:
        if not isinstance(evaluation, ImageEvaluation):
            raise InputError("--output draws what an image classifier does; this is a model of text")
        evaluation.write_pictures(output)
    if as_json:
        print_json(evaluation.to_json())
    else:
        print(evaluation.table())
