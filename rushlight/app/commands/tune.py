"""`rushlight tune images` and `rushlight tune text`."""

from typing import Annotated, Any

import typer

from rushlight.app import options, study_options, text_options
from rushlight.app.printing import print_json, print_table

_OWN = ("over", "minutes", "trials", "seeds")

Over = Annotated[
    list[str] | None,
    typer.Option(
        "--over",
        metavar="NAME=LOW..HIGH",
        help="What to search, as a range or as values with commas between them: any option of 'rushlight train' or a "
        "part of the model; may be given again.",
        rich_help_panel=study_options.STUDY,
        show_default=False,
    ),
]
SearchMinutes = Annotated[
    float,
    typer.Option(
        "--minutes",
        metavar="NUMBER",
        callback=options.positive,
        help="For all of it: the search, and training the winner again.",
        rich_help_panel=study_options.STUDY,
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(
        "--trials",
        metavar="NUMBER",
        callback=options.positive,
        help="Try so many trainings at most, even if there is time for more.",
        rich_help_panel=study_options.STUDY,
        show_default=False,
    ),
]
NewSeeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        metavar="NUMBER",
        callback=options.positive,
        help="Train the winner, and the settings as they were, again with so many new seeds.",
        rich_help_panel=study_options.STUDY,
    ),
]


def tune_images(
    context: typer.Context,
    images: options.Images,
    over: Over = None,
    minutes: SearchMinutes = 60.0,
    minutes_each: study_options.MinutesEach = None,
    trials: Trials = None,
    seeds: NewSeeds = 3,
    seed: options.Seed = 0,
    output: study_options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Search for better settings under a time limit.

    Trainings that do badly halfway are given up. All are measured on the validation images. The best of many always
    looks better than it is, so the winner is trained again with new seeds, beside the settings as they were, and that
    is the result. Any option of 'rushlight train images' may be given too, and then holds for every training.

    \b
    Examples:
      rushlight tune images photos/ --over lr=1e-4..1e-2 --minutes 60
      rushlight tune images cifar10 --model resnet18 --epochs 5 --minutes 120 \\
          --over lr=1e-4..1e-1 --over weight_decay=0,0.01,0.1
    """
    _tune(context, "images", images)


def tune_text(
    context: typer.Context,
    text: text_options.Text = text_options.EMBEDDED,
    over: Over = None,
    minutes: SearchMinutes = 60.0,
    minutes_each: study_options.MinutesEach = None,
    trials: Trials = None,
    seeds: NewSeeds = 3,
    seed: options.Seed = 0,
    output: study_options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Search for better settings of a model of text under a time limit.

    As 'rushlight tune images', measured in nats a token of the part of the text that is not trained on.

    \b
    Example:
      rushlight tune text book.txt --minutes 60 \\
          --over lr=1e-3..1e-2 --over dropout=0..0.6 --over hidden_size=128..512
    """
    _tune(context, "text", text)


def _tune(context: typer.Context, kind: str, data: str) -> None:
    given: dict[str, Any] = context.params
    fixed = study_options.fixed_settings(context, _OWN)

    from rushlight.app.tune_runs import TuneRequest, run_search

    found = run_search(
        TuneRequest(
            kind,
            data,
            fixed,
            over=given["over"] or [],
            minutes=given["minutes"],
            trials=given["trials"],
            seeds=given["seeds"],
            seed=given["seed"],
            output=given["output"],
        )
    )
    if given["as_json"]:
        print_json(found.to_json())
        return
    settings = ", ".join(f"{name}={value}" for name, value in found.winner.settings.items())
    print(f"The best of {found.tried} trainings ({found.given_up} given up early): {settings}")
    result = found.study.result
    print_table(result.columns, result.cells())
    print(result.note())
    print(f"All that was tried, table and picture: {found.study.folder}")
