"""What tells the class without the picture is accused, and what only looks like it is not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rushlight.data.audit.balance import class_findings, shape_findings
from rushlight.data.audit.inspection import inspect_images
from rushlight.data.audit.leaks import leak_findings, majority_accuracy, prefix_of
from rushlight.data.samples import Scan, scan_folder
from tests.data.audit.pictures import picture


def write(root: Path, names: dict[str, list[str]], **settings: object) -> Scan:
    """Small pictures by folder and name."""
    number = 0
    for folder, files in names.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in files:
            picture(number, (16, 16)).save(root / folder / name, **settings)
            number += 1
    return scan_folder(root)


def kinds_of(scan: Scan) -> set[str]:
    images = inspect_images([sample.path for sample in scan.samples])
    return {finding.kind for finding in leak_findings(scan, images)}


def test_a_camera_for_each_class_is_seen_by_the_names(tmp_path: Path) -> None:
    scan = write(
        tmp_path,
        {
            "train/cat": [f"IMG_{i}.png" for i in range(30)],
            "train/dog": [f"DSC_{i}.png" for i in range(30)],
            "valid/cat": [f"IMG_{i}.png" for i in range(30, 40)],
            "valid/dog": [f"DSC_{i}.png" for i in range(30, 40)],
        },
    )
    assert kinds_of(scan) == {"file_name_tells_class"}


@pytest.mark.parametrize("names", [("cat.", "dog."), ("cats_", "dogs_"), ("my-cat-", "my-dog-")])
def test_the_class_in_the_name_is_no_leak(names: tuple[str, str], tmp_path: Path) -> None:
    parts = {"train": range(30), "valid": range(30, 40)}
    scan = write(
        tmp_path,
        {
            f"{part}/{label}": [f"{name}{i}.png" for i in numbers]
            for part, numbers in parts.items()
            for label, name in zip(("cats", "dogs"), names, strict=True)
        },
    )
    assert kinds_of(scan) == set()


def test_series_on_both_sides_of_the_cut_are_seen(tmp_path: Path) -> None:
    files = [f"patient{p}_{i}.png" for p in range(10) for i in range(4)]
    scan = write(
        tmp_path,
        {"train/ill": files[:20:2], "train/well": files[20::2], "valid/ill": files[1:20:2], "valid/well": files[21::2]},
    )
    assert "series_across_parts" in kinds_of(scan)


def test_series_that_are_whole_on_one_side_are_right(tmp_path: Path) -> None:
    files = [f"patient{p}_{i}.png" for p in range(20) for i in range(4)]
    scan = write(
        tmp_path,
        {"train/ill": files[:32], "train/well": files[32:64], "valid/ill": files[64:72], "valid/well": files[72:]},
    )
    assert "series_across_parts" not in kinds_of(scan)


def test_a_source_that_only_the_validation_part_has_is_seen(tmp_path: Path) -> None:
    parts = {"train": "phone", "valid": "camera"}
    scan = write(
        tmp_path,
        {
            f"{part}/{label}": [f"{name}{i}{label}{i}.png" for i in range(20)]
            for part, name in parts.items()
            for label in "ab"
        }
        | {
            f"{part}/{label}": [f"{name}_{label}_{i}.png" for i in range(20)]
            for part, name in parts.items()
            for label in "ab"
        },
    )
    assert "source_on_one_side" in kinds_of(scan)


def test_photographs_of_one_burst_on_both_sides_are_seen(tmp_path: Path) -> None:
    for part, second in (("train", 0), ("valid", 4)):
        for label in ("a", "b"):
            (tmp_path / part / label).mkdir(parents=True)
            for i in range(12):
                exif = Image.Exif()
                exif[0x0132] = f"2024:05:{i + 1:02} 10:00:{second:02}"
                name = f"{part}{label}{chr(97 + i)}.jpg"
                picture(i + 50 * second + ord(label), (16, 16)).save(tmp_path / part / label / name, exif=exif)
    scan = scan_folder(tmp_path)
    images = inspect_images([sample.path for sample in scan.samples])
    found = {finding.kind: finding for finding in leak_findings(scan, images)}
    assert len(found["burst_across_parts"].groups) >= 12
    assert found.keys() == {"burst_across_parts"}


def test_a_day_for_each_class_is_seen(tmp_path: Path) -> None:
    for day, label in ((1, "a"), (2, "b")):
        (tmp_path / label).mkdir()
        for i in range(30):
            exif = Image.Exif()
            exif[0x0132] = f"2024:05:{day:02} 1{i % 10}:{i:02}:00"
            picture(i + 100 * day, (16, 16)).save(tmp_path / label / f"{chr(97 + i % 26)}{i}x.jpg", exif=exif)
    assert "date_tells_class" in kinds_of(scan_folder(tmp_path))


def test_a_format_or_a_colour_mode_for_each_class_is_seen(tmp_path: Path) -> None:
    for label, mode in (("a", "L"), ("b", "RGB")):
        (tmp_path / label).mkdir()
        for i in range(30):
            image = picture(i + ord(label), (16, 16)).convert(mode)
            image.save(tmp_path / label / (f"{i}x.png" if mode == "L" else f"{i}x.jpg"))
    assert {"colour_mode_tells_class", "format_tells_class"} <= kinds_of(scan_folder(tmp_path))


def test_a_value_of_its_own_for_each_file_tells_nothing() -> None:
    labels = np.array([0] * 60 + [1] * 40)
    told, base = majority_accuracy([str(i) for i in range(100)], labels)
    assert told == base == 0.6
    assert majority_accuracy(["x"] * 100, labels) == (0.6, 0.6)
    assert majority_accuracy(["x"] * 60 + ["y"] * 40, labels) == (1.0, 0.6)


@pytest.mark.parametrize(
    ("stem", "prefix"),
    [("patient12_03", "patient12"), ("IMG_0001", "IMG"), ("cat (7)", "cat"), ("0001", ""), ("a", "a")],
)
def test_the_number_at_the_end_of_a_name_is_left_out(stem: str, prefix: str) -> None:
    assert prefix_of(stem) == prefix


# --- classes and shapes ------------------------------------------------------------------------------------------


def test_tiny_unequal_and_unmeasured_classes_are_named(tmp_path: Path) -> None:
    scan = write(
        tmp_path,
        {
            "train/many": [f"{i}.png" for i in range(40)],
            "train/few": [f"{i}.png" for i in range(5)],
            "valid/many": ["a.png"],
        },
    )
    found = {finding.kind: finding for finding in class_findings(scan, np.arange(len(scan.samples)))}
    assert found.keys() == {"tiny_class", "unbalanced", "unmeasured_class"}
    assert "'few'" in found["tiny_class"].title
    assert "40 training images of 'many', 5 of 'few'" in found["unbalanced"].title
    assert "'few'" in found["unmeasured_class"].title


def test_odd_shapes_modes_and_endings_are_named(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(10):
            picture(i, (200, 160)).save(tmp_path / label / f"{i}.jpg")
    picture(30, (30, 20)).save(tmp_path / "a" / "small.jpg")
    picture(31, (900, 200)).save(tmp_path / "a" / "long.jpg")
    picture(32, (200, 160)).convert("L").save(tmp_path / "b" / "grey.jpg")
    picture(33, (200, 160)).save(tmp_path / "b" / "png.jpg", format="PNG")
    scan = scan_folder(tmp_path)
    found = {f.kind: f for f in shape_findings(scan, inspect_images([sample.path for sample in scan.samples]))}
    files = {kind: [scan.names()[row] for group in f.groups for row in group.rows] for kind, f in found.items()}
    assert files == {
        "small_image": ["a/small.jpg"],
        "long_image": ["a/long.jpg"],
        "colour_mode": ["b/grey.jpg"],
        "renamed": ["b/png.jpg"],
    }
