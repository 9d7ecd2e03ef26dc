"""The flags of studies, and what holds for all of their trainings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from rushlight.app import options
from rushlight.app.command_lines import options_set
from rushlight.runtime.errors import InputError

# Options of `train` that mean something else for a whole study, or nothing.
NOT_OF_A_STUDY = ("minutes", "split_seed", "seeds", "resume", "save_every", "force", "auto_batch", "no_report")

STUDY = "What is compared"
_PLACE = "Machine and files"

Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="NAME=A,B,...",
        help="What to vary, and its values: any option of 'rushlight train', a part of the model, or an ingredient of "
        "the recipe (on or off). Given again, all combinations are trained. The first value is the baseline.",
        rich_help_panel=STUDY,
        show_default=False,
    ),
]
Also = Annotated[
    list[str] | None,
    typer.Option(
        "--also",
        metavar="NAME=A,NAME=B",
        help="One variation more, in which all of this holds; may be given again.",
        rich_help_panel=STUDY,
        show_default=False,
    ),
]
LeaveOneOut = Annotated[
    bool,
    typer.Option(
        "--leave-one-out",
        help="Train the recipe as it is, and without each of its ingredients: what is each worth?",
        rich_help_panel=STUDY,
    ),
]
Baseline = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline",
        metavar="NAME=VALUE",
        help="What everything is compared with, if not the first values.",
        rich_help_panel=STUDY,
        show_default=False,
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        metavar="NUMBER",
        callback=options.positive,
        help="Train every variation this often, with other random numbers. One cannot tell; five can tell a "
        "difference that matters. A study may be given more later.",
        rich_help_panel=STUDY,
    ),
]
MinutesEach = Annotated[
    float | None,
    typer.Option(
        "--minutes-each",
        metavar="NUMBER",
        callback=options.positive,
        help="Train each for this long. With --epochs, what else the machine does has no part in the result.",
        rich_help_panel=STUDY,
        show_default=False,
    ),
]
FirstSeed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="NUMBER",
        help="The first of the seeds, which also chooses the validation images of all trainings.",
        rich_help_panel=_PLACE,
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="ADDRESS",
        help="Keep the state of the study in this database, postgresql://USER@HOST/NAME, so that several machines "
        "share its trainings. Without it: in the study's folder, which several processes may share.",
        rich_help_panel=_PLACE,
        show_default=False,
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Train again what failed before.", rich_help_panel=_PLACE),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FOLDER",
        help="Folder of the study. Without it: that of the same study begun before, else the next free one under "
        "runs/studies/.",
        rich_help_panel=_PLACE,
        show_default=False,
    ),
]


def fixed_settings(context: typer.Context, own: Iterable[str]) -> dict[str, Any]:
    """The training options that hold for every training of a study.

    Args:
        context: of the command.
        own: options that are the study's.

    Raises:
        InputError: two of them say how long to train.
    """
    fixed = options_set(context, leave_out=[*own, "minutes_each", "seed", "output", "as_json"])
    each = context.params["minutes_each"]
    if each is not None:
        others = [name for name in ("epochs", "steps", "cycles") if name in fixed]
        if others:
            raise InputError(f"--minutes-each and --{others[0]} each say how long to train: give one of them")
        fixed["minutes"] = each
    return fixed
