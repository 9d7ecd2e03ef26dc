"""`rushlight train images`."""

from typing import TYPE_CHECKING, Annotated

import typer

from rushlight.app import options, training_options
from rushlight.app.printing import command_line, print_json
from rushlight.runtime.errors import InputError

if TYPE_CHECKING:
    from rushlight.training.callbacks import Callback


def train_images(
    context: typer.Context,
    images: options.Images,
    minutes: training_options.Minutes = None,
    epochs: training_options.Epochs = None,
    steps: training_options.Steps = None,
    cycles: training_options.Cycles = None,
    cycle_length: training_options.CycleLength = 1,
    cycle_multiplier: training_options.CycleMultiplier = 1,
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
            rich_help_panel=training_options.RECIPE,
        ),
    ] = "auto",
    model_option: training_options.ModelOption = None,
    lr: training_options.Lr = None,
    optimizer: training_options.Optimizer = None,
    schedule: training_options.Schedule = None,
    weight_decay: training_options.WeightDecay = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            "--label-smoothing",
            metavar="FRACTION",
            callback=options.fraction,
            help="Part of the certainty given to the other classes, against overconfidence.",
            rich_help_panel=training_options.RECIPE,
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            "--class-weights",
            metavar="balanced",
            help="balanced: rare classes count as much as common ones.",
            rich_help_panel=training_options.RECIPE,
        ),
    ] = None,
    average_weights: training_options.AverageWeights = None,
    clip_gradients: training_options.ClipGradients = None,
    accumulate: training_options.Accumulate = 1,
    early_stopping: training_options.EarlyStopping = None,
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
    model_options = training_options.parse_model_options(model_option)
    length = training_options.Length(minutes, epochs, steps, cycles, cycle_length, cycle_multiplier, schedule).checked()
    if class_weights not in (None, "balanced"):
        raise InputError(f"--class-weights {class_weights}: the only choice is balanced")
    if early_stopping is not None and fit_all:
        raise InputError("--early-stopping needs validation images, and --fit-all leaves none: give one of them")

    from rushlight.app.image_runs import ImageSource, train_into_run_folder
    from rushlight.data.augmentation import PRESETS
    from rushlight.nn.models import MODELS
    from rushlight.runtime.run_folder import RunFolder
    from rushlight.tasks.image_classifier import ImageClassifier
    from rushlight.training.optimizers import OPTIMIZERS
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
        model_options=model_options,
        seed=seed,
        device=device,
        precision=precision,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        optimizer=optimizer,
    )

    def fit(run: RunFolder, callbacks: "list[Callback]") -> None:
        own = training_options.chosen_callbacks(average_weights, clip_gradients, early_stopping)
        settings = {"lr": rates, "weight_decay": weight_decay, "accumulate": accumulate}
        length.fit(classifier, run, [*own, *callbacks], **settings)

    trained = train_into_run_folder(
        source, data, classifier, fit, output=output, arguments=dict(context.params) | {"minutes": length.minutes}
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
