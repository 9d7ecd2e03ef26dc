"""Labelled images in three parts, ready to train on: where they come from, what they are, and their
batches."""

import copy
import hashlib
import html
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch

from rushlight.data import catalog
from rushlight.data.arrays import check_images, square_images, targets_of_values
from rushlight.data.augmentation import Augmentation, Compose, PadAndCrop
from rushlight.data.batches import ImageBatches
from rushlight.data.cache import cached_images
from rushlight.data.image_parts import (
    LabelledImages,
    chosen_augmentation,
    fingerprint_of,
    labelled_images,
    of_same_channels,
    refuse_lost_classes,
    shorter_sides,
    validation_rows,
)
from rushlight.data.options import (
    ImageOptions,
    ImageOptionValues,
    image_options,
    usual_batch_size,
    usual_size,
)
from rushlight.data.samples import Scan, scan_folder
from rushlight.data.show import image_grid
from rushlight.data.statistics import channel_statistics
from rushlight.data.tables import scan_csv
from rushlight.data.targets import TARGETS, TargetKind
from rushlight.runtime.device import select_device
from rushlight.runtime.errors import InputError, nearest_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS_SHOWN = 30


class ImageData:
    """Labelled images in three parts: `train`, `valid` to choose by, and `test` to look at once.

    Make one with `from_folder`, `from_csv`, `from_arrays` or `from_name`; each takes the fields of
    `ImageOptions` by name. The test part is not read before it is asked for.

    Attributes:
        target: what is learned about an image: `label` (one of the classes), `labels` (any of several) or `number`.
        classes: names of the classes, of the labels or of the numbers, in the order of a model's outputs.
        size: side of the images in pixels.
        channels: of the images; 3, or 4 where arrays have as many.
        mean: mean of each channel over the training part, in units of 0 to 1.
        std: standard deviation of each channel over the training part, in the same units.
        train: batches to train on, shuffled and augmented.
        valid: batches to validate on, or None.
        name: what to call the data.
        notes: one line for each thing a person should know about how the data was read.
        unreadable: (path, reason) of every file that was skipped.
        fingerprint: a hash of the content and labels of the training and validation images.
    """

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
        target: str = "label",
    ) -> None:
        self.target, self.options = target, options
        if options.fit_all and valid is not None:
            train, valid = replace(train, rows=np.sort(np.concatenate([train.rows, valid.rows]))), None
        self.name, self.classes, self.fingerprint = name, list(classes), fingerprint
        self.notes = list(notes)
        if options.train_images is not None and options.train_images < len(train.rows):
            rule = self._kind.draw_rule
            self.notes.append(f"{options.train_images:,} of {len(train.rows):,} training images are used, {rule}")
            train = replace(train, rows=train.rows[self._drawn(train.targets[train.rows], options.train_images)])
        self.unreadable: list[tuple[Path, str]] = []
        self.size: int = train.pixels.shape[1]
        self.channels: int = train.pixels.shape[3]
        self._device = select_device(options.device)
        self.mean, self.std = channel_statistics(train.pixels, train.rows)
        self.batch_size = options.batch_size or usual_batch_size(len(train.rows))
        self._parts = {"train": train} | ({"valid": valid} if valid is not None else {})
        self.train = self._batches(train, shuffle=True)
        self.valid = self._batches(valid) if valid is not None else None
        self._read_test = read_test
        self._test: ImageBatches | None = None
        if target == "number" and options.augment == "auto":
            self.notes.append("images are mirrored and shifted in training; not so with --augment none, for directions")

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
        if chosen.target not in ("auto", "label") or chosen.columns is not None:
            raise InputError(
                f"'{path}' is a folder, whose images have one class each; several labels, numbers and columns need a "
                "table: a CSV of file and labels"
            )
        scan = scan_folder(path, chosen.split_fraction, chosen.seed_of_split)
        return cls.from_scan(scan, name or Path(path).resolve().name, chosen)

    @classmethod
    def from_csv(
        cls,
        csv_path: str | Path,
        *,
        folder: str | Path | None = None,
        name: str | None = None,
        **options: Unpack[ImageOptionValues],
    ) -> "ImageData":
        """Read the images that a table names, with a label, several labels or numbers for each.

        See `rushlight.data.tables.scan_csv` for what the table looks like.

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
        scan = scan_csv(
            csv_path, folder, chosen.split_fraction, chosen.seed_of_split, kind=chosen.target, columns=chosen.columns
        )
        return cls.from_scan(scan, name or Path(csv_path).stem, chosen)

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
            images: (N, H, W), (N, H, W, 1), (N, H, W, 3) or (N, H, W, 4) uint8.
            labels: (N,) class indices or names; N lists of labels or (N, labels) of 0 and 1; or (N,) or (N, columns)
                numbers. `target` says which where it is not plain.
            classes: names of the classes, labels or columns; those that occur, sorted, if not given.
            valid: images and labels to validate on; cut from the others if not given.
            test: images and labels to test on.
            name: what to call the data.
            **options: see `ImageOptions`.

        Raises:
            InputError: wrong shapes, types or labels, or fewer than two classes.
        """
        chosen = image_options(options)
        images = check_images(images)
        target, targets, names = targets_of_values(labels, classes, len(images), chosen.target)
        kind = TARGETS[target]
        if target == "label" and len(names) < 2:
            raise InputError(f"there is one class, '{names[0]}'; telling classes apart takes two or more")
        size = chosen.size or usual_size([min(images.shape[1:3])])
        notes: list[str] = []
        pixels, rows = square_images(images, size), np.arange(len(images))
        digest = hashlib.sha256(np.ascontiguousarray(images).tobytes() + targets.tobytes())
        if valid is not None:
            valid_images = of_same_channels(images, check_images(valid[0], "validation images"))
            _, valid_targets, _ = targets_of_values(valid[1], names, len(valid_images), target, "validation labels")
            digest.update(np.ascontiguousarray(valid_images).tobytes() + valid_targets.tobytes())
            pixels = np.concatenate([pixels, square_images(valid_images, size)])
            targets = np.concatenate([targets, valid_targets])
            valid_rows = np.arange(len(images), len(pixels))
        else:
            valid_rows = validation_rows(kind, targets, chosen)
            rows = np.setdiff1d(rows, valid_rows)
            if len(valid_rows):
                notes.append(
                    f"no validation part: {len(valid_rows):,} of {len(images):,} training images, "
                    f"{kind.split_rule}, were set aside with seed {chosen.seed_of_split}"
                )
        notes = [*kind.notes(kind.of_array(targets[rows]), names), *notes]
        train_part = LabelledImages(pixels, targets, rows)
        valid_part = LabelledImages(pixels, targets, valid_rows) if len(valid_rows) else None

        read_test = None
        if test is not None:
            test_images = of_same_channels(images, check_images(test[0], "test images"))
            _, test_targets, _ = targets_of_values(test[1], names, len(test_images), target, "test labels")

            def read_test() -> tuple[LabelledImages, list[tuple[Path, str]]]:
                squares = square_images(test_images, size)
                return LabelledImages(squares, test_targets, np.arange(len(test_images))), []

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
            target=target,
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

    def some_to_train_on(self, count: int) -> ImageBatches:
        """So many of the training images, drawn as with `train_images`; all where there are no more."""
        if count >= self.train.samples:
            return self.train
        return self.train.subset(self._drawn(self.train.targets.numpy(), count))

    def prepared_for(
        self, mean: Sequence[float], std: Sequence[float], augment: str | Augmentation | None = None
    ) -> "ImageData":
        """The same images, scaled as a pretrained network expects them.

        Args:
            mean: of each channel, in units of 0 to 1.
            std: likewise the deviation.
            augment: used where the augmentation was left to the library.
        """
        other = copy.copy(self)
        other.mean, other.std = tuple(mean), tuple(std)
        if augment is not None and self.options.augment == "auto":
            other.options = replace(self.options, augment=augment)
        other._parts = dict(self._parts)
        other.train = other._batches(self._parts["train"], shuffle=True)
        other.valid = other._batches(self._parts["valid"]) if "valid" in self._parts else None
        other._test = other._batches(self._parts["test"]) if "test" in self._parts else None
        return other

    def require_classes(self, what: str) -> None:
        """Refuse data whose images have several labels or numbers.

        Args:
            what: what asks for classes, for the message: `a ladder`.

        Raises:
            InputError: the images do not have one class each.
        """
        if self.target != "label":
            held = self._kind.outputs(self.classes)
            raise InputError(f"{what} compares accuracies, so each image needs one class; '{self.name}' has {held}")

    def class_counts(self, part: str) -> dict[str, int]:
        """Images of each class, or with each label, in a part; asking for `test` reads it.

        Raises:
            InputError: the data have no classes but numbers.
        """
        if self.target == "number":
            raise InputError(f"'{self.name}' has no classes to count: {self._kind.outputs(self.classes)} is learned")
        targets = self.part(part).targets
        is_matrix = targets.is_floating_point()
        counts = targets.count_nonzero(0) if is_matrix else torch.bincount(targets, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def files(self, part: str) -> list[Path] | None:
        """The file of each sample of a part, in the order of its batches; None for arrays."""
        self.part(part)
        images = self._parts[part]
        return None if images.files is None else [images.files[row] for row in images.rows]

    def show_batch(self, count: int = 16) -> "Figure":
        """Draw some training images as the model meets them, augmented, with their targets."""
        some = self.train.subset(range(self.train.samples))
        some.batch_size = max(1, min(count, some.samples))
        images, targets = next(iter(some))
        if self.target == "label" and targets.ndim > 1:
            targets = targets.argmax(dim=1)  # of a mixed one, the greater share
        mean, std = (torch.tensor(values, device=images.device).view(-1, 1, 1) for values in (self.mean, self.std))
        pixels = ((images * std + mean).clamp(0, 1) * 255).round().to(torch.uint8)
        titles = [self._kind.in_words(target, self.classes) for target in targets.tolist()]
        return image_grid(pixels.permute(0, 2, 3, 1).cpu().numpy(), titles)

    def summary(self) -> str:
        """The parts, what is known of their targets, and what to know about how they were read."""
        parts, rows = self._table()
        width = max(len(row[0]) for row in rows)
        lines = [f"{self!r}", " ".join([" " * width, *(f"{part:>8}" for part in parts)])]
        lines += [" ".join([f"{row[0]:<{width}}", *(f"{cell:>8}" for cell in row[1:])]) for row in rows]
        lines += [f"- {note}" for note in self._all_notes()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        parts = [f"{self.train.samples:,} training images"]
        if self.valid is not None:
            parts.append(f"{self.valid.samples:,} validation images")
        if self.has_test:
            parts.append("a test part (not read)" if self._test is None else f"{self._test.samples:,} test images")
        parts += [self._kind.outputs(self.classes), f"{self.size} x {self.size} pixels"]
        return f"{self.name}: {', '.join(parts)}"

    def _repr_html_(self) -> str:
        parts, rows = self._table()
        head = "".join(f"<th>{name}</th>" for name in ["", *parts])
        body = "".join(
            f"<tr><th>{html.escape(row[0])}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in rows
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self._all_notes())
        return f"<p>{html.escape(repr(self))}</p><table><tr>{head}</tr>{body}</table><ul>{notes}</ul>"

    def _table(self) -> tuple[list[str], list[tuple[str, ...]]]:
        """Names of the parts that were read, and rows of a name and a cell a part."""
        parts = list(self._parts)
        columns = [self._kind.table(self.part(part).targets.numpy(), self.classes) for part in parts]
        names = list(dict.fromkeys(name for column in columns for name in column))
        rows = [(name, *(column.get(name, "0") for column in columns)) for name in names]
        if len(rows) > _ROWS_SHOWN:
            rows = [*rows[:_ROWS_SHOWN], (f"{len(rows) - _ROWS_SHOWN:,} more", *("" for _ in parts))]
        return parts, [*rows, ("all", *(f"{self.part(part).samples:,}" for part in parts))]

    @property
    def _kind(self) -> TargetKind:
        return TARGETS[self.target]

    def _all_notes(self) -> list[str]:
        if not self.unreadable:
            return self.notes
        files = ", ".join(f"'{path.name}' ({reason})" for path, reason in self.unreadable[:5])
        more = f" and {len(self.unreadable) - 5:,} more" if len(self.unreadable) > 5 else ""
        return [*self.notes, f"skipped {len(self.unreadable):,} files that cannot be read: {files}{more}"]

    def _drawn(self, targets: np.ndarray, count: int) -> np.ndarray:
        return self._kind.drawn(targets, count, self.options.seed_of_split)

    def _batches(self, part: LabelledImages, shuffle: bool = False) -> ImageBatches:
        return ImageBatches(
            part.pixels,
            part.targets,
            self.mean,
            self.std,
            batch_size=self.batch_size,
            augmentation=chosen_augmentation(self.options.augment, len(self.classes)) if shuffle else None,
            shuffle=shuffle,
            seed=self.options.seed,
            device=self._device,
        ).subset(part.rows)

    @classmethod
    def from_scan(cls, scan: Scan, name: str, options: ImageOptions) -> "ImageData":
        """Read files that were found already.

        Args:
            scan: the files.
            name: what to call the data.
            options: how they are read and served.

        Raises:
            InputError: too many cannot be read.
            StorageError: the cache cannot be written.
        """
        size = options.size or usual_size(shorter_sides(scan.part("train")))
        fitted = [sample for sample in scan.samples if sample.part != "test"]
        tested = scan.part("test")
        cached = cached_images([sample.path for sample in fitted], size)
        images = labelled_images(scan, fitted, cached)
        parts = np.array([sample.part for sample in fitted])
        train = replace(images, rows=cached.readable[parts[cached.readable] == "train"])
        valid = replace(images, rows=cached.readable[parts[cached.readable] == "valid"])
        refuse_lost_classes(scan, train)
        notes = list(scan.notes)
        if cached.animated:
            notes.append(f"{cached.animated:,} animations: the first frame of each was taken")
        if tested:
            notes.append(f"a test part of {len(tested):,} images was found and not read")

        def read_test() -> tuple[LabelledImages, list[tuple[Path, str]]]:
            decoded = cached_images([sample.path for sample in tested], size, part="test")
            return labelled_images(scan, tested, decoded), decoded.unreadable

        data = cls(
            name,
            scan.classes,
            train,
            valid if len(valid.rows) else None,
            options,
            fingerprint=fingerprint_of(scan, fitted, cached),
            notes=notes,
            read_test=read_test if tested else None,
            target=scan.kind,
        )
        data.unreadable += cached.unreadable
        return data
