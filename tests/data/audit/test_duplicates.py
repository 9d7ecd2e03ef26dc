"""The same picture in other bytes is found, unlike pictures are left alone, and unreadable files tell why."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from rushlight.data.audit import thumbnail_search
from rushlight.data.audit.cells import pairs_in_cells
from rushlight.data.audit.copies import duplicate_findings, fixes_for_copies, unreadable_finding
from rushlight.data.audit.duplicates import (
    DuplicateGroup,
    duplicate_groups,
    near_pairs,
    similar_features,
    similar_pairs,
    standardised,
    usual_cosine,
)
from rushlight.data.audit.inspection import inspect_images, perceptual_hashes
from rushlight.data.samples import scan_folder
from tests.data.audit.pictures import picture, write_parts

Change = Callable[[Image.Image, Path], None]

CHANGES: dict[str, Change] = {
    "half the size": lambda image, path: image.resize((60, 45)).save(path, quality=90),
    "compressed": lambda image, path: image.save(path, quality=25),
    "another format": lambda image, path: image.save(path.with_suffix(".png")),
    "mirrored": lambda image, path: ImageOps.mirror(image).save(path, quality=90),
    "mirrored and small": lambda image, path: ImageOps.mirror(image).resize((50, 40)).save(path, quality=60),
}


def kinds(root: Path) -> dict[str, list[list[str]]]:
    """The files of each finding about copies."""
    scan = scan_folder(root)
    names = scan.names()
    groups = duplicate_groups(inspect_images([sample.path for sample in scan.samples]))
    return {
        f.kind: [[names[row] for row in group.rows] for group in f.groups] for f in duplicate_findings(scan, groups)
    }


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_changed_copy_in_the_other_part_is_found(change: Change, tmp_path: Path) -> None:
    root = write_parts(tmp_path)
    change(picture(2), root / "valid" / "cats" / "copy.jpg")
    ((original, copy),) = kinds(root)["duplicate_across_parts"]
    assert original == "train/cats/c2.jpg"
    assert copy.startswith("valid/cats/copy.")


def test_unlike_pictures_are_no_copies(tmp_path: Path) -> None:
    assert kinds(write_parts(tmp_path, train=120, valid=60)) == {}


def test_pictures_of_one_colour_are_copies_only_of_the_same_colour(tmp_path: Path) -> None:
    root = write_parts(tmp_path)
    for name, grey in (("a", 60), ("b", 62), ("c", 200)):
        Image.new("RGB", (80, 80), (grey,) * 3).save(root / "train" / "cats" / f"{name}.png")
    assert kinds(root)["duplicate_within_part"] == [["train/cats/a.png", "train/cats/b.png"]]


def test_a_copy_under_another_label_says_so_and_is_proposed_by_its_probability(tmp_path: Path) -> None:
    root = write_parts(tmp_path)
    (root / "train" / "dogs" / "copy.jpg").write_bytes((root / "train" / "cats" / "c1.jpg").read_bytes())
    assert kinds(root) == {"duplicate_two_labels": [["train/cats/c1.jpg", "train/dogs/copy.jpg"]]}
    scan = scan_folder(root)
    names = scan.names()
    groups = duplicate_groups(inspect_images([sample.path for sample in scan.samples]))
    likely = {names.index("train/cats/c1.jpg"): 0.9, names.index("train/dogs/copy.jpg"): 0.2}
    actions = {fix.file: fix.action for fix in fixes_for_copies(scan, names, groups, likely)}
    assert actions == {"train/cats/c1.jpg": "keep", "train/dogs/copy.jpg": "drop"}
    assert {fix.action for fix in fixes_for_copies(scan, names, groups)} == {"drop"}  # nobody knows which


def test_of_copies_in_two_parts_the_training_copy_is_proposed_to_go(tmp_path: Path) -> None:
    root = write_parts(tmp_path)
    (root / "valid" / "cats" / "copy.jpg").write_bytes((root / "train" / "cats" / "c1.jpg").read_bytes())
    scan = scan_folder(root)
    groups = duplicate_groups(inspect_images([sample.path for sample in scan.samples]))
    actions = {fix.file: fix.action for fix in fixes_for_copies(scan, scan.names(), groups)}
    assert actions == {"train/cats/c1.jpg": "drop", "valid/cats/copy.jpg": "keep"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: b"", "empty file"),
        (lambda data: b"PK\x03\x04" + bytes(50), "not an image"),
        (lambda data: b"<svg></svg>", "not an image"),
    ],
)
def test_an_unreadable_file_is_named_with_its_reason(
    content: Callable[[bytes], bytes], reason: str, tmp_path: Path
) -> None:
    root = write_parts(tmp_path)
    broken = root / "train" / "cats" / "c0.jpg"
    broken.write_bytes(content(broken.read_bytes()))
    scan = scan_folder(root)
    (finding,) = unreadable_finding(inspect_images([sample.path for sample in scan.samples]))
    (group,) = finding.groups
    assert scan.names()[group.rows[0]] == "train/cats/c0.jpg"
    assert reason in group.remark


def test_the_hash_of_the_mirror_image_is_the_mirrored_hash() -> None:
    pictures = np.stack([np.asarray(picture(number, (32, 32))) for number in range(20)])
    hashes, mirrored = perceptual_hashes(pictures)
    again, _ = perceptual_hashes(pictures[:, :, ::-1])
    assert (again == mirrored).mean() > 0.99  # but for values at the median
    assert set(np.unique(hashes)) == {-1.0, 1.0}


def test_pairs_are_those_of_the_whole_product() -> None:
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, 5000, 3)).astype(np.float32)
    expected = np.argwhere(np.triu(left @ right.T >= 12, k=1))
    found = similar_pairs(left, right, 12)
    assert np.array_equal(found[np.lexsort(found.T[::-1])], expected)


def test_the_tree_of_thumbnails_finds_what_comparing_all_pairs_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    blots = random.integers(20, 236, (300, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    noise = random.normal(scale=random.uniform(2, 14, (200, 1, 1, 1)), size=(200, 32, 32, 3))
    copies = np.concatenate([blots[:100], blots[100:200, :, ::-1]]) + noise
    thumbnails = np.concatenate([blots, copies]).clip(0, 255).astype(np.uint8)
    hashes, mirrored = perceptual_hashes(thumbnails)
    found = near_pairs(thumbnails, hashes, mirrored)
    assert 150 < len(found) < 200  # copies with more noise than that are none
    assert {other - 300 - one for one, other in found.tolist()} == {0}
    monkeypatch.setattr(thumbnail_search, "MOST_CANDIDATES", -1)  # the tree is no help
    assert np.array_equal(near_pairs(thumbnails, hashes, mirrored), found)


def test_of_many_pictures_cells_find_what_the_tree_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(20, 236, (3000, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    noise = random.normal(scale=random.uniform(0, 11, (600, 1, 1, 1)), size=(600, 32, 32, 3))
    copies = np.concatenate([coarse[:300], coarse[300:600, :, ::-1]]) + noise
    thumbnails = np.concatenate([coarse, copies]).clip(0, 255).astype(np.uint8)
    hashes, mirrored = perceptual_hashes(thumbnails)
    expected = near_pairs(thumbnails, hashes, mirrored)
    assert len(expected) > 550
    monkeypatch.setattr(thumbnail_search, "IN_CELLS_FROM", 1000)
    assert np.array_equal(near_pairs(thumbnails, hashes, mirrored), expected)


def test_where_all_pictures_are_alike_the_tree_steps_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnail_search, "MOST_CANDIDATES", 1000)
    blank = np.full((100, 32, 32, 3), 250, np.uint8)
    assert thumbnail_search.candidate_pairs(blank, 12.0, mirrored=False) is None
    assert len(near_pairs(blank, *perceptual_hashes(blank))) == 100 * 99 // 2


def test_sketches_of_many_features_lose_no_pair() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(6000, 300)).astype(np.float32)
    features[3000:3200] = features[:200] + 0.4 * random.normal(size=(200, 300))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    assert np.array_equal(similar_features(features, 0.85), similar_pairs(features, features, 0.85))
    assert len(similar_features(features, 0.85)) == 200


@pytest.mark.parametrize("kinds", [0, 12])
def test_cells_of_like_features_lose_hardly_a_pair_and_find_no_other(kinds: int) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(6000, 64)).astype(np.float32)
    if kinds:  # as photographs of some kinds
        features += random.normal(size=(kinds, 64))[random.integers(kinds, size=6000)]
    features[3000:3400] = features[:400] + 0.6 * random.normal(size=(400, 64))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    least = 0.8
    expected = {tuple(pair) for pair in similar_pairs(features, features, least).tolist()}
    found = {tuple(pair) for pair in pairs_in_cells(features, np.sqrt(2 - 2 * least), 10**6, cell=100).tolist()}
    assert len(expected) > 200
    assert found <= expected
    assert len(found) > 0.97 * len(expected)


def test_cells_of_rows_that_are_all_the_same_end_with_enough_pairs() -> None:
    features = np.full((3000, 16), 0.25, np.float32)
    found = pairs_in_cells(features, 0.5, 5000, cell=100)
    assert len(found) == 5000
    assert (found[:, 0] < found[:, 1]).all()


def test_images_that_are_all_alike_are_no_copies_of_each_other() -> None:
    random = np.random.default_rng(0)
    like = random.normal(size=(1, 40)) + 0.05 * random.normal(size=(300, 40))
    unlike = random.normal(size=(300, 40))
    for features, low, high in ((like, 0.99, 1.0), (unlike, 0.2, 0.65)):
        unit = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
        assert low < usual_cosine(unit) < high


def test_what_only_a_network_takes_for_the_same_is_called_alike(tmp_path: Path) -> None:
    root = write_parts(tmp_path)
    scan = scan_folder(root)
    images = inspect_images([sample.path for sample in scan.samples])
    features = np.random.default_rng(0).normal(size=(len(scan.samples), 40)).astype(np.float32)
    features[-1] = features[0] + 0.05
    rows = np.arange(len(features))
    (group,) = duplicate_groups(images, features, rows)
    assert (group.rows, group.likeness) == ((0, len(features) - 1), "alike")
    (finding,) = duplicate_findings(scan, [group])
    assert (finding.kind, finding.severity) == ("alike_across_parts", "doubt")
    assert [fix.action for fix in fixes_for_copies(scan, scan.names(), [group])] == ["keep", "keep"]
    within = DuplicateGroup((0, 1), "alike")  # two moments of one thing, perhaps, both to train on
    assert list(duplicate_findings(scan, [within])) == []
    assert fixes_for_copies(scan, scan.names(), [within]) == []
    assert standardised(features[:0]).shape == (0, 40)


def test_the_date_of_a_photograph_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    picture(1).save(tmp_path / "dated.jpg", exif=exif)
    exif = Image.Exif()
    exif[0x0132] = "0000:00:00 00:00:00"
    picture(2).save(tmp_path / "undated.jpg", exif=exif)
    found = inspect_images([tmp_path / "dated.jpg", tmp_path / "undated.jpg"])
    assert str(found.taken[0]) == "2024-05-06T07:08:09"
    assert np.isnat(found.taken[1])
    assert (found.modes, found.formats) == (["RGB"] * 2, ["JPEG"] * 2)
    assert found.sizes.tolist() == [[120, 90]] * 2


def test_in_pictures_of_one_colour_no_frequency_stands_out() -> None:
    greys = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None, None], (256, 32, 32, 3))
    for hashes in perceptual_hashes(greys):
        assert (hashes[:, 1:] == -1).all()  # the first says that it is not black
