"""Classes that are tiny, lopsided or never measured, and images whose shape or colours stand out."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from rushlight.data.audit.findings import FileGroup, Finding, counted
from rushlight.data.audit.inspection import InspectedImages
from rushlight.data.samples import Scan
from rushlight.data.targets import listed

FEW_IMAGES = 20  # of a class; a pretrained network begins to be of use with about so many
MOST_UNEQUAL = 3.0  # the largest class over the smallest
SMALL_SHARE = 0.25  # of the median of the shorter sides
WIDEST = 3.0  # longer side over shorter; of more, the square in the middle shows less than a third
_EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
}


def class_findings(scan: Scan, rows: np.ndarray) -> Iterator[Finding]:
    """What there is to say of the classes.

    Args:
        scan: files of one class each.
        rows: of those that can be read.
    """
    counts = {part: Counter[int]() for part in ("train", "valid", "test")}
    for row in rows.tolist():
        counts[scan.samples[row].part][scan.samples[row].label] += 1
    train = {name: counts["train"][label] for label, name in enumerate(scan.classes)}
    tiny = [name for name, count in train.items() if count < FEW_IMAGES]
    if tiny:
        yield Finding(
            "tiny_class",
            "doubt",
            f"{counted(len(tiny), 'class', 'classes')} with fewer than {FEW_IMAGES} training images: {listed(tiny)}",
            "add images, or merge such a class with another; what is said about it will be uncertain",
            lines=[f"{name}: {counted(train[name], 'training image')}" for name in tiny],
        )
    most, fewest = (choose(train, key=lambda name: train[name]) for choose in (max, min))
    if train[most] >= MOST_UNEQUAL * max(1, train[fewest]) and len(train) > 1:
        yield Finding(
            "unbalanced",
            "doubt",
            f"the classes are unequal: {train[most]:,} training images of '{most}', {train[fewest]:,} of '{fewest}'",
            "train with --class-weights balanced where rare classes matter as much, and judge by the recall of each "
            "class rather than by the accuracy",
            lines=[f"{name}: {count:,}" for name, count in sorted(train.items(), key=lambda item: -item[1])],
        )
    for part in ("valid", "test"):
        absent = [name for label, name in enumerate(scan.classes) if not counts[part][label]]
        if counts[part] and absent:
            yield Finding(
                "unmeasured_class",
                "doubt",
                f"no {'validation' if part == 'valid' else 'test'} image of {listed(absent)}",
                "add some: without them nothing is known of how the class is recognised",
            )


def shape_findings(scan: Scan, images: InspectedImages) -> Iterator[Finding]:
    """What there is to say of sizes, colour modes and formats."""
    rows = images.readable
    if not len(rows):
        return
    sides = images.sizes[rows]
    shorter, longer = sides.min(axis=1), sides.max(axis=1)
    median = float(np.median(shorter))
    small = rows[shorter < SMALL_SHARE * median]
    if len(small):
        yield Finding(
            "small_image",
            "note",
            f"{counted(len(small), 'image')} much smaller than the rest (the median is {median:.0f} pixels)",
            "look whether they show enough; thumbnails among photographs are often leftovers",
            groups=[FileGroup((row,), _size(images, row)) for row in small.tolist()],
        )
    wide = rows[longer > WIDEST * shorter]
    if len(wide):
        yield Finding(
            "long_image",
            "note",
            f"{counted(len(wide), 'image')} more than {WIDEST:g} times as long as wide",
            "only the square in the middle is used: cut such images yourself where the thing lies elsewhere",
            groups=[FileGroup((row,), _size(images, row)) for row in wide.tolist()],
        )
    modes = Counter(images.modes[row] for row in rows.tolist())
    if len(modes) > 1:
        usual = modes.most_common(1)[0][0]
        odd = [row for row in rows.tolist() if images.modes[row] != usual]
        yield Finding(
            "colour_mode",
            "note",
            f"several colour modes: {', '.join(f'{count:,} {mode}' for mode, count in modes.most_common())}",
            "all are read as RGB; see that a mode does not go with a class",
            groups=[FileGroup((row,), images.modes[row]) for row in odd],
        )
    renamed = [row for row in rows.tolist() if not _is_named_after(scan, images, row)]
    if renamed:
        yield Finding(
            "renamed",
            "note",
            f"{counted(len(renamed), 'file')} whose ending is not that of the format",
            "nothing need be done: files are read by their content",
            groups=[FileGroup((row,), images.formats[row]) for row in renamed],
        )


def size_line(images: InspectedImages) -> str:
    """The range of sizes, in one line."""
    sides = images.sizes[images.readable]
    if not len(sides):
        return "no image can be read"
    shorter = sides.min(axis=1)
    return (
        f"shorter side {shorter.min():,} to {shorter.max():,} pixels, half of them {np.median(shorter):,.0f} or more; "
        f"{_counts(images.formats, images.readable)}; {_counts(images.modes, images.readable)}"
    )


def _counts(values: Sequence[str], rows: np.ndarray) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in Counter(values[row] for row in rows).most_common(4))


def _size(images: InspectedImages, row: int) -> str:
    width, height = images.sizes[row]
    return f"{width:,} x {height:,} pixels"


def _is_named_after(scan: Scan, images: InspectedImages, row: int) -> bool:
    return scan.samples[row].path.suffix.lower() in _EXTENSIONS.get(images.formats[row], ())
