"""Trainings in processes of their own: what becomes of a study when one of them, or all of it, is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rushlight.app.cell_processes import run_in_process

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err
PROJECT = Path(__file__).resolve().parents[2]
SHORT = ("--model", "batch_norm_net", "--size", "32", "--steps", "2", "--vary", "norm=after_relu,none", "--seeds", "2")


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_process_that_is_killed_or_refuses_is_told_in_one_line(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["train", "images", str(photos), "--model", "conv_layers", "--steps", "1", "--output", str(folder)]
    killed = run_in_process(words, folder, before=kill_this_process)
    assert killed.error_code == -signal.SIGKILL
    assert killed.message.startswith("its process was ended by SIGKILL")
    refused = run_in_process([*words, "--optimizer", "none"], folder)
    assert refused.error_code == 2
    assert refused.message.startswith("--optimizer none")
    assert run_in_process(words, folder).message == ""
    facts = json.loads((folder / "run.json").read_text())
    assert facts["command"] == ["rushlight", *words]
    assert "Accuracy" in (folder / "log.txt").read_text()


def start(*words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rushlight.app.cli", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_study_killed_at_random_moments_ends_with_the_table_of_one_that_was_not(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert rushlight("ablate", "images", photos, *SHORT, "--output", whole).code == 0
    moments = random.Random(1)
    for _ in range(3):
        process = start("ablate", "images", photos, *SHORT, "--output", killed)
        time.sleep(moments.uniform(3, 12))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert rushlight("ablate", "images", photos, *SHORT, "--output", killed).code == 0
    assert (killed / "table.md").read_text() == (whole / "table.md").read_text()
    assert len(list(killed.glob("cells/*/run.json"))) == 4


@pytest.mark.slow
def test_two_processes_share_a_study_in_one_folder(photos: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    command = ("ablate", "images", photos, *SHORT, "--output", study)
    processes = [start(*command) for _ in range(2)]
    assert [process.wait(timeout=250) for process in processes] == [0, 0]
    rows = json.loads((study / "results.json").read_text())["rows"]
    assert [len(row["values"]) for row in rows] == [2, 2]


@pytest.mark.slow
def test_interrupted_study_ends_its_training_too_and_gives_the_cell_back(photos: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    long = [word if word != "2" else "100000" for word in SHORT[:6]]
    process = start("ablate", "images", photos, *long, *SHORT[6:], "--output", study)
    deadline = time.monotonic() + 200
    while not list(study.glob("cells/*/.lock")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    time.sleep(1)
    assert not list(study.glob("cells/*/.lock"))  # nobody is writing there any more
