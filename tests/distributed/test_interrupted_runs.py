"""Trainings in several processes that lose one of them, are asked to stop, and go on."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rushlight.runtime.checkpoint import read_checkpoint
from rushlight.runtime.state_file import StateFile
from tests.app.conftest import write_photos
from tests.distributed.launching import environment, processes_of, rushlight_under_torchrun, wait_until

pytestmark = [pytest.mark.distributed, pytest.mark.slow, pytest.mark.timeout(600)]

WORDS = {
    "images": ("--model", "conv_layers", "--size", "32", "--batch-size", "6", "--epochs", "25",
               "--average-weights", "0.9", "--no-report"),
    "text": ("--hidden-size", "32", "--layers", "1", "--batch-size", "8", "--window", "20", "--epochs", "20",
             "--no-report"),
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    sentences = ["The cat sat on the mat.\n", "A dog ran to the sea.\n", "It was dark at night.\n"]
    (folder / "story.txt").write_text("".join(np.random.default_rng(0).choice(sentences) for _ in range(600)))
    return {"images": write_photos(folder / "photos", each=12), "text": folder / "story.txt"}


class Training:
    """A training under torchrun that goes on while the test does something to it."""

    def __init__(self, kind: str, data: Path, run: Path, *options: str, ranks: int = 2) -> None:
        self.run = run
        words = ("train", kind, data, *WORDS[kind], "--output", run, "--save-every", "0.2")
        self._log = run.with_suffix(".log").open("a")
        self.launcher = subprocess.Popen(
            rushlight_under_torchrun(*words, ranks=ranks, options=options),
            env=environment(RUSHLIGHT_SECONDS_OF_SILENCE="20"), stdout=self._log, stderr=self._log,
        )  # fmt: skip

    @property
    def step(self) -> int:
        """The step of the newest state; 0 where there is none."""
        return 0 if not StateFile(self.run).exists() else StateFile(self.run).read()[0]["learner"]["step"]

    @property
    def processes(self) -> dict[int, int]:
        """The processes that train just now, by rank; fewer while they are being started."""
        return processes_of(self.launcher.pid)

    def end(self) -> int:
        """Wait for it; the exit code."""
        code = self.launcher.wait(timeout=200)
        self._log.close()
        return code

    @property
    def said(self) -> str:
        return self.run.with_suffix(".log").read_text()


def rows(run: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


def assert_same(first: Path, second: Path) -> None:
    tensors, others = (read_checkpoint(run / "model.safetensors").tensors for run in (first, second))
    assert [name for name in tensors if not np.array_equal(tensors[name].numpy(), others[name].numpy())] == []
    assert rows(first) == rows(second)


@pytest.mark.parametrize("kind", ["images", "text"])
def test_a_killed_process_is_started_again_and_what_comes_out_is_the_same(
    data: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    whole = Training(kind, data[kind], tmp_path / "whole")
    assert whole.end() == 0, whole.said
    killed = Training(kind, data[kind], tmp_path / "killed", "--max-restarts=3")
    for times, rank in enumerate((1, 0)):
        # Not before the processes of this start are at work: they have said so, and have saved since.
        wait_until(lambda t=times: killed.said.count("going on with") == t)  # type: ignore[misc]
        step = killed.step
        wait_until(lambda at=step: killed.step > at and len(killed.processes) == 2)  # type: ignore[misc]
        processes = killed.processes
        os.kill(processes[rank], signal.SIGKILL)
        wait_until(lambda gone=processes: not set(gone.values()) & set(killed.processes.values()))  # type: ignore[misc]
    assert killed.end() == 0, killed.said
    assert killed.said.count("going on with") == 2
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_asked_to_stop_all_processes_save_together_and_only_as_many_go_on(
    data: dict[str, Path], tmp_path: Path
) -> None:
    whole, run = Training("images", data["images"], tmp_path / "whole"), tmp_path / "run"
    assert whole.end() == 0, whole.said
    stopped = Training("images", data["images"], run)
    wait_until(lambda: stopped.step > 5)
    stopped.launcher.terminate()
    assert stopped.end() != 0
    assert stopped.said.count("interrupted: stopped, and everything up to step") == 1
    assert not (run / "run.json").exists()
    others = Training("images", data["images"], run, ranks=3)
    assert others.end() != 0
    assert "it ran in 2 processes, now in 3" in others.said
    assert Training("images", data["images"], run).end() == 0
    assert_same(tmp_path / "whole", run)
