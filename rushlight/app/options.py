"""The flags that several commands share, and how help shows them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from rushlight.runtime.distributed import ranks
from rushlight.runtime.errors import InputError, nearest_name


class GroupedHelp(TyperCommand):
    """Help whose options stand under headings, the commonest first, as plain text that copies well.

    Attributes:
        trains_in_several_processes: whether `torchrun` may start the command several times.
    """

    trains_in_several_processes = False

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            InputError: several processes were started for what one does.
        """
        if ranks() > 1 and not self.trains_in_several_processes:
            raise InputError(f"'{ctx.command_path}' runs in one process: start it without torchrun")
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line; required arguments stand in plain capitals, as everywhere else."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then each group of options in the order in which the command declares them."""
        sections: dict[str, list[tuple[str, str]]] = {}
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            if parameter.param_type_name == "argument":
                sections.setdefault("Arguments", []).append((parameter.metavar, parameter.help))
            elif record := parameter.get_help_record(ctx):
                heading = getattr(parameter, "rich_help_panel", None) or "Options"
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class TrainingHelp(GroupedHelp):
    """The same of a command that several processes may run together."""

    trains_in_several_processes = True


def positive(value: float | None) -> float | None:
    """Refuse a number that is not above zero (a callback of numeric options)."""
    if value is not None and not value > 0:
        raise typer.BadParameter(f"it must be more than 0, not {value:g}")
    return value


def fraction(value: float | None) -> float | None:
    """Refuse a number outside 0 to 1 (a callback of numeric options)."""
    if value is not None and not 0 <= value < 1:
        raise typer.BadParameter(f"it must lie between 0 and 1, not {value:g}")
    return value


def strictly_between(value: float | None) -> float | None:
    """Refuse a number that is not above 0 and below 1 (a callback of numeric options)."""
    if value is not None and not 0 < value < 1:
        raise typer.BadParameter(f"it must lie between 0 and 1, such as 0.95, not at {value:g}")
    return value


def parse_learning_rates(text: str | None) -> float | tuple[float, ...] | None:
    """One learning rate, or several with commas between them: one for each layer group, from input to output.

    Raises:
        InputError: something between the commas is not a number above zero.
    """
    if text is None:
        return None
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        rates = ()
    if not rates or not all(0 < rate < float("inf") for rate in rates):
        raise InputError(f"--lr {text}: give a number above 0 such as 0.01, or several as in 1e-5,1e-4,1e-3")
    return rates[0] if len(rates) == 1 else rates


def parse_columns(text: str | None) -> list[str] | None:
    """Names of columns, with commas between them."""
    return None if text is None else [name.strip() for name in text.split(",")]


def check_name(flag: str, name: str | None, known: Iterable[str]) -> None:
    """Refuse a name that is not among the known ones; None stands for the default.

    Raises:
        InputError: the name is unknown; the nearest known one is named.
    """
    known = list(known)
    if name is not None and name not in known:
        raise InputError(f"{flag} {name}: {nearest_name(name, known)}")


_MACHINE = "Machine and files"

Images = Annotated[
    str,
    typer.Argument(
        metavar="IMAGES",
        help="A folder with one folder of images for each class, a CSV file of files and labels or numbers, or the "
        "name of a known data set ('rushlight data list' shows them).",
        show_default=False,
    ),
]
Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="The folder that training made, such as runs/images/photos-1, or its model.safetensors.",
        show_default=False,
    ),
]
Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN",
        help="The folder that training made, such as runs/images/photos-1, or its model.safetensors; or several, of "
        "which the mean is given too.",
        show_default=False,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="NUMBER",
        help="Start of every random choice; the same number repeats a run.",
        rich_help_panel=_MACHINE,
    ),
]
SplitSeed = Annotated[
    int | None,
    typer.Option(
        "--split-seed",
        metavar="NUMBER",
        help="Choose the validation images with this number, whatever --seed is: for runs to be compared.",
        rich_help_panel=_MACHINE,
        show_default=False,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Where to compute: auto (a graphics processor if there is one), cpu, cuda or mps.",
        rich_help_panel=_MACHINE,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="Number format: auto (the faster one where the machine has it), float32 or bfloat16.",
        rich_help_panel=_MACHINE,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FOLDER",
        help="Folder for the results. Without it: the next free one under runs/.",
        rich_help_panel=_MACHINE,
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object for a program to read.", rich_help_panel=_MACHINE),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size",
        metavar="PIXELS",
        callback=positive,
        help="Width and height at which images are used. Without it: chosen from the images.",
        rich_help_panel="Data",
        show_default=False,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="auto|label|labels|number",
        help="What to learn from a CSV: label (one of several classes), labels (any of several, 'cat;indoors') or "
        "number; auto goes by what stands there.",
        rich_help_panel="Data",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAMES",
        help="Which columns of a CSV hold it, with commas. Without it: the one called label or the like; for "
        "numbers, all columns of numbers.",
        rich_help_panel="Data",
        show_default=False,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="NUMBER",
        callback=positive,
        help="Images in one training step. Fewer need less memory. Without it: chosen from their number.",
        rich_help_panel="Data",
        show_default=False,
    ),
]
Augment = Annotated[
    str,
    typer.Option(
        "--augment",
        metavar="PRESET",
        help="Random changes that keep the label: auto (small), none, small (flips and shifts), side_on "
        "(photographs), top_down (from above: any turn), strong.",
        rich_help_panel="Data",
    ),
]
ValidFraction = Annotated[
    float,
    typer.Option(
        "--valid-fraction",
        metavar="FRACTION",
        callback=fraction,
        help="Part of the training images set aside to measure with, where the folder has no valid/.",
        rich_help_panel="Data",
    ),
]
Coverage = Annotated[
    float | None,
    typer.Option(
        "--coverage",
        metavar="FRACTION",
        callback=strictly_between,
        help="Answer with a set of classes, as small as the model can make it, that holds the right one for this part "
        "of the images, such as 0.95.",
        show_default=False,
    ),
]
TestTimeAugmentation = Annotated[
    bool,
    typer.Option("--tta", help="Look at several flipped and shifted views of each image; slower, a bit better."),
]
