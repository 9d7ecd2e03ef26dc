"""Every image decoded once: one memory-mapped array of pixels in the user's cache folder.

The next run over the same files only asks the system for their sizes and times, and starts at once. A file
whose size or time changed is read again, and decoded again if its content changed; everything else is copied
over. An index names the array that belongs to it and is written last, so an interrupted run leaves no half
cache behind.

Threads decode, not processes: Pillow releases Python's lock while it decodes. On two cores a JPEG of 32 x 32
took 283 us with one thread, 148 us with two, 197 us with four (they wait for the lock) and 133 us with two
forked processes. But to fork under PyTorch's threads is unsafe, and to start fresh processes takes seconds,
as long as decoding 30,000 such images, and obliges every script to guard its main module
(`benchmarks/image_decoding.py`).
"""

import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from rushlight.data.decode import (
    DECODER_VERSION,
    Fit,
    UnreadableImage,
    decode_first_frame,
    pillow_warnings_ignored,
    read_bytes,
)
from rushlight.runtime.cache_limit import keep_within_limit, mark_used
from rushlight.runtime.distributed import leader_first
from rushlight.runtime.errors import InputError
from rushlight.runtime.files import atomic_write_text, storage_error, user_cache_folder
from rushlight.runtime.terminal import progress

UNREADABLE_LIMIT = 0.1  # a larger share of unreadable files is an error, not a nuisance

_IMAGES_A_TASK = 64  # hides the cost of handing a task to a thread, and still moves the bar smoothly
_MOST_THREADS = 8  # more would wait for Python's lock
_LEFTOVER_SECONDS = 86_400

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class CachedImages:
    """Decoded images, in the order of the paths that were asked for.

    Attributes:
        pixels: (N, size, size, 3) uint8, memory-mapped; the row of an unreadable file is black.
        readable: rows of `pixels` that hold an image, ascending.
        unreadable: (path, reason) of every other file.
        digests: a hash of each file's content, empty for one that could not be opened.
        animated: number of animations, of which the first frame was taken.
    """

    pixels: np.ndarray
    readable: np.ndarray
    unreadable: list[tuple[Path, str]]
    digests: list[str]
    animated: int


def cached_images(paths: Sequence[Path], size: int, *, fit: Fit = "crop", part: str = "images") -> CachedImages:
    """Decode images, or take them from the cache.

    Args:
        paths: the files.
        size: side of the square that each becomes; see `rushlight.data.decode.decode_image`.
        fit: how a rectangle becomes a square.
        part: a name for this set of files, so that two sets of the same folder have a cache each.

    Raises:
        InputError: more than a tenth of the files cannot be read.
        StorageError: the cache folder cannot be written.
    """
    names = [os.fspath(path.absolute()) for path in paths]
    folder = user_cache_folder() / "images"
    index_path = folder / f"{_key(names, size, fit, part)}.json"
    stamps = [_stamp(name) for name in names]
    with leader_first(f"images/{index_path.stem}"):
        entry = _read_entry(index_path)
        if entry is None or entry.names != names or entry.stamps != stamps:
            entry = _build_entry(names, stamps, size, fit, entry, index_path)
            keep_within_limit()
    mark_used(index_path, entry.pixels_path)
    unreadable = [(Path(names[row]), reason) for row, reason in sorted(entry.unreadable.items())]
    _refuse_if_mostly_unreadable(unreadable, len(names))
    readable = np.setdiff1d(np.arange(len(names)), list(entry.unreadable))
    return CachedImages(entry.pixels, readable, unreadable, entry.digests, len(entry.animated))


