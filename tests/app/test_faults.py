"""What goes wrong outside of the program, caused for real: the work so far is kept, and one line says what to do."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rushlight.app import runs
from rushlight.runtime.checkpoint import read_checkpoint
from rushlight.runtime.run_folder import RunFolder
from rushlight.runtime.state_file import StateFile
from rushlight.training.callbacks import Callback
from rushlight.training.learner import Learner
from rushlight.training.resuming import Resumable
from tests.app.conftest import Rushlight
from tests.terminals import on_terminal

IMAGES = ("--epochs", "3", "--model", "conv_layers", "--size", "32", "--batch-size", "4")
SMALL_DISK = 8_000_000  # bytes


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], Any]], None]:
    """Does something at the end of a step: `at_step(5, fill_the_disk)`."""
    original = Resumable.step_end

    def arrange(step: int, act: Callable[[], Any]) -> None:
        def step_end(self: Resumable, learner: Learner) -> None:
            if learner.step == step:
                act()
            original(self, learner)

        monkeypatch.setattr(Resumable, "step_end", step_end)

    return arrange


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = sys.platform == "linux" and not ctypes.CDLL(None, use_errno=True).mount(
        b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={SMALL_DISK}".encode()
    )
    if not mounted:
        pytest.skip("a small file system can only be mounted by root on Linux")
    yield folder
    ctypes.CDLL(None).umount2(os.fsencode(folder), 2)


def weights(folder: Path) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in read_checkpoint(folder / "model.safetensors").tensors.items()}


def assert_same(first: Path, second: Path) -> None:
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    assert [name for name in one if not np.array_equal(one[name], two[name])] == []


def test_a_disk_that_fills_up_ends_the_training_and_not_the_work(
    small_disk: Path, photos: Path, rushlight: Rushlight, at_step: Callable[..., None], tmp_path: Path
) -> None:
    begin = ("train", "images", photos, *IMAGES, "--save-every", "0.001", "--output")
    run, filler = small_disk / "run", small_disk / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as handle:
            try:
                while True:
                    handle.write(b"x" * 1000)
            except OSError:
                pass

    at_step(8, fill)
    ran = rushlight(*begin, run)
    assert ran.code == 5
    for said in ("no space to write", str(run), "needed", "free"):
        assert said in ran.error
    assert StateFile(run).read()[0]["learner"]["step"] == 7  # the one before stands
    assert not list(run.glob(".*.tmp"))
    filler.unlink()
    at_step(0, fill)
    # Pictures and the report would not fit either: the run goes on where there is room.
    run = Path(os.fspath(run))
    roomy = tmp_path / "roomy"
    subprocess.run(["cp", "-r", run, roomy], check=True)
    assert rushlight("train", "images", "--resume", roomy).code == 0
    assert rushlight(*begin, tmp_path / "whole").code == 0
    assert_same(roomy, tmp_path / "whole")


def test_a_run_that_is_being_written_cannot_be_taken_up_by_a_second_process(
    photos: Path, rushlight: Rushlight, at_step: Callable[..., None], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert rushlight("train", "images", photos, *IMAGES, "--output", run).code == 143
    with RunFolder(run):
        busy = rushlight("train", "images", "--resume", run)
    assert busy.code == 6
    assert f"process {os.getpid()}" in busy.error
    at_step(0, lambda: None)
    assert rushlight("train", "images", "--resume", run).code == 0


def test_a_clock_that_is_set_back_changes_no_time_limit(
    photos: Path, rushlight: Rushlight, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hours = iter(range(1_000_000))
    monkeypatch.setattr(time, "time", lambda: 1e9 - 3600 * next(hours))
    started = time.monotonic()
    ran = rushlight(
        "train",
        "images",
        photos,
        "--minutes",
        "0.05",
        "--model",
        "conv_layers",
        "--size",
        "32",
        "--output",
        tmp_path / "run",
    )
    assert ran.code == 0
    assert time.monotonic() - started < 60


PROJECT = Path(__file__).resolve().parents[2]


def interruptions(*words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, PROJECT / "benchmarks" / "interruptions.py", *words],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(1300)
def test_kills_at_random_moments_change_nothing() -> None:
    found = interruptions("--kills", "20")
    assert found["kills"] >= 20
    assert found["differing"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1300)
def test_sigterm_is_answered_soon_and_changes_nothing() -> None:
    found = interruptions("--terms", "6")
    assert found["longest_seconds"] < 10
    assert found["differing"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1300)
def test_kills_under_a_time_limit_cost_an_interval_at_most() -> None:
    found = interruptions("--timed", "2")
    # The benchmark gives the figure; here are bounds that a busy machine keeps too, and a lost clock does not.
    assert 0.8 < found["least_share"] <= found["largest_share"] < 1.2
    assert found["largest_last_rate"] < 0.1


class Hungry(Callback):
    """Asks for more memory than any machine has, in batches of more than a few."""

    def __init__(self, after: int = 0) -> None:
        self.after = after  # so many steps

    def batch_start(self, learner: Learner) -> None:
        if learner.step >= self.after and learner.data.train.batch_size > 4:
            torch.empty(2**60, dtype=torch.uint8)


def test_memory_that_does_not_suffice_is_told_with_what_to_make_smaller(
    photos: Path, rushlight: Rushlight, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runs, "CALLBACKS_OF_THIS_PROCESS", [Hungry()])
    words = ("train", "images", photos, *IMAGES, "--batch-size", "16", "--output", tmp_path / "run")
    ran = rushlight(*words)
    assert ran.code == 4
    assert "--batch-size 8 --accumulate 2" in ran.error
    assert not (tmp_path / "run").exists()  # nothing was learned, so nothing is in the way of another try
    again = rushlight(*words, "--auto-batch")
    assert again.code == 0
    assert "--batch-size 4 --accumulate 4" in again.err
    arguments = json.loads((tmp_path / "run" / "run.json").read_text())["arguments"]
    assert (arguments["batch_size"], arguments["accumulate"]) == (4, 4)


@pytest.mark.parametrize("kind", ["images", "text"])
def test_memory_that_ends_in_mid_run_leaves_the_work_so_far_to_smaller_batches(
    kind: str, photos: Path, rushlight: Rushlight, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "story.txt").write_text("The cat sat on the mat. A dog ran to the sea.\n" * 60)
    words = {
        "images": ("train", "images", photos, *IMAGES, "--batch-size", "16"),
        "text": ("train", "text", tmp_path / "story.txt", "--epochs", "3", "--hidden-size", "24", "--layers", "1",
                 "--window", "20", "--batch-size", "16"),
    }[kind]  # fmt: skip
    monkeypatch.setattr(runs, "CALLBACKS_OF_THIS_PROCESS", [Hungry(after=2)])
    went_on = rushlight(*words, "--save-every", "0.001", "--output", tmp_path / "run", "--auto-batch")
    assert went_on.code == 0
    assert "from the last saved state with --batch-size 4 --accumulate 4" in went_on.err
    assert "the epoch begins again" in went_on.err
    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (facts["arguments"]["batch_size"], facts["arguments"]["accumulate"]) == (4, 4)


def test_names_that_are_formulas_or_no_text_go_through_every_command(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name, grey in ((b"$x^$", 40), (b"caf\xe9", 120), ("\u732b\u202e".encode(), 200)):
        place = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))  # noqa: PTH118
        try:
            place.mkdir(parents=True)
        except OSError:
            pytest.skip("this file system takes no names that are not UTF-8")
        for number in range(4):
            Image.new("L", (8, 8), grey + number).save(place / os.fsdecode(b"%d\xff$.png" % number))
    commands = [
        ["train", "images", "photos", *IMAGES, "--output", "run"],
        ["evaluate", "run"],
        ["predict", "run", "photos"],
        ["explain", "run", "photos/$x^$", "--output", "why"],
        ["check", "photos", "--output", "checked"],
        ["export", "run", "--to", "onnx", "--output", "model.onnx"],
    ]
    # In one process, as they are quick and the imports are not; with streams as the program has them.
    program = "import json, sys; from rushlight.app.cli import main; sys.stdout.reconfigure(errors='backslashreplace')"
    program += "; print([main(words) for words in json.loads(sys.argv[1])])"
    ended = subprocess.run(
        [sys.executable, "-c", program, json.dumps(commands)], cwd=tmp_path, capture_output=True, check=False
    )
    assert ended.stdout.decode().splitlines()[-1:] == [str([0] * len(commands))], ended.stderr.decode()


def test_what_a_stranger_calls_a_class_commands_the_terminal_nothing(rushlight: Rushlight, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name, grey in (("cat\x1b]0;owned\x07", 40), ("dog", 200)):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (8, 8), grey + number).save(folder / name / f"{number}\x1b[2J.png")
    rushlight("train", "images", folder, *IMAGES, "--no-report", "--output", "run")
    _, shown = on_terminal(["-m", "rushlight.app.cli", "predict", "run", str(folder)], both=True)
    assert r"cat\x1b]0;owned\x07" in shown
    assert r"0\x1b[2J.png" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown
