"""Targets from a CSV instead of folders: one row a file, with its label, labels or numbers, and perhaps its part."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rushlight.data.decode import EXTENSIONS
from rushlight.data.samples import PART_NAMES, ImageSample, Part, Scan, refuse_clash, with_validation
from rushlight.data.targets import AUTO, Target, listed
from rushlight.runtime.errors import InputError, nearest_name

FILE_COLUMNS = ("file", "filename", "file_name", "path", "image", "name", "fname")
LABEL_COLUMNS = ("label", "labels", "class", "classes", "target", "category", "tags")
SPLIT_COLUMNS = ("split", "part", "set", "subset")
VALID_COLUMNS = ("is_valid", "valid", "is_validation")  # a column of yes and no
LIST_COLUMNS = ("labels", "classes", "tags")  # names that promise several labels
_NOT_A_TARGET = ("", "id", "index", "unnamed: 0")  # numbers that say nothing

_YES = {"true", "1", "yes", "y", "1.0"}
_NO = {"false", "0", "no", "n", "", "0.0"}
_MANY_WHOLE_NUMBERS = 20  # so many different ones in a column are more likely measured than names of classes


@dataclass(frozen=True)
class _Row:
    """One row: its line, its file, the cells of the target's columns, and its part."""

    line: int
    file: str
    cells: tuple[str, ...]
    part: Part


@dataclass(frozen=True)
class _Table:
    """A table as it stands in the file.

    Attributes:
        path: the file.
        columns: names of the columns that hold the target.
        rows: in their order, each file once.
        separator: what stands between the labels of a list.
    """

    path: Path
    columns: list[str]
    rows: list[_Row]
    separator: str

    def place(self, row: _Row) -> str:
        return f"'{self.path}', line {row.line}"


def scan_csv(
    csv_path: str | Path,
    folder: str | Path | None = None,
    valid_fraction: float = 0.2,
    seed: int = 0,
    *,
    kind: str = AUTO,
    columns: Sequence[str] | None = None,
) -> Scan:
    """Read a table of files and what is to be learned about them.

    Args:
        csv_path: UTF-8, with commas, semicolons or tabs. Its first row names the columns: a file, a label and
            optionally a split (`train`, `valid`, `test`) or `is_valid`. Without such a row the first column
            is the file and the second the label.
        folder: what the files are relative to; the table's own folder if not given.
        valid_fraction: share of the training images to validate on where the table has no such part; 0 for
            none.
        seed: which images these are.
        kind: of the targets, a key of `rushlight.data.targets.TARGETS`. `auto` takes cells like `cat;indoors` as
            several labels, numbers that are not all whole as numbers, and all else as one label.
        columns: which columns hold the target. If not given, one called `label` or the like; for numbers, where
            there is none, every other column of numbers.

    Raises:
        InputError: the table is missing or not UTF-8, a column or a value is missing or unknown, a file
            stands in it with two labels or in two parts, or there is nothing to tell apart.
    """
    csv_path = Path(csv_path).expanduser()
    root = Path(folder).expanduser().absolute() if folder is not None else csv_path.absolute().parent
    if not root.is_dir():
        raise InputError(f"there is no folder '{root}' for the files of '{csv_path}'")
    table = _read_table(csv_path, kind, columns)
    notes: list[str] = []
    if kind == AUTO:
        kind, notes = _kind_of(table)
    names, targets = {"label": _one_label, "labels": _several_labels, "number": _numbers}[kind](table)
    refuse_clash(names, csv_path)
    refuse_clash([row.file for row in table.rows], csv_path)
    samples = [ImageSample(root / row.file, target, row.part) for row, target in zip(table.rows, targets, strict=True)]
    order: list[Part] = ["train", "valid", "test"]
    samples.sort(key=lambda sample: (order.index(sample.part), str(sample.path)))
    scan = with_validation(Scan(samples, names, notes, kind, root), root, valid_fraction, seed)
    return replace(scan, notes=[note.replace("no validation folder", "no validation split") for note in scan.notes])


# --- what the cells mean -------------------------------------------------------------------------------------------


def _kind_of(table: _Table) -> tuple[str, list[str]]:
    """What the cells look like, and a line that says so where it is not one label an image."""
    if len(table.columns) > 1:
        cells = {cell.lower() for row in table.rows for cell in row.cells}
        return "labels" if cells <= _YES | _NO else "number", []
    (column,) = table.columns
    entries = [row.cells[0] for row in table.rows]
    lists = table.separator == ";" or column.lower() in LIST_COLUMNS  # in a table of semicolons a comma may be a name's
    if (lists and any(table.separator in entry for entry in entries)) or (
        column.lower() in LIST_COLUMNS and not all(entries)
    ):
        return "labels", [f"an image may have several labels: '{column}' holds lists of them (--target labels)"]
    values = [_number_in(entry, table) for entry in entries]
    if not entries or None in values:
        return "label", []
    if all(value == round(value) for value in values if value is not None):
        if len(set(values)) <= _MANY_WHOLE_NUMBERS:
            return "label", []
        return "label", [
            f"each of the {len(set(values)):,} numbers in '{column}' is a class (--target number: measured)"
        ]
    return "number", [f"a number is learned: '{column}' holds numbers that are not whole (--target label: classes)"]