@dataclass(frozen=True)
class _Entry:
    """What one index says, with the array it names."""

    names: list[str]
    stamps: list[list[int]]
    digests: list[str]
    unreadable: dict[int, str]
    animated: list[int]
    pixels_path: Path
    pixels: np.ndarray

    def to_text(self) -> str:
        return json.dumps(
            {
                "names": self.names,
                "stamps": self.stamps,
                "digests": self.digests,
                "unreadable": self.unreadable,
                "animated": self.animated,
                "pixels": self.pixels_path.name,
            }
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one file: pixels or the reason why there are none."""

    digest: str
    pixels: np.ndarray | None = None
    reason: str | None = None
    animated: bool = False


def _key(names: Sequence[str], size: int, fit: Fit, part: str) -> str:
    """The same for the same set of files at the same size, also after files were added to it or changed."""
    common = os.path.commonpath([min(names), max(names)]) if names else ""
    identity = "\0".join([common, part, str(size), fit, str(DECODER_VERSION)])
    return hashlib.sha256(os.fsencode(identity)).hexdigest()[:24]


def _stamp(name: str) -> list[int]:
    """Size and time of the last change in nanoseconds; while both stay, so does the content."""
    try:
        status = os.stat(name)  # noqa: PTH116 (a third of the cost of Path.stat)
    except (OSError, ValueError):
        return [-1, -1]
    return [status.st_size, status.st_mtime_ns]


def _read_entry(index_path: Path) -> _Entry | None:
    """The cache as a former run left it; None where there is none or it is damaged."""
    try:
        fields = json.loads(index_path.read_text(encoding="utf-8"))
        pixels_path = index_path.parent / fields["pixels"]
        pixels = np.load(pixels_path, mmap_mode="c", allow_pickle=False)
        entry = _Entry(
            names=fields["names"],
            stamps=fields["stamps"],
            digests=fields["digests"],
            unreadable={int(row): reason for row, reason in fields["unreadable"].items()},
            animated=fields["animated"],
            pixels_path=pixels_path,
            pixels=pixels,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    lengths = {len(entry.names), len(entry.stamps), len(entry.digests), len(pixels)}
    return entry if len(lengths) == 1 and pixels.dtype == np.uint8 else None


def _build_entry(
    names: list[str], stamps: list[list[int]], size: int, fit: Fit, old: _Entry | None, index_path: Path
) -> _Entry:
    """Decode what is new, copy what is not, and put the result in the place of the old entry."""
    known = {name: row for row, name in enumerate(old.names)} if old else {}
    row_of_digest = {digest: row for row, digest in enumerate(old.digests) if digest} if old else {}

    def from_old(row: int) -> _Outcome:
        assert old is not None
        if row in old.unreadable:
            return _Outcome(old.digests[row], reason=old.unreadable[row])
        return _Outcome(old.digests[row], old.pixels[row], animated=row in old.animated)

    def outcome(i: int) -> _Outcome:
        row = known.get(names[i])
        if old and row is not None and stamps[i][0] >= 0 and old.stamps[row] == stamps[i]:
            return from_old(row)
        try:
            data = read_bytes(names[i])
            digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        except UnreadableImage as error:
            return _Outcome("", reason=error.reason)
        if digest in row_of_digest:
            return from_old(row_of_digest[digest])
        try:
            decoded = decode_first_frame(data, size, fit)
        except UnreadableImage as error:
            return _Outcome(digest, reason=error.reason)
        return _Outcome(digest, decoded.pixels, animated=decoded.animated)

    digests: list[str] = []
    unreadable: dict[int, str] = {}
    animated: list[int] = []
    black = np.zeros((size, size, 3), np.uint8)
    shape = (len(names), size, size, 3)
    unfinished = index_path.with_suffix(f".{os.getpid()}.tmp")
    with _new_file(unfinished, needed=int(np.prod(shape))) as file:
        np.lib.format.write_array_header_2_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        with progress("Reading images", len(names), "images") as bar:
            for outcomes in in_threads(lambda rows: [outcome(i) for i in rows], tasks_of(len(names))):
                for result in outcomes:
                    if result.reason is not None:
                        unreadable[len(digests)] = result.reason
                    if result.animated:
                        animated.append(len(digests))
                    digests.append(result.digest)
                    file.write((black if result.pixels is None else result.pixels).tobytes())
                bar.advance(len(outcomes))
        # Named by content: an array that another process has mapped is never written over.
        content = hashlib.sha256("\0".join([*digests, str(shape), fit, str(DECODER_VERSION)]).encode())
        pixels_path = index_path.with_name(f"{content.hexdigest()[:24]}.npy")
    try:
        os.replace(unfinished, pixels_path)  # noqa: PTH105
        pixels = np.load(pixels_path, mmap_mode="c", allow_pickle=False)
    except OSError as error:
        raise storage_error(pixels_path, error) from error
    entry = _Entry(names, stamps, digests, unreadable, animated, pixels_path, pixels)
    atomic_write_text(index_path, entry.to_text())
    if old and old.pixels_path != pixels_path:
        with suppress(OSError):  # some systems keep a file that is still mapped
            old.pixels_path.unlink()
    return entry


def tasks_of(count: int) -> Iterator[range]:
    """So many rows in pieces for `in_threads`."""
    return (range(start, min(start + _IMAGES_A_TASK, count)) for start in range(0, count, _IMAGES_A_TASK))


def in_threads(function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
    """Results in the order of the tasks, with few tasks ahead: memory stays small and Ctrl-C acts at once."""
    workers = min(_MOST_THREADS, usable_processors())
    waiting: deque[Future[_Result]] = deque()
    executor = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        with pillow_warnings_ignored():
            for task in tasks:
                waiting.append(executor.submit(function, task))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def usable_processors() -> int:
    """Processors this process may run on, which in a container can be fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def _new_file(path: Path, needed: int) -> Iterator[BinaryIO]:
    """A file to write from its beginning; forced to the disk at the end, removed if anything fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        try:
            with path.open("wb") as file:
                # Plain writes and not a writable mapping: on a full disk a mapping kills the process
                # (SIGBUS).
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
    except OSError as error:
        raise storage_error(path, error, needed) from error


def _remove_leftovers(folder: Path) -> None:
    """Delete what runs left behind that were killed more than a day ago."""
    for leftover in folder.glob("*.tmp"):
        with suppress(OSError):
            if leftover.stat().st_mtime < time.time() - _LEFTOVER_SECONDS:
                leftover.unlink()


def _refuse_if_mostly_unreadable(unreadable: Sequence[tuple[Path, str]], count: int) -> None:
    if len(unreadable) <= UNREADABLE_LIMIT * count:
        return
    path, reason = unreadable[0]
    share = "none of" if len(unreadable) == count else f"{len(unreadable):,} of"
    verb = "can be read" if len(unreadable) == count else "cannot be read, more than a tenth"
    raise InputError(f"{share} {count:,} images {verb}; the first is '{path}' ({reason}); repair or remove them")
