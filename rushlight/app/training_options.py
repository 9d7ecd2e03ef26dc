"""The flags that every kind of training shares, and what they mean."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rushlight.app import options
from rushlight.runtime.errors import InputError

if TYPE_CHECKING:
    from rushlight.runtime.run_folder import RunFolder
    from rushlight.training.callbacks import Callback

DEFAULT_MINUTES = 10.0
TIME, RECIPE = "How long (choose one)", "Recipe (the defaults are good ones)"

Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes",
        metavar="NUMBER",
        callback=options.positive,
        help="Train for this long. The clock starts once the data is read.",
        rich_help_panel=TIME,
        show_default="10, if nothing else is said",
    ),
]
Epochs = Annotated[
    float | None,
    typer.Option(
        "--epochs",
        metavar="NUMBER",
        callback=options.positive,
        help="Go through the training data this often.",
        rich_help_panel=TIME,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        metavar="NUMBER",
        callback=options.positive,
        help="Train for this many batches.",
        rich_help_panel=TIME,
    ),
]
Cycles = Annotated[
    int | None,
    typer.Option(
        "--cycles",
        metavar="NUMBER",
        callback=options.positive,
        help="Train in cycles, each from a high learning rate to a low one.",
        rich_help_panel=TIME,
    ),
]
CycleLength = Annotated[
    int,
    typer.Option(
        "--cycle-length",
        metavar="EPOCHS",
        callback=options.positive,
        help="Length of the first cycle.",
        rich_help_panel=TIME,
    ),
]
CycleMultiplier = Annotated[
    int,
    typer.Option(
        "--cycle-multiplier",
        metavar="NUMBER",
        callback=options.positive,
        help="Each cycle is this many times as long as the one before.",
        rich_help_panel=TIME,
    ),
]
Lr = Annotated[
    str | None,
    typer.Option(
        "--lr",
        metavar="NUMBER",
        help="Learning rate, the size of a training step; 'rushlight lr-find' suggests one. With "
        "commas: one for each layer group.",
        rich_help_panel=RECIPE,
    ),
]
Optimizer = Annotated[
    str | None,
    typer.Option(
        "--optimizer",
        metavar="NAME",
        help="The rule that changes the weights, such as muon, adamw or momentum.",
        rich_help_panel=RECIPE,
    ),
]
Schedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="NAME",
        help="How the learning rate moves during training, such as one_cycle or cosine.",
        rich_help_panel=RECIPE,
    ),
]
WeightDecay = Annotated[
    float | None,
    typer.Option(
        "--weight-decay",
        metavar="NUMBER",
        help="Pull of all weights towards zero.",
        rich_help_panel=RECIPE,
    ),
]
AverageWeights = Annotated[
    float | None,
    typer.Option(
        "--average-weights",
        metavar="DECAY",
        callback=options.fraction,
        help="Answer with a running average of the weights; the nearer to 1, the longer it reaches back "
        "(0.99 or 0.999).",
        rich_help_panel=RECIPE,
    ),
]
ClipGradients = Annotated[
    float | None,
    typer.Option(
        "--clip-gradients",
        metavar="NORM",
        callback=options.positive,
        help="Scale the gradients of a step down where their norm is above this.",
        rich_help_panel=RECIPE,
    ),
]
Accumulate = Annotated[
    int,
    typer.Option(
        "--accumulate",
        metavar="BATCHES",
        callback=options.positive,
        help="Sum the gradients of so many batches for each step: large batches in little memory.",
        rich_help_panel=RECIPE,
    ),
]
EarlyStopping = Annotated[
    int | None,
    typer.Option(
        "--early-stopping",
        metavar="EPOCHS",
        callback=options.positive,
        help="Stop when the validation loss has not improved for this many epochs; keep the best model.",
        rich_help_panel=RECIPE,
    ),
]
NoReport = Annotated[
    bool,
    typer.Option(
        "--no-report",
        help="Leave out report.html, the page about the run; 'rushlight report RUN' makes it later.",
        rich_help_panel="Machine and files",
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        metavar="NUMBER",
        callback=options.positive,
        help="Train this often, each time with other random numbers on the same parts of the data, and give the mean "
        "with its interval.",
        rich_help_panel="Machine and files",
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="INGREDIENT",
        help="Leave out an ingredient of the recipe, such as label_smoothing, to see what it is worth; may be given "
        "again.",
        rich_help_panel=RECIPE,
        show_default=False,
    ),
]
SyncBatchNorm = Annotated[
    bool,
    typer.Option(
        "--sync-batch-norm",
        help="Of several processes (torchrun): let batch norm take its statistics over the parts of all, not each over "
        "its own.",
        rich_help_panel=RECIPE,
    ),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model-option",
        metavar="NAME=VALUE",
        help="Any other setting of the network, such as norm=before_relu or tie_weights=true; may be given again.",
        rich_help_panel=RECIPE,
        show_default=False,
    ),
]

Track = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="NAME",
        help="Note everything that is measured for an experiment tracker too: tensorboard, trackio or wandb; in the "
        "run's folder, nothing is sent anywhere.",
        rich_help_panel="Machine and files",
        show_default=False,
    ),
]


def parse_model_options(given: list[str] | None) -> dict[str, Any]:
    """The settings that `NAME=VALUE` means; a value is a number, true or false, a JSON list, or else a word.

    Raises:
        InputError: there is no name or no value.
    """
    settings: dict[str, Any] = {}
    for text in given or []:
        name, separator, value = text.partition("=")
        if not name.strip() or not separator or not value.strip():
            raise InputError(f"--model-option {text}: write it as NAME=VALUE, such as dropout=0.2")
        try:
            settings[name.strip()] = json.loads(value)
        except ValueError:
            settings[name.strip()] = value.strip()
    return settings


@dataclass(frozen=True)
class Length:
    """How long to train: one of these, or the usual time where nothing is said.

    Attributes:
        minutes, epochs, steps: a length, or None.
        cycles: how many cycles, or None for a single schedule.
        cycle_length: epochs of the first.
        cycle_multiplier: each is this many times as long as the one before.
        schedule: the name of the schedule where there are no cycles.
    """

    minutes: float | None
    epochs: float | None
    steps: int | None
    cycles: int | None
    cycle_length: int
    cycle_multiplier: int
    schedule: str | None

    def checked(self) -> "Length":
        """The same with the usual time limit where nothing says how long.

        Raises:
            InputError: two flags contradict each other.
        """
        given = {"--minutes": self.minutes, "--epochs": self.epochs, "--steps": self.steps, "--cycles": self.cycles}
        chosen = [flag for flag, value in given.items() if value is not None]
        if len(chosen) > 1:
            raise InputError(f"{' and '.join(chosen)} each say how long to train: give one of them")
        if self.cycles is None and (self.cycle_length, self.cycle_multiplier) != (1, 1):
            raise InputError("--cycle-length and --cycle-multiplier need --cycles")
        if self.cycles is not None and self.schedule is not None:
            raise InputError("--cycles brings its own schedule: leave out --schedule")
        return self if chosen else replace(self, minutes=DEFAULT_MINUTES)

    def fit(self, task: Any, run: "RunFolder", callbacks: "list[Callback]", **settings: Any) -> None:
        """Fit a task for so long; with cycles, each leaves a checkpoint in the run folder.

        Args:
            task: has `fit`, `fit_cycles` and `save`.
            run: the run folder.
            callbacks: for this fit.
            **settings: rates and their like, for both ways to fit.
        """
        from rushlight.training.saving import CycleCheckpoints

        if self.cycles is None:
            task.fit(
                self.epochs,
                steps=self.steps,
                minutes=self.minutes,
                schedule=self.schedule,
                callbacks=callbacks,
                **settings,
            )
        else:
            task.fit_cycles(
                self.cycles,
                cycle_length=self.cycle_length,
                cycle_multiplier=self.cycle_multiplier,
                callbacks=[*callbacks, CycleCheckpoints(run.cycles, task.save)],
                **settings,
            )


def chosen_callbacks(
    average_weights: float | None, clip_gradients: float | None, early_stopping: int | None
) -> list["Callback"]:
    """Averaging comes first, so that what is kept as the best is the average."""
    from rushlight.training.averaging import AverageWeights
    from rushlight.training.clipping import GradientClipping
    from rushlight.training.stopping import EarlyStopping, KeepBest

    averaging = [] if average_weights is None else [AverageWeights(average_weights)]
    clipping = [] if clip_gradients is None else [GradientClipping(clip_gradients)]
    stopping = [] if early_stopping is None else [EarlyStopping(early_stopping), KeepBest()]
    return [*averaging, *clipping, *stopping]


@contextmanager
def tracking(service: str | None, run: "RunFolder", settings: dict[str, Any]) -> Iterator[list["Callback"]]:
    """A context with the callback of a tracker, or with none; it is closed however the training ends.

    Args:
        service: a name of `TRACKERS`, or None.
        run: the run folder, in which the record gets a folder of its own.
        settings: what was chosen for the run.
    """
    if service is None:
        yield []
        return
    from rushlight.training.tracking import Tracker

    tracker = Tracker(service, run.path / service, run.path.resolve().name, settings)
    try:
        yield [tracker]
    finally:
        tracker.close()
