"""`rushlight predict`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import print_json
from rushlight.runtime.errors import InputError


def predict(
    run: options.Run,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="FILES", help="Images, or folders of images.", show_default=False),
    ],
    coverage: options.Coverage = None,
    tta: options.TestTimeAugmentation = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Ask a trained model what new images show.

    Prints for each image its class, or its labels, and how sure the model is; or its number, and between what it
    probably lies. A model can be sure and wrong, most of all about images unlike those it was trained on. Files that
    cannot be read are named and left out.

    With --coverage it answers with a set: one class where it knows, several where it wavers, all of them where it
    cannot tell. The right class is in the set as often as you asked, for images like those it was validated on.

    \b
    Examples:
      rushlight predict runs/images/photos-1 cat.jpg dog.jpg
      rushlight predict runs/images/photos-1 new-photos/ --json
      rushlight predict runs/images/photos-1 new-photos/ --coverage 0.95
    """
    from rushlight.inference.predictor import Predictor
    from rushlight.runtime.terminal import note

    predictor = Predictor.load(run, device=device, precision=precision)
    answers = predictor.predict(images, tta=tta, coverage=coverage)
    if not answers:
        first = answers.skipped[0]
        raise InputError(f"none of the images could be read; '{first.source}': {first.reason}")
    if as_json:
        sets = {} if coverage is None else {"sets": asdict(predictor.conformal_sets(coverage))}
        print_json({"predictions": answers, "skipped": [asdict(skipped) for skipped in answers.skipped]} | sets)
        return
    for skipped in answers.skipped:
        note(f"left out '{skipped.source}': {skipped.reason}")
    rows = [(answer.source, *answer.cells()) for answer in answers]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    if predictor.answers.kind == "number":
        asked = answers[0].coverage
        if asked is not None:
            note(
                f"In brackets: between these the right numbers lie for {100 * asked:g} % of images like the "
                f"{len(predictor.calibration.losses):,} that were set aside in training."
            )
    elif coverage is not None:
        note(f"In the sets on the right, {predictor.conformal_sets(coverage)}.")
