"""Labelled images in three parts, ready to train on: where they come from, what they are, and their
batches."""

import hashlib
import html
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch

from rushlight.data import catalog
from rushlight.data.arrays import check_images, label_indices, square_rgb
from rushlight.data.augmentation import Augmentation, Compose, PadAndCrop, preset
from rushlight.data.batches import ImageBatches
from rushlight.data.cache import CachedImages, cached_images
from rushlight.data.decode import shorter_side
from rushlight.data.options import (
    ImageOptions,
    ImageOptionValues,
    image_options,
    usual_batch_size,
    usual_size,
)
from rushlight.data.samples import ImageSample, Scan, choose_validation, scan_folder
from rushlight.data.show import image_grid
from rushlight.data.statistics import channel_statistics
from rushlight.data.tables import scan_csv
from rushlight.runtime.device import select_device
from rushlight.runtime.errors import InputError, nearest_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADERS_READ = 200  # enough for a median
_ROWS_SHOWN = 30


@dataclass(frozen=True)
class LabelledImages:
    """Pixels with labels; several parts may share one array, each with its own rows.

    Attributes:
        pixels: (N, size, size, 3) uint8.
        labels: (N,) int64.
        rows: which of them belong here.
        files: path of each of the N, where they come from files.
    """

    pixels: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    files: list[Path] | None = None


