"""`rushlight check`."""

from pathlib import Path
from typing import Annotated

import typer

from rushlight.app import options, text_options
from rushlight.app.printing import command_line, print_json
from rushlight.runtime.errors import InputError


def check(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder of images, one folder for each class, a CSV file of file and label, a text file, or the "
            "name of a known data set.",
            show_default=False,
        ),
    ],
    apply: Annotated[
        Path | None,
        typer.Option(
            "--apply",
            metavar="FIXES",
            help="Write the table of labels that these fixes make, to train on in place of the folder. No image is "
            "touched.",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        bool,
        typer.Option(
            "--features/--no-features",
            help="Ask a pretrained network about every image, which finds the wrong labels and more of the "
            "duplicates, or leave that out, which is much faster.",
        ),
    ] = True,
    valid_fraction: options.ValidFraction = 0.2,
    encoding: text_options.Encoding = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Look at your data before you train on it.

    Of images: files that cannot be read, pictures that are there twice (above all in training and validation part,
    which makes a model look better than it is), pictures with two labels, labels that are likely wrong, tiny and
    unequal classes, and what tells the class without the picture, such as names, dates and sizes. Of a text:
    passages that are in both parts, odd characters, a wrong encoding.

    It leaves a page of thumbnails and a proposal, fixes.csv, which you change as you like and then apply.

    \b
    Examples:
      rushlight check photos/
      rushlight check photos/ --apply runs/check/photos-1/fixes.csv
      rushlight train images runs/check/photos-1/labels.csv --minutes 10
      rushlight check book.txt
    """
    from rushlight.app.data_kind import is_text

    if is_text(data):
        if apply is not None:
            raise InputError("--apply is for images: a text is mended in an editor")
        _check_text(data, valid_fraction, encoding, as_json)
    elif apply is not None:
        _apply(data, apply, output, valid_fraction, seed, as_json)
    else:
        _check_images(data, valid_fraction, seed, features, device, precision, output, as_json)


def _check_images(
    data: str,
    valid_fraction: float,
    seed: int,
    features: bool,
    device: str,
    precision: str,
    output: Path | None,
    as_json: bool,
) -> None:
    from rushlight.app.check_page import write_check
    from rushlight.app.data_check import check_images
    from rushlight.runtime.run_folder import RunFolder

    found = check_images(
        data, valid_fraction=valid_fraction, seed=seed, features=features, device=device, precision=precision
    )
    with RunFolder.create(output, "check", found.name) as folder:
        page, fixes = write_check(found, folder.path)
    if as_json:
        print_json(found.to_json() | {"page": page, "fixes": fixes})
        return
    print(found.summary())
    print(f"\nThumbnails of all of it, to decide by: {page}")
    if found.fixes and found.scan.kind == "label":
        print(f"The proposal, for you to change: {fixes}")
        cut = ["--seed", seed] * (seed != 0) + ["--valid-fraction", valid_fraction] * (valid_fraction != 0.2)
        print(f"Then: {command_line('check', data, '--apply', fixes, *cut)}")


def _apply(data: str, fixes: Path, output: Path | None, valid_fraction: float, seed: int, as_json: bool) -> None:
    from rushlight.app.data_check import apply_to_labels

    path, scan, changes = apply_to_labels(data, fixes, output, valid_fraction=valid_fraction, seed=seed)
    counts = {action: sum(fix.action == action for fix in changes) for action in ("drop", "relabel")}
    if as_json:
        print_json({"labels": path, "images": len(scan.samples), **counts})
        return
    print(f"{counts['drop']:,} images dropped, {counts['relabel']:,} relabelled, {len(scan.samples):,} left: {path}")
    print(f"Train on it: {command_line('train', 'images', path)}")
    print("The images are untouched; without this table everything is as it was.")


def _check_text(data: str, valid_fraction: float, encoding: str | None, as_json: bool) -> None:
    from rushlight.app.text_check import check_text

    found = check_text(data, valid_fraction=valid_fraction, encoding=encoding)
    if as_json:
        print_json(found.to_json())
    else:
        print(found.summary())
