"""Data sets by name: found where the person keeps them, or downloaded once, checked and unpacked.

To add one, add a line to `DATASETS`. The environment variable `RUSHLIGHT_DATA` names a folder that is
searched before anything is downloaded, and `RUSHLIGHT_OFFLINE=1` forbids downloads. An archive there under
its public name must be the public file, byte for byte, so that a broken download is noticed; under another
name (`cifar10.tar.xz` instead of `cifar10.tgz`) it is taken as it is.
"""

import hashlib
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.files import downloads_forbidden, human_bytes, storage_error, user_cache_folder
from rushlight.runtime.terminal import note, progress

ARCHIVE_ENDINGS = (".tar.xz", ".tar.gz", ".tgz", ".tar.bz2", ".tar")


@dataclass(frozen=True)
class Dataset:
    """One entry of the catalog.

    Attributes:
        kind: `images` (a folder) or `text` (a file).
        description: what it is, for a person.
        url: where the public file is; None for what comes with our dependencies.
        size: of the public file, in bytes.
        md5: of the public file; None where only its size is known.
        may_be_mirrored: whether a mirrored image still shows the same class.
    """

    kind: Literal["images", "text"]
    description: str
    url: str | None = None
    size: int | None = None
    md5: str | None = None
    may_be_mirrored: bool = True

    @property
    def file_name(self) -> str:
        """Name of the public file."""
        return (self.url or "").rpartition("/")[2]


DATASETS: dict[str, Dataset] = {
    "cifar10": Dataset(
        "images",
        "60,000 colour images of 32 x 32 pixels, 10 classes of animals and vehicles",
        "https://s3.amazonaws.com/fast-ai-sample/cifar10.tgz",
        168_168_549,
        "a5f8c31371b63a406b23368042812d3c",
    ),
    "dogscats": Dataset(
        "images",
        "25,000 photographs of dogs and cats",
        "https://s3.amazonaws.com/fast-ai-sample/dogscats.tgz",
        839_285_364,
        "3e483c8d6ef2175e9d395a6027eb92b7",
    ),
    "imagenette": Dataset(
        "images",
        "13,394 photographs, 160 pixels on the shorter side, 10 easy classes of ImageNet",
        "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
        99_003_388,
        "c475f8f7617a200ba35b9facc48443c3",
    ),
    "nietzsche": Dataset(
        "text",
        "600,901 characters of Nietzsche's works in English",
        "https://s3.amazonaws.com/text-datasets/nietzsche.txt",
        600_901,
    ),
    "digits": Dataset("images", "1,797 handwritten digits of 8 x 8 pixels, from scikit-learn", may_be_mirrored=False),
    "python-prose": Dataset("text", "460,000 characters of prose from Python's own documentation"),
}


def get(name: str) -> Path:
    """Find a data set, or fetch it.

    Args:
        name: a key of `DATASETS`.

    Returns:
        The folder of images, or the text file.

    Raises:
        InputError: there is no such data set, it is damaged, or it would have to be downloaded and cannot be.
        StorageError: the cache cannot be written.
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set '{name}': {nearest_name(name, DATASETS)}")
    dataset = DATASETS[name]
    cache = user_cache_folder() / "data"
    if dataset.url is None:
        return _written_once(cache, name, _WRITERS[name])
    found = _local(name, dataset)
    if found is None:
        found = _downloaded(name, dataset, cache)
    if found.is_dir() or dataset.kind == "text":
        return found
    return _unpacked(found, name, cache)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The handwritten digits that come with scikit-learn (UCI, 1998).

    Returns:
        (1797, 8, 8) uint8, 0 to 255, and (1797,) int64.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), labels.astype(np.int64)


def digits_in_two_parts() -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The digits with a fifth of each kept for testing, always the same ones.

    Returns:
        Images and labels to train on, and images and labels to test on.
    """
    from rushlight.data.splits import choose_validation

    images, labels = digits()
    tested = choose_validation(labels.tolist(), [f"test/{i}" for i in range(len(labels))], 0.2, seed=0)
    rest = np.setdiff1d(np.arange(len(labels)), tested)
    return images[rest], labels[rest], (images[tested], labels[tested])


def _local(name: str, dataset: Dataset) -> Path | None:
    """What `RUSHLIGHT_DATA` holds of this data set: an unpacked folder, an archive or a text file."""
    variable = os.environ.get("RUSHLIGHT_DATA")
    if not variable:
        return None
    folder = Path(variable).expanduser()
    if not folder.is_dir():
        raise InputError(f"RUSHLIGHT_DATA names '{folder}', which is not a folder; correct it or unset it")
    if dataset.kind == "images" and (folder / name).is_dir():
        return folder / name
    public = folder / dataset.file_name
    if public.is_file():
        _verify(public, dataset, "rename it if it is meant to be another one")
        return public
    if dataset.kind == "text":
        return None
    return next((archive for end in ARCHIVE_ENDINGS if (archive := folder / f"{name}{end}").is_file()), None)


