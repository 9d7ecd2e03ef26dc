"""`rushlight lr-find images` and `rushlight lr-find text`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rushlight.app import options, text_options
from rushlight.app.printing import print_json
from rushlight.runtime.distributed import is_writer

if TYPE_CHECKING:
    from rushlight.training.lr_finder import LRSweep


StartLr = Annotated[
    float,
    typer.Option(
        "--start-lr",
        metavar="NUMBER",
        callback=options.positive,
        help="The rate of the first step.",
        rich_help_panel="Sweep",
    ),
]
EndLr = Annotated[
    float,
    typer.Option(
        "--end-lr",
        metavar="NUMBER",
        callback=options.positive,
        help="The rate of the last step; it ends sooner where the loss runs away.",
        rich_help_panel="Sweep",
    ),
]
SweepSteps = Annotated[
    int,
    typer.Option(
        "--steps",
        metavar="NUMBER",
        callback=options.positive,
        help="How many steps to spend.",
        rich_help_panel="Sweep",
    ),
]
SweptOptimizer = Annotated[
    str | None,
    typer.Option(
        "--optimizer",
        metavar="NAME",
        help="The rule that changes the weights; the suggestion holds for this one.",
        rich_help_panel="Recipe",
        show_default=False,
    ),
]
PictureFile = Annotated[
    Path,
    typer.Option("--output", metavar="FILE", help="Where the picture goes.", rich_help_panel="Machine and files"),
]


def lr_find_images(
    images: options.Images,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The kind of network.", rich_help_panel="Recipe")
    ] = "auto",
    optimizer: SweptOptimizer = None,
    start_lr: StartLr = 1e-5,
    end_lr: EndLr = 10.0,
    steps: SweepSteps = 100,
    size: options.Size = None,
    target: options.Target = "auto",
    columns: options.Columns = None,
    batch_size: options.BatchSize = None,
    augment: options.Augment = "auto",
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: PictureFile = Path("lr-find.png"),
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
    from rushlight.app.image_runs import ImageSource
    from rushlight.data.augmentation import PRESETS
    from rushlight.data.targets import AUTO, TARGETS
    from rushlight.nn.models import MODELS
    from rushlight.tasks.image_classifier import ImageClassifier
    from rushlight.training.optimizers import OPTIMIZERS

    options.check_name("--model", model, ["auto", *MODELS])
    options.check_name("--optimizer", optimizer, OPTIMIZERS)
    options.check_name("--augment", augment, ["auto", *PRESETS])
    options.check_name("--target", target, [AUTO, *TARGETS])
    source = ImageSource.of(images, size=size, seed=seed, target=target, columns=options.parse_columns(columns))
    data = source.load(batch_size=batch_size, augment=augment, device=device)
    classifier = ImageClassifier(data, model, seed=seed, device=device, precision=precision, optimizer=optimizer)
    _report(classifier.find_lr(start_lr=start_lr, end_lr=end_lr, steps=steps), output, as_json)


def lr_find_text(
    text: text_options.Text = text_options.EMBEDDED,
    model: text_options.Model = "auto",
    hidden_size: text_options.HiddenSize = None,
    layers: text_options.Layers = None,
    dropout: text_options.Dropout = None,
    optimizer: SweptOptimizer = None,
    start_lr: StartLr = 1e-5,
    end_lr: EndLr = 10.0,
    steps: SweepSteps = 100,
    tokens: text_options.Tokens = "character",
    lowercase: text_options.Lowercase = False,
    minimum_frequency: text_options.MinimumFrequency = 1,
    encoding: text_options.Encoding = None,
    replace_invalid: text_options.ReplaceInvalid = False,
    batch_size: text_options.BatchSize = None,
    window: text_options.Window = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: PictureFile = Path("lr-find.png"),
    as_json: options.Json = False,
) -> None:
    """Suggest a learning rate for a model of your text.

    As 'lr-find images': tries rates from small to large, draws what happens to the loss, and names the rate at
    which it falls fastest.

    \b
    Example:
      rushlight lr-find text book.txt --model gru
    """
    from rushlight.app.text_runs import TextSource
    from rushlight.data.tokenizers import TOKENIZERS
    from rushlight.tasks.language_model import MODEL_NAMES, LanguageModel
    from rushlight.training.optimizers import OPTIMIZERS

    options.check_name("--tokens", tokens, TOKENIZERS)
    options.check_name("--model", model, MODEL_NAMES)
    options.check_name("--optimizer", optimizer, OPTIMIZERS)
    source = TextSource.of(
        text,
        tokens=tokens,
        lowercase=lowercase,
        minimum_frequency=minimum_frequency,
        encoding=encoding,
        replace_invalid=replace_invalid,
    )
    data = source.load(batch_size=batch_size, window=window, seed=seed, device=device)
    model_options = text_options.model_options(hidden_size, layers, dropout)
    language_model = LanguageModel(
        data, model, model_options=model_options, optimizer=optimizer, seed=seed, device=device, precision=precision
    )
    _report(language_model.find_lr(start_lr=start_lr, end_lr=end_lr, steps=steps), output, as_json)


def _report(sweep: "LRSweep", picture: Path, as_json: bool) -> None:
    """Draw a sweep, and print what it suggests."""
    from rushlight.app import plots

    if not is_writer():
        return
    plots.save(sweep.plot(), picture)
    if as_json:
        print_json({"suggestion": sweep.suggestion, "lrs": sweep.lrs, "losses": sweep.losses, "picture": picture})
    elif sweep.suggestion is None:
        print(f"The loss fell at no rate between {sweep.lrs[0]:g} and {sweep.lrs[-1]:g}: look at {picture}")
    else:
        print(f"Suggested learning rate: {sweep.suggestion:.2g}   (drawn in {picture})")
