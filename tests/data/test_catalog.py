"""The catalog: found before it is fetched, checked before it is used, unpacked where it belongs."""

import functools
import hashlib
import http.server
import io
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from rushlight.data import ImageData, catalog
from rushlight.runtime.errors import InputError


@pytest.fixture
def local(tmp_path, monkeypatch) -> Path:
    """The folder that RUSHLIGHT_DATA names, beside a cache of its own; nothing may be downloaded."""
    folder = tmp_path / "local"
    folder.mkdir()
    monkeypatch.setenv("RUSHLIGHT_DATA", str(folder))
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RUSHLIGHT_OFFLINE", "1")
    return folder


def write_archive(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), shade).save(file, "PNG")
    return file.getvalue()


PHOTOS = {f"cifar10/train/{name}/{i}.png": picture(10 * i) for name in ("cat", "dog") for i in range(6)}


@pytest.mark.parametrize(("ending", "mode"), [(".tar.xz", "w:xz"), (".tar.gz", "w:gz"), (".tar", "w")])
def test_a_local_archive_is_unpacked_once(local, ending, mode):
    archive = write_archive(local / f"cifar10{ending}", PHOTOS, mode)
    folder = catalog.get("cifar10")
    assert {str(file.relative_to(folder.parent)) for file in folder.rglob("*.png")} == set(PHOTOS)
    assert not folder.is_relative_to(local)
    before = folder.stat().st_ino
    assert catalog.get("cifar10").stat().st_ino == before
    write_archive(archive, {**PHOTOS, "cifar10/train/cat/new.png": picture(9)}, mode)
    assert (catalog.get("cifar10") / "train" / "cat" / "new.png").is_file()


def test_a_local_folder_is_used_where_it_lies(local):
    (local / "dogscats").mkdir()
    assert catalog.get("dogscats") == local / "dogscats"


def test_an_archive_is_image_data_by_name(local):
    write_archive(local / "cifar10.tar", PHOTOS)
    data = ImageData.from_name("cifar10", valid_fraction=0.5)
    assert data.name == "cifar10"
    assert data.class_counts("valid") == {"cat": 3, "dog": 3}


def test_a_file_under_the_public_name_must_be_the_public_file(local, monkeypatch):
    write_archive(local / "cifar10.tgz", PHOTOS, "w:gz")
    with pytest.raises(InputError, match="168,168,549"):
        catalog.get("cifar10")
    data = (local / "cifar10.tgz").read_bytes()
    public = replace(catalog.DATASETS["cifar10"], size=len(data), md5=hashlib.md5(data).hexdigest())
    monkeypatch.setitem(catalog.DATASETS, "cifar10", public)
    assert (catalog.get("cifar10") / "train").is_dir()
    (local / "cifar10.tgz").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InputError, match="MD5"):
        catalog.get("cifar10")


def test_an_archive_cannot_write_above_its_folder(local):
    write_archive(local / "cifar10.tar", {**PHOTOS, "../outside.txt": b"escaped"})
    with pytest.raises(InputError, match="unsafe"):
        catalog.get("cifar10")
    assert list((local.parent / "cache" / "data").iterdir()) == []
    assert not list(local.parent.rglob("outside.txt"))


def test_an_absolute_name_in_an_archive_is_taken_as_a_relative_one(local, tmp_path):
    target = tmp_path / "elsewhere" / "outside.txt"
    write_archive(local / "cifar10.tar", {**PHOTOS, str(target): b"escaped"})
    assert catalog.get("cifar10").is_dir()
    assert not target.exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_damaged_archive_is_refused_and_leaves_nothing(local, mode):
    noise = np.random.default_rng(0).bytes(40_000)
    archive = write_archive(local / "cifar10.tar", {**PHOTOS, "cifar10/train/cat/noise.png": noise}, mode)
    archive.write_bytes(archive.read_bytes()[:30_000])
    with pytest.raises(InputError, match="damaged"):
        catalog.get("cifar10")
    assert list((local.parent / "cache" / "data").iterdir()) == []
    archive.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="damaged"):
        catalog.get("cifar10")


