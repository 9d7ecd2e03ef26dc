"""Which files are found, how they are labelled and split, and which folders and tables are refused."""

import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rushlight.data import scan_csv, scan_folder
from rushlight.data.splits import MOST_VALIDATION_IMAGES, choose_validation
from rushlight.runtime.errors import InputError


def make_images(root: Path, counts: dict[str, int], extension: str = ".png") -> Path:
    """Folders of tiny images: `{"train/cats": 3}`."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("L", (4, 4), i % 256).save(root / folder / f"{i:03}{extension}", "PNG")
    return root


def counts_of(scan, part: str) -> dict[str, int]:
    counted = Counter(sample.label for sample in scan.part(part))
    return {name: counted[label] for label, name in enumerate(scan.classes)}


def refused(function, *arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("valid", ["valid", "val", "validation", "Val"])
def test_train_valid_and_test_folders_are_kept_apart(tmp_path, valid):
    make_images(tmp_path, {"train/a": 3, "train/b": 2, f"{valid}/a": 1, f"{valid}/b": 2, "test/a": 2, "test/b": 1})
    scan = scan_folder(tmp_path)
    assert scan.classes == ["a", "b"]
    assert counts_of(scan, "train") == {"a": 3, "b": 2}
    assert counts_of(scan, "valid") == {"a": 1, "b": 2}
    assert counts_of(scan, "test") == {"a": 2, "b": 1}


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_a_missing_validation_part_is_cut_from_the_training_part(tmp_path, prefix):
    make_images(tmp_path, {f"{prefix}a": 20, f"{prefix}b": 10, **({"test/a": 3, "test/b": 3} if prefix else {})})
    scan = scan_folder(tmp_path, seed=3)
    assert counts_of(scan, "train") == {"a": 16, "b": 8}
    assert counts_of(scan, "valid") == {"a": 4, "b": 2}
    assert any("6 of 30" in note and "seed 3" in note for note in scan.notes)
    assert scan_folder(tmp_path, seed=3).samples == scan.samples
    assert scan_folder(tmp_path, seed=4).samples != scan.samples


def test_the_split_is_the_same_in_a_copy_and_steady_when_images_are_added(tmp_path):
    first = make_images(tmp_path / "first", {"a": 40, "b": 40})
    second = make_images(tmp_path / "second", {"a": 40, "b": 40})

    def validation(root: Path) -> set[Path]:
        return {sample.path.relative_to(root) for sample in scan_folder(root).part("valid")}

    before = validation(first)
    assert validation(second) == before
    make_images(second, {"a": 44})
    assert len(before - validation(second)) <= 1


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    fraction=st.floats(0.01, 0.9),
    seed=st.integers(0, 99),
)
def test_each_class_gives_its_share_and_keeps_one(counts, fraction, seed):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    chosen = choose_validation(labels, [str(i) for i in range(len(labels))], fraction, seed)
    taken = Counter(labels[i] for i in chosen)
    assert chosen == sorted(set(chosen))
    for label, count in enumerate(counts):
        if count == 1:
            assert taken[label] == 0
        else:
            assert 1 <= taken[label] < count
            assert taken[label] == 1 or abs(taken[label] - fraction * count) <= 1


def test_a_validation_part_of_many_images_is_capped():
    labels = np.repeat(np.arange(10), 5_000).tolist()
    chosen = choose_validation(labels, [str(i) for i in range(len(labels))], 0.2, 0)
    assert len(chosen) == MOST_VALIDATION_IMAGES
    assert set(Counter(labels[i] for i in chosen).values()) == {MOST_VALIDATION_IMAGES // 10}


def test_a_class_with_one_image_trains_and_is_warned_of(tmp_path):
    scan = scan_folder(make_images(tmp_path, {"a": 10, "rare": 1}))
    assert counts_of(scan, "train") == {"a": 8, "rare": 1}
    assert counts_of(scan, "valid") == {"a": 2, "rare": 0}
    assert any("warning" in note and "rare" in note for note in scan.notes)


def test_without_a_fraction_nothing_is_set_aside(tmp_path):
    assert not scan_folder(make_images(tmp_path, {"a": 2, "b": 2}), valid_fraction=0).part("valid")


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_an_impossible_fraction_is_refused(tmp_path, fraction):
    assert "fraction" in refused(scan_folder, make_images(tmp_path, {"a": 2, "b": 2}), fraction)


def test_no_validation_part_can_be_cut_from_single_images(tmp_path):
    assert "two images" in refused(scan_folder, make_images(tmp_path, {"a": 1, "b": 1}))


@pytest.mark.parametrize("name", ["a.JPG", "a.jpeg", "a.Png", "a.WEBP", "a.bmp", "a.TIF", "a.tiff", "a.gif"])
def test_extensions_count_in_any_case(tmp_path, name):
    make_images(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / name).write_bytes(b"x")
    assert len(scan_folder(tmp_path).samples) == 5


def test_images_in_deeper_folders_belong_to_the_class_and_other_files_do_not(tmp_path):
    make_images(tmp_path, {"a/2024/may": 2, "b": 2, ".ipynb_checkpoints": 1, "__MACOSX/a": 1})
    for junk in ("a/notes.txt", "a/.DS_Store", "b/._000.png", "labels.txt"):
        (tmp_path / junk).write_bytes(b"x")
    scan = scan_folder(tmp_path)
    assert scan.classes == ["a", "b"]
    assert len(scan.samples) == 4
    assert any("1 files that are not images" in note for note in scan.notes)


def test_a_folder_in_a_folder_is_stepped_into(tmp_path):
    make_images(tmp_path / "photos", {"a": 2, "b": 2})
    assert scan_folder(tmp_path).classes == ["a", "b"]


def test_folders_beside_train_are_ignored_and_named(tmp_path):
    scan = scan_folder(make_images(tmp_path, {"train/a": 2, "train/b": 2, "models": 1}))
    assert scan.classes == ["a", "b"]
    assert any("models" in note for note in scan.notes)


def test_a_test_folder_without_labels_is_ignored(tmp_path):
    scan = scan_folder(make_images(tmp_path, {"train/a": 2, "train/b": 2, "test": 3}))
    assert not scan.part("test")
    assert any("no labels" in note for note in scan.notes)


def test_missing_empty_and_wrong_folders_are_refused(tmp_path):
    assert "no folder" in refused(scan_folder, tmp_path / "gone")
    assert "cannot be opened" in refused(scan_folder, "x" * 5000)
    assert "holds no images" in refused(scan_folder, tmp_path)
    file = tmp_path / "file"
    file.write_bytes(b"")
    assert "is a file" in refused(scan_folder, file)
    make_images(tmp_path, {".": 2})
    assert "no class folders" in refused(scan_folder, tmp_path)


def test_one_class_and_an_empty_class_are_named(tmp_path):
    make_images(tmp_path, {"only": 3, "other": 0})
    assert "'other'" in refused(scan_folder, tmp_path)
    (tmp_path / "other").rmdir()
    assert "'only'" in refused(scan_folder, tmp_path / ".")


def test_parts_that_do_not_fit_the_training_part_are_refused(tmp_path):
    make_images(tmp_path / "1", {"train/a": 2, "train/b": 2, "valid/a": 1, "valid/c": 1})
    assert "'c'" in refused(scan_folder, tmp_path / "1")
    make_images(tmp_path / "2", {"train/a": 2, "train/b": 2, "valid/a": 0})
    assert "valid" in refused(scan_folder, tmp_path / "2")
    make_images(tmp_path / "3", {"valid/a": 2, "test/b": 2})
    assert "no train folder" in refused(scan_folder, tmp_path / "3")
    make_images(tmp_path / "4", {"train/a": 2, "train/b": 2, "val/a": 1, "valid/a": 1})
    assert "more than one validation folder" in refused(scan_folder, tmp_path / "4")


def test_loops_of_links_end_and_links_outside_are_ignored(tmp_path):
    outside = make_images(tmp_path / "outside", {"x": 3})
    root = make_images(tmp_path / "root", {"a": 3, "b": 3})
    (root / "a" / "loop").symlink_to(root / "a")
    (root / "b" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a" / "self")
    (root / "a" / "away").symlink_to(outside)
    (root / "a" / "away.png").symlink_to(outside / "x" / "000.png")
    (root / "a" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "a" / "again.png").symlink_to(root / "a" / "000.png")
    scan = scan_folder(root)
    assert all(sample.path.resolve().is_relative_to(root.resolve()) for sample in scan.samples)
    in_a = {sample.path.name for sample in scan.samples if sample.label == 0 and "up" not in sample.path.parts}
    assert in_a == {"000.png", "001.png", "002.png", "again.png"}
    assert any("links" in note for note in scan.notes)


def test_a_folder_of_nothing_but_links_outside_says_so(tmp_path):
    outside = make_images(tmp_path / "outside", {"x": 2})
    for name in ("a", "b"):
        (tmp_path / "root" / name).mkdir(parents=True)
        (tmp_path / "root" / name / "1.png").symlink_to(outside / "x" / "000.png")
    assert "2 links" in refused(scan_folder, tmp_path / "root")


def test_unicode_names_come_back_as_they_are(tmp_path):
    scan = scan_folder(make_images(tmp_path, {"кошки": 2, "日本 🐈": 2}))
    assert scan.classes == ["кошки", "日本 🐈"]
    assert all(sample.path.is_file() for sample in scan.samples)


def test_two_spellings_of_one_name_are_refused_in_one_place_and_matched_across_parts(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    make_images(tmp_path / "across", {f"train/{composed}": 2, "train/b": 2, f"valid/{decomposed}": 1})
    assert counts_of(scan_folder(tmp_path / "across"), "valid") == {"b": 0, composed: 1}
    make_images(tmp_path / "clash", {composed: 2, decomposed: 2})
    if len(list((tmp_path / "clash").iterdir())) < 2:
        pytest.skip("this file system keeps one spelling only")
    assert "NFC" in refused(scan_folder, tmp_path / "clash")
    make_images(tmp_path / "files", {"a": 2, "b": 2})
    for spelling in (composed, decomposed):
        (tmp_path / "files" / "a" / f"{spelling}.png").write_bytes(b"x")
    assert "look alike" in refused(scan_folder, tmp_path / "files")


def write_table(folder: Path, text: str, **options) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, **{"encoding": "utf-8", "newline": "", **options})
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_tables_are_read_in_their_usual_forms(tmp_path, delimiter, encoding, line_end):
    rows = ["File;Label;Split", '"a, 1.png";cat;train', "b.png;dog;", "c.png;cat;val", "d.png;dog;TEST", ""]
    text = line_end.join(row.replace(";", delimiter) for row in rows)
    scan = scan_csv(write_table(tmp_path, text, encoding=encoding))
    assert scan.classes == ["cat", "dog"]
    found = {sample.path.name: (scan.classes[sample.label], sample.part) for sample in scan.samples}
    assert found == {
        "a, 1.png": ("cat", "train"),
        "b.png": ("dog", "train"),
        "c.png": ("cat", "valid"),
        "d.png": ("dog", "test"),
    }
    assert scan.samples[0].path.parent == tmp_path


def test_a_table_may_lack_a_header_or_say_is_valid(tmp_path):
    scan = scan_csv(write_table(tmp_path, "1.jpg,a\n2.jpg,b\n"), valid_fraction=0)
    assert len(scan.part("train")) == 2
    scan = scan_csv(
        write_table(tmp_path, "id,file_name,class,is_valid\n7,1.jpg,a,False\n8,2.jpg,b,0\n9,3.jpg,b,True\n")
    )
    assert [sample.part for sample in scan.samples] == ["train", "train", "valid"]


def test_a_table_without_a_split_is_cut(tmp_path):
    rows = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(20))
    scan = scan_csv(write_table(tmp_path, "file,label\n" + rows), folder=tmp_path / ".", seed=1)
    assert counts_of(scan, "valid") == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("text", "clue"),
    [
        ("", "no rows"),
        ("file,label\n", "no rows"),
        ("picture,kind\nx,y\n", "needs a column 'file'"),
        ("file,label\n1.png,a\n2.png,a\n", "one class, 'a'"),
        ("file,label\n1.png,a\n2.png,\n", "line 3: label is empty"),
        ("file,label\n1.png,a\n1.png,b\n", "line 3: '1.png' stands there as 'b'"),
        ("file,label,split\n1.png,a,train\n2.png,b,train\n1.png,a,test\n", "line 4"),
        ("file,label,split\n1.png,a,train\n2.png,b,trian\n", "unknown split 'trian'"),
        ("file,label,split\n1.png,a,train\n2.png,b,train\n3.png,c,test\n", "'c' has no training image"),
        ("file,label,is_valid\n1.png,a,maybe\n", "is_valid is 'maybe'"),
        ("file,label\n1.png\n", "line 2: 1 columns, expected 2"),
        ("file,path,label\n1.png,1.png,a\n", "two columns of one meaning"),
    ],
)
def test_tables_that_cannot_be_used_say_where(tmp_path, text, clue):
    assert clue in refused(scan_csv, write_table(tmp_path, text))


def test_a_table_that_is_missing_or_not_utf8_is_refused(tmp_path):
    assert "cannot be read" in refused(scan_csv, tmp_path / "gone.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes("file,label\n1.png,café\n".encode("latin-1"))
    assert "offset 20" in refused(scan_csv, path)
    assert "no folder" in refused(scan_csv, path, folder=tmp_path / "gone")
