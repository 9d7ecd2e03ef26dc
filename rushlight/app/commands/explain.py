"""`rushlight explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json
from rushlight.runtime.errors import InputError

if TYPE_CHECKING:
    from rushlight.inference.explain import Explanation


def explain(
    run: options.Run,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILES", help="Images, or folders of images.", show_default=False),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="What to look for: a class, a label, or the name of a number. Without it: what the model answers.",
            show_default=False,
        ),
    ] = None,
    zoom: Annotated[
        int | None,
        typer.Option(
            "--zoom",
            metavar="NUMBER",
            min=0,
            max=5,
            help="Cut out the hottest region and ask again, so often.",
            show_default="1; of numbers 0",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Blur the hottest fifth, and other fifths: is what decided missed more?"),
    ] = False,
    worst: Annotated[
        int | None,
        typer.Option(
            "--worst",
            metavar="NUMBER",
            callback=options.positive,
            help="Explain so many of the validation images that the model is most wrong about.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method", metavar="NAME", help="auto, cam, grad_cam, or occlusion (slow, asks nothing of the model)."
        ),
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FOLDER",
            help="Folder for the pictures. Without it: explanations/ in the run's folder.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Show which part of an image decided.

    Draws a heat map over the photograph: light where something speaks for the class. Then it cuts the hottest region
    out of the photograph, at full resolution, and asks the model about that alone.

    \b
    Examples:
      rushlight explain runs/images/photos-1 cat.jpg
      rushlight explain runs/images/photos-1 cat.jpg --class dog --zoom 2
      rushlight explain runs/images/photos-1 photos/valid/ --check
      rushlight explain runs/images/photos-1 --worst 20
    """
    if not images and worst is None:
        raise InputError("there is nothing to explain: name images, or give --worst 20")
    if images and worst is not None:
        raise InputError("--worst chooses the images itself: leave them out, or leave out --worst")

    from rushlight.app.explanations import FOLDER, explain_into_folder, explain_worst
    from rushlight.inference.class_maps import METHODS
    from rushlight.inference.explain import Explainer
    from rushlight.inference.predictor import Predictor
    from rushlight.runtime.run_folder import RunFolder
    from rushlight.runtime.terminal import note

    options.check_name("--method", method, METHODS)
    explainer = Explainer(Predictor.load(run, device=device, precision=precision), method)
    is_number = explainer.predictor.answers.kind == "number"
    if zoom is None:
        zoom = 0 if is_number else 1  # a number, such as a count or a size, is another for a part of the picture
    folder = output or RunFolder.find(run).parent / FOLDER
    if worst is not None:
        picture, explanations = explain_worst(explainer, run, worst, folder, device)
        if as_json:
            print_json({"picture": picture, "images": explanations})
        elif picture is None:
            print("The model is right about every validation image: there is no mistake to explain.")
        else:
            print(f"The {len(explanations)} worst mistakes, and what spoke for them: {picture}")
        return
    explained = explain_into_folder(explainer, images or [], folder, label=label, zooms=zoom, check=check)
    if as_json:
        skipped = [{"source": image.source, "reason": image.reason} for image in explained.skipped]
        print_json({"images": explained.images, "checks": explained.checks(), "skipped": skipped})
        return
    for skip in explained.skipped:
        note(f"left out '{skip.source}': {skip.reason}")
    sources = max(len(image.explanation.source) for image in explained.images)
    for image in explained.images:
        line = f"{image.explanation.source:<{sources}}  {_said(image.explanation)}"
        for look in image.closer:
            line += f", closer: {_said(look)}"
        line += "" if image.agrees else " (disagrees)"
        if image.check is not None:
            scale, unit = (1, image.explanation.label) if is_number else (100, "points")
            hottest, elsewhere = -scale * image.check.hottest, -scale * image.check.random
            line += f"; hottest fifth blurred: {hottest:+.3g} {unit}, another fifth: {elsewhere:+.3g}"
        print(line)
    checks = explained.checks()
    if len(explained.images) > 1:
        agree = sum(image.agrees for image in explained.images)
        if zoom:
            print(f"A closer look agrees on {agree} of {len(explained.images)} images.")
        if checks and is_number:
            print(
                f"Blurring the hottest fifth moves the number back by {checks['hottest']:.3g} (median), another fifth "
                f"by {checks['random']:.3g}."
            )
        elif checks:
            print(
                f"Blurring the hottest fifth costs the class {100 * checks['hottest']:.2f} points of probability "
                f"(median), another fifth {100 * checks['random']:.2f}."
            )
    print(f"Drawn in {folder}")


def _said(explanation: "Explanation") -> str:
    """The answer on one line."""
    return " ".join(cell.strip() for cell in explanation.prediction.cells())
