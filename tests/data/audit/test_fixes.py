"""What a person decides is applied to the list of files and to nothing else; what makes no sense is refused by name."""

from pathlib import Path

import pytest

from rushlight.data.audit.fixes import Fix, apply_fixes, read_fixes, write_fixes, write_labels
from rushlight.data.samples import scan_folder
from rushlight.data.tables import scan_csv
from rushlight.runtime.errors import InputError
from tests.data.audit.pictures import write_parts


def test_fixes_come_back_as_they_were_written(tmp_path: Path) -> None:
    scan = scan_folder(write_parts(tmp_path / "data"))
    fixes = [Fix("train/cats/c0.jpg", "drop", reason='said "no", twice'), Fix("train/cats/c1.jpg", "relabel", "dogs")]
    write_fixes(tmp_path / "fixes.csv", fixes)
    assert read_fixes(tmp_path / "fixes.csv", scan) == fixes


def test_labels_and_files_change_as_decided_and_the_parts_stay(tmp_path: Path) -> None:
    root = write_parts(tmp_path / "data")
    before = {path: path.read_bytes() for path in root.rglob("*.jpg")}
    scan = scan_folder(root)
    fixes = [
        Fix("train/cats/c0.jpg", "drop"),
        Fix("train/cats/c1.jpg", "relabel", "dogs"),
        Fix("valid/dogs/d0.jpg", "keep"),
    ]
    write_labels(tmp_path / "labels.csv", apply_fixes(scan, fixes))
    again = scan_csv(tmp_path / "labels.csv")
    found = {s.path: (again.classes[s.label], s.part) for s in again.samples}
    assert root / "train/cats/c0.jpg" not in found
    assert found[root / "train/cats/c1.jpg"] == ("dogs", "train")
    assert found[root / "valid/dogs/d0.jpg"] == ("dogs", "valid")
    assert len(found) == len(scan.samples) - 1
    assert {path: path.read_bytes() for path in root.rglob("*.jpg")} == before


def test_a_validation_part_that_was_cut_stays_the_same(tmp_path: Path) -> None:
    root = write_parts(tmp_path / "data", train=40) / "train"
    scan = scan_folder(root, valid_fraction=0.25, seed=3)
    write_labels(tmp_path / "labels.csv", apply_fixes(scan, []))
    again = scan_csv(tmp_path / "labels.csv", valid_fraction=0.5, seed=9)
    assert {s.path for s in again.part("valid")} == {s.path for s in scan.part("valid")}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("", "are empty"),
        ("file,label\na,b\n", "no column 'action'"),
        (
            "file,action\ntrain/cats/c00.jpg,drop\n",
            "line 2: there is no file 'train/cats/c00.jpg' in the data; did you mean",
        ),
        ("file,action\ncats/c0.jpg,drop\n", "did you mean 'train/cats/c0.jpg'?"),
        ("file,action\ntrain/cats/c0.jpg,dorp\n", "unknown action 'dorp'; did you mean 'drop'?"),
        ("file,action,label\ntrain/cats/c0.jpg,relabel,dgos\n", "unknown class 'dgos'; did you mean 'dogs'?"),
        ("file,action,label\ntrain/cats/c0.jpg,relabel,\n", "relabel needs a label"),
        ("file,action\ntrain/cats/c0.jpg,drop\ntrain/cats/c0.jpg,keep\n", "stands in line 2 already"),
    ],
)
def test_fixes_that_make_no_sense_are_refused_by_line_and_name(table: str, told: str, tmp_path: Path) -> None:
    scan = scan_folder(write_parts(tmp_path / "data"))
    (tmp_path / "fixes.csv").write_text(table)
    with pytest.raises(InputError) as caught:
        read_fixes(tmp_path / "fixes.csv", scan)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fixes_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    scan = scan_folder(write_parts(tmp_path / "data"))
    with pytest.raises(InputError, match="cannot be read"):
        read_fixes(tmp_path / "none.csv", scan)
    (tmp_path / "fixes.csv").write_bytes(b"file,action\n\xff\xfe,drop\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_fixes(tmp_path / "fixes.csv", scan)


def test_a_table_as_spreadsheets_save_it_is_read(tmp_path: Path) -> None:
    scan = scan_folder(write_parts(tmp_path / "data"))
    (tmp_path / "fixes.csv").write_text("\ufeffFile;Action\r\ntrain\\cats\\c0.jpg;Drop\r\ntrain/cats/c1.jpg;\r\n")
    assert [(fix.file, fix.action) for fix in read_fixes(tmp_path / "fixes.csv", scan)] == [
        ("train/cats/c0.jpg", "drop"),
        ("train/cats/c1.jpg", "keep"),
    ]


def test_a_class_may_not_be_dropped_altogether(tmp_path: Path) -> None:
    scan = scan_folder(write_parts(tmp_path / "data"))
    fixes = [Fix(name, "drop") for name in scan.names() if name.startswith("train/cats")]
    with pytest.raises(InputError, match="'cats' has no training image left"):
        apply_fixes(scan, fixes)
