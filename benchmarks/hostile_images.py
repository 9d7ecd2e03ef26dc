"""Offer every image of Pillow's own tests, and as many damaged ones, to the decoder and to a training.

    pip download --no-deps --no-binary :all: pillow
    python benchmarks/hostile_images.py pillow-*.tar.gz

Each file must be decoded or refused by a line that says why, within five seconds; then a folder of all of them must
become data. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rushlight.data.decode import UnreadableImage, decode_image
from rushlight.data.images import ImageData
from rushlight.runtime.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def unpack(archive: Path, folder: Path) -> list[Path]:
    """The files of Pillow's test images, in one folder, under their own names."""
    folder.mkdir(parents=True)
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.isfile() and "/Tests/images/" in member.name:
                content = packed.extractfile(member)
                name = member.name.split("/Tests/images/")[1].replace("/", "-")
                if content is not None:
                    (folder / name).write_bytes(content.read())
    return sorted(folder.iterdir())


def damage(files: list[Path], folder: Path, seed: int) -> list[Path]:
    """One damaged copy of every file: cut off, with bits turned, or with a stretch of noise."""
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    for file in files:
        data = bytearray(file.read_bytes())
        place = chance.randrange(max(1, len(data)))
        match chance.randrange(3):
            case 0:
                del data[place:]
            case 1:
                for _ in range(8):
                    if data:
                        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case _:
                data[place : place + 50] = chance.randbytes(50)
        (folder / file.name).write_bytes(data)
    return sorted(folder.iterdir())


def offer(files: list[Path]) -> dict[str, Any]:
    """Decode each; anything but pixels or a reason is an error of ours."""
    counts: Counter[str] = Counter()
    slowest = (0.0, "")
    for file in files:
        started = time.perf_counter()
        try:
            decode_image(file, 32)
            counts["decoded"] += 1
        except UnreadableImage as error:
            counts["refused"] += 1
            if not str(error) or "\n" in str(error):
                counts["without a reason"] += 1
        slowest = max(slowest, (time.perf_counter() - started, file.name))
    return {"files": len(files), **counts, "slowest_seconds": round(slowest[0], 2), "slowest": slowest[1]}


def as_folder(files: list[Path], folder: Path) -> dict[str, Any]:
    """What becomes of a folder that holds those whose names are images'."""
    for number, file in enumerate(file for file in files if file.suffix.lower() in SUFFIXES):
        target = folder / "ab"[number % 2] / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    try:
        data = ImageData.from_folder(folder, size=32)
    except InputError as error:
        return {"refused": str(error)[:300]}
    return {"train": data.train.samples, "unreadable": len(data.unreadable)}


def run() -> None:
    """Do all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="Pillow's source distribution")
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        whole = unpack(asked.source, work / "whole")
        damaged = damage(whole, work / "damaged", asked.seed)
        found = {"whole": offer(whole), "damaged": offer(damaged)}
        found["folder of the whole"] = as_folder(whole, work / "folder")
        found["folder of the damaged"] = as_folder(damaged, work / "folder of the damaged")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    run()
