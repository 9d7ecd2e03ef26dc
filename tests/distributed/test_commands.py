"""The command line under torchrun: one process speaks, whatever all of them do."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.app.conftest import write_photos
from tests.distributed.launching import environment, rushlight_under_torchrun

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


def ran(folder: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        rushlight_under_torchrun(*words), capture_output=True, text=True, env=environment(), cwd=folder, check=False
    )


def test_a_pretrained_network_within_a_time_limit(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    words = ("--backbone", "efficientnet_lite0", "--size", "32", "--minutes", "0.2", "--no-report", "--output", "run")
    done = ran(tmp_path, "train", "images", photos, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("on images that were not trained on") == 1
    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert rows[0]["valid_loss"]["n"] == 6  # which both processes measured together
    assert (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data", "list"), "'rushlight data list' runs in one process: start it without torchrun"),
        (("train", "images", "photos", "--seeds", "2"), "--seeds begins trainings anew"),
        (("train", "images", "nowhere", "--lr", "fast"), "--lr"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = ran(tmp_path, *words)
    assert done.returncode == 1  # of torchrun
    assert said in done.stderr
    assert "rushlight.runtime.errors" not in done.stderr  # as a traceback would name it