def _one_label(table: _Table) -> tuple[list[str], list[Target]]:
    for row in table.rows:
        if not row.cells[0]:
            raise InputError(f"{table.place(row)}: label is empty")
    if len(table.columns) > 1:
        raise InputError(f"one label an image stands in one column, not in {listed(table.columns)}")
    labels = [row.cells[0] for row in table.rows]
    classes = _trained(table, [[label] for label in labels], "class")
    if len(classes) == 1:
        raise InputError(f"'{table.path}' has one class, '{classes[0]}'; telling classes apart takes two or more")
    number = {name: i for i, name in enumerate(classes)}
    return classes, [number[label] for label in labels]


def _several_labels(table: _Table) -> tuple[list[str], list[Target]]:
    if len(table.columns) > 1:  # a column for each label
        lists = [
            [name for name, cell in zip(table.columns, row.cells, strict=True) if _is_yes(cell, name, row, table)]
            for row in table.rows
        ]
    else:
        parts = [row.cells[0].split(table.separator) for row in table.rows]
        lists = [[label.strip() for label in cell if label.strip()] for cell in parts]
    labels = _trained(table, lists, "label")
    number = {name: i for i, name in enumerate(labels)}
    return labels, [tuple(sorted({number[label] for label in found})) for found in lists]


def _numbers(table: _Table) -> tuple[list[str], list[Target]]:
    targets: list[Target] = []
    for row in table.rows:
        values = []
        for name, cell in zip(table.columns, row.cells, strict=True):
            value = _number_in(cell, table)
            if value is None:
                what = f"is '{cell}', which is not a number" if cell else "is empty"
                raise InputError(f"{table.place(row)}: {name} of '{row.file}' {what}")
            values.append(value)
        targets.append(tuple(values))
    if not any(row.part == "train" for row in table.rows):
        raise InputError(f"'{table.path}' has no rows to train on")
    return list(table.columns), targets


def _number_in(cell: str, table: _Table) -> float | None:
    """The number in a cell; in a table of semicolons a comma may be the decimal point. None where there is none."""
    try:
        value = float(cell.replace(",", ".") if table.separator == "," else cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def _is_yes(cell: str, name: str, row: _Row, table: _Table) -> bool:
    if cell.lower() not in _YES | _NO:
        raise InputError(f"{table.place(row)}: {name} of '{row.file}' is '{cell}'; write 1 or 0")
    return cell.lower() in _YES


def _trained(table: _Table, labels: Sequence[Sequence[str]], what: str) -> list[str]:
    """The labels that training images have, sorted; the other parts may have no others."""
    known = {label for row, found in zip(table.rows, labels, strict=True) if row.part == "train" for label in found}
    if not any(row.part == "train" for row in table.rows):
        raise InputError(f"'{table.path}' has no rows to train on")
    if not known:
        raise InputError(f"no training image of '{table.path}' has a label, so there is nothing to tell apart")
    for row, found in zip(table.rows, labels, strict=True):
        for label in found:
            if label not in known:
                raise InputError(f"{table.place(row)}: the {what} '{label}' has no training image")
    return sorted(known)


# --- what stands in the file ---------------------------------------------------------------------------------------


def _read_table(csv_path: Path, kind: str, columns: Sequence[str] | None) -> _Table:
    text = _read_text(csv_path)
    delimiter = _delimiter(text.lstrip("\r\n").partition("\n")[0])
    lines = _lines(csv_path, text, delimiter)
    separator = "," if delimiter == ";" else ";"
    number, first = next(lines, (0, []))
    if not first:
        raise InputError(f"'{csv_path}' has no rows to train on")
    meaning, is_header = _header(first, csv_path, kind, columns)
    rows = list(lines) if is_header else [(number, first), *lines]
    for number, cells in rows:
        if len(cells) < len(meaning):
            raise InputError(f"'{csv_path}', line {number}: {len(cells)} columns, expected {len(meaning)}")
    names = first if is_header else _names_of(meaning, kind)
    chosen = [place for place, what in enumerate(meaning) if what == "target"]
    if not chosen:
        chosen = _columns_of_numbers(csv_path, names, meaning, rows, _Table(csv_path, [], [], separator))
    return _Table(
        csv_path, [names[place] for place in chosen], _each_file_once(csv_path, rows, meaning, chosen), separator
    )


def _names_of(meaning: Sequence[str], kind: str) -> list[str]:
    """Names for columns that have none."""
    if kind != "number":
        return ["label" if what == "target" else what for what in meaning]
    count = meaning.count("target")
    return [what if what != "target" else "number" if count == 1 else f"number {i}" for i, what in enumerate(meaning)]


def _each_file_once(
    csv_path: Path, rows: Sequence[tuple[int, list[str]]], meaning: Sequence[str], chosen: Sequence[int]
) -> list[_Row]:
    """The rows, of which two may name one file if they agree."""
    found: dict[str, _Row] = {}
    for number, cells in rows:
        values = dict(zip(meaning, cells, strict=False))
        row = _Row(number, values["file"], tuple(cells[place] for place in chosen), _part(values, csv_path, number))
        if not row.file:
            raise InputError(f"'{csv_path}', line {number}: file is empty")
        before = found.setdefault(row.file, row)
        if (before.cells, before.part) != (row.cells, row.part):
            said, said_before = (", ".join(each.cells) for each in (row, before))
            raise InputError(
                f"'{csv_path}', line {number}: '{row.file}' stands there as '{said}' for {row.part}, but in line "
                f"{before.line} as '{said_before}' for {before.part}; keep one"
            )
    return list(found.values())


def _lines(csv_path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"'{csv_path}', line {reader.line_num}: not a CSV ({error})") from None


def _delimiter(line: str) -> str:
    """The first comma, semicolon or tab outside of quotes: the next ones may stand within a list of labels."""
    quoted = False
    for character in line:
        if character == '"':
            quoted = not quoted
        elif character in ",;\t" and not quoted:
            return character
    return ","


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
            "save it as UTF-8, and rename files whose names are not"
        ) from None


