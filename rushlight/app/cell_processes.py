"""Run a command line of ours in a process of its own, which ends when this one does."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rushlight.app.failures import INTERRUPTED, TERMINATED
from rushlight.runtime.errors import RunFolderBusyError
from rushlight.runtime.run_folder import RunFolder
from rushlight.runtime.stop_signals import leave_on_signals

LOG = "log.txt"
_SECONDS_TO_END = 30.0
_PREPARED = ["rushlight.app.image_runs", "rushlight.app.text_runs"]


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        message: what went wrong, in one line; empty where nothing did.
        error_code: its exit code.
    """

    message: str
    error_code: int


def run_in_process(words: Sequence[str], folder: Path, before: Callable[[], None] | None = None) -> Ended:
    """Run one command line; what it prints goes to `log.txt` in its run folder.

    Args:
        words: after `rushlight`.
        folder: the run folder it makes, of which nothing is left of an attempt before.
        before: called in the new process before the command is; a function of a module.

    Raises:
        KeyboardInterrupt: the process was interrupted or told to end.
        RunFolderBusyError: another process is writing to the folder.
    """
    _clear(folder)
    folder.mkdir(parents=True)
    process = _processes().Process(target=_run, args=(list(words), folder / LOG, before))
    process.start()
    try:
        process.join()
    except BaseException:  # Ctrl-C reaches both; SIGTERM only this one
        process.terminate()
        process.join()
        raise
    code = process.exitcode or 0
    if code in (INTERRUPTED, TERMINATED, -signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    return Ended(_message(code, folder / LOG), code)


def _processes() -> Any:
    """How processes are made: by a server that has imported what is slow, where the system can copy processes."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PREPARED)
    return context


def _run(words: list[str], log: Path, before: Callable[[], None] | None) -> None:
    _end_with_parent()
    with log.open("ab", buffering=0) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    leave_on_signals()
    sys.argv = ["rushlight", *words]  # so that `run.json` says how this run is repeated
    from rushlight.app.cli import main

    if before is not None:
        before()
    sys.exit(main(words))


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however it went."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(TERMINATED)

    threading.Thread(target=wait, daemon=True).start()


def _clear(folder: Path) -> None:
    """Remove what an attempt left that did not finish, unless somebody is still writing to it.

    The process of that attempt ends when its parent is gone, which on a busy machine may take it some seconds.
    """
    deadline = time.monotonic() + _SECONDS_TO_END
    while folder.exists():
        try:
            RunFolder(folder).close()
        except RunFolderBusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
            continue
        shutil.rmtree(folder, ignore_errors=True)
        return


def _message(code: int, log: Path) -> str:
    if code == 0:
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the system may have been short of memory" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines[-1:]
    return said[-1] if said else f"its process ended with code {code}"
