"""Image data from folders, tables, arrays and names: its parts, its statistics, and what it tells a person."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rushlight.data import ImageData
from rushlight.data.augmentation import FlipAndCrop
from rushlight.runtime.errors import InputError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path) -> Path:
    """Two classes in three parts, of files 20 pixels high: dark and light ones."""
    random = np.random.default_rng(0)
    for part, count in {"train": 12, "valid": 4, "test": 3}.items():
        for name, base in {"dark": 0, "light": 128}.items():
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(base, base + 128, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "photos"


def refused(function, *arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_becomes_batches_in_three_parts(photos):
    data = ImageData.from_folder(photos, batch_size=4, augment="none")
    assert (data.name, data.classes, data.size, data.channels) == ("photos", ["dark", "light"], 32, 3)
    assert data.train.samples == 24
    assert data.class_counts("valid") == {"dark": 4, "light": 4}
    images, targets = next(iter(data.train))
    assert images.shape == (4, 3, 32, 32)
    brightness = images.mean(dim=(1, 2, 3))
    assert torch.equal(brightness > 0, targets == 1)


def test_statistics_come_from_the_training_part_alone(photos):
    data = ImageData.from_folder(photos, size=20)
    pixels = data.train.pixels(range(24)) / 255
    np.testing.assert_allclose(data.mean, pixels.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(data.std, pixels.std((0, 1, 2)), atol=1e-6)
    inputs = data.train.inputs(range(24))
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


def test_images_of_one_colour_have_no_deviation_to_divide_by():
    data = ImageData.from_arrays(np.full((10, 8, 8), 7, np.uint8), [0, 1] * 5)
    assert torch.isfinite(data.train.inputs([0, 1])).all()


def test_the_test_part_is_not_opened_before_it_is_asked_for(photos):
    for file in (photos / "test").rglob("*.png"):
        file.write_bytes(b"unreadable")
    data = ImageData.from_folder(photos)
    next(iter(data.train))
    assert data.has_test
    assert "not read" in repr(data)
    assert "test" not in data.summary().splitlines()[1]
    assert "can be read" in refused(lambda: data.test)


def test_the_test_part_is_scaled_like_the_training_part(photos):
    data = ImageData.from_folder(photos)
    assert data.part("test") is data.test
    assert data.class_counts("test") == {"dark": 3, "light": 3}
    white = (1 - np.array(data.mean)) / data.std
    assert (data.test.inputs(range(6)).amax((0, 2, 3)).numpy() <= white + 1e-5).all()


def test_fit_all_trains_on_both_parts(photos):
    data = ImageData.from_folder(photos, fit_all=True)
    assert data.train.samples == 32
    assert data.valid is None
    assert "no valid part" in refused(data.part, "valid")
    assert data.has_test


def test_files_are_in_the_order_of_the_batches(photos):
    data = ImageData.from_folder(photos)
    for part in ("train", "valid", "test"):
        files = data.files(part)
        for i in (0, len(files) - 1):
            assert files[i].parent.name == data.classes[data.part(part).targets[i]]
            assert files[i].parent.parent.name == part


def test_unreadable_files_are_skipped_counted_and_listed(photos):
    broken = photos / "train" / "dark" / "3.png"
    broken.write_bytes(broken.read_bytes()[:99])
    data = ImageData.from_folder(photos)
    assert data.train.samples == 23
    assert data.class_counts("train") == {"dark": 11, "light": 12}
    assert [path for path, _ in data.unreadable] == [broken]
    assert broken not in data.files("train")
    assert "skipped 1 files" in data.summary()
    assert "3.png" in data.summary()


def test_a_class_that_is_lost_altogether_is_named(tmp_path, photos):
    (photos / "train" / "rare").mkdir()
    (photos / "train" / "rare" / "1.png").write_bytes(b"")
    assert "'rare'" in refused(ImageData.from_folder, photos)


def test_the_fingerprint_follows_content_and_labels(photos, tmp_path):
    before = ImageData.from_folder(photos).fingerprint
    photos.rename(tmp_path / "moved")
    assert ImageData.from_folder(tmp_path / "moved", batch_size=2, seed=5).fingerprint == before
    file = tmp_path / "moved" / "train" / "dark" / "0.png"
    file.rename(tmp_path / "moved" / "train" / "light" / "other.png")
    assert ImageData.from_folder(tmp_path / "moved").fingerprint != before


@pytest.mark.parametrize(("side", "size"), [(8, 32), (32, 32), (40, 32), (64, 64), (80, 64), (200, 256)])
def test_the_size_follows_the_images(side, size):
    assert ImageData.from_arrays(np.zeros((4, side, side), np.uint8), [0, 1, 0, 1]).size == size


@pytest.mark.parametrize(("count", "batch_size"), [(10, 8), (100, 16), (800, 128), (5_000, 256)])
def test_the_batch_size_follows_the_number_of_images(count, batch_size):
    data = ImageData.from_arrays(np.zeros((count, 8, 8), np.uint8), np.arange(count) % 2, size=8, fit_all=True)
    assert data.train.batch_size == data.batch_size == batch_size


@pytest.mark.parametrize("shape", [(12, 9, 9), (12, 9, 9, 1), (12, 9, 9, 3)])
def test_arrays_of_every_shape_become_rgb(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = ImageData.from_arrays(images, ["a", "b", "c"] * 4, size=9, fit_all=True)
    assert data.classes == ["a", "b", "c"]
    expected = images.reshape(12, 9, 9, -1)
    assert np.array_equal(data.train.pixels(range(12)), np.broadcast_to(expected, (12, 9, 9, 3)))
    assert data.files("train") is None


def test_arrays_may_bring_their_own_parts():
    images, labels = np.zeros((6, 32, 32, 3), np.uint8), [0, 1, 0, 1, 0, 1]
    white = np.full((2, 16, 16), 255, np.uint8)
    data = ImageData.from_arrays(images, labels, valid=(white, [1, 1]), test=(white, [0, 0]), classes=["no", "yes"])
    assert data.class_counts("train") == {"no": 3, "yes": 3}
    assert data.class_counts("valid") == {"no": 0, "yes": 2}
    assert data.class_counts("test") == {"no": 2, "yes": 0}
    assert data.mean == (0, 0, 0)
    assert (data.valid.pixels([0, 1]) == 255).all()


def test_arrays_are_cut_stratified_and_alike_each_time():
    images, labels = np.arange(100, dtype=np.uint8).repeat(64).reshape(100, 8, 8), [0, 0, 0, 0, 1] * 20
    one, other = (ImageData.from_arrays(images, labels, seed=2) for _ in range(2))
    assert one.class_counts("valid") == {"0": 16, "1": 4}
    assert np.array_equal(one.valid.pixels([0, 19]), other.valid.pixels([0, 19]))
    assert one.fingerprint == other.fingerprint
    assert ImageData.from_arrays(images, labels[::-1], seed=2).fingerprint != one.fingerprint


@pytest.mark.parametrize(
    ("images", "labels", "options", "clue"),
    [
        (np.zeros((4, 8, 8)), [0, 1, 0, 1], {}, "uint8"),
        (np.zeros((4, 8), np.uint8), [0, 1, 0, 1], {}, "shape"),
        (np.zeros((4, 8, 8, 5), np.uint8), [0, 1, 0, 1], {}, "shape"),
        (np.zeros((0, 8, 8), np.uint8), [], {}, "shape"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0], {}, "one a image"),
        (np.zeros((4, 8, 8), np.uint8), [0, 0, 0, 0], {}, "one class"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 2, 3], {"classes": ["a", "b"]}, "2 classes"),
        (np.zeros((4, 8, 8), np.uint8), ["a", "b", "c", "a"], {"classes": ["a", "b"]}, "'c'"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], {"size": 4}, "size"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], {"batch_size": 0}, "batch size"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], {"valid_fraction": 1.5}, "fraction"),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], {"augment": "smal"}, "did you mean 'small'"),
        (np.zeros((2, 8, 8), np.uint8), [0, 1], {}, "two images"),
    ],
)
def test_arrays_and_options_that_cannot_be_used_are_refused(images, labels, options, clue):
    assert clue in refused(ImageData.from_arrays, images, labels, **options)


def test_an_unknown_option_names_the_nearest(photos):
    with pytest.raises(TypeError, match="did you mean 'batch_size'"):
        ImageData.from_folder(photos, batchsize=4)


def test_augmentation_is_for_training_only(photos):
    data = ImageData.from_folder(photos)
    assert data.train.augmentation is not None
    assert data.valid.augmentation is None
    assert data.test.augmentation is None
    own = FlipAndCrop()
    assert ImageData.from_folder(photos, augment=own).train.augmentation is own
    assert ImageData.from_folder(photos, augment=None).train.augmentation is None


def test_a_table_may_name_the_images(photos):
    files = sorted(photos.rglob("*.png"))
    rows = [f"{file.relative_to(photos)},{file.parent.name},{file.parent.parent.name}" for file in files]
    (photos / "labels.csv").write_text("file,label,split\n" + "\n".join(rows))
    by_table, by_folder = ImageData.from_name(photos / "labels.csv"), ImageData.from_folder(photos)
    assert by_table.name == "labels"
    assert by_table.fingerprint == by_folder.fingerprint
    assert by_table.class_counts("test") == by_folder.class_counts("test")


def test_a_missing_file_of_a_table_is_listed(photos):
    rows = [f"{file.relative_to(photos)},{file.parent.name}" for file in sorted((photos / "train").rglob("*.png"))]
    (photos / "labels.csv").write_text("file,label\n" + "\n".join([*rows, "gone.png,dark"]))
    data = ImageData.from_csv(photos / "labels.csv")
    assert [path.name for path, _ in data.unreadable] == ["gone.png"]


def test_the_embedded_digits_are_found_by_name_and_not_mirrored():
    data = ImageData.from_name("digits", size=8)
    parts = [data.train, data.valid, data.test]
    assert sum(part.samples for part in parts) == 1797
    assert all(min(torch.bincount(part.targets).tolist()) > 20 for part in parts)
    assert data.classes == [str(digit) for digit in range(10)]
    train, test = ({image.tobytes() for image in part.pixels(range(part.samples))} for part in (data.train, data.test))
    assert not train & test
    other = ImageData.from_name("digits", size=8, seed=1)
    assert np.array_equal(other.test.pixels([0, 99]), data.test.pixels([0, 99]))
    assert "Flip" not in repr(data.train.augmentation)


def test_an_unknown_name_is_refused_with_the_nearest():
    assert "did you mean 'cifar10'" in refused(ImageData.from_name, "cifar")
    assert "no folder" in refused(ImageData.from_name, "photos/nowhere")
    assert "is a text" in refused(ImageData.from_name, "nietzsche")


def test_show_batch_draws_labels_and_leaves_the_epoch_alone(photos):
    data = ImageData.from_folder(photos, augment="strong")
    figure = data.show_batch(6)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 6
    assert set(titles) <= {"dark", "light"}
    assert data.train.epoch == 0
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    assert len(np.unique(np.asarray(Image.open(picture)))) > 50


def test_the_summary_tells_parts_and_counts_and_escapes_names(photos):
    (photos / "train" / "dark").rename(photos / "train" / "<b>")
    for part in ("valid", "test"):
        (photos / part / "dark").rename(photos / part / "<b>")
    data = ImageData.from_folder(photos)
    line = next(line for line in data.summary().splitlines() if line.startswith("light"))
    assert line.split() == ["light", "12", "4"]
    assert "<b>" not in data._repr_html_()
    assert "&lt;b&gt;" in data._repr_html_()


@pytest.mark.data
@pytest.mark.slow
def test_photographs_of_dogs_and_cats(data_folder, monkeypatch):
    monkeypatch.setenv("RUSHLIGHT_DATA", str(data_folder))
    data = ImageData.from_name("dogscats")
    assert data.size == 256
    assert data.class_counts("train") == {"cats": 701, "dogs": 701}
    assert data.class_counts("valid") == {"cats": 200, "dogs": 200}
    assert data.unreadable == []


def test_fewer_training_images_are_drawn_by_class_and_a_smaller_draw_is_part_of_a_larger():
    images = np.arange(90, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    labels = np.array([0] * 60 + [1] * 30)
    options = {"valid": (images[:6], labels[[0] * 3 + [70] * 3]), "size": 8, "device": "cpu", "augment": None}

    def drawn(count, seed=0):
        data = ImageData.from_arrays(images, labels, train_images=count, seed=seed, **options)
        pixels = data.train.pixels(range(data.train.samples))
        return data, set(pixels[:, 0, 0, 0].tolist())

    small, few = drawn(12)
    assert small.class_counts("train") == {"0": 8, "1": 4}
    assert small.valid.samples == 6
    assert any("12 of 90 training images" in note for note in small.notes)
    assert few < drawn(30)[1]
    assert few != drawn(12, seed=1)[1]
    assert drawn(500)[1] == set(range(90))
    with pytest.raises(InputError, match="fewer than the 2 classes"):
        drawn(1)
