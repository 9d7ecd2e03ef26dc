"""Which files there are, what each is labelled, and which part it belongs to; no image is opened here.

Three layouts are understood: `train/` with `valid/` and `test/`, each with a folder a class; class folders
alone; and a CSV of file, label and perhaps split. Where no validation part is given, one is cut from the
training part.
"""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rushlight.data.decode import EXTENSIONS
from rushlight.data.splits import MOST_VALIDATION_IMAGES
from rushlight.data.targets import TARGETS, Target, listed
from rushlight.runtime.errors import InputError

Part = Literal["train", "valid", "test"]

PART_NAMES: dict[str, Part] = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}

_NOT_A_CLASS = {"__MACOSX", "__pycache__", "@eaDir"}  # left behind by archivers, Python and network disks


@dataclass(frozen=True, slots=True)
class ImageSample:
    """One labelled file.

    Attributes:
        path: the file.
        target: the index of its class; of several labels their indices, ascending; or the numbers.
        part: `train`, `valid` or `test`.
    """

    path: Path
    target: Target
    part: Part

    @property
    def label(self) -> int:
        """The index of its class, where it has one."""
        if not isinstance(self.target, int):
            raise TypeError(f"'{self.path}' has not one class but {self.target}")
        return self.target


@dataclass(frozen=True)
class Scan:
    """What was found.

    Attributes:
        samples: every labelled file, ordered by part and name.
        classes: names of the classes, of the labels, or of the numbers.
        notes: one line for each thing a person should know about how the data was read.
        kind: of the targets; a key of `rushlight.data.targets.TARGETS`.
        root: the folder that names of files are relative to.
    """

    samples: list[ImageSample]
    classes: list[str]
    notes: list[str] = field(default_factory=list)
    kind: str = "label"
    root: Path = Path()

    def part(self, name: Part) -> list[ImageSample]:
        """The samples of one part."""
        return [sample for sample in self.samples if sample.part == name]

    def names(self) -> list[str]:
        """The file of each sample, below the root where it lies there, with `/` on every system."""
        return [name.replace(os.sep, "/") for name in _names_below(self.root, [str(s.path) for s in self.samples])]


def scan_folder(path: str | Path, valid_fraction: float = 0.2, seed: int = 0) -> Scan:
    """Find the images of a folder.

    Args:
        path: a folder with `train/` (and `valid/`, `val/` or `validation/`, and `test/`), or of class folders
            alone.
        valid_fraction: share of the training images that becomes the validation part where none is given; 0
            for none.
        seed: which images these are.

    Raises:
        InputError: the folder is missing or empty, there are fewer than two classes, a class has no images,
            or two names differ only in how an accent is written.
    """
    root = _existing_folder(Path(path))
    walk = _Walk(root)
    notes: list[str] = []
    root, folders = _descend(root, walk, notes)
    parts = {part: folder for name, folder in folders.items() if (part := PART_NAMES.get(name.lower()))}
    if "train" not in parts:
        if folders and len(parts) == len(folders):
            raise InputError(
                f"'{root}' has {listed(list(folders))} but no train folder; name the one to train on 'train'"
            )
        parts = {"train": root}
    else:
        twice = [name for name in folders if PART_NAMES.get(name.lower()) == "valid"]
        if len(twice) > 1:
            raise InputError(f"'{root}' has more than one validation folder: {listed(twice)}; keep one")
        ignored = [name for name in folders if name.lower() not in PART_NAMES]
        if ignored:
            notes.append(f"ignored beside train: {listed(ignored)}")

    found: dict[Part, dict[str, list[str]]] = {}
    for part, folder in parts.items():
        by_class = walk.images_by_class(folder)
        if part == "test" and not by_class:
            notes.append(f"'{folder.name}' has no class folders, so it has no labels: ignored")
            continue
        found[part] = by_class
    classes = _classes_of(found, root, walk)
    samples = _labelled(found, classes)
    notes += walk.notes()
    return with_validation(Scan(samples, classes, notes, root=root), root, valid_fraction, seed)