class ImageData:
    """Labelled images in three parts: `train`, `valid` to choose by, and `test` to look at once.

    Make one with `from_folder`, `from_csv`, `from_arrays` or `from_name`; each takes the fields of
    `ImageOptions` by name. The test part is not read before it is asked for.

    Attributes:
        classes: names of the classes, in the order of the labels.
        size: side of the images in pixels.
        mean: mean of each channel over the training part, in units of 0 to 1.
        std: standard deviation of each channel over the training part, in the same units.
        train: batches to train on, shuffled and augmented.
        valid: batches to validate on, or None.
        name: what to call the data.
        notes: one line for each thing a person should know about how the data was read.
        unreadable: (path, reason) of every file that was skipped.
        fingerprint: a hash of the content and labels of the training and validation images.
    """

    channels = 3

    def __init__(
        self,
        name: str,
        classes: Sequence[str],
        train: LabelledImages,
        valid: LabelledImages | None,
        options: ImageOptions,
        *,
        fingerprint: str,
        notes: Sequence[str] = (),
        read_test: "Callable[[], tuple[LabelledImages, list[tuple[Path, str]]]] | None" = None,
    ) -> None:
        if options.fit_all and valid is not None:
            train, valid = replace(train, rows=np.sort(np.concatenate([train.rows, valid.rows]))), None
        self.name, self.classes, self.fingerprint = name, list(classes), fingerprint
        self.notes = list(notes)
        self.unreadable: list[tuple[Path, str]] = []
        self.options = options
        self.size: int = train.pixels.shape[1]
        self._device = select_device(options.device)
        self.mean, self.std = channel_statistics(train.pixels, train.rows)
        self.batch_size = options.batch_size or usual_batch_size(len(train.rows))
        self._parts = {"train": train} | ({"valid": valid} if valid is not None else {})
        self.train = self._batches(train, shuffle=True)
        self.valid = self._batches(valid) if valid is not None else None
        self._read_test = read_test
        self._test: ImageBatches | None = None

    @classmethod
    def from_folder(
        cls, path: str | Path, *, name: str | None = None, **options: Unpack[ImageOptionValues]
    ) -> "ImageData":
        """Read a folder of images.

        Args:
            path: a folder with `train/` (and `valid/`, `val/` or `validation/`, and `test/`) by class, or of
                class folders alone.
            name: what to call the data; the folder's name if not given.
            **options: see `ImageOptions`.

        Raises:
            InputError: the folder cannot be used; the message says why.
            StorageError: the cache cannot be written.
        """
        chosen = image_options(options)
        scan = scan_folder(path, chosen.split_fraction, chosen.seed)
        return cls._from_scan(scan, name or Path(path).resolve().name, chosen)

    @classmethod
    def from_csv(
        cls,
        csv_path: str | Path,
        *,
        folder: str | Path | None = None,
        name: str | None = None,
        **options: Unpack[ImageOptionValues],
    ) -> "ImageData":
        """Read the images that a table of files and labels names; see `rushlight.data.tables.scan_csv`.

        Args:
            csv_path: the table.
            folder: what its files are relative to; the table's own folder if not given.
            name: what to call the data; the table's name if not given.
            **options: see `ImageOptions`.

        Raises:
            InputError: the table or its images cannot be used; the message says why.
            StorageError: the cache cannot be written.
        """
        chosen = image_options(options)
        scan = scan_csv(csv_path, folder, chosen.split_fraction, chosen.seed)
        return cls._from_scan(scan, name or Path(csv_path).stem, chosen)

    @classmethod
    def from_arrays(
        cls,
        images: np.ndarray,
        labels: np.ndarray | Sequence,
        *,
        classes: Sequence[str] | None = None,
        valid: tuple[np.ndarray, np.ndarray | Sequence] | None = None,
        test: tuple[np.ndarray, np.ndarray | Sequence] | None = None,
        name: str = "arrays",
        **options: Unpack[ImageOptionValues],
    ) -> "ImageData":
        """Use images that are in memory.

        Args:
            images: (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8.
            labels: (N,) class indices or names.
            classes: names of the classes; those that occur, sorted, if not given.
            valid: images and labels to validate on; cut from the others if not given.
            test: images and labels to test on.
            name: what to call the data.
            **options: see `ImageOptions`.

        Raises:
            InputError: wrong shapes, types or labels, or fewer than two classes.
        """
        chosen = image_options(options)
        images = check_images(images)
        indices, names = label_indices(labels, classes, len(images))
        if len(names) < 2:
            raise InputError(f"there is one class, '{names[0]}'; telling classes apart takes two or more")
        size = chosen.size or usual_size([min(images.shape[1:3])])
        notes: list[str] = []
        pixels, rows = square_rgb(images, size), np.arange(len(images))
        digest = hashlib.sha256(np.ascontiguousarray(images).tobytes() + indices.tobytes())
        if valid is not None:
            valid_images = check_images(valid[0], "validation images")
            valid_labels, _ = label_indices(valid[1], names, len(valid_images), "validation labels")
            digest.update(np.ascontiguousarray(valid_images).tobytes() + valid_labels.tobytes())
            pixels = np.concatenate([pixels, square_rgb(valid_images, size)])
            indices = np.concatenate([indices, valid_labels])
            valid_rows = np.arange(len(images), len(pixels))
        else:
            valid_rows = _chosen_rows(indices, chosen)
            rows = np.setdiff1d(rows, valid_rows)
            if len(valid_rows):
                notes.append(
                    f"no validation part: {len(valid_rows):,} of {len(images):,} training images, stratified "
                    f"by class, were set aside with seed {chosen.seed}"
                )
        train_part = LabelledImages(pixels, indices, rows)
        valid_part = LabelledImages(pixels, indices, valid_rows) if len(valid_rows) else None

        read_test = None
        if test is not None:
            test_images = check_images(test[0], "test images")
            test_labels, _ = label_indices(test[1], names, len(test_images), "test labels")

            def read_test() -> tuple[LabelledImages, list[tuple[Path, str]]]:
                squares = square_rgb(test_images, size)
                return LabelledImages(squares, test_labels, np.arange(len(test_images))), []

        fingerprint = digest.hexdigest()
        return cls(
            name,
            names,
            train_part,
            valid_part,
            chosen,
            fingerprint=fingerprint,
            notes=notes,
            read_test=read_test,
        )

    @classmethod
    def from_name(cls, name_or_path: str | Path, **options: Unpack[ImageOptionValues]) -> "ImageData":
        """Read a data set of the catalog by its name, or a folder or CSV by its path.

        A name of the catalog comes first; `./cifar10` is always the folder.

        Args:
            name_or_path: a key of `rushlight.data.catalog.DATASETS`, or a path.
            **options: see `ImageOptions`.

        Raises:
            InputError: there is no such name or path, or it cannot be used; the message says why.
            StorageError: the cache cannot be written.
        """
        text = str(name_or_path)
        dataset = catalog.DATASETS.get(text)
        if dataset is None:
            path = Path(text).expanduser()
            if not path.exists() and len(path.parts) == 1:
                known = [key for key, known in catalog.DATASETS.items() if known.kind == "images"]
                raise InputError(f"there is no folder or data set '{text}'; {nearest_name(text, known)}")
            return cls.from_csv(path, **options) if path.is_file() else cls.from_folder(path, **options)
        if dataset.kind != "images":
            raise InputError(f"'{text}' is a text, not a set of images; 'rushlight data list' shows both")
        if options.get("augment", "auto") == "auto" and not dataset.may_be_mirrored:
            options["augment"] = Compose([PadAndCrop()])
        if text == "digits":
            images, labels, test = catalog.digits_in_two_parts()
            return cls.from_arrays(images, labels, test=test, name=text, **options)
        return cls.from_folder(catalog.get(text), name=text, **options)

    @property
    def test(self) -> ImageBatches | None:
        """Batches of the test part, which is read at the first call; None where there is none."""
        if self._test is None and self._read_test is not None:
            part, unreadable = self._read_test()
            self._parts["test"] = part
            self.unreadable += unreadable
            self._test = self._batches(part)
        return self._test

    @property
    def has_test(self) -> bool:
        """Whether there is a test part, without reading it."""
        return self._read_test is not None

    def part(self, name: str) -> ImageBatches:
        """The batches of a part by its name.

        Raises:
            InputError: there is no such part.
        """
        if name not in ("train", "valid", "test"):
            raise InputError(f"unknown part '{name}': {nearest_name(name, ('train', 'valid', 'test'))}")
        batches: ImageBatches | None = getattr(self, name)
        if batches is None:
            have = [key for key in ("train", "valid") if key in self._parts] + ["test"] * self.has_test
            raise InputError(f"'{self.name}' has no {name} part; it has {', '.join(have)}")
        return batches

    def class_counts(self, part: str) -> dict[str, int]:
        """Images of each class in a part; asking for `test` reads it."""
        counts = torch.bincount(self.part(part).targets, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def files(self, part: str) -> list[Path] | None:
        """The file of each sample of a part, in the order of its batches; None for arrays."""
        self.part(part)
        images = self._parts[part]
        return None if images.files is None else [images.files[row] for row in images.rows]

    def show_batch(self, count: int = 16) -> "Figure":
        """Draw some training images as the model meets them, augmented, with their labels."""
        some = self.train.subset(range(self.train.samples))
        some.batch_size = max(1, min(count, some.samples))
        images, targets = next(iter(some))
        labels = targets if targets.ndim == 1 else targets.argmax(dim=1)  # of a mixed one, the greater share
        mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (self.mean, self.std))
        pixels = ((images * std + mean).clamp(0, 1) * 255).round().to(torch.uint8)
        titles = [self.classes[label] for label in labels.tolist()]
        return image_grid(pixels.permute(0, 2, 3, 1).cpu().numpy(), titles)

    def summary(self) -> str:
        """The parts, the images of each class, and what to know about how they were read."""
        parts, rows = self._table()
        width = max(len(row[0]) for row in rows)
        lines = [f"{self!r}", " ".join([" " * width, *(f"{part:>8}" for part in parts)])]
        lines += [" ".join([f"{row[0]:<{width}}", *(f"{count:>8,}" for count in row[1:])]) for row in rows]
        lines += [f"- {note}" for note in self._all_notes()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        parts = [f"{self.train.samples:,} training images"]
        if self.valid is not None:
            parts.append(f"{self.valid.samples:,} validation images")
        if self.has_test:
            parts.append("a test part (not read)" if self._test is None else f"{self._test.samples:,} test images")
        parts += [f"{len(self.classes)} classes", f"{self.size} x {self.size} pixels"]
        return f"{self.name}: {', '.join(parts)}"

    def _repr_html_(self) -> str:
        parts, rows = self._table()
        head = "".join(f"<th>{name}</th>" for name in ["", *parts])
        body = "".join(
            f"<tr><th>{html.escape(row[0])}</th>{''.join(f'<td>{count:,}</td>' for count in row[1:])}</tr>"
            for row in rows
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self._all_notes())
        return f"<p>{html.escape(repr(self))}</p><table><tr>{head}</tr>{body}</table><ul>{notes}</ul>"

    def _table(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names of the parts that were read, and for each class its name and a count a part."""
        parts = list(self._parts)
        counts = [self.class_counts(part) for part in parts]
        rows: list[tuple[Any, ...]] = [(name, *(count[name] for count in counts)) for name in self.classes]
        if len(rows) > _ROWS_SHOWN:
            rest = [sum(row[column] for row in rows[_ROWS_SHOWN:]) for column in range(1, len(parts) + 1)]
            rows = [*rows[:_ROWS_SHOWN], (f"{len(rows) - _ROWS_SHOWN:,} more classes", *rest)]
        return parts, [*rows, ("all", *(sum(count.values()) for count in counts))]

    def _all_notes(self) -> list[str]:
        if not self.unreadable:
            return self.notes
        files = ", ".join(f"'{path.name}' ({reason})" for path, reason in self.unreadable[:5])
        more = f" and {len(self.unreadable) - 5:,} more" if len(self.unreadable) > 5 else ""
        return [*self.notes, f"skipped {len(self.unreadable):,} files that cannot be read: {files}{more}"]

    def _batches(self, part: LabelledImages, shuffle: bool = False) -> ImageBatches:
        return ImageBatches(
            part.pixels,
            part.labels,
            self.mean,
            self.std,
            batch_size=self.batch_size,
            augmentation=_augmentation(self.options.augment, len(self.classes)) if shuffle else None,
            shuffle=shuffle,
            seed=self.options.seed,
            device=self._device,
        ).subset(part.rows)

    @classmethod
    def _from_scan(cls, scan: Scan, name: str, options: ImageOptions) -> "ImageData":
        size = options.size or usual_size(_shorter_sides(scan.part("train")))
        fitted = [sample for sample in scan.samples if sample.part != "test"]
        tested = scan.part("test")
        cached = cached_images([sample.path for sample in fitted], size)
        images = _labelled(fitted, cached)
        parts = np.array([sample.part for sample in fitted])
        train = replace(images, rows=cached.readable[parts[cached.readable] == "train"])
        valid = replace(images, rows=cached.readable[parts[cached.readable] == "valid"])
        _refuse_lost_classes(scan, train)
        notes = list(scan.notes)
        if cached.animated:
            notes.append(f"{cached.animated:,} animations: the first frame of each was taken")
        if tested:
            notes.append(f"a test part of {len(tested):,} images was found and not read")

        def read_test() -> tuple[LabelledImages, list[tuple[Path, str]]]:
            decoded = cached_images([sample.path for sample in tested], size, part="test")
            return _labelled(tested, decoded), decoded.unreadable

        data = cls(
            name,
            scan.classes,
            train,
            valid if len(valid.rows) else None,
            options,
            fingerprint=_fingerprint(fitted, cached, scan.classes),
            notes=notes,
            read_test=read_test if tested else None,
        )
        data.unreadable += cached.unreadable
        return data


def _augmentation(augment: str | Augmentation | None, classes: int) -> Augmentation | None:
    if augment is None or not isinstance(augment, str):
        return augment
    return preset("small" if augment == "auto" else augment, classes)


def _shorter_sides(samples: Sequence[ImageSample]) -> list[int]:
    step = max(1, len(samples) // _HEADERS_READ)
    sides = (shorter_side(sample.path) for sample in samples[::step])
    return [side for side in sides if side is not None]


def _chosen_rows(labels: np.ndarray, options: ImageOptions) -> np.ndarray:
    fraction = options.split_fraction
    if not 0 <= fraction < 1:
        raise InputError(f"a validation fraction of {fraction:g} is not between 0 and 1; 0.2 is usual")
    if fraction == 0:
        return np.array([], np.int64)
    names = [str(i) for i in range(len(labels))]
    chosen = choose_validation(labels.tolist(), names, fraction, options.seed)
    if not chosen:
        raise InputError("no class has two images, so none can be kept to validate on; add images or use fit_all")
    return np.array(chosen, np.int64)


def _labelled(samples: Sequence[ImageSample], cached: CachedImages) -> LabelledImages:
    labels = np.array([sample.label for sample in samples], np.int64)
    return LabelledImages(cached.pixels, labels, cached.readable, [sample.path for sample in samples])


def _refuse_lost_classes(scan: Scan, train: LabelledImages) -> None:
    """Refuse to go on where every training image of a class is unreadable."""
    lost = set(range(len(scan.classes))) - set(train.labels[train.rows].tolist())
    if lost:
        names = ", ".join(f"'{scan.classes[label]}'" for label in sorted(lost)[:5])
        raise InputError(f"no training image of the class {names} can be read; repair them or remove the class")


def _fingerprint(samples: Sequence[ImageSample], cached: CachedImages, classes: Sequence[str]) -> str:
    """A hash of content and labels, the same for a copy of the folder elsewhere or with other file names."""
    lines = (f"{digest} {classes[s.label]}" for s, digest in zip(samples, cached.digests, strict=True))
    return hashlib.sha256(os.fsencode("\n".join(sorted(lines)))).hexdigest()
