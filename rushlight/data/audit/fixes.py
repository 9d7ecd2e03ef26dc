"""What a person decided about the files that a check named: a table of fixes, and the labels that come of it.

No image is touched, moved or deleted. The fixes lie in one table, the labels that come of them in another, which every
command takes in place of the folder; without it, everything is as it was.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rushlight.data.samples import Scan
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.files import atomic_write_text

Action = Literal["keep", "drop", "relabel"]
ACTIONS: tuple[Action, ...] = ("keep", "drop", "relabel")
COLUMNS = ("file", "action", "label", "reason")


@dataclass(frozen=True)
class Fix:
    """What to do with one file.

    Attributes:
        file: below the folder of the data, with `/`.
        action: `keep` it as it is, `drop` it, or `relabel` it.
        label: the new class, of a file to relabel.
        reason: why; for people.
    """

    file: str
    action: Action
    label: str = ""
    reason: str = ""


def write_fixes(path: Path, fixes: Iterable[Fix]) -> None:
    """Write a table of fixes.

    Raises:
        StorageError: it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((fix.file, fix.action, fix.label, fix.reason) for fix in fixes)
    atomic_write_text(path, text.getvalue())


def read_fixes(path: str | Path, scan: Scan) -> list[Fix]:
    """Read a table of fixes for these files.

    Args:
        path: a CSV (commas, semicolons or tabs) with the columns `file` and `action`, and `label` where a file is to
            be relabelled; an empty action keeps.
        scan: the files that there are.

    Raises:
        InputError: the table cannot be read, or names a file, an action or a class that there is not.
    """
    known = set(scan.names())
    fixes: list[Fix] = []
    lines: dict[str, int] = {}
    for line, row in _rows(Path(path)):
        place = f"'{path}', line {line}"
        file = row["file"].replace("\\", "/")
        action = next((known for known in ACTIONS if known == (row["action"].lower() or "keep")), None)
        if file not in known:
            raise InputError(f"{place}: there is no file '{file}' in the data; {_nearest_file(file, known)}")
        if action is None:
            raise InputError(f"{place}: unknown action '{row['action']}'; {nearest_name(row['action'], ACTIONS)}")
        if file in lines:
            raise InputError(f"{place}: '{file}' stands in line {lines[file]} already; keep one of them")
        label = row.get("label", "") if action == "relabel" else ""
        if action == "relabel" and label not in scan.classes:
            told = f"unknown class '{label}'; {nearest_name(label, scan.classes)}" if label else "relabel needs a label"
            raise InputError(f"{place}: {told}")
        lines[file] = line
        fixes.append(Fix(file, action, label, row.get("reason", "")))
    return fixes


def apply_fixes(scan: Scan, fixes: Sequence[Fix]) -> Scan:
    """The files as they are to be used.

    Raises:
        InputError: so many are dropped that nothing is left to learn, or a class has no training image any more.
    """
    if scan.kind != "label":
        raise InputError("fixes are for images of one class each")
    by_file = {fix.file: fix for fix in fixes}
    samples = []
    for name, sample in zip(scan.names(), scan.samples, strict=True):
        fix = by_file.get(name)
        if fix is None or fix.action == "keep":
            samples.append(sample)
        elif fix.action == "relabel":
            samples.append(replace(sample, target=scan.classes.index(fix.label)))
    trained = {sample.label for sample in samples if sample.part == "train"}
    lost = [name for label, name in enumerate(scan.classes) if label not in trained]
    if lost:
        raise InputError(f"with these fixes the class '{lost[0]}' has no training image left; keep some of it")
    return replace(scan, samples=samples)


def write_labels(path: Path, scan: Scan) -> None:
    """Write the files, labels and parts as a table that every command takes in place of a folder.

    The parts stand in it, so that a validation part which was cut stays the same.

    Raises:
        StorageError: it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "label", "split"))
    writer.writerows((str(s.path.absolute()), scan.classes[s.label], s.part) for s in scan.samples)
    atomic_write_text(path, text.getvalue())


def _rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """Line number and cells of every row."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"the fixes '{path}' cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(
            f"the fixes '{path}' are not UTF-8; save them as UTF-8, and rename files whose names are not"
        ) from None
    first = text.lstrip("\r\n").partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    header: list[str] | None = None
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if header is None:
                header = [cell.lower() for cell in cells]
                missing = [name for name in COLUMNS[:2] if name not in header]
                if missing:
                    raise InputError(f"'{path}' has no column '{missing[0]}'; it needs file, action and label")
                continue
            cells += [""] * (len(header) - len(cells))
            yield reader.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise InputError(f"'{path}', line {reader.line_num}: not a CSV ({error})") from None
    if header is None:
        raise InputError(f"the fixes '{path}' are empty; a table of file, action and label was expected")


def _nearest_file(file: str, known: set[str]) -> str:
    """The nearest of thousands of names: those of the same last part first, for `difflib` is slow."""
    name = file.rpartition("/")[2]
    same = sorted(other for other in known if other.rpartition("/")[2] == name)
    return f"did you mean '{same[0]}'?" if same else nearest_name(file, sorted(known)[:2000]).partition(", ")[0]
