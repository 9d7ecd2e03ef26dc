"""Files that are never half written, and where cached ones live.

A write goes to a temporary file in the same folder, is forced to the disk, and then takes the place of the
old file in one step. Whatever moment the process dies at, a reader finds the old content or the new one.
"""

import errno
import json
import math
import os
import secrets
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rushlight.runtime.errors import InputError, StorageError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LEFTOVER_SECONDS = 3600  # no write takes an hour: an older temporary file belongs to a process that died


def atomic_write_bytes(path: str | Path, data: bytes, keep_as: str | Path | None = None) -> None:
    """Write a file so that it holds the old content or the new, never a part; missing folders are made.

    Args:
        path: the file.
        data: its content.
        keep_as: where the file that stood there before is kept. Whoever is killed between the two renamings leaves
            the old file there, and none at `path`.

    Raises:
        StorageError: the file cannot be written; what was there before is untouched.
    """
    # A symbolic link stays one: its target is replaced, not the link.
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        try:
            with temporary.open("xb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            if keep_as is not None and path.exists():
                os.replace(path, keep_as)  # noqa: PTH105
            os.replace(temporary, path)  # noqa: PTH105 - the call that the whole guarantee rests on, by its own name
        except BaseException:  # Ctrl-C too leaves no temporary file behind
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _fsync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error, needed=len(data)) from error


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write a text file as UTF-8, atomically; see `atomic_write_bytes`.

    A file name may hold bytes that are no text; as Python does, they are written as they were.
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which no file name holds, but JSON may
        data = text.encode("utf-8", "backslashreplace")
    atomic_write_bytes(path, data)


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON document for people and programs (indented, UTF-8), atomically; see `to_json_value`."""
    atomic_write_text(path, json.dumps(to_json_value(value), indent=2, allow_nan=False) + "\n")


def append_json_line(path: str | Path, value: Any) -> None:
    """Add one JSON object as the last line of a `.jsonl` file.

    The file is written anew and put in place, so a reader never meets half a line; meant for a row an epoch,
    not for a row a step.

    Raises:
        StorageError: the file cannot be read or written.
    """
    path = Path(path)
    try:
        before = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise storage_error(path, error) from error
    if before and not before.endswith(b"\n"):
        before += b"\n"
    atomic_write_bytes(path, before + json.dumps(to_json_value(value), allow_nan=False).encode() + b"\n")


def to_json_value(value: Any) -> Any:
    """A copy of a value made of what strict JSON can say.

    Anything with a `to_json` method becomes what that returns, arrays and tensors become lists, paths become
    strings, and NaN or infinity becomes `None`.

    Raises:
        TypeError: a value has no JSON form.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    for method in ("to_json", "tolist"):  # ours, then NumPy's and PyTorch's
        convert = getattr(value, method, None)
        if callable(convert):
            return to_json_value(convert())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def storage_error(path: str | Path, error: OSError, needed: int | None = None) -> StorageError:
    """The error to raise when the system refuses a file.

    Args:
        path: the file or folder.
        error: what the system said.
        needed: bytes that were to be written, told together with the free ones when space ran out.
    """
    reason = error.strerror or str(error)
    if error.errno in _NO_SPACE:
        sizes = [] if needed is None else [f"{human_bytes(needed)} needed"]
        with suppress(OSError):
            folder = next(folder for folder in Path(path).absolute().parents if folder.is_dir())
            sizes.append(f"{human_bytes(shutil.disk_usage(folder).free)} free")
        reason = ", ".join([reason, *sizes])
        return StorageError(f"no space to write '{path}': {reason}; free some space or choose another place")
    return StorageError(f"cannot write '{path}': {reason}; choose another place or change its permissions")


def human_bytes(count: int) -> str:
    """A size for people, in decimal units: `1.3 MB`."""
    if count < 1000:
        return f"{count} bytes"
    units = ("kB", "MB", "GB", "TB", "PB", "EB")
    power = min((len(str(count)) - 1) // 3, len(units))
    return f"{count / 1000**power:.1f} {units[power - 1]}"


def user_cache_folder() -> Path:
    """Where decoded images and downloads are kept; not created here.

    `RUSHLIGHT_CACHE` if set, else `rushlight` in the platform's cache folder (`XDG_CACHE_HOME` or `~/.cache`;
    `~/Library/Caches` on macOS; `%LOCALAPPDATA%` on Windows).

    Raises:
        InputError: no variable is set and the user has no home folder.
    """
    chosen = os.environ.get("RUSHLIGHT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    base = os.environ.get(variable)
    if base and Path(base).is_absolute():  # the XDG specification: a relative path is to be ignored
        return Path(base) / "rushlight"
    try:
        home = Path.home()
    except RuntimeError:
        raise InputError("there is no home folder to keep the cache in; set RUSHLIGHT_CACHE to a folder") from None
    places = {"darwin": "Library/Caches", "win32": "AppData/Local"}
    return home / places.get(sys.platform, ".cache") / "rushlight"


def downloads_forbidden() -> bool:
    """Whether `RUSHLIGHT_OFFLINE` says that nothing may be fetched from the network."""
    return os.environ.get("RUSHLIGHT_OFFLINE", "0") not in ("", "0")


def _remove_leftovers(path: Path) -> None:
    """Delete what writers of this file left behind when they were killed."""
    prefix, oldest = f".{path.name}.", time.time() - _LEFTOVER_SECONDS
    for sibling in path.parent.iterdir():
        if sibling.name.startswith(prefix) and sibling.name.endswith(".tmp"):
            with suppress(OSError):
                if sibling.stat().st_mtime < oldest:
                    sibling.unlink()


def _fsync_folder(folder: Path) -> None:
    """Force the new name to the disk as well; without it a power cut may undo the replacement."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot do this for a folder
            raise
    finally:
        os.close(descriptor)
