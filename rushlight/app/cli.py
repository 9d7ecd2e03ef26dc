"""The command `rushlight`: which commands there are, and the entry point that runs one."""

import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Annotated

import typer

from rushlight.app.command_lines import with_options_of
from rushlight.app.command_tree import Branch, CommandGroup
from rushlight.app.commands.ablate import ablate_images, ablate_text
from rushlight.app.commands.check import check
from rushlight.app.commands.data import cache, get_data, list_data
from rushlight.app.commands.data_curve import data_curve
from rushlight.app.commands.demo import demo
from rushlight.app.commands.evaluate import evaluate
from rushlight.app.commands.explain import explain
from rushlight.app.commands.export import export
from rushlight.app.commands.generate import generate
from rushlight.app.commands.ladder import ladder
from rushlight.app.commands.lr_find import lr_find_images, lr_find_text
from rushlight.app.commands.mix import mix
from rushlight.app.commands.predict import predict
from rushlight.app.commands.report import report
from rushlight.app.commands.score import score
from rushlight.app.commands.studio import studio
from rushlight.app.commands.summary import summary
from rushlight.app.commands.train_images import train_images
from rushlight.app.commands.train_text import train_text
from rushlight.app.commands.tune import tune_images, tune_text
from rushlight.app.failures import INTERRUPTED, report_failure
from rushlight.app.options import GroupedHelp, TrainingHelp
from rushlight.app.resume_options import ResumableCommand
from rushlight.app.study_options import NOT_OF_A_STUDY
from rushlight.runtime.distributed import started_processes
from rushlight.runtime.errors import Interrupted, RushlightError
from rushlight.runtime.guarded_stream import guard_terminals
from rushlight.runtime.stop_signals import leave_on_signals, signal_left_on
from rushlight.runtime.waiting import let_threads_sleep_if_busy
from rushlight.version import __version__


def _help_if_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"rushlight {__version__}")
    else:
        _help_if_alone(context)


def _images_and_text(
    help_text: str, images: Callable[..., None], text: Callable[..., None], kind: type[GroupedHelp]
) -> Branch:
    branches = {"images": Branch.of(images, kind), "text": Branch.of(text, kind)}
    return Branch.group(help_text, _help_if_alone, branches)


def _studies(help_text: str, images: Callable[..., None], text: Callable[..., None]) -> Branch:
    """Commands that take the options of a training beside their own."""

    def study(command: Callable[..., None], training: Callable[..., None]) -> Branch:
        return Branch.of(command, merged=lambda: with_options_of(command, training, NOT_OF_A_STUDY))

    branches = {"images": study(images, train_images), "text": study(text, train_text)}
    return Branch.group(help_text, _help_if_alone, branches)


def build_program() -> CommandGroup:
    """The whole command tree. A new command is a function in `commands/` and one line here."""
    data = {"list": Branch.of(list_data), "get": Branch.of(get_data), "cache": Branch.of(cache)}
    branches = {
        "demo": Branch.of(demo),
        "check": Branch.of(check),
        "train": _images_and_text("Train a model on your data.", train_images, train_text, ResumableCommand),
        "evaluate": Branch.of(evaluate),
        "predict": Branch.of(predict),
        "explain": Branch.of(explain),
        "report": Branch.of(report),
        "generate": Branch.of(generate),
        "score": Branch.of(score),
        "mix": Branch.of(mix),
        "lr-find": _images_and_text("Suggest a learning rate.", lr_find_images, lr_find_text, TrainingHelp),
        "ablate": _studies("Compare ways to train, over several seeds.", ablate_images, ablate_text),
        "tune": _studies("Search for better settings.", tune_images, tune_text),
        "summary": Branch.of(summary),
        "data-curve": Branch.of(data_curve),
        "ladder": Branch.of(ladder),
        "export": Branch.of(export),
        "studio": Branch.of(studio),
        "data": Branch.group("List and fetch known data sets, and see what is kept.", _help_if_alone, data),
    }
    program: CommandGroup = Branch.group(_HELP, _root, branches).build("rushlight")
    return program


_HELP = """Give it a folder of images and a time limit. It gives back the best model that fits in that
time, and says how far its accuracy can be trusted.

\b
New here? These three, in this order:
  rushlight demo                               a first model, in about a minute
  rushlight train images photos/ --minutes 10  a model of your own images
  rushlight predict runs/images/photos-1 new.jpg

photos/ holds one folder for each class: photos/cat/1.jpg, photos/dog/1.jpg, ...

\b
Or a text instead of images:
  rushlight train text book.txt --minutes 10   a model of your own text
  rushlight generate runs/text/book-1 "Once upon a time"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the entry point of the program.

    Args:
        arguments: the words after `rushlight`; those of this process if None.

    Returns:
        The exit code.
    """
    if arguments is None:  # this process is ours
        leave_on_signals()
        if isinstance(sys.stdout, TextIOWrapper):  # a file name may hold what the terminal cannot show
            sys.stdout.reconfigure(errors="backslashreplace")
        guard_terminals()
        let_threads_sleep_if_busy()
    command = build_program()
    try:
        with started_processes():
            result = command.main(
                args=None if arguments is None else list(arguments), prog_name="rushlight", standalone_mode=False
            )
        sys.stdout.flush()
    except Exception as error:
        if signal_left_on() and not isinstance(error, RushlightError):
            error = Interrupted("stopped at once", signal_left_on())
        return report_failure(error)
    except KeyboardInterrupt:
        result = INTERRUPTED
    if result == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
