"""The cache stays within a limit: what can be computed again goes, the longest unused first."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rushlight.runtime.errors import InputError
from rushlight.runtime.files import user_cache_folder

KINDS = {
    "images": "decoded images",
    "features": "what pretrained networks said of images",
    "text": "texts as tokens",
    "weights": "weights of pretrained networks",
    "data": "data sets fetched by name",
}
COMPUTED = ("images", "features", "text")  # costs time to make again, and no download
LIMIT_VARIABLE, LIMIT = "RUSHLIGHT_CACHE_LIMIT", 20.0  # GB, for all that is computed
_IN_USE_SECONDS = 3600  # what was used so lately may still be in use by another run


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    used: float


def mark_used(*paths: Path) -> None:
    """Note that these files of the cache were used now; what was used lately is deleted last."""
    for path in paths:
        with suppress(OSError):  # a cache that belongs to somebody else can still be read
            os.utime(path)


def keep_within_limit() -> int:
    """Delete the longest unused of what was computed, until all of it is within the limit.

    Returns:
        How many bytes were freed.

    Raises:
        InputError: the variable `RUSHLIGHT_CACHE_LIMIT` is not a number of gigabytes.
    """
    limit = 1e9 * _gigabytes()
    files = _computed()
    excess = sum(file.size for file in files) - limit
    return _delete((file for file in files if file.used < time.time() - _IN_USE_SECONDS), excess)


def clear_computed() -> int:
    """Delete all that was computed, and return how many bytes were freed."""
    return _delete(_computed(), math.inf)


def cache_sizes() -> dict[str, int]:
    """Bytes that each kind takes, for every kind in `KINDS`."""
    return {kind: sum(file.size for file in _files(kind)) for kind in KINDS}


def _computed() -> list[_File]:
    """What can be computed again, the longest unused first."""
    return sorted((file for kind in COMPUTED for file in _files(kind)), key=lambda file: file.used)


def _delete(files: Iterable[_File], wanted: float) -> int:
    """Delete files in their order until so many bytes are free, and return how many are."""
    freed = 0
    for file in files:
        if freed >= wanted:
            break
        with suppress(OSError):  # some systems keep a file that is still mapped
            file.path.unlink()
            freed += file.size
    return freed


def _files(kind: str) -> Iterator[_File]:
    for folder, _, names in os.walk(user_cache_folder() / kind):
        for name in names:
            path = Path(folder, name)
            with suppress(OSError):  # deleted meanwhile
                status = path.lstat()
                if not name.endswith(".tmp"):  # being written, or swept up by its own kind
                    yield _File(path, status.st_size, status.st_mtime)


def _gigabytes() -> float:
    given = os.environ.get(LIMIT_VARIABLE)
    if not given:
        return LIMIT
    with suppress(ValueError):
        number = float(given)
        if number >= 0 and not math.isnan(number):
            return number
    raise InputError(f"{LIMIT_VARIABLE} is '{given}', which is not a number of gigabytes (0 or more)")
