"""`rushlight check`: what it says, what it leaves, and that a person's decisions reach the training."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.audit.pictures import picture, write_parts

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Two classes in two parts, with one fault of each of three kinds."""
    root = write_parts(tmp_path / "faulty", train=80, valid=40)
    picture(3).save(root / "valid" / "cats" / "copy.jpg", quality=50)
    (root / "train" / "dogs" / "d1.jpg").write_bytes(b"")
    (root / "train" / "dogs" / "same.jpg").write_bytes((root / "train" / "cats" / "c5.jpg").read_bytes())
    return root


def test_faults_are_told_in_words_and_left_as_page_and_proposal(
    faulty: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    ran = rushlight("check", faulty, "--no-features")
    assert ran.code == 0
    for told in ("1 file that cannot be read", "(empty file)", "1 picture in more than one part", "1 picture with two"):
        assert told in ran.out
    folder = tmp_path / "runs" / "check" / "faulty-1"
    rows = {row["file"]: row for row in csv.DictReader((folder / "fixes.csv").open())}
    assert rows["train/dogs/d1.jpg"]["action"] == "drop"
    assert rows["train/cats/c3.jpg"]["action"] == "drop"
    assert rows["valid/cats/copy.jpg"]["action"] == "keep"
    page = (folder / "check.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/jpeg;base64,") >= 4
    assert 'alt="train/cats/c3.jpg, labelled cats"' in page
    assert json.loads((folder / "check.json").read_text())["images"] == 122


def test_json_is_one_object_for_a_program(faulty: Path, rushlight: Rushlight) -> None:
    found = json.loads(rushlight("check", faulty, "--no-features", "--json").out)
    assert found["parts"] == {"train": 81, "valid": 41}
    kinds = {finding["kind"]: finding for finding in found["findings"]}
    assert kinds["unreadable"]["groups"] == [{"files": ["train/dogs/d1.jpg"], "remark": "empty file"}]
    assert Path(found["page"]).name == "check.html"


def test_decisions_make_a_table_that_trains_and_the_images_stay(
    faulty: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    rushlight("check", faulty, "--no-features")
    before = {path: path.read_bytes() for path in faulty.rglob("*.jpg")}
    fixes = tmp_path / "runs" / "check" / "faulty-1" / "fixes.csv"
    ran = rushlight("check", faulty, "--apply", fixes, "--json")
    told = json.loads(ran.out)
    assert told["drop"] == 4  # the empty file, the training copy, and both of the two labels
    assert told["images"] == 118
    assert {path: path.read_bytes() for path in faulty.rglob("*.jpg")} == before
    short = ("--steps", "2", "--model", "conv_layers", "--size", "32", "--output", tmp_path / "run")
    trained = rushlight("train", "images", told["labels"], *short)
    assert trained.code == 0
    assert "cannot be read" not in trained.err
    again = json.loads(rushlight("check", faulty, "--apply", fixes, "--json").out)
    assert Path(again["labels"]).name == "labels-2.csv"  # a model may have been trained on the first


def test_what_was_decided_is_not_written_over(faulty: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    words = ("check", faulty, "--no-features", "--output", tmp_path / "mine")
    assert rushlight(*words).code == 0
    ran = rushlight(*words)
    assert ran.code == 2
    assert "holds a check already" in ran.error


def test_names_from_the_disk_cannot_leave_the_text(rushlight: Rushlight, tmp_path: Path) -> None:
    root = write_parts(tmp_path / "odd")
    name = "<img src=x onerror=alert(1)>.jpg"
    (root / "train" / "cats" / name).write_bytes((root / "train" / "cats" / "c0.jpg").read_bytes())
    rushlight("check", root, "--no-features", "--output", tmp_path / "page")
    page = (tmp_path / "page" / "check.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_a_network_finds_the_wrong_labels(rushlight: Rushlight, photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "crossed"
    for folder in photos.iterdir():
        (root / folder.name).mkdir(parents=True, exist_ok=True)
        for number in range(10):
            target = "blue" if (folder.name, number) == ("red", 4) else folder.name
            (root / target).mkdir(exist_ok=True)
            (root / target / f"{folder.name}-{number}.png").write_bytes((folder / f"{number}.png").read_bytes())
    found = json.loads(rushlight("check", root, "--json").out)
    kinds = {finding["kind"]: finding for finding in found["findings"]}
    assert kinds["label_doubt"]["groups"][0]["files"] == ["blue/red-4.png"]
    assert "looks like red" in kinds["label_doubt"]["groups"][0]["remark"]


def test_data_of_the_catalog_is_checked_by_its_name(rushlight: Rushlight) -> None:
    ran = rushlight("check", "digits", "--no-features")
    assert ran.code == 0
    assert "digits: 1,797 images of 10 classes" in ran.out


# --- text ----------------------------------------------------------------------------------------------------------


def test_a_passage_in_both_parts_of_a_text_is_found(rushlight: Rushlight, tmp_path: Path) -> None:
    lines = [f"line {number} says something of its own about {number * number} things" for number in range(200)]
    passage = (
        "this very sentence, which is rather long, was copied from the beginning of the text to its end, word by word"
    )
    lines[10] = lines[190] = passage
    (tmp_path / "book.txt").write_text("\n".join(lines))
    found = json.loads(rushlight("check", tmp_path / "book.txt", "--json").out)
    kinds = {finding["kind"]: finding for finding in found["findings"]}
    assert "1 passage" in kinds["passage_across_parts"]["title"]
    assert "this very sentence, which is rather long" in rushlight("check", tmp_path / "book.txt").out


def test_a_text_of_another_encoding_is_told_what_to_do(rushlight: Rushlight, tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_bytes("süße Grüße an alle\n".encode("latin-1") * 50)
    ran = rushlight("check", tmp_path / "book.txt")
    assert ran.code == 0
    assert "--encoding" in ran.out
    assert "replacement sign" not in rushlight("check", tmp_path / "book.txt", "--encoding", "latin-1").out


# --- what cannot be checked ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "expected a folder for each class"),
        (["a.txt"], "too short"),
        (["cats/1.png"], "one class"),
        (["1.png", "2.png"], "class"),
        (["cats/1.png", "dogs/notes.txt"], "dogs"),
    ],
)
def test_folders_without_two_classes_of_images_are_refused(
    names: list[str], told: str, rushlight: Rushlight, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".png"):
            picture(1, (16, 16)).save(root / name)
        else:
            (root / name).write_text("")
    ran = rushlight("check", root)
    assert ran.code == 2
    assert told in ran.error or names == ["a.txt"]


def test_a_misspelt_name_is_told_the_nearest(rushlight: Rushlight) -> None:
    ran = rushlight("check", "dogcats")
    assert ran.code == 2
    assert "did you mean 'dogscats'?" in ran.error


def test_fixes_of_other_data_are_refused(faulty: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    (tmp_path / "fixes.csv").write_text("file,action\ntrain/cats/c77.jpg,drop\n")
    ran = rushlight("check", faulty, "--apply", tmp_path / "fixes.csv")
    assert ran.code == 2
    assert "line 2: there is no file 'train/cats/c77.jpg'" in ran.error
    assert not (tmp_path / "labels.csv").exists()
    assert "cannot be read" in rushlight("check", faulty, "--apply", tmp_path / "none.csv").error


def test_images_of_several_labels_are_checked_for_what_has_no_class(rushlight: Rushlight, tmp_path: Path) -> None:
    rows = ["file,labels"]
    for number in range(30):
        picture(number, (40, 40)).save(tmp_path / f"i{number}.jpg")
        rows.append(f"i{number}.jpg,{'cat;indoors' if number % 3 else 'dog'}")
    picture(3, (40, 40)).save(tmp_path / "copy.jpg", quality=60)
    (tmp_path / "table.csv").write_text("\n".join([*rows, "copy.jpg,dog"]))
    found = json.loads(rushlight("check", tmp_path / "table.csv", "--no-features", "--json").out)
    groups = [group["files"] for finding in found["findings"] for group in finding["groups"]]
    assert ["copy.jpg", "i3.jpg"] in groups
    ran = rushlight("check", tmp_path / "table.csv", "--apply", tmp_path / "runs" / "check" / "table-1" / "fixes.csv")
    assert ran.code == 2
    assert "one class each" in ran.error
