"""Start a training in a process of its own, which goes on when the page, the browser or the studio is closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rushlight.runtime.files import write_json
from rushlight.runtime.run_folder import RUNS, numbered_folder

LOG = "training.log"
START = "studio.json"
_LINES_READ = 4000  # bytes at the end of a log


@dataclass(frozen=True)
class Order:
    """A training that a person asks for.

    Attributes:
        kind: `images` or `text`.
        data: a path or a name of the catalog.
        name: what the run is called.
        length: the flag that says how long, `--minutes` or `--epochs`.
        amount: how long.
        seed: of every random choice.
        extra: further words of the command line.
    """

    kind: str
    data: str
    name: str
    length: str = "--minutes"
    amount: float = 5.0
    seed: int = 0
    extra: tuple[str, ...] = ()


class Trainings:
    """The trainings that this studio has started."""

    def __init__(self) -> None:
        self._started: dict[Path, subprocess.Popen[bytes]] = {}
        self._of_token: dict[str, Path] = {}

    def start(self, order: Order, token: str) -> Path:
        """Start a training, once a token: a form that is sent twice starts one.

        Args:
            order: what to train.
            token: of the form.

        Returns:
            The run folder, which is made at once.

        Raises:
            StorageError: it cannot be made.
        """
        if token in self._of_token:
            return self._of_token[token]
        folder = numbered_folder(RUNS / order.kind, order.name)
        self._of_token[token] = folder
        words = ["train", order.kind, order.data, order.length, f"{order.amount:g}", "--seed", str(order.seed)]
        facts = {
            "data": order.data,
            "seed": order.seed,
            "length": f"{order.amount:g} {order.length.removeprefix('--')}",
        }
        self._started[folder] = start_process(folder, [*words, *order.extra, "--output", str(folder)], facts)
        return folder

    def knows(self, token: str) -> bool:
        """Whether a form with this token has been sent before."""
        return token in self._of_token

    def reap(self) -> None:
        """Take note of processes that have ended, so that they leave nothing behind in the system's table."""
        for folder, process in list(self._started.items()):
            if process.poll() is not None:
                del self._started[folder]


def start_process(
    folder: Path, words: list[str], facts: dict[str, Any], results: Path | None = None
) -> subprocess.Popen[bytes]:
    """Run a command line in a process of its own, which Ctrl-C in the studio does not reach.

    Args:
        folder: gets its log, and the facts by which another studio knows it.
        words: of the command line.
        facts: what is to be known of it.
        results: a file for what it prints; the log if None.

    Raises:
        StorageError: the facts cannot be written.
    """
    with (folder / LOG).open("wb") as log, (results or Path(os.devnull)).open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, *_program(), *words],
            stdin=subprocess.DEVNULL,
            stdout=log if results is None else printed,
            stderr=log,
            start_new_session=True,
        )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder / START, {"process": process.pid, "started": started, **facts})
    return process


def _program() -> list[str]:
    """The program of this process, so that what the training tells a person to type is what they would type."""
    own = Path(sys.argv[0])
    return [str(own)] if own.name == "rushlight" and own.is_file() else ["-m", "rushlight.app.cli"]


def start_facts(run: Path) -> dict[str, Any]:
    """How a training was started by a studio, and whether its process is `alive`; empty if it was started otherwise."""
    try:
        facts = json.loads((run / START).read_text(encoding="utf-8"))
        return {**facts, "alive": _is_alive(int(facts["process"]), run)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _is_alive(process: int, run: Path) -> bool:
    """Whether a process is there and, where the system tells, is still the one that writes to this run."""
    try:
        os.kill(process, 0)
    except OSError:
        return False
    with suppress(OSError):
        return str(run.name) in Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
    return True


def last_line(log: Path) -> str:
    """The last line of a log that says anything."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LINES_READ))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
