"""How many planted faults `rushlight check` finds, and how much of what it names is planted.

    python benchmarks/check_planted_faults.py

In a copy of 1,802 photographs of dogs and cats, 50 faults of each kind are planted with a seed: labels crossed;
training images whose copy lies in the validation part (the same file, half the size, encoded again, mirrored, or cut at
the edges); files cut off, emptied, or filled with something else. Each kind is counted by the finding that is about it.
What was wrong in the data before (one picture is in both parts of it) is found first and left out of the precision.
"""

import argparse
import csv
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from rushlight.app.data_check import ImageCheck, check_images
from rushlight.data import catalog
from rushlight.runtime.measured import proportion

EACH = 50
FIRST = 100  # of the doubted labels, so many are looked at


def half_size(picture: Image.Image, path: Path) -> None:
    """A copy of half the size."""
    picture.resize((max(1, picture.width // 2), max(1, picture.height // 2))).save(path, quality=90)


def encoded_again(picture: Image.Image, path: Path) -> None:
    """A copy compressed to much less."""
    picture.save(path, quality=40)


def mirrored(picture: Image.Image, path: Path) -> None:
    """A copy mirrored left to right."""
    ImageOps.mirror(picture).save(path, quality=90)


def cut(picture: Image.Image, path: Path) -> None:
    """A copy without a tenth at each edge."""
    width, height = picture.size
    box = (width // 10, height // 10, width - width // 10, height - height // 10)
    picture.crop(box).save(path, quality=90)


COPIES: dict[str, Callable[[Image.Image, Path], None] | None] = {
    "copied": None,
    "half size": half_size,
    "encoded again": encoded_again,
    "mirrored": mirrored,
    "cut at the edges": cut,
}
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "another type": lambda data: b"PK\x03\x04" + data[4:],
}


class Planted:
    """A copy of the data with faults, and where they are.

    Args:
        source: a folder with train/ and valid/.
        target: where the copy goes.
        each: faults of each kind.
        seed: of their choice.
    """

    def __init__(self, source: Path, target: Path, each: int, seed: int) -> None:
        shutil.copytree(source, target)
        self.root = target
        self.files: dict[str, set[str]] = {}
        train = sorted((target / "train").rglob("*.jpg"))
        kinds = ["crossed", *COPIES, *BROKEN]
        order = np.random.default_rng(seed).permutation(len(train))[: each * len(kinds)].reshape(len(kinds), each)
        chosen = {kind: [train[i] for i in rows] for kind, rows in zip(kinds, order, strict=True)}
        for path in chosen["crossed"]:
            self._cross(path)
        for kind, change in COPIES.items():
            for path in chosen[kind]:
                self._copy(kind, path, change)
        for kind, spoil in BROKEN.items():
            for path in chosen[kind]:
                path.write_bytes(spoil(path.read_bytes()))
                self._note(kind, path)

    def _cross(self, path: Path) -> None:
        """Move an image to the other class."""
        classes = sorted(folder.name for folder in (self.root / "train").iterdir())
        other = path.parent.with_name(classes[1 - classes.index(path.parent.name)]) / f"moved-{path.name}"
        self._note("crossed", path.rename(other))

    def _copy(self, kind: str, path: Path, change: Callable[[Image.Image, Path], None] | None) -> None:
        """Put a copy of a training image into the validation part."""
        copy = self.root / "valid" / path.parent.name / f"new-{path.name}"
        if change is None:
            shutil.copy(path, copy)
        else:
            with Image.open(path) as picture:
                change(picture.convert("RGB"), copy)
        self._note(kind, copy)

    def _note(self, kind: str, path: Path) -> None:
        self.files.setdefault(kind, set()).add(path.relative_to(self.root).as_posix())


def named(found: ImageCheck, *kinds: str) -> list[list[str]]:
    """The groups of files of some findings."""
    names = found.scan.names()
    groups = [group for finding in found.findings if finding.kind in kinds for group in finding.groups]
    return [[names[row] for row in group.rows] for group in groups]


def scores(planted: Planted, found: ImageCheck, known: set[str]) -> list[tuple[str, int, int, int, int]]:
    """For each kind: planted, found, named by the finding, and of these planted.

    Args:
        planted: where the faults are.
        found: by the check.
        known: files that were copies or doubted before anything was planted.
    """
    unreadable = [group[0] for group in named(found, "unreadable")]
    groups = named(found, "duplicate_across_parts", "alike_across_parts", "duplicate_two_labels")
    copies = {file for group in groups for file in group if file.startswith("valid/")} - known
    doubted = [group[0] for group in named(found, "label_doubt")][:FIRST]
    all_copies = set().union(*(planted.files[kind] for kind in COPIES))
    all_broken = set().union(*(planted.files[kind] for kind in BROKEN))
    crossed = planted.files["crossed"]
    rows = [
        (f"copy in the other part: {kind}", len(planted.files[kind]), len(planted.files[kind] & copies))
        for kind in COPIES
    ]
    rows += [
        (f"unreadable: {kind}", len(planted.files[kind]), len(planted.files[kind] & set(unreadable))) for kind in BROKEN
    ]
    result = [(*row, len(copies), len(copies & all_copies)) for row in rows[: len(COPIES)]]
    result += [(*row, len(unreadable), len(all_broken & set(unreadable))) for row in rows[len(COPIES) :]]
    result.append(
        (
            f"crossed label, first {FIRST}",
            len(crossed),
            len(crossed & set(doubted)),
            len(doubted),
            len(crossed & set(doubted)),
        )
    )
    proposed = {fix.file for fix in found.fixes if fix.action == "relabel"}
    result.append(
        (
            "crossed label, proposed to relabel",
            len(crossed),
            len(crossed & proposed),
            len(proposed),
            len(crossed & proposed),
        )
    )
    return result


def main() -> None:
    """Plant, check, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=EACH, help="faults of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="keep the faulty copy in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        target = arguments.keep or Path(folder) / "dogscats"
        source = catalog.get("dogscats")
        planted = Planted(source, target, arguments.each, arguments.seed)
        known = {
            file
            for group in named(check_images(str(source), features=False), "duplicate_across_parts")
            for file in group
        }
        found = check_images(str(target))
    print(f"known before: {', '.join(sorted(known)) or 'nothing'}")
    print("| fault | recall | precision of the finding |\n| --- | --- | --- |")
    for kind, count, hits, listed, right in scores(planted, found, known):
        print(f"| {kind} | {proportion(hits, count).percent()} | {proportion(right, listed).percent()} |")
    if arguments.keep:
        with (target.parent / "planted.csv").open("w", newline="") as file:
            csv.writer(file).writerows((kind, name) for kind, names in planted.files.items() for name in sorted(names))


if __name__ == "__main__":
    main()
