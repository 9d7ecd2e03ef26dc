"""The folder that one training leaves behind, and how it is found again.

runs/images/photos-1/
    run.json            the command, its arguments, versions, data fingerprint, results
    history.jsonl       one row an epoch
    model.safetensors   the model, which rebuilds itself
    resume.safetensors  while training goes on: all it takes to go on after an interruption (runtime/state_file.py)
    cycles/             one checkpoint a cycle of `fit_cycles`
    report.html         for a person

Of a training with several seeds it holds the run folder of each, `seed-0/` and so on, and a `run.json` with the means.
"""

import errno
import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rushlight.runtime.errors import InputError, RunFolderBusyError, nearest_name
from rushlight.runtime.files import append_json_line, atomic_write_text, storage_error, to_json_value, write_json
from rushlight.runtime.state_file import StateFile
from rushlight.version import __version__

if sys.platform != "win32":
    import fcntl

RUNS = Path("runs")

_RUN_FILES = ("run.json", "history.jsonl", "model.safetensors")
_LOCK = ".lock"
_RUNS_SHOWN = 5


class RunFolder:
    """One run's folder, held by a lock while it is open so that two trainings never write into the same one.

    Use it as a context manager, or call `close()`. A folder in which nothing was written is taken away again.

    Attributes:
        path: the folder.
        model, history, run_json, report: the files in it, whether they are written yet or not.
        cycles: the folder of the checkpoints of each cycle.
    """

    def __init__(self, path: str | Path, *, is_held: bool = True) -> None:
        """Take the lock of a folder that exists.

        Args:
            path: the folder.
            is_held: False in a process that leaves the folder to another one: it has no lock, and writes nothing.

        Raises:
            RunFolderBusyError: another process holds it.
            StorageError: it cannot be written.
        """
        self.path = Path(path)
        self.model = self.path / "model.safetensors"
        self.history = self.path / "history.jsonl"
        self.run_json = self.path / "run.json"
        self.report = self.path / "report.html"
        self.cycles = self.path / "cycles"
        self._lock_path = self.path / _LOCK
        self._lock: int | None = _take_lock(self._lock_path) if is_held else None

    @classmethod
    def create(cls, output: str | Path | None = None, kind: str = "images", name: str = "photos") -> "RunFolder":
        """Make the folder of a new run; a finished run is never overwritten, an interrupted one is taken up again.

        Args:
            output: the folder wanted, or `None` for the next free `runs/<kind>/<name>-<number>`.
            kind: what is trained, `images` or `text`.
            name: what the run is called, usually after its data.

        Raises:
            InputError: `output` holds a run already, or is a file.
            RunFolderBusyError: another process is writing to `output`.
            StorageError: the folder cannot be made or written.
        """
        if output is None:
            return cls(numbered_folder(RUNS / kind, name))
        path = Path(output)
        if path.exists() and not path.is_dir():
            raise InputError(f"output '{path}' is a file; name a folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(path, error) from error
        run = cls(path)  # the lock first: a folder that is being written is busy, whatever it holds by now
        if holds_run(path) and not is_unfinished(path):
            run.close()
            raise InputError(f"output '{path}' holds a run already, which is never overwritten; name another folder")
        return run

    @staticmethod
    def find(path: str | Path) -> Path:
        """The model file of a finished run.

        Args:
            path: a run folder, or a model file itself.

        Raises:
            InputError: there is none; the nearest existing run is named.
        """
        path = Path(path)
        if path.is_file():
            return path
        model = path / "model.safetensors"
        if model.is_file():
            return model
        if seeds := runs_of_seeds(path):
            raise InputError(f"'{path}' holds the runs of {len(seeds)} seeds; name one of them, such as {seeds[0]}")
        if path.is_dir():
            what = f"folder '{path}' holds no model.safetensors"
            what += ": its training has not finished" if holds_run(path) else ""
        else:
            what = f"there is no run '{path}'"
        runs = finished_runs(path)
        if not runs:
            raise InputError(f"{what}; train one first: rushlight train images FOLDER")
        same_name = [run for run in runs if Path(run).name == path.name]
        hint = f"did you mean '{same_name[0]}'?" if same_name else nearest_name(str(path), runs)
        raise InputError(f"{what}; {hint}")

    def write_run(self, facts: Mapping[str, Any]) -> None:
        """Write `run.json` anew.

        Raises:
            StorageError: it cannot be written.
        """
        write_json(self.run_json, dict(facts))

    def write_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace `history.jsonl` by these rows.

        Raises:
            StorageError: it cannot be written.
        """
        lines = (json.dumps(to_json_value(dict(row)), allow_nan=False) + "\n" for row in rows)
        atomic_write_text(self.history, "".join(lines))

    def append_history(self, row: Mapping[str, Any]) -> None:
        """Add one row to `history.jsonl`.

        Raises:
            StorageError: it cannot be written.
        """
        append_json_line(self.history, dict(row))

    def close(self) -> None:
        """Let the folder go; a folder without content is removed. Calling it again does nothing."""
        if self._lock is None:
            return
        with suppress(OSError):
            self._lock_path.unlink()  # while it is held: whoever waits for it sees that it is gone
        os.close(self._lock)
        self._lock = None
        with suppress(OSError):
            self.path.rmdir()  # refuses a folder with anything in it

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RunFolder('{self.path}')"


def holds_run(path: str | Path) -> bool:
    """Whether a folder has any of the files of a run."""
    return any((Path(path) / name).exists() for name in _RUN_FILES)


def runs_of_seeds(path: str | Path) -> list[Path]:
    """The finished runs of each seed in a folder that a training with several seeds made; none in any other folder."""
    path = Path(path)
    if (path / "model.safetensors").exists():
        return []
    seeds = [model.parent for model in path.glob("seed-*/model.safetensors")]
    return sorted(seeds, key=lambda run: (len(run.name), run.name))


def is_being_written(path: str | Path) -> bool:
    """Whether a process holds a run folder; on Windows, where nothing is locked, whether one has begun to."""
    try:
        descriptor = os.open(Path(path) / _LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return True


def is_unfinished(path: str | Path) -> bool:
    """Whether a folder holds a training that was interrupted, with the state to go on from."""
    return StateFile(path).exists() and not (Path(path) / "run.json").exists()


def finished_runs(near: str | Path) -> list[str]:
    """The newest few run folders with a model, under `runs/` and beside a path; the newest first."""
    found = {model.parent for model in RUNS.glob("*/*/model.safetensors")}
    with suppress(OSError):
        found |= {model.parent for model in Path(near).parent.glob("*/model.safetensors")}
    ages: dict[str, float] = {}
    for run in found:
        with suppress(OSError):  # removed since
            ages[str(run)] = (run / "model.safetensors").stat().st_mtime
    return sorted(ages, key=lambda run: ages[run], reverse=True)[:_RUNS_SHOWN]


def environment_versions() -> dict[str, Any]:
    """What a number depends on besides the data: versions, system, processor and threads."""
    import torch  # here, so that finding a run does not wait for it

    return {
        "rushlight": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
        "processor": _processor_name(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def plain_name(name: str) -> str:
    """A name that is one folder on every system: `My photos/2024` becomes `My-photos-2024`."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "run"


def numbered_folder(parent: Path, name: str) -> Path:
    """Make `<name>-<n>` with the number after the highest in use.

    Raises:
        StorageError: it cannot be made.
    """
    name = plain_name(name)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        pattern = re.compile(re.escape(name) + r"-(\d+)")
        used = [int(match[1]) for entry in parent.iterdir() if (match := pattern.fullmatch(entry.name))]
        number = max(used, default=0) + 1
        while True:
            path = parent / f"{name}-{number}"
            try:
                path.mkdir()
                return path
            except FileExistsError:  # another run began at the same moment
                number += 1
    except OSError as error:
        raise storage_error(parent / f"{name}-1", error) from error


def _take_lock(path: Path) -> int | None:
    """Lock a file for this process; the system releases it when the process ends, however it ends.

    On Windows nothing is locked.
    """
    try:
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            if sys.platform == "win32":
                return descriptor
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The last holder may have removed the file between our opening and our locking it.
                if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, f"{os.getpid()}\n".encode())
                    return descriptor
                os.close(descriptor)
            except OSError as error:
                holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
                os.close(descriptor)
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
                raise RunFolderBusyError(
                    f"run folder '{path.parent}' is being written by process {holder or 'unknown'}; "
                    "wait for it or name another folder"
                ) from None
    except OSError as error:
        raise storage_error(path.parent, error) from error
