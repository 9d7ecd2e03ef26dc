"""The flags of going on with a training that was interrupted, and the command that takes its arguments from the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rushlight.app import options
from rushlight.app.options import TrainingHelp
from rushlight.runtime.distributed import from_writer, ranks
from rushlight.runtime.errors import InputError, MemoryLimitError
from rushlight.runtime.terminal import note

PANEL = "Interruptions"
LENGTHS = ("minutes", "epochs", "steps", "cycles")

Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Go on with an interrupted training: all else is taken from its folder. The command that began it, with "
        "the same --output, does the same.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
SaveEvery = Annotated[
    float | None,
    typer.Option(
        "--save-every",
        metavar="SECONDS",
        callback=options.positive,
        help="Save the state of training this often. Without it: every half minute, or less often where saving would "
        "take more than a hundredth of the time.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Go on although the data or a setting has changed. The result is then not the one that an uninterrupted "
        "training would have given.",
        rich_help_panel=PANEL,
    ),
]

AutoBatch = Annotated[
    bool,
    typer.Option(
        "--auto-batch",
        help="Where memory does not suffice, go on from the last saved state, or begin again where there is none, with "
        "batches of half the size, two of which make a step.",
        rich_help_panel=PANEL,
    ),
]


class ResumableCommand(TrainingHelp):
    """A command that with `--resume RUN` needs no other argument: the run says what they were."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line, and what they leave open from the run."""
        if any(word == "--resume" or word.startswith("--resume=") for word in args):
            for parameter in self.params:
                parameter.required = False
        rest: list[str] = super().parse_args(ctx, args)
        if ctx.params.get("resume") is not None:
            given = {name for name in ctx.params if ctx.get_parameter_source(name).name == "COMMANDLINE"}
            taken = from_writer(lambda: arguments_of_run(ctx.params, given, kind=self.name or ""))
            ctx.params.update(taken | {"output": Path(ctx.params["resume"])})
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; with `--auto-batch` again in smaller batches where memory does not suffice.

        Raises:
            InputError: several processes were asked for what one can do.
        """
        for name in ("auto_batch", "seeds"):
            if ranks() > 1 and ctx.params[name] not in (False, 1):
                flag = f"--{name.replace('_', '-')}"
                raise InputError(f"{flag} begins trainings anew, which several processes cannot: start one process")
        while True:
            try:
                return super().invoke(ctx)
            except MemoryLimitError as error:
                if not ctx.params.get("auto_batch") or not error.can_be_halved:
                    raise
                ctx.params["batch_size"] = (error.batch_size or 2) // 2
                ctx.params["accumulate"] *= 2
                if error.run is not None:
                    ctx.params["output"] = error.run
                how = "beginning again" if error.run is None else "going on from the last saved state"
                note(
                    f"out of memory: {how} with --batch-size {ctx.params['batch_size']} "
                    f"--accumulate {ctx.params['accumulate']}"
                )


def arguments_of_run(params: Mapping[str, Any], given: set[str], kind: str) -> dict[str, Any]:
    """The arguments that `--resume RUN` stands for.

    Args:
        params: those of the command line, defaults included.
        given: the names of those that a person typed.
        kind: what the command trains, `images` or `text`.

    Returns:
        Every argument that was not typed.

    Raises:
        InputError: there is no such run, it is finished, or is of another kind.
        ModelFileError: its state is damaged.
    """
    from rushlight.app.resuming import require_facts
    from rushlight.runtime.run_folder import is_unfinished
    from rushlight.runtime.state_file import StateFile

    run = Path(params["resume"])
    if not run.is_dir():
        raise InputError(f"--resume {run}: there is no such run folder")
    if not is_unfinished(run):
        is_finished = (run / "run.json").exists()
        raise InputError(
            f"--resume {run}: {'the run is finished' if is_finished else 'no state of a training is there'}"
        )
    if "output" in given and Path(params["output"]).resolve() != run.resolve():
        raise InputError("--resume goes on in the folder of the run itself: leave out --output")
    file = StateFile(run)
    _, facts = file.read()
    require_facts(facts, file.newest)
    if facts["kind"] != kind:
        raise InputError(f"--resume {run}: the run is a training of {facts['kind']}, not of {kind}")
    taken = {name: value for name, value in facts["arguments"].items() if name in params and name not in given}
    if given & set(LENGTHS):  # another length replaces the one before, whatever its unit
        taken |= {name: None for name in LENGTHS if name not in given}
    taken.pop("output", None)
    return taken