def with_validation(scan: Scan, root: Path, fraction: float, seed: int) -> Scan:
    """Cut a validation part from the training part, unless there is one.

    From each class the rounded fraction, at least one image and never all of them; other kinds of targets have
    rules like it. Whether an image is chosen depends on the seed and its own name, so it mostly stays where it is
    when others are added.

    Args:
        scan: what was found.
        root: folder that the names are relative to, so that a copy elsewhere is cut alike.
        fraction: share of each class, 0 for no validation part.
        seed: which images.

    Raises:
        InputError: the fraction is not between 0 and 1, there are too few images, or there is nothing to learn.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"a validation fraction of {fraction:g} is not between 0 and 1; 0.2 is usual")
    kind = TARGETS[scan.kind]
    trained = [sample.target for sample in scan.samples if sample.part == "train"]
    notes = [*scan.notes, *kind.notes(trained, scan.classes)]
    if fraction == 0 or any(sample.part == "valid" for sample in scan.samples):
        return replace(scan, notes=notes)
    names = _names_below(root, [str(sample.path) for sample in scan.samples])
    targets = [sample.target if sample.part == "train" else None for sample in scan.samples]
    chosen = set(kind.choose_validation(targets, names, fraction, seed))
    if not chosen:
        raise InputError(f"'{root}': {kind.too_few}, so none can be kept to validate on; add images or use --fit-all")
    total = len(trained)
    capped = " (at most that many: more would cost training images and tell little)"
    notes.append(
        f"no validation folder: {len(chosen):,} of {total:,} training images, {kind.split_rule}, were set "
        f"aside with seed {seed}{capped if round(fraction * total) > MOST_VALIDATION_IMAGES else ''}"
    )
    samples = [replace(sample, part="valid") if i in chosen else sample for i, sample in enumerate(scan.samples)]
    return replace(scan, samples=samples, notes=notes)


def _names_below(root: Path, paths: Sequence[str]) -> list[str]:
    """Paths relative to a folder, by cutting text: `os.path.relpath` takes a second for 60,000 of them."""
    start = os.path.join(root, "")  # noqa: PTH118 (ends in a separator)
    return [path.removeprefix(start) for path in paths]


def normalised(name: str) -> str:
    """One spelling for names that look alike: an accent can be a character, or a part of its letter."""
    return unicodedata.normalize("NFC", name)


def refuse_clash(names: Iterable[str], place: Path) -> None:
    """Refuse two names that look the same and differ in bytes (NFC and NFD, as macOS and Linux write them).

    Raises:
        InputError: there are two such names.
    """
    seen: dict[str, str] = {}
    for name in names:
        if name.isascii():
            continue
        other = seen.setdefault(normalised(name), name)
        if other != name:
            raise InputError(
                f"'{place}' has two names that look alike, {other!a} and {name!a} "
                "(Unicode NFC and NFD); merge them or rename one"
            )


def _existing_folder(path: Path) -> Path:
    try:
        path = path.expanduser()
        if path.is_dir():
            return path.resolve()
        exists = path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a NUL, an unknown ~user
        raise InputError(f"the folder '{path}' cannot be opened: {error}") from None
    if exists:
        raise InputError(f"'{path}' is a file, not a folder of images")
    near = next((parent for parent in path.absolute().parents if parent.is_dir()), None)
    raise InputError(f"there is no folder '{path}'" + (f"; '{near}' exists" if near else ""))


def _descend(root: Path, walk: "_Walk", notes: list[str]) -> tuple[Path, dict[str, Path]]:
    """Step into the one folder of a folder: unpacking `photos.zip` often gives `photos/photos/`."""
    folders = walk.folders(root)
    if len(folders) == 1 and not walk.has_images(root):
        (only,) = folders.values()
        inner = walk.folders(only)
        if inner and only.name.lower() not in PART_NAMES and not walk.has_images(only):
            notes.append(f"read from '{only}', the only folder in '{root}'")
            return only, inner
    return root, folders


class _Walk:
    """Goes through folders once each, whatever links there are, and never leaves the root."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.links_outside = 0
        self.other_files = 0

    def folders(self, folder: Path) -> dict[str, Path]:
        """The folders in a folder by name, sorted, without hidden ones."""
        names = [entry.name for entry in _entries(folder) if self._is_folder(entry)]
        names = sorted(name for name in names if name not in _NOT_A_CLASS)
        refuse_clash(names, folder)
        return {name: folder / name for name in names}

    def has_images(self, folder: Path) -> bool:
        """Whether images lie in the folder itself."""
        return any(_is_image_name(entry.name) and entry.is_file() for entry in _entries(folder))

    def images_by_class(self, folder: Path) -> dict[str, list[str]]:
        """The image files below each class folder, sorted by name."""
        return {name: sorted(self._images_below(str(path))) for name, path in self.folders(folder).items()}

    def notes(self) -> list[str]:
        lines = []
        if self.links_outside:
            lines.append(f"ignored {self.links_outside:,} links that lead outside the folder or nowhere")
        if self.other_files:
            lines.append(f"ignored {self.other_files:,} files that are not images by their extension")
        return lines

    def _images_below(self, folder: str) -> list[str]:
        images: list[str] = []
        seen: set[tuple[int, int]] = set()  # folders by their inode: a loop of links comes back to one of them
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            status = os.stat(current)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            names = []
            for entry in _entries(current):
                if self._is_folder(entry):
                    waiting.append(entry.path)
                elif not _is_image_name(entry.name):
                    self.other_files += 1
                elif not entry.is_symlink() or self._leads_inside(entry.path):
                    names.append(entry.name)
                    images.append(entry.path)
            refuse_clash(names, Path(current))
        return images

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        if entry.is_symlink() and not self._leads_inside(entry.path, count=not _is_image_name(entry.name)):
            return False
        try:
            return entry.is_dir()
        except OSError:  # a link to itself
            return False

    def _leads_inside(self, link: str, count: bool = True) -> bool:
        try:
            target = os.path.realpath(link, strict=True)
            inside = os.path.commonpath([target, self.root]) == self.root
        except (OSError, ValueError):  # it leads nowhere, to itself, or to another drive
            inside = False
        self.links_outside += count and not inside
        return inside


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, without hidden files such as .DS_Store and .ipynb_checkpoints."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"the folder '{folder}' cannot be opened: {error.strerror}; check its permissions") from error


