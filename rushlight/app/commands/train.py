"""`rushlight train images`."""

from typing import TYPE_CHECKING, Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import command_line, print_json
from rushlight.runtime.errors import InputError

if TYPE_CHECKING:
    from rushlight.training.callbacks import Callback

DEFAULT_MINUTES = 10.0
_TIME, _RECIPE = "How long (choose one)", "Recipe (the defaults are good ones)"


def train_images(
    context: typer.Context,
    images: options.Images,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="NUMBER",
            callback=options.positive,
            help="Train for this long. The clock starts once the images are read.",
            rich_help_panel=_TIME,
            show_default="10, if nothing else is said",
        ),
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(
            "--epochs",
            metavar="NUMBER",
            callback=options.positive,
            help="Train until every image was seen this often.",
            rich_help_panel=_TIME,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            metavar="NUMBER",
            callback=options.positive,
            help="Train for this many batches.",
            rich_help_panel=_TIME,
        ),
    ] = None,
    cycles: Annotated[
        int | None,
        typer.Option(
            "--cycles",
            metavar="NUMBER",
            callback=options.positive,
            help="Train in cycles, each from a high learning rate to a low one.",
            rich_help_panel=_TIME,
        ),
    ] = None,
    cycle_length: Annotated[
        int,
        typer.Option(
            "--cycle-length",
            metavar="EPOCHS",
            callback=options.positive,
            help="Length of the first cycle.",
            rich_help_panel=_TIME,
        ),
    ] = 1,
    cycle_multiplier: Annotated[
        int,
        typer.Option(
            "--cycle-multiplier",
            metavar="NUMBER",
            callback=options.positive,
            help="Each cycle is this many times as long as the one before.",
            rich_help_panel=_TIME,
        ),
    ] = 1,
    size: options.Size = None,
    batch_size: options.BatchSize = None,
    augment: options.Augment = "auto",
    valid_fraction: options.ValidFraction = 0.2,
    fit_all: Annotated[
        bool,
        typer.Option(
            "--fit-all",
            help="Train on the validation images too, once all choices are made. Nothing is left to measure with.",
            rich_help_panel="Data",
        ),
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME",
            help="The kind of network; auto takes the largest that the time allows.",
            rich_help_panel=_RECIPE,
        ),
    ] = "auto",
    lr: Annotated[
        str | None,
        typer.Option(
            "--lr",
            metavar="NUMBER",
            help="Learning rate, the size of a training step; 'rushlight lr-find' suggests one. With "
            "commas: one for each layer group.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            metavar="NAME",
            help="The rule that changes the weights, such as muon, adamw or momentum.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="NAME",
            help="How the learning rate moves during training, such as one_cycle or cosine.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay",
            metavar="NUMBER",
            help="Pull of all weights towards zero.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            "--label-smoothing",
            metavar="FRACTION",
            callback=options.fraction,
            help="Part of the certainty given to the other classes, against overconfidence.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            "--class-weights",
            metavar="balanced",
            help="balanced: rare classes count as much as common ones.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    average_weights: Annotated[
        float | None,
        typer.Option(
            "--average-weights",
            metavar="DECAY",
            callback=options.fraction,
            help="Answer with a running average of the weights; the nearer to 1, the longer it reaches back "
            "(0.99 or 0.999).",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    clip_gradients: Annotated[
        float | None,
        typer.Option(
            "--clip-gradients",
            metavar="NORM",
            callback=options.positive,
            help="Scale the gradients of a step down where their norm is above this.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    accumulate: Annotated[
        int,
        typer.Option(
            "--accumulate",
            metavar="BATCHES",
            callback=options.positive,
            help="Sum the gradients of so many batches for each step: large batches in little memory.",
            rich_help_panel=_RECIPE,
        ),
    ] = 1,
    early_stopping: Annotated[
        int | None,
        typer.Option(
            "--early-stopping",
            metavar="EPOCHS",
            callback=options.positive,
            help="Stop when the validation loss has not improved for this many epochs; keep the best model.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Train a classifier of your images.

    IMAGES holds one folder for each class, and in it the images of that class (jpg, png, webp, bmp, tif,
    gif). If it has train/ and valid/, these are used; else a fifth of the images is set aside and never
    trained on: the accuracy is measured there. Images in a test/ folder are left alone until 'rushlight
    evaluate RUN --split test'.

    \b
    Examples:
      rushlight train images photos/ --minutes 10
      rushlight train images cifar10 --minutes 3
      rushlight train images photos/ --epochs 20 --model resnet18 --lr 0.01
      rushlight train images labels.csv --class-weights balanced
    """
    rates = options.parse_learning_rates(lr)
    lengths = {"--minutes": minutes, "--epochs": epochs, "--steps": steps, "--cycles": cycles}
    chosen = [flag for flag, value in lengths.items() if value is not None]
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(chosen)} each say how long to train: give one of them")
    if cycles is None and (cycle_length, cycle_multiplier) != (1, 1):
        raise InputError("--cycle-length and --cycle-multiplier need --cycles")
    if cycles is not None and schedule is not None:
        raise InputError("--cycles brings its own schedule: leave out --schedule")
    if class_weights not in (None, "balanced"):
        raise InputError(f"--class-weights {class_weights}: the only choice is balanced")
    if early_stopping is not None and fit_all:
        raise InputError("--early-stopping needs validation images, and --fit-all leaves none: give one of them")
    if not chosen:
        minutes = DEFAULT_MINUTES

    from rushlight.app.image_runs import ImageSource, train_into_run_folder
    from rushlight.data.augmentation import PRESETS
    from rushlight.nn.models import MODELS
    from rushlight.runtime.run_folder import RunFolder
    from rushlight.tasks.image_classifier import ImageClassifier
    from rushlight.training.optimizers import OPTIMIZERS
    from rushlight.training.saving import CycleCheckpoints
    from rushlight.training.schedules import SCHEDULES

    # Before the images are read, which may take a while.
    options.check_name("--model", model, ["auto", *MODELS])
    options.check_name("--optimizer", optimizer, OPTIMIZERS)
    options.check_name("--schedule", schedule, SCHEDULES)
    options.check_name("--augment", augment, ["auto", *PRESETS])
    source = ImageSource.of(images, size=size, valid_fraction=valid_fraction, seed=seed, fit_all=fit_all)
    data = source.load(batch_size=batch_size, augment=augment, device=device)
    classifier = ImageClassifier(
        data,
        model,
        seed=seed,
        device=device,
        precision=precision,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        optimizer=optimizer,
    )

    def fit(run: RunFolder, callbacks: "list[Callback]") -> None:
        callbacks = [*_chosen_callbacks(average_weights, clip_gradients, early_stopping), *callbacks]
        if cycles is None:
            classifier.fit(
                epochs,
                steps=steps,
                minutes=minutes,
                lr=rates,
                schedule=schedule,
                weight_decay=weight_decay,
                accumulate=accumulate,
                callbacks=callbacks,
            )
        else:
            classifier.fit_cycles(
                cycles,
                cycle_length=cycle_length,
                cycle_multiplier=cycle_multiplier,
                lr=rates,
                weight_decay=weight_decay,
                accumulate=accumulate,
                callbacks=[*callbacks, CycleCheckpoints(run.cycles, classifier.save)],
            )

    trained = train_into_run_folder(
        source, data, classifier, fit, output=output, arguments=dict(context.params) | {"minutes": minutes}
    )
    if as_json:
        print_json(trained.to_json())
        return
    if trained.evaluation is None:
        print("Trained on all images; nothing was left to measure with.")
    else:
        print(f"Accuracy on images that were not trained on: {trained.evaluation.accuracy.percent()}")
    print(f"The model, its history and its pictures: {trained.folder}")
    print(f"Ask it about a new image: {command_line('predict', trained.folder, 'IMAGE')}")


def _chosen_callbacks(
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
