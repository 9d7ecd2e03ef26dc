"""Several labels and numbers: what tables and arrays mean, how they are split, and which are refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rushlight.data import scan_csv
from rushlight.data.images import ImageData
from rushlight.data.splits import choose_validation_by_labels, draw_by_labels
from rushlight.data.targets import TARGETS
from rushlight.runtime.errors import InputError


def write_table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def targets_of(scan) -> dict[str, object]:
    return {sample.path.name: sample.target for sample in scan.samples}


def named(scan) -> dict[str, set[str]]:
    return {sample.path.name: {scan.classes[i] for i in sample.target} for sample in scan.samples}


# --- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "file,labels\n1.png,cat;dog\n2.png,\n3.png,dog\n",
        "file,label\n1.png,cat; dog\n2.png,;\n3.png,dog;dog\n",
        "1.png,cat;dog\n2.png,\n3.png,dog\n",
        'file;labels\n1.png;"cat, dog"\n2.png;\n3.png;dog\n',
        "file\ttags\n1.png\tcat;dog\n2.png\t\n3.png\tdog\n",
    ],
)
def test_lists_of_labels_are_several_labels_and_an_empty_cell_is_none(tmp_path, text):
    scan = scan_csv(write_table(tmp_path, text), valid_fraction=0)
    assert scan.kind == "labels"
    assert scan.classes == ["cat", "dog"]
    assert named(scan) == {"1.png": {"cat", "dog"}, "2.png": set(), "3.png": {"dog"}}
    assert any("several labels" in note for note in scan.notes) or "--target" not in str(scan.notes)


def test_a_column_for_each_label_holds_one_or_zero(tmp_path):
    text = "file,cat,dog,split\n1.png,1,0,train\n2.png,0,1,train\n3.png,1,1,valid\n"
    scan = scan_csv(write_table(tmp_path, text), columns=["cat", "dog"])
    assert scan.kind == "labels"
    assert named(scan) == {"1.png": {"cat"}, "2.png": {"dog"}, "3.png": {"cat", "dog"}}


def test_one_label_in_every_cell_stays_one_label_unless_asked_otherwise(tmp_path):
    table = write_table(tmp_path, "file,labels\n1.png,cat\n2.png,dog\n")
    assert scan_csv(table, valid_fraction=0).kind == "label"
    assert scan_csv(table, valid_fraction=0, kind="labels").kind == "labels"


def test_lists_are_one_class_each_where_that_is_asked_for(tmp_path):
    table = write_table(tmp_path, "file,labels\n1.png,cat;dog\n2.png,dog\n")
    assert scan_csv(table, valid_fraction=0, kind="label").classes == ["cat;dog", "dog"]


def test_numbers_that_are_not_whole_are_learned_as_numbers_and_it_is_said(tmp_path):
    table = write_table(tmp_path, "file,label\n1.png,0.5\n2.png,-2\n3.png,1e3\n")
    scan = scan_csv(table, valid_fraction=0)
    assert (scan.kind, scan.classes) == ("number", ["label"])
    assert targets_of(scan) == {"1.png": (0.5,), "2.png": (-2.0,), "3.png": (1000.0,)}
    assert any("a number is learned: 'label'" in note for note in scan.notes)
    assert scan_csv(table, valid_fraction=0, kind="label").classes == ["-2", "0.5", "1e3"]


def test_whole_numbers_are_classes_unless_a_number_is_asked_for(tmp_path):
    rows = "".join(f"{i}.png,{i}.0\n" for i in range(30))
    table = write_table(tmp_path, "file,label\n" + rows)
    scan = scan_csv(table, valid_fraction=0)
    assert scan.kind == "label"
    assert any("each of the 30 numbers" in note and "--target number" in note for note in scan.notes)
    assert scan_csv(table, valid_fraction=0, kind="number").kind == "number"


@pytest.mark.parametrize(
    ("text", "columns", "names", "first"),
    [
        ("file,price\n1.png,3\n2.png,4\n", None, ["price"], (3.0,)),
        ("id,file,X,y,remark\n7,1.png,3,1,a\n8,2.png,4,2,b\n", None, ["X", "y"], (3.0, 1.0)),
        ("id,file,X,y,remark\n7,1.png,3,1,a\n8,2.png,4,2,b\n", ["y"], ["y"], (1.0,)),
        ("file;price\n1.png;3,5\n2.png;4\n", None, ["price"], (3.5,)),
        ("1.png,3,4,train\n2.png,5,6,train\n", None, ["number 1", "number 2"], (3.0, 4.0)),
    ],
)
def test_columns_of_numbers_are_found_or_named(tmp_path, text, columns, names, first):
    scan = scan_csv(write_table(tmp_path, text), valid_fraction=0, kind="number", columns=columns)
    assert scan.classes == names
    assert targets_of(scan)["1.png"] == first


@pytest.mark.parametrize(
    ("text", "options", "clue"),
    [
        ("file,price\n1.png,3\n2.png,dear\n", {"kind": "number"}, "line 3: price is 'dear', which is not a number"),
        ("file,label\n1.png,3\n2.png,dear\n", {"kind": "number"}, "line 3: label of '2.png' is 'dear'"),
        ("file,label\n1.png,3\n2.png,\n", {"kind": "number"}, "line 3: label of '2.png' is empty"),
        ("file,label\n1.png,3\n2.png,nan\n", {"kind": "number"}, "'nan', which is not a number"),
        ("file,label\n1.png,3\n2.png,inf\n", {"kind": "number"}, "'inf', which is not a number"),
        ("file,price\n1.png,3\n2.png,3\n", {"kind": "number"}, "the same price, 3"),
        ("file,price\n1.png,3\n2.png,4\n", {"columns": ["prize"]}, "no column 'prize': did you mean 'price'"),
        ("1.png,3\n2.png,4\n", {"kind": "number", "columns": ["x"]}, "does not name its columns"),
        ("file,note\n", {"kind": "number"}, "no column of numbers"),
        ("file,labels\n1.png,\n2.png,\n", {"kind": "labels"}, "no training image of"),
        ("file,labels\n1.png,a;b\n2.png,a;b\n", {}, "every training image has the labels 'a', 'b'"),
        (
            "file,labels,split\n1.png,a;b,train\n2.png,b,train\n3.png,c,test\n",
            {},
            "line 4: the label 'c' has no training image",
        ),
        ("file,a,b\n1.png,1,0\n2.png,perhaps,1\n", {"kind": "labels", "columns": ["a", "b"]}, "write 1 or 0"),
        ("file,a,b\n1.png,1,0\n2.png,2,1\n", {"kind": "label", "columns": ["a", "b"]}, "stands in one column"),
        ("file,labels\n1.png,a;b\n1.png,a\n2.png,b\n", {}, "line 3: '1.png' stands there as 'a'"),
    ],
)
def test_tables_of_labels_and_numbers_that_cannot_be_used_say_where(tmp_path, text, options, clue):
    with pytest.raises(InputError) as caught:
        scan_csv(write_table(tmp_path, text), valid_fraction=0, **options)
    assert clue in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_that_are_seen_once_or_always_are_named(tmp_path):
    scan = scan_csv(write_table(tmp_path, "file,labels\n1.png,a;b\n2.png,a\n3.png,a;c\n4.png,a;c\n"), valid_fraction=0)
    assert any("label 'b' has one training image" in note for note in scan.notes)
    assert any("every training image has 'a'" in note for note in scan.notes)


# --- parts ---------------------------------------------------------------------------------------------------------


label_lists = st.lists(st.sets(st.integers(0, 5), max_size=4), min_size=2, max_size=60)


@given(labels=label_lists, fraction=st.floats(0.05, 0.9), seed=st.integers(0, 99))
def test_every_label_keeps_an_image_to_learn_from(labels, fraction, seed):
    names = [str(i) for i in range(len(labels))]
    chosen = choose_validation_by_labels([tuple(sorted(found)) for found in labels], names, fraction, seed)
    assert chosen == sorted(set(chosen))
    left = set(range(len(labels))) - set(chosen)
    assert all(any(label in labels[i] for i in left) for label in set().union(*labels))


def test_every_label_has_about_its_share_of_the_validation_part():
    random = np.random.default_rng(0)
    matrix = random.random((1000, 6)) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.01]
    labels = TARGETS["labels"].of_array(matrix)
    chosen = choose_validation_by_labels(labels, [str(i) for i in range(1000)], 0.2, seed=0)
    assert len(chosen) == pytest.approx(200, abs=25)
    for column in matrix.T:
        assert column[chosen].sum() == pytest.approx(0.2 * column.sum(), abs=2 + 0.03 * column.sum())
    again = choose_validation_by_labels(labels, [str(i) for i in range(1000)], 0.2, seed=1)
    assert again != chosen


def test_images_are_drawn_so_that_every_label_is_there_and_smaller_draws_are_parts_of_larger_ones():
    matrix = (np.random.default_rng(0).random((200, 5)) < [0.5, 0.3, 0.1, 0.02, 0.01]).astype(np.float32)
    few, many = draw_by_labels(matrix, 10, 0), draw_by_labels(matrix, 40, 0)
    assert len(few) == 10
    assert set(few) <= set(many)
    assert (matrix[few].any(axis=0) == matrix.any(axis=0)).all()
    with pytest.raises(InputError, match="too few to show each of the 5 labels"):
        draw_by_labels(matrix, 1, 0)


# --- images with them ----------------------------------------------------------------------------------------------


IMAGES = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("labels", "kind", "names"),
    [
        (np.arange(20) % 2, "label", ["0", "1"]),
        ([["a", "b"], ["a"]] * 10, "labels", ["a", "b"]),
        ([["a", "b"], []] * 10, "labels", ["a", "b"]),
        (np.eye(2, dtype=int)[np.arange(20) % 2], "labels", ["label 0", "label 1"]),
        (np.linspace(0, 1, 20), "number", ["number"]),
        (np.random.default_rng(0).normal(size=(20, 3)), "number", ["number 0", "number 1", "number 2"]),
    ],
)
def test_arrays_of_targets_are_recognised(labels, kind, names):
    data = ImageData.from_arrays(IMAGES, labels, device="cpu")
    assert (data.target, data.classes) == (kind, names)
    targets = next(iter(data.train))[1]
    assert targets.is_floating_point() == (kind != "label")
    assert targets.shape[1:] == (() if kind == "label" else (len(names),))
    assert data.train.samples + data.valid.samples == 20
    data.show_batch(4)
    assert data.summary().splitlines()[-1]


@pytest.mark.parametrize(
    ("labels", "options", "clue"),
    [
        (np.full(20, 0.5), {}, "the same number, 0.5"),
        (["1", "2", "x", *"4" * 17], {"target": "number"}, "not all numbers"),
        ([1.5, float("nan"), *[2.0] * 18], {"target": "number"}, "number 1 is"),
        (np.eye(2)[np.arange(20) % 2] * 3, {"target": "labels"}, "matrix (N, labels) of 0 and 1"),
        ([["a"], ["b", "c"]] * 10, {"classes": ["a", "b"]}, "'c' is not one of the labels"),
        (np.linspace(0, 1, 19), {}, "one an image, 20, not 19"),
        (np.arange(20) % 2, {"target": "lables"}, "did you mean 'labels'"),
    ],
)
def test_arrays_of_targets_that_cannot_be_used_are_refused(labels, options, clue):
    with pytest.raises(InputError) as caught:
        ImageData.from_arrays(IMAGES, labels, device="cpu", **options)
    assert clue in str(caught.value)


@pytest.fixture
def photos(tmp_path) -> Path:
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    return tmp_path


def test_the_fingerprint_changes_with_a_target_and_the_pixels_are_not_decoded_again(photos):
    prices = [f"{i}.png,{i / 2}" for i in range(20)]
    first = ImageData.from_name(write_table(photos, "\n".join(["file,price", *prices])), target="number", device="cpu")
    again = ImageData.from_name(photos / "table.csv", target="number", device="cpu")
    prices[3] = "3.png,99"
    changed = ImageData.from_name(
        write_table(photos, "\n".join(["file,price", *prices])), target="number", device="cpu"
    )
    assert first.fingerprint == again.fingerprint != changed.fingerprint
    assert changed.train.targets.max() == 99 or changed.valid.targets.max() == 99


def test_a_folder_gives_one_label_an_image(photos):
    with pytest.raises(InputError, match="need a table"):
        ImageData.from_folder(photos, target="labels")


def test_numbers_have_no_classes_to_count(photos):
    data = ImageData.from_arrays(IMAGES, np.linspace(0, 1, 20), device="cpu")
    with pytest.raises(InputError, match=r"a number \(number\) is learned"):
        data.class_counts("train")
    assert "mean number" in data.summary()
