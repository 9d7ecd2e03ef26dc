"""`rushlight score`."""

from pathlib import Path
from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json


def score(
    run: options.Run,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A text file, or the text itself.", show_default=False)],
    length: Annotated[
        int,
        typer.Option(
            "--length", metavar="NUMBER", callback=options.positive, help="Read so much of it, from the start."
        ),
    ] = 2000,
    encoding: Annotated[
        str, typer.Option("--encoding", metavar="NAME", help="How the file's bytes are characters, such as latin-1.")
    ] = "utf-8",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write a picture in which every character is coloured by how much it surprised the model.",
            rich_help_panel="Machine and files",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Show what in a text surprises a trained model.

    Prints the mean in nats a character (or word): the less, the better the model expected the text.

    \b
    Examples:
      rushlight score runs/text/book-1 letter.txt --output surprise.png
      rushlight score runs/text/book-1 "It was a dark and stormy night"
    """
    from rushlight.app import plots
    from rushlight.data.text_files import TextFiles
    from rushlight.inference.writer import Writer
    from rushlight.runtime.terminal import note

    writer = Writer.load(run, device=device)
    path = Path(text)
    if _is_file(path):
        text = ""
        for chunk in TextFiles([path], encoding).chunks():
            text += chunk
            if len(text) >= length:
                break
    text = text[:length]
    unknown = writer.unknown_characters(text)
    if unknown:
        note(f"the model does not know {unknown!r}: they count as one unknown character")
    scores = writer.score(text)
    if output is not None:
        plots.save(plots.coloured_text(scores.tokens, scores.losses), output)
    if as_json:
        print_json({"mean": scores.mean, "tokens": scores.tokens, "losses": scores.losses, "picture": output})
        return
    print(f"{scores.mean:.4f} nats a {writer.tokenizer.unit}, over {len(scores.tokens) - 1:,} {writer.tokenizer.unit}s")
    if output is not None:
        print(f"Drawn in {output}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that is no possible name of a file
        return False
