"""Labels from a CSV instead of folders: one row a file, with its label and perhaps the part it belongs to."""

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rushlight.data.decode import EXTENSIONS
from rushlight.data.samples import PART_NAMES, ImageSample, Part, Scan, refuse_clash, with_validation
from rushlight.runtime.errors import InputError

FILE_COLUMNS = ("file", "filename", "file_name", "path", "image", "name", "fname")
LABEL_COLUMNS = ("label", "labels", "class", "target", "category")
SPLIT_COLUMNS = ("split", "part", "set", "subset")
VALID_COLUMNS = ("is_valid", "valid", "is_validation")  # a column of yes and no

_YES = {"true", "1", "yes", "y"}
_NO = {"false", "0", "no", "n", ""}


def scan_csv(
    csv_path: str | Path, folder: str | Path | None = None, valid_fraction: float = 0.2, seed: int = 0
) -> Scan:
    """Read a table of files and labels.

    Args:
        csv_path: UTF-8, with commas, semicolons or tabs. Its first row names the columns: a file, a label and
            optionally a split (`train`, `valid`, `test`) or `is_valid`. Without such a row the first column
            is the file and the second the label.
        folder: what the files are relative to; the table's own folder if not given.
        valid_fraction: share of the training images to validate on where the table has no such part; 0 for
            none.
        seed: which images these are.

    Raises:
        InputError: the table is missing or not UTF-8, a column or a value is missing or unknown, a file
            stands in it with two labels or in two parts, or there are fewer than two classes.
    """
    csv_path = Path(csv_path).expanduser()
    root = Path(folder).expanduser().absolute() if folder is not None else csv_path.absolute().parent
    if not root.is_dir():
        raise InputError(f"there is no folder '{root}' for the files of '{csv_path}'")
    found: dict[str, tuple[str, Part, int]] = {}
    for number, file, label, part in _rows(csv_path):
        if not file or not label:
            raise InputError(f"'{csv_path}', line {number}: {'label' if file else 'file'} is empty")
        label_before, part_before, number_before = found.setdefault(file, (label, part, number))
        if (label_before, part_before) != (label, part):
            raise InputError(
                f"'{csv_path}', line {number}: '{file}' stands there as '{label}' for {part}, but in line "
                f"{number_before} as '{label_before}' for {part_before}; keep one"
            )
    classes = _classes_of(found.values(), csv_path)
    refuse_clash(classes, csv_path)
    refuse_clash(found, csv_path)
    label_of = {name: label for label, name in enumerate(classes)}
    samples = [ImageSample(root / file, label_of[label], part) for file, (label, part, _) in found.items()]
    order: list[Part] = ["train", "valid", "test"]
    samples.sort(key=lambda sample: (order.index(sample.part), str(sample.path)))
    scan = with_validation(Scan(samples, classes), root, valid_fraction, seed)
    return replace(scan, notes=[note.replace("no validation folder", "no validation split") for note in scan.notes])


def _rows(csv_path: Path) -> Iterable[tuple[int, str, str, Part]]:
    """Line number, file, label and part of every row."""
    text = _read_text(csv_path)
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    header: list[str] | None = None
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if header is None:
                header, is_header = _header(cells, csv_path)
                if is_header:
                    continue
            if len(cells) < len(header):
                raise InputError(f"'{csv_path}', line {reader.line_num}: {len(cells)} columns, expected {len(header)}")
            values = dict(zip(header, cells, strict=False))
            yield reader.line_num, values["file"], values["label"], _part(values, csv_path, reader.line_num)
    except csv.Error as error:
        raise InputError(f"'{csv_path}', line {reader.line_num}: not a CSV ({error})") from None


def _read_text(csv_path: Path) -> str:
    try:
        data = csv_path.read_bytes()
    except OSError as error:
        raise InputError(f"the table '{csv_path}' cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"the table '{csv_path}' is not UTF-8 (byte {data[error.start]:#04x} at offset {error.start}); "
            "save it as UTF-8"
        ) from None


def _header(cells: list[str], csv_path: Path) -> tuple[list[str], bool]:
    """The meaning of each column, and whether this row names them or is data already."""
    known = {"file": FILE_COLUMNS, "label": LABEL_COLUMNS, "split": SPLIT_COLUMNS, "is_valid": VALID_COLUMNS}
    names = [cell.lower() for cell in cells]
    header = [next((meaning for meaning, words in known.items() if name in words), f"{name} ") for name in names]
    if {"file", "label"} <= set(header):
        if len({meaning for meaning in header if meaning in known}) != sum(meaning in known for meaning in header):
            raise InputError(f"'{csv_path}' has two columns of one meaning: {', '.join(cells)}; keep one of them")
        return header, True
    if len(cells) >= 2 and Path(cells[0]).suffix.lower() in EXTENSIONS:
        return ["file", "label", "split"][: len(cells)], False
    raise InputError(
        f"'{csv_path}' needs a column 'file' and a column 'label' (and perhaps 'split'); it has {', '.join(cells)}"
    )


def _part(values: dict[str, str], csv_path: Path, number: int) -> Part:
    if "split" in values:
        part = PART_NAMES.get(values["split"].lower() or "train")
        if part is None:
            raise InputError(
                f"'{csv_path}', line {number}: unknown split '{values['split']}'; known: {', '.join(PART_NAMES)}"
            )
        return part
    answer = values.get("is_valid", "").lower()
    if answer not in _YES | _NO:
        raise InputError(f"'{csv_path}', line {number}: is_valid is '{values['is_valid']}'; write true or false")
    return "valid" if answer in _YES else "train"


def _classes_of(rows: Iterable[tuple[str, Part, int]], csv_path: Path) -> list[str]:
    trained: set[str] = set()
    elsewhere: dict[str, int] = {}
    for label, part, number in rows:
        if part == "train":
            trained.add(label)
        else:
            elsewhere.setdefault(label, number)
    if not trained:
        raise InputError(f"'{csv_path}' has no rows to train on")
    if len(trained) == 1:
        raise InputError(f"'{csv_path}' has one class, '{min(trained)}'; telling classes apart takes two or more")
    for label, number in elsewhere.items():
        if label not in trained:
            raise InputError(f"'{csv_path}', line {number}: the class '{label}' has no training image")
    return sorted(trained)