def _is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 (60,000 times)


def _classes_of(found: dict[Part, dict[str, list[str]]], root: Path, walk: _Walk) -> list[str]:
    """The classes, from the training part; the other parts may have no others."""
    train = found["train"]
    links = f" ({walk.links_outside:,} links that lead outside the folder were ignored)" if walk.links_outside else ""
    if not any(train.values()):
        loose = walk.has_images(root)
        advice = "put each class's images in a folder of its own" if loose else "expected a folder for each class"
        what = "images but no class folders" if loose else f"no images ({', '.join(sorted(EXTENSIONS))})"
        raise InputError(f"'{root}' holds {what}{links}; {advice}, or give a CSV of file and label")
    empty = [name for name, files in train.items() if not files]
    if empty:
        raise InputError(f"no images{links} in the class {listed(empty)} of '{root}'; add some or remove the folder")
    classes = sorted(train)
    if len(classes) == 1:
        raise InputError(f"'{root}' has one class, '{classes[0]}'; telling classes apart takes two or more folders")
    known = {normalised(name) for name in classes}
    for part, by_class in found.items():
        if not any(by_class.values()):
            raise InputError(f"the {part} folder of '{root}' holds no images; add some or remove the folder")
        unknown = [name for name in by_class if normalised(name) not in known]
        if unknown:
            raise InputError(
                f"the {part} part of '{root}' has a class that the training part lacks: {listed(unknown)}; "
                "move it or add it to train"
            )
    return classes


def _labelled(found: dict[Part, dict[str, list[str]]], classes: list[str]) -> list[ImageSample]:
    label_of = {normalised(name): label for label, name in enumerate(classes)}
    return [
        ImageSample(Path(file), label_of[normalised(name)], part)
        for part in ("train", "valid", "test")
        for name, files in sorted(found.get(part, {}).items())
        for file in files
    ]