def _downloaded(name: str, dataset: Dataset, cache: Path) -> Path:
    import pooch

    path = cache / dataset.file_name
    if path.is_file() and path.stat().st_size == dataset.size:  # verified when it was downloaded
        return path
    size = human_bytes(dataset.size or 0)
    place = f"put {dataset.file_name} into a folder and name that in RUSHLIGHT_DATA"
    if downloads_forbidden():
        raise InputError(f"'{name}' is not here, and RUSHLIGHT_OFFLINE forbids to download it; {place}")
    note(f"downloading {name} ({size}) from {dataset.url}")
    pooch.get_logger().setLevel("WARNING")
    try:
        with progress(f"Downloading {name}", dataset.size or 0, "bytes") as bar:
            pooch.retrieve(
                dataset.url,
                known_hash=f"md5:{dataset.md5}" if dataset.md5 else None,
                path=cache,
                fname=path.name,
                downloader=pooch.HTTPDownloader(progressbar=_PoochBar(bar.advance), timeout=60),
            )
    except ValueError as error:  # pooch found another hash, and has deleted the file
        raise InputError(f"the download of '{name}' is damaged or was changed: {_one_line(error)}") from None
    except OSError as error:  # requests' errors are among them
        if error.errno is not None:
            raise storage_error(path, error, dataset.size) from error
        raise InputError(f"'{name}' cannot be downloaded ({_one_line(error)}); {place}") from None
    try:
        _verify(path, dataset, "try again")
    except InputError:
        path.unlink(missing_ok=True)
        raise
    return path


class _PoochBar:
    """Our progress in the form that pooch expects: it reports bytes, and at the end starts over once."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance, self.total = advance, 0

    def update(self, count: int) -> None:
        self.advance(count)

    def reset(self) -> None:
        self.advance = lambda count: None

    def close(self) -> None:
        pass


def _verify(path: Path, dataset: Dataset, advice: str) -> None:
    """Refuse a file that is not the public one.

    Raises:
        InputError: its size or its MD5 differs.
    """
    size = path.stat().st_size
    if dataset.size is not None and size != dataset.size:
        raise InputError(f"'{path}' has {size:,} bytes, the public file {dataset.size:,}; {advice}")
    if dataset.md5 is None:
        return
    with path.open("rb") as file:  # against accidents; the addresses give no stronger hash
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if md5 != dataset.md5:
        raise InputError(f"'{path}' is damaged: its MD5 is {md5}, the public file's {dataset.md5}; {advice}")


def _unpacked(archive: Path, name: str, cache: Path) -> Path:
    """The folder in an archive, unpacked once; an archive that changed is unpacked anew."""
    status = archive.stat()
    identity = f"{archive.resolve()} {status.st_size} {status.st_mtime_ns}"
    folder_name = f"{name}-{hashlib.sha256(os.fsencode(identity)).hexdigest()[:12]}"
    folder = _written_once(cache, folder_name, lambda target: _unpack(archive, name, target))
    inside = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _unpack(archive: Path, name: str, target: Path) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise InputError("this Python cannot unpack archives safely; use Python 3.11.4 or newer")
    target.mkdir()
    done = 0
    try:
        with (
            archive.open("rb") as file,
            tarfile.open(fileobj=file) as members,
            progress(f"Unpacking {name}", archive.stat().st_size, "bytes") as bar,
        ):
            for member in members:
                members.extract(member, target, filter="data")  # refuses links and paths that lead outside
                bar.advance(file.tell() - done)
                done = file.tell()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InputError(f"the archive '{archive}' is damaged or unsafe: {_one_line(error)}") from None
    except OSError as error:
        if error.errno is None:  # gzip found another checksum
            raise InputError(f"the archive '{archive}' is damaged: {_one_line(error)}") from None
        raise


def _written_once(cache: Path, name: str, write: Callable[[Path], None]) -> Path:
    """A file or folder in the cache, renamed into place at the end: it is complete whenever it exists."""
    path = cache / name
    if path.exists():
        return path
    with _temporary_name(path) as temporary:
        write(temporary)
        try:
            os.rename(temporary, path)  # noqa: PTH104
        except OSError:
            if not path.exists():  # another process was faster
                raise
    return path


@contextmanager
def _temporary_name(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _write_digits(target: Path) -> None:
    from PIL import Image

    images, labels = digits()
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        file = target / str(label) / f"{i:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)


def _write_python_prose(target: Path) -> None:
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[topic].strip() for topic in sorted(topics))
    target.write_text(text + "\n", encoding="utf-8", newline="\n")


_WRITERS: dict[str, Callable[[Path], None]] = {"digits": _write_digits, "python-prose": _write_python_prose}


def _one_line(error: Any) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
