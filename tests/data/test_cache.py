"""The cache: it holds what decoding gives, is trusted while nothing changed, and notices what did."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rushlight.data import cache as cache_module
from rushlight.data import cached_images, decode_image
from rushlight.runtime.errors import InputError, StorageError


@pytest.fixture
def cache_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    """Twenty files of random pixels."""
    random = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(20):
        pixels = random.integers(0, 256, (20, 20 + i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def decoded_files(monkeypatch) -> list[int]:
    """Grows by one for each file that is decoded from now on."""
    calls: list[int] = []
    decode = cache_module.decode_first_frame

    def counting(data, size, fit):
        calls.append(size)
        return decode(data, size, fit)

    monkeypatch.setattr(cache_module, "decode_first_frame", counting)
    return calls


def directly(paths: list[Path], size: int) -> np.ndarray:
    return np.stack([decode_image(path, size) for path in paths])


def test_the_cache_holds_what_decoding_gives(cache_folder, photos):
    cached = cached_images(photos, 16)
    assert np.array_equal(cached.pixels, directly(photos, 16))
    assert cached.readable.tolist() == list(range(20))
    assert cached.unreadable == []
    assert isinstance(cached.pixels, np.memmap)


def test_more_files_than_one_task_takes_stay_in_order(cache_folder, tmp_path):
    paths = []
    for i in range(300):
        paths.append(tmp_path / f"{i:03}.png")
        Image.new("RGB", (8, 8), (i % 256, i // 256, 7)).save(paths[-1])
    cached = cached_images(paths, 8)
    assert cached.pixels[:, 0, 0, 0].tolist() == [i % 256 for i in range(300)]


def test_a_second_run_decodes_nothing(cache_folder, photos, decoded_files):
    first = cached_images(photos, 16)
    decoded_files.clear()
    second = cached_images(photos, 16)
    assert decoded_files == []
    assert np.array_equal(first.pixels, second.pixels)
    assert first.digests == second.digests


def test_other_sizes_and_parts_have_a_cache_each(cache_folder, photos, decoded_files):
    for _ in range(2):
        assert cached_images(photos, 16).pixels.shape == (20, 16, 16, 3)
        assert cached_images(photos, 8).pixels.shape == (20, 8, 8, 3)
        assert cached_images(photos[:5], 16, part="test").pixels.shape == (5, 16, 16, 3)
    assert len(decoded_files) == 45


def test_a_changed_file_is_noticed_and_alone_decoded(cache_folder, photos, decoded_files):
    before = cached_images(photos, 16)
    held = before.pixels  # a run that still reads the old array must not see the new one
    kept = held.copy()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(photos[7])
    decoded_files.clear()
    after = cached_images(photos, 16)
    assert len(decoded_files) == 1
    assert np.array_equal(after.pixels, directly(photos, 16))
    assert np.array_equal(held, kept)
    assert len(list(cache_folder.glob("*.npy"))) == 1


def test_a_touched_or_renamed_file_is_not_decoded_again(cache_folder, photos, decoded_files):
    cached_images(photos, 16)
    decoded_files.clear()
    os.utime(photos[3], (1, 1))
    moved = photos[4].with_name("99.png")
    photos[4].rename(moved)
    paths = [*photos[:4], *photos[5:], moved]
    assert np.array_equal(cached_images(paths, 16).pixels, directly(paths, 16))
    assert decoded_files == []


def test_added_and_removed_files_are_noticed(cache_folder, photos, decoded_files):
    cached_images(photos[:15], 16)
    decoded_files.clear()
    assert np.array_equal(cached_images(photos[3:], 16).pixels, directly(photos[3:], 16))
    assert len(decoded_files) == 5


def test_unreadable_files_are_listed_with_their_reason(cache_folder, photos):
    photos[5].write_bytes(b"")
    photos[9].write_bytes(photos[9].read_bytes()[:60])
    for _ in range(2):  # decoded, then from the cache
        cached = cached_images(photos, 16)
        assert [path for path, _ in cached.unreadable] == [photos[5], photos[9]]
        assert cached.unreadable[0][1] == "empty file"
        assert cached.readable.tolist() == [i for i in range(20) if i not in (5, 9)]
        assert np.array_equal(cached.pixels[6], decode_image(photos[6], 16))


def test_more_than_a_tenth_unreadable_is_an_error(cache_folder, photos):
    for path in photos[:3]:
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"3 of 20 images .* more than a tenth; .*00\.png"):
        cached_images(photos, 16)
    for path in photos:
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of 20 images can be read"):
        cached_images(photos, 16)


def test_a_repaired_file_is_read(cache_folder, photos):
    good = photos[2].read_bytes()
    photos[2].write_bytes(b"")
    assert cached_images(photos, 16).unreadable
    photos[2].write_bytes(good)
    assert not cached_images(photos, 16).unreadable


def test_animations_are_counted(cache_folder, photos):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(photos[0], "GIF", save_all=True, append_images=frames[1:])
    for _ in range(2):
        assert cached_images(photos, 16).animated == 1


@pytest.mark.parametrize("damage", ["truncated array", "no array", "truncated index", "foreign index", "empty index"])
def test_a_damaged_cache_is_built_anew(cache_folder, photos, damage):
    cached_images(photos, 16)
    (index,), (array,) = cache_folder.glob("*.json"), cache_folder.glob("*.npy")
    match damage:
        case "truncated array":
            array.write_bytes(array.read_bytes()[:500])
        case "no array":
            array.unlink()
        case "truncated index":
            index.write_bytes(index.read_bytes()[:100])
        case "foreign index":
            index.write_text("[1, 2]")
        case "empty index":
            index.write_bytes(b"")
    assert np.array_equal(cached_images(photos, 16).pixels, directly(photos, 16))


def test_an_interrupted_run_leaves_no_half_cache(cache_folder, photos, monkeypatch):
    def interrupted(data, size, fit):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "decode_first_frame", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached_images(photos, 16)
    assert list(cache_folder.iterdir()) == []
    assert np.array_equal(cached_images(photos, 16).pixels, directly(photos, 16))


def test_a_full_disk_says_how_much_is_needed(cache_folder, photos, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"needed, .* free"):
        cached_images(photos, 16)
    assert list(cache_folder.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_a_storage_error(tmp_path, monkeypatch, photos):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot write"):
        cached_images(photos, 16)


def test_names_of_undecodable_bytes_are_cached(cache_folder, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        Image.new("RGB", (8, 8), "red").save(tmp_path / "plain.png")
        (tmp_path / "plain.png").rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system has no such names")
    for _ in range(2):
        assert cached_images([tmp_path / name], 8).pixels[0, 0, 0].tolist() == [255, 0, 0]