def test_offline_nothing_is_downloaded(local):
    with pytest.raises(InputError, match=r"RUSHLIGHT_OFFLINE.*imagenette2-160.tgz.*RUSHLIGHT_DATA"):
        catalog.get("imagenette")


@pytest.fixture
def server(tmp_path):
    """A web server on this machine, and the folder it serves."""
    folder = tmp_path / "public"
    folder.mkdir()

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=folder)) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_a_download_is_verified_kept_and_unpacked(local, server, monkeypatch):
    folder, address = server
    archive = write_archive(folder / "cifar10.tgz", PHOTOS, "w:gz")
    data = archive.read_bytes()
    public = replace(
        catalog.DATASETS["cifar10"],
        url=f"{address}/cifar10.tgz",
        size=len(data),
        md5=hashlib.md5(data).hexdigest(),
    )
    monkeypatch.setitem(catalog.DATASETS, "cifar10", public)
    monkeypatch.setenv("RUSHLIGHT_OFFLINE", "0")
    assert (catalog.get("cifar10") / "train" / "cat").is_dir()
    archive.unlink()
    monkeypatch.setenv("RUSHLIGHT_OFFLINE", "1")
    assert (catalog.get("cifar10") / "train" / "cat").is_dir()


@pytest.mark.parametrize("known", [{"md5": "0" * 32}, {"md5": None, "size": 7}])
def test_a_download_that_is_not_the_public_file_is_refused(local, server, monkeypatch, known):
    folder, address = server
    (folder / "nietzsche.txt").write_bytes(b"an error page")
    wrong = replace(catalog.DATASETS["nietzsche"], url=f"{address}/nietzsche.txt", size=13)
    monkeypatch.setitem(catalog.DATASETS, "nietzsche", replace(wrong, **known))
    monkeypatch.setenv("RUSHLIGHT_OFFLINE", "")
    with pytest.raises(InputError, match=r"damaged|the public file"):
        catalog.get("nietzsche")
    assert not (local.parent / "cache" / "data" / "nietzsche.txt").exists()


def test_a_server_that_does_not_answer_is_told_on_one_line(local, server, monkeypatch):
    _, address = server
    public = replace(catalog.DATASETS["nietzsche"], url=f"{address}/nowhere/nietzsche.txt")
    monkeypatch.setitem(catalog.DATASETS, "nietzsche", public)
    monkeypatch.delenv("RUSHLIGHT_OFFLINE")
    with pytest.raises(InputError, match=r"cannot be downloaded.*RUSHLIGHT_DATA") as caught:
        catalog.get("nietzsche")
    assert "\n" not in str(caught.value)


def test_a_wrong_data_folder_and_an_unknown_name_are_refused(local, monkeypatch):
    with pytest.raises(InputError, match="did you mean 'imagenette'"):
        catalog.get("imagenet")
    monkeypatch.setenv("RUSHLIGHT_DATA", str(local / "gone"))
    with pytest.raises(InputError, match="RUSHLIGHT_DATA"):
        catalog.get("cifar10")


def test_the_digits_are_those_of_scikit_learn(local):
    images, labels = catalog.digits()
    reference = load_digits()
    assert np.array_equal(labels, reference.target)
    assert images.dtype == np.uint8
    np.testing.assert_allclose(images / 255, reference.images / 16, atol=0.5 / 255)


def test_embedded_sets_can_be_had_as_files(local):
    folder = catalog.get("digits")
    images, labels = catalog.digits()
    file = folder / str(labels[1234]) / "1234.png"
    assert np.array_equal(np.asarray(Image.open(file)), images[1234])
    assert len(list(folder.rglob("*.png"))) == len(images)
    text = catalog.get("python-prose").read_text(encoding="utf-8")
    assert 400_000 < len(text) < 700_000
    assert "assert" in text
    assert catalog.get("digits") == folder


@pytest.mark.data
def test_nietzsche_has_the_public_size(data_folder, monkeypatch):
    if not (data_folder / "nietzsche.txt").is_file():
        pytest.skip("nietzsche.txt is not there")
    monkeypatch.setenv("RUSHLIGHT_DATA", str(data_folder))
    assert catalog.get("nietzsche").stat().st_size == catalog.DATASETS["nietzsche"].size
