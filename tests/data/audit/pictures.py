"""Pictures that are unlike each other, and folders of them."""

from pathlib import Path

import numpy as np
from PIL import Image

from rushlight.data.samples import Scan, scan_folder


def picture(number: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """A smooth picture of its own for each number: a few soft blots of colour."""
    random = np.random.default_rng(number)
    blots = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return blots.resize(size, Image.Resampling.BICUBIC)


def write_parts(root: Path, train: int = 12, valid: int = 6) -> Path:
    """`train/` and `valid/` with two classes of JPEG files, each picture once."""
    number = 0
    for part, count in (("train", train), ("valid", valid)):
        for label in ("cats", "dogs"):
            folder = root / part / label
            folder.mkdir(parents=True)
            for i in range(count // 2):
                picture(number).save(folder / f"{label[0]}{i}.jpg", quality=92)
                number += 1
    return root


def scan_of(root: Path) -> Scan:
    return scan_folder(root)