def _header(cells: list[str], csv_path: Path, kind: str, columns: Sequence[str] | None) -> tuple[list[str], bool]:
    """The meaning of each column, and whether this row names them or is data already."""
    known = {"file": FILE_COLUMNS, "target": LABEL_COLUMNS, "split": SPLIT_COLUMNS, "is_valid": VALID_COLUMNS}
    names = [cell.lower() for cell in cells]
    wanted = [column.lower() for column in columns or ()]
    if columns is not None:
        del known["target"]
    header = [
        "target" if name in wanted else next((meaning for meaning, words in known.items() if name in words), f"{name} ")
        for name in names
    ]
    twice = [meaning for meaning in known if header.count(meaning) > 1]
    if "file" in header and ("target" in header or kind == "number" or columns is not None):
        for column in wanted:
            if column not in names:
                raise InputError(f"'{csv_path}' has no column '{column}': {nearest_name(column, cells)}")
        if twice:
            raise InputError(f"'{csv_path}' has two columns of one meaning: {', '.join(cells)}; keep one of them")
        return header, True
    if len(cells) >= 2 and Path(cells[0]).suffix.lower() in EXTENSIONS:
        if columns is not None:
            raise InputError(f"'{csv_path}' does not name its columns, so {listed(wanted)} cannot be found in it")
        if kind != "number" or len(cells) == 2:
            return ["file", "target", "split"][: len(cells)], False
        has_split = cells[-1].lower() in PART_NAMES
        return ["file", *["target"] * (len(cells) - 1 - has_split), *["split"] * has_split], False
    raise InputError(
        f"'{csv_path}' needs a column 'file' and a column 'label' (and perhaps 'split'); it has {', '.join(cells)}"
    )


def _columns_of_numbers(
    csv_path: Path, names: Sequence[str], meaning: Sequence[str], rows: Sequence[tuple[int, list[str]]], table: _Table
) -> list[int]:
    """Which columns hold nothing but numbers, of those that mean nothing else."""
    free = [i for i, what in enumerate(meaning) if what.endswith(" ") and what.strip() not in _NOT_A_TARGET]
    found = [i for i in free if all(_number_in(cells[i], table) is not None for _, cells in rows)]
    if found and rows:
        return found
    for number, cells in rows:
        for i in free:
            if _number_in(cells[i], table) is None:
                raise InputError(
                    f"'{csv_path}', line {number}: {names[i]} is '{cells[i]}', which is not a number, and no other "
                    "column holds numbers alone; name the column with --columns"
                )
    raise InputError(f"'{csv_path}' has no column of numbers; it has {', '.join(names)}")


def _part(values: Mapping[str, str], csv_path: Path, number: int) -> Part:
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
