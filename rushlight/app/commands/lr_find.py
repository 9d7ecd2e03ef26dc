"""`rushlight lr-find images`."""

from pathlib import Path
from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json


def lr_find_images(
    images: options.Images,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The kind of network.", rich_help_panel="Recipe")
    ] = "auto",
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            metavar="NAME",
            help="The rule that changes the weights; the suggestion holds for this one.",
            rich_help_panel="Recipe",
            show_default=False,
        ),
    ] = None,
    start_lr: Annotated[
        float,
        typer.Option(
            "--start-lr",
            metavar="NUMBER",
            callback=options.positive,
            help="The rate of the first step.",
            rich_help_panel="Sweep",
        ),
    ] = 1e-5,
    end_lr: Annotated[
        float,
        typer.Option(
            "--end-lr",
            metavar="NUMBER",
            callback=options.positive,
            help="The rate of the last step; it ends sooner where the loss runs away.",
            rich_help_panel="Sweep",
        ),
    ] = 10.0,
    steps: Annotated[
        int,
        typer.Option(
            "--steps",
            metavar="NUMBER",
            callback=options.positive,
            help="How many steps to spend.",
            rich_help_panel="Sweep",
        ),
    ] = 100,
    size: options.Size = None,
    batch_size: options.BatchSize = None,
    augment: options.Augment = "auto",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: Annotated[
        Path,
        typer.Option("--output", metavar="FILE", help="Where the picture goes.", rich_help_panel="Machine and files"),
    ] = Path("lr-find.png"),
    as_json: options.Json = False,
) -> None:
    """Suggest a learning rate for your images.

    The learning rate is how far the weights move in one training step: too small and nothing is learned in
    the time, too large and training falls apart. This tries rates from small to large, draws what happens to
    the loss, and names the rate at which it falls fastest. 'train images' has a good rate of its own; this is
    for those who change the network or the optimizer.

    \b
    Example:
      rushlight lr-find images photos/ --model resnet18
    """
    from rushlight.app import plots
    from rushlight.app.image_runs import ImageSource
    from rushlight.data.augmentation import PRESETS
    from rushlight.nn.models import MODELS
    from rushlight.tasks.image_classifier import ImageClassifier
    from rushlight.training.optimizers import OPTIMIZERS

    options.check_name("--model", model, ["auto", *MODELS])
    options.check_name("--optimizer", optimizer, OPTIMIZERS)
    options.check_name("--augment", augment, ["auto", *PRESETS])
    data = ImageSource.of(images, size=size, seed=seed).load(batch_size=batch_size, augment=augment, device=device)
    classifier = ImageClassifier(data, model, seed=seed, device=device, precision=precision, optimizer=optimizer)
    sweep = classifier.find_lr(start_lr=start_lr, end_lr=end_lr, steps=steps)
    plots.save(sweep.plot(), output)
    if as_json:
        result = {"suggestion": sweep.suggestion, "lrs": sweep.lrs, "losses": sweep.losses, "picture": output}
        print_json(result)
    elif sweep.suggestion is None:
        print(f"The loss fell at no rate between {start_lr:g} and {end_lr:g}: look at {output}")
    else:
        print(f"Suggested learning rate: {sweep.suggestion:.2g}   (drawn in {output})")
