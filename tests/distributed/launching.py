"""Real processes started by torchrun, as a person starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
PROJECT = Path(__file__).resolve().parents[2]


def environment(**more: str) -> dict[str, str]:
    """One thread a process, and this checkout in front."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT), **more}


def torchrun(ranks: int, *words: object, options: tuple[str, ...] = ()) -> list[str]:
    """The command that starts so many processes on this machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", *options]
    return [*launcher, *map(str, words)]


def run_program(
    name: str, *words: object, ranks: int = 2, timeout: float = 120, options: tuple[str, ...] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of `programs/`, with several processes or (ranks=1) in one of its own."""
    path = PROGRAMS / f"{name}.py"
    command = [sys.executable, str(path), *map(str, words)]
    if ranks > 1:
        command = torchrun(ranks, path, *words, options=options)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=environment(**more), cwd=PROJECT, check=False
    )


def run_well(name: str, *words: object, **settings: object) -> str:
    """The same, and what it printed; a program that fails fails the test."""
    done = run_program(name, *words, **settings)  # type: ignore[arg-type]
    if done.returncode:
        pytest.fail(f"{name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def rushlight_under_torchrun(*words: object, ranks: int = 2, options: tuple[str, ...] = ()) -> list[str]:
    """The command `rushlight`, started by torchrun."""
    return torchrun(ranks, "-m", "rushlight.app.cli", *words, options=options)


def processes_of(launcher: int) -> dict[int, int]:
    """The processes that a torchrun has started, by rank."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            settings = dict(
                word.split("=", 1) for word in (folder / "environ").read_text().split("\0") if word.count("=")
            )
        except (OSError, ValueError):
            continue
        if parent == launcher and "RANK" in settings:
            found[int(settings["RANK"])] = int(folder.name)
    return found


def wait_until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for something to become so; a test that waits in vain fails."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            pytest.fail(f"waited in vain for {seconds:g} s")
        time.sleep(0.02)
