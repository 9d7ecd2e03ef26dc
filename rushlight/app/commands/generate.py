"""`rushlight generate`."""

from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json
from rushlight.runtime.errors import InputError

_DRAWING = "How it chooses"


def generate(
    run: options.Run,
    prompt: Annotated[str, typer.Argument(metavar="BEGINNING", help="What to write on from.", show_default=False)] = "",
    length: Annotated[
        int,
        typer.Option("--length", metavar="NUMBER", callback=options.positive, help="Characters (or words) to write."),
    ] = 400,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature",
            metavar="NUMBER",
            help="Below 1 more cautious, above 1 bolder.",
            rich_help_panel=_DRAWING,
        ),
    ] = 0.8,
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k",
            metavar="NUMBER",
            callback=options.positive,
            help="Draw only among so many of the likeliest.",
            rich_help_panel=_DRAWING,
            show_default=False,
        ),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            "--top-p",
            metavar="FRACTION",
            help="Draw only among the likeliest that together have this probability.",
            rich_help_panel=_DRAWING,
            show_default=False,
        ),
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Take the likeliest each time.", rich_help_panel=_DRAWING)
    ] = False,
    beams: Annotated[
        int | None,
        typer.Option(
            "--beams",
            metavar="NUMBER",
            callback=options.positive,
            help="Search for the likeliest text, with so many beginnings at a time.",
            rich_help_panel=_DRAWING,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="NUMBER",
            help="The same number writes the same text again. Without it: another one each time.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Let a trained language model write on from a beginning.

    \b
    Examples:
      rushlight generate runs/text/book-1 "Once upon a time" --length 1000
      rushlight generate runs/text/book-1 "Once upon" --temperature 0.5 --seed 1
    """
    if beams is not None and greedy:
        raise InputError("--beams and --greedy are two ways to choose: give one of them")

    from rushlight.inference.sampling import check_sampling
    from rushlight.inference.writer import Writer
    from rushlight.runtime.terminal import note

    check_sampling(temperature, top_k, top_p)
    writer = Writer.load(run, device=device)
    unknown = writer.unknown_characters(prompt)
    if unknown:
        note(f"the model does not know {unknown!r}: left out of the beginning")
    pieces = (
        writer.generate(prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, greedy=greedy, seed=seed)
        if beams is None
        else [writer.beam_search(prompt, length, beams)]
    )
    if as_json:
        print_json({"prompt": prompt, "unknown": unknown, "text": "".join(pieces)})
        return
    print(prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
