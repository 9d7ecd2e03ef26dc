"""`rushlight data-curve`."""

from typing import Annotated

import typer

from rushlight.app import backbone_options, options
from rushlight.app.printing import print_json
from rushlight.runtime.errors import InputError


def data_curve(
    images: options.Images,
    seeds: Annotated[
        int,
        typer.Option("--seeds", metavar="NUMBER", min=2, help="How often each number of images is drawn."),
    ] = 5,
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes",
            metavar="NUMBERS",
            help="Numbers of training images, as in 25,50,100,200. Without it: all, half of them, a quarter, ...",
            show_default=False,
        ),
    ] = None,
    backbone: backbone_options.Backbone = None,
    size: options.Size = None,
    valid_fraction: options.ValidFraction = 0.2,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Would more images help? Measure with fewer, and look ahead.

    A model is solved from all of your training images, from half of them, from a quarter and so on, several times each.
    How its accuracy grows says what twice and four times as many images would bring, with a band that says how sure
    that is. The model is a pretrained network with a new last layer, so a point takes seconds.

    \b
    Examples:
      rushlight data-curve photos/
      rushlight data-curve photos/ --seeds 10 --sizes 50,100,200,400,800
    """
    numbers = _numbers(sizes)

    from rushlight.app import plots
    from rushlight.app.image_runs import ImageSource
    from rushlight.nn.backbones import DEFAULT_BACKBONE, check_backbone
    from rushlight.runtime.files import write_json
    from rushlight.runtime.run_folder import RunFolder
    from rushlight.runtime.terminal import note, progress
    from rushlight.studies.data_curve import measure_data_curve, usual_sizes
    from rushlight.tasks.frozen_body import SMALLEST_IMAGE, FrozenBody

    check_backbone(backbone or DEFAULT_BACKBONE)
    source = ImageSource.of(images, size=size, valid_fraction=valid_fraction, seed=seed)
    data = source.load(augment=None, device=device)
    if size is None and data.size < SMALLEST_IMAGE:
        data = source.load(augment=None, device=device, size=SMALLEST_IMAGE)
    data.require_classes("a data curve")
    if data.valid is None:
        raise InputError(f"'{data.name}' has no validation images to measure on; see --valid-fraction")
    note(data.summary())
    body = FrozenBody(data, backbone or DEFAULT_BACKBONE, device=device, precision=precision)
    steps = seeds * len(numbers or usual_sizes(data.train.samples, len(data.classes)))
    with progress("Training on fewer images", steps, "trainings") as bar:
        found = measure_data_curve(body, seeds, numbers, bar.advance)
    with RunFolder.create(output, "data-curve", data.name) as folder:
        plots.save(plots.data_curve(found), folder.path / "data-curve.png")
        write_json(folder.path / "data-curve.json", found.to_json())
    if as_json:
        print_json(found.to_json() | {"folder": folder.path})
        return
    print(found.table())
    print(f"\n{found.sentence()}")
    print(f"Drawn in {folder.path / 'data-curve.png'}")


def _numbers(text: str | None) -> list[int] | None:
    """The numbers of a list with commas.

    Raises:
        InputError: something between the commas is no number above zero.
    """
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise InputError(f"--sizes {text}: give numbers of images with commas between them, such as 25,50,100,200")
    return numbers
