"""The flags of texts and language models."""

from typing import Annotated, Any

import typer

from rushlight.app import options
from rushlight.app.training_options import RECIPE

EMBEDDED = "python-prose"
_TEXT = "Text"

Text = Annotated[
    str,
    typer.Argument(
        metavar="TEXT",
        help="A text file, a folder of them, or the name of a known text ('rushlight data list' shows them).",
        show_default=False,
    ),
]
Tokens = Annotated[
    str,
    typer.Option(
        "--tokens",
        metavar="NAME",
        help="What the model reads and writes one at a time: character, word (rare ones are spelt), or byte_pair "
        "(units that often occur in the text; needs the extra 'text').",
        rich_help_panel=_TEXT,
    ),
]
Lowercase = Annotated[
    bool, typer.Option("--lowercase", help="Make every letter small: fewer characters to learn.", rich_help_panel=_TEXT)
]
MinimumFrequency = Annotated[
    int,
    typer.Option(
        "--minimum-frequency",
        metavar="NUMBER",
        callback=options.positive,
        help="What occurs less often in the training part is unknown to the model.",
        rich_help_panel=_TEXT,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="How the file's bytes are characters, such as latin-1 or utf-16. Without it: UTF-8.",
        rich_help_panel=_TEXT,
        show_default=False,
    ),
]
ReplaceInvalid = Annotated[
    bool,
    typer.Option(
        "--replace-invalid",
        help="Put a sign in the place of bytes that are no characters, and count them.",
        rich_help_panel=_TEXT,
    ),
]
ValidFraction = Annotated[
    float,
    typer.Option(
        "--valid-fraction",
        metavar="FRACTION",
        callback=options.fraction,
        help="Part of the lines, from the end, that is set aside to measure with.",
        rich_help_panel=_TEXT,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="NUMBER",
        callback=options.positive,
        help="Places of the text that are read side by side. Without it: 64, fewer in a short text.",
        rich_help_panel=_TEXT,
        show_default=False,
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        "--window",
        metavar="TOKENS",
        callback=options.positive,
        help="How far back a training step looks, about. Without it: 50, less in a short text.",
        rich_help_panel=_TEXT,
        show_default=False,
    ),
]
FixedWindow = Annotated[
    bool,
    typer.Option("--fixed-window", help="Look equally far back in every step.", rich_help_panel=_TEXT),
]
SameStart = Annotated[
    bool,
    typer.Option("--same-start", help="Begin every epoch at the very same character.", rich_help_panel=_TEXT),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help="The kind of network; auto has an n-gram model beside it.",
        rich_help_panel=RECIPE,
    ),
]
HiddenSize = Annotated[
    int | None,
    typer.Option(
        "--hidden-size",
        metavar="NUMBER",
        callback=options.positive,
        help="Numbers in the memory of each layer.",
        rich_help_panel=RECIPE,
        show_default=False,
    ),
]
Layers = Annotated[
    int | None,
    typer.Option(
        "--layers",
        metavar="NUMBER",
        callback=options.positive,
        help="Layers one above the other.",
        rich_help_panel=RECIPE,
        show_default=False,
    ),
]
Dropout = Annotated[
    float | None,
    typer.Option(
        "--dropout",
        metavar="FRACTION",
        callback=options.fraction,
        help="Part of what each layer shows that is hidden while training, against learning by heart.",
        rich_help_panel=RECIPE,
        show_default=False,
    ),
]


def model_options(hidden_size: int | None, layers: int | None, dropout: float | None) -> dict[str, Any]:
    """The options of a model that the person chose."""
    chosen = {"hidden_size": hidden_size, "layers": layers, "dropout": dropout}
    return {name: value for name, value in chosen.items() if value is not None}
