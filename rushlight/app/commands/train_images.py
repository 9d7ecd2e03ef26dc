"""`rushlight train images`."""

from typing import TYPE_CHECKING, Annotated

import typer

from rushlight.app import backbone_options, options, resume_options, training_options
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
    train_images: Annotated[
        int | None,
        typer.Option(
            "--train-images",
            metavar="NUMBER",
            callback=options.positive,
            help="Train on only so many of the training images, to see what more of them are worth.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    target: options.Target = "auto",
    columns: options.Columns = None,
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
            help="The kind of network; auto takes a pretrained one for photographs, and for small images the "
            "largest that the time allows.",
            rich_help_panel=training_options.RECIPE,
        ),
    ] = "auto",
    model_option: training_options.ModelOption = None,
    backbone: backbone_options.Backbone = None,
    head: backbone_options.Head = None,
    freeze: backbone_options.Freeze = False,
    unfreeze_epochs: backbone_options.UnfreezeEpochs = None,
    features_once: backbone_options.FeaturesOnce = True,
    moving_statistics: backbone_options.MovingStatistics = False,
    progressive_sizes: backbone_options.ProgressiveSizes = None,
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
    choose_thresholds: Annotated[
        bool,
        typer.Option(
            "--choose-thresholds",
            help="Where an image may have several labels: give each from the probability at which its F1 is best on "
            "the validation images, not from 50 %. Rare labels are then missed less.",
            rich_help_panel=training_options.RECIPE,
        ),
    ] = False,
    average_weights: training_options.AverageWeights = None,
    clip_gradients: training_options.ClipGradients = None,
    accumulate: training_options.Accumulate = 1,
    early_stopping: training_options.EarlyStopping = None,
    without: training_options.Without = None,
    sync_batch_norm: training_options.SyncBatchNorm = False,
    track: training_options.Track = None,
    seed: options.Seed = 0,
    seeds: training_options.Seeds = 1,
    split_seed: options.SplitSeed = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: options.Output = None,
    resume: resume_options.Resume = None,
    save_every: resume_options.SaveEvery = None,
    force: resume_options.Force = False,
    auto_batch: resume_options.AutoBatch = False,
    no_report: training_options.NoReport = False,
    as_json: options.Json = False,
) -> None:
    """Train a classifier of your images.

    Photographs are shown to a network that has learned from a million others; only what is new is learned, which takes
    seconds. Small images (up to 80 pixels) get a network of their own from scratch.

    IMAGES holds one folder for each class, and in it the images of that class (jpg, png, webp, bmp, tif,
    gif). If it has train/ and valid/, these are used; else a fifth of the images is set aside and never
    trained on: the accuracy is measured there. Images in a test/ folder are left alone until 'rushlight
    evaluate RUN --split test'. Or IMAGES is a CSV with a row for each file, and what to learn about it: a label,
    several labels (cat;indoors, or nothing), or numbers.

    \b
    Examples:
      rushlight train images photos/ --minutes 10
      rushlight train images cifar10 --minutes 3
      rushlight train images photos/ --backbone resnet34 --unfreeze-epochs 3
      rushlight train images photos/ --size 64 --epochs 20 --model resnet18
      rushlight train images labels.csv --class-weights balanced
      rushlight train images prices.csv --target number --columns price
    """
    if seeds > 1:
        from rushlight.app.several_runs import train_over_seeds

        train_over_seeds(context, "images", images)
        return
    rates = options.parse_learning_rates(lr)
    model_options = training_options.parse_model_options(model_option)
    sizes = backbone_options.parse_sizes(progressive_sizes)
    plan = backbone_options.BackbonePlan(
        head, freeze, unfreeze_epochs, features_once, moving_statistics, sizes
    ).checked()
    model_options |= {} if head is None else {"head": head}
    length = training_options.Length(minutes, epochs, steps, cycles, cycle_length, cycle_multiplier, schedule).checked()
    if class_weights not in (None, "balanced"):
        raise InputError(f"--class-weights {class_weights}: the only choice is balanced")
    if early_stopping is not None and fit_all:
        raise InputError("--early-stopping needs validation images, and --fit-all leaves none: give one of them")

    from rushlight.app.image_runs import ImageSource, train_into_run_folder
    from rushlight.app.report.kinds import report_trained
    from rushlight.app.runs import Keeping
    from rushlight.data.augmentation import PRESETS
    from rushlight.data.targets import AUTO, TARGETS
    from rushlight.nn.backbones import check_backbone
    from rushlight.nn.heads import HEADS
    from rushlight.nn.models import MODELS
    from rushlight.runtime.run_folder import RunFolder
    from rushlight.tasks.image_classifier import ImageClassifier
    from rushlight.training.optimizers import OPTIMIZERS
    from rushlight.training.schedules import SCHEDULES
    from rushlight.training.tracking import check_tracker

    # Before the images are read, which may take a while.
    options.check_name("--model", model, ["auto", *MODELS])
    options.check_name("--head", head, HEADS)
    if backbone is not None:
        check_backbone(backbone)
    options.check_name("--optimizer", optimizer, OPTIMIZERS)
    options.check_name("--schedule", schedule, SCHEDULES)
    if track is not None:
        check_tracker(track)
    options.check_name("--augment", augment, ["auto", *PRESETS])
    options.check_name("--target", target, [AUTO, *TARGETS])
    source = ImageSource.of(
        images,
        size=size,
        valid_fraction=valid_fraction,
        seed=seed,
        train_images=train_images,
        fit_all=fit_all,
        split_seed=split_seed,
        target=target,
        columns=options.parse_columns(columns),
    )
    data = source.load(batch_size=batch_size, augment=augment, device=device)
    classifier = ImageClassifier(
        data,
        model,
        backbone=backbone,
        model_options=model_options,
        seed=seed,
        device=device,
        precision=precision,
        without=without or (),
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        optimizer=optimizer,
        synchronise_batch_norm=sync_batch_norm,
    )

    plan.require_backbone(classifier)
    if choose_thresholds and data.target != "labels":
        raise InputError("--choose-thresholds is for tables in which an image may have several labels")

    def fit(run: RunFolder, callbacks: "list[Callback]") -> None:
        own = training_options.chosen_callbacks(average_weights, clip_gradients, early_stopping)
        settings = {"lr": rates, "weight_decay": weight_decay, "accumulate": accumulate}
        with training_options.tracking(track, run, context.params) as trackers:
            if classifier.backbone is None:
                length.fit(classifier, run, [*own, *trackers, *callbacks], **settings)
            else:
                plan.fit(classifier, run, length, [*own, *trackers, *callbacks], **settings)

    trained = train_into_run_folder(
        source,
        data,
        classifier,
        fit,
        output=output,
        arguments=dict(context.params) | {"minutes": length.minutes},
        choose_thresholds=choose_thresholds,
        keeping=Keeping(("train", "images", "--resume"), save_every, force, auto_batch),
    )
    if trained is None:  # the first process tells the person
        return
    page = None if no_report else report_trained(trained)
    if as_json:
        print_json(trained.to_json() | {"report": page})
        return
    if trained.evaluation is None:
        print("Trained on all images; nothing was left to measure with.")
    else:
        name, figure = trained.evaluation.headline
        print(f"{name} on images that were not trained on: {figure}")
    print(f"The model, its history and its pictures: {trained.folder}")
    if page is not None:
        print(f"The report, to open in a browser: {page}")
    print(f"Ask it about a new image: {command_line('predict', trained.folder, 'IMAGE')}")
