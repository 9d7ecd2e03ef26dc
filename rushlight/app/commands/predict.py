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
    tta: options.TestTimeAugmentation = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    as_json: options.Json = False,
) -> None:
    """Ask a trained model what new images show.

    Prints for each image its class and how sure the model is. A model can be sure and wrong, most of all
    about images unlike those it was trained on. Files that cannot be read are named and left out.

    \b
    Examples:
      rushlight predict runs/images/photos-1 cat.jpg dog.jpg
      rushlight predict runs/images/photos-1 new-photos/ --json
    """
    from rushlight.inference.predictor import Predictor
    from rushlight.runtime.terminal import note

    answers = Predictor.load(run, device=device, precision=precision).predict(images, tta=tta)
    if not answers:
        first = answers.skipped[0]
        raise InputError(f"none of the images could be read; '{first.source}': {first.reason}")
    if as_json:
        print_json({"predictions": answers, "skipped": [asdict(skipped) for skipped in answers.skipped]})
        return
    for skipped in answers.skipped:
        note(f"left out '{skipped.source}': {skipped.reason}")
    sources = max(len(answer.source) for answer in answers)
    labels = max(len(answer.label) for answer in answers)
    for answer in answers:
        percent = 100 * answer.probability
        print(f"{answer.source:<{sources}}  {answer.label:<{labels}}  {percent:5.1f} %")
