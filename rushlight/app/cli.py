"""The command `rushlight`: which commands there are, and the entry point that runs one."""

import signal
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from rushlight.app.commands.data import get_data, list_data
from rushlight.app.commands.demo import demo
from rushlight.app.commands.evaluate import evaluate
from rushlight.app.commands.generate import generate
from rushlight.app.commands.ladder import ladder
from rushlight.app.commands.lr_find import lr_find_images, lr_find_text
from rushlight.app.commands.predict import predict
from rushlight.app.commands.score import score
from rushlight.app.commands.summary import summary
from rushlight.app.commands.train_images import train_images
from rushlight.app.commands.train_text import train_text
from rushlight.app.failures import INTERRUPTED, TERMINATED, report_failure
from rushlight.app.options import CommandGroup, GroupedHelp
from rushlight.version import __version__


def _group(help_text: str, callback: Callable[..., None]) -> typer.Typer:
    # Plain text rather than boxes: examples can be copied, and help appears in half the time.
    return typer.Typer(
        help=help_text,
        callback=callback,
        cls=CommandGroup,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
    )


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


def build_app() -> typer.Typer:
    """The whole command tree. A new command is a function in `commands/` and one line here."""
    train = _group("Train a model on your data.", _help_if_alone)
    train.command("images", cls=GroupedHelp)(train_images)
    train.command("text", cls=GroupedHelp)(train_text)
    lr_find = _group("Suggest a learning rate.", _help_if_alone)
    lr_find.command("images", cls=GroupedHelp)(lr_find_images)
    lr_find.command("text", cls=GroupedHelp)(lr_find_text)
    data = _group("List and fetch known data sets.", _help_if_alone)
    data.command("list", cls=GroupedHelp)(list_data)
    data.command("get", cls=GroupedHelp)(get_data)

    app = _group(_HELP, _root)
    app.command("demo", cls=GroupedHelp)(demo)
    app.add_typer(train, name="train")
    app.command("evaluate", cls=GroupedHelp)(evaluate)
    app.command("predict", cls=GroupedHelp)(predict)
    app.command("generate", cls=GroupedHelp)(generate)
    app.command("score", cls=GroupedHelp)(score)
    app.add_typer(lr_find, name="lr-find")
    app.command("summary", cls=GroupedHelp)(summary)
    app.command("ladder", cls=GroupedHelp)(ladder)
    app.add_typer(data, name="data")
    return app


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
        signal.signal(signal.SIGTERM, _leave_on_termination)
        if isinstance(sys.stdout, TextIOWrapper):  # a file name may hold what the terminal cannot show
            sys.stdout.reconfigure(errors="backslashreplace")
    command = typer.main.get_command(build_app())
    try:
        result = command.main(
            args=None if arguments is None else list(arguments), prog_name="rushlight", standalone_mode=False
        )
        sys.stdout.flush()
    except Exception as error:
        return report_failure(error)
    except KeyboardInterrupt:
        result = INTERRUPTED
    if result == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    return result if isinstance(result, int) else 0


def _leave_on_termination(number: int, frame: Any) -> None:
    raise SystemExit(TERMINATED)  # unwinds the stack, so that files are closed and the run folder is released


if __name__ == "__main__":
    sys.exit(main())
