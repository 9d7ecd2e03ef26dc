"""Interrupted trainings as a person meets them: what is said, what goes on, and what is refused."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rushlight.runtime.checkpoint import read_checkpoint
from rushlight.runtime.state_file import StateFile
from rushlight.training.learner import Learner
from rushlight.training.resuming import Resumable
from tests.app.conftest import Rushlight, write_photos

MakePhotos = Callable[..., Path]
IMAGES = ("--epochs", "4", "--model", "conv_layers", "--size", "32", "--batch-size", "4", "--average-weights", "0.9")
TEXT = ("--epochs", "3", "--hidden-size", "24", "--layers", "1", "--batch-size", "16", "--window", "20")


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Sends this process a real signal at the end of a step: `kill_at(step, signal)`; step 0 for never again."""
    original = Resumable.step_end

    def arrange(step: int, number: int = signal.SIGTERM) -> None:
        def step_end(self: Resumable, learner: Learner) -> None:
            if learner.step == step:
                os.kill(os.getpid(), number)
            original(self, learner)

        monkeypatch.setattr(Resumable, "step_end", step_end)

    return arrange


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    sentences = ["The cat sat on the mat.\n", "A dog ran to the sea.\n", "It was dark at night.\n"]
    path = tmp_path_factory.mktemp("text") / "story.txt"
    path.write_text("".join(random.choice(sentences) for _ in range(200)))
    return path


def assert_same(first: Path, second: Path) -> None:
    tensors, others = (read_checkpoint(folder / "model.safetensors").tensors for folder in (first, second))
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not np.array_equal(tensors[name].numpy(), others[name].numpy())] == []
    assert rows(first) == rows(second)


def rows(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


def test_images_interrupted_twice_end_as_if_they_had_been_left_alone(
    photos: Path, rushlight: Rushlight, kill_at: Callable[..., None], tmp_path: Path
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    begin = ("train", "images", photos, *IMAGES, "--output")
    assert rushlight(*begin, whole).code == 0
    kill_at(8)  # in the second epoch
    stopped = rushlight(*begin, run)
    assert stopped.code == 143
    last = stopped.err.splitlines()[-1]
    assert last.startswith("interrupted: ")
    assert "step 8" in last
    assert f"train images --resume {run}" in last
    kill_at(18, signal.SIGINT)  # the last but one step of an epoch
    assert rushlight("train", "images", "--resume", run).code == 130
    kill_at(0)
    went_on = rushlight(*begin, run)  # the same command again
    assert went_on.code == 0
    assert "after step 18, epoch 2" in went_on.err
    assert_same(whole, run)
    assert not StateFile(run).exists()  # nothing to go on with
    facts = json.loads((run / "run.json").read_text())
    assert facts["arguments"]["epochs"] == 4
    assert 0 < facts["seconds_training"] <= facts["seconds"]


def test_a_text_goes_on_in_the_middle_of_its_streams(
    story: Path, rushlight: Rushlight, kill_at: Callable[..., None], tmp_path: Path
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    begin = ("train", "text", story, *TEXT, "--output")
    assert rushlight(*begin, whole).code == 0
    for step in (5, 17):
        kill_at(step)
        assert rushlight(*begin, run).code == 143
    kill_at(0)
    assert rushlight("train", "text", "--resume", run).code == 0
    assert_same(whole, run)


@pytest.fixture
def unfinished(photos: Path, rushlight: Rushlight, kill_at: Callable[..., None], tmp_path: Path) -> Path:
    kill_at(3)
    assert rushlight("train", "images", photos, *IMAGES, "--output", tmp_path / "run").code == 143
    kill_at(0)
    return tmp_path / "run"


def test_other_settings_are_refused_by_name_unless_they_are_forced(
    unfinished: Path, photos: Path, rushlight: Rushlight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    other = ("train", "images", "--resume", unfinished, "--batch-size", "5", "--steps", "6", "--clip-gradients", "1")
    refused = rushlight(*other)
    assert refused.code == 2
    for said in ("--batch-size was 4, now 5", "--epochs was 4.0, now not given", "--steps was not given, now 6",
                 "--clip-gradients was not given, now 1.0", "1 processes, now in 2", "--force"):  # fmt: skip
        assert said in refused.error
    assert "--seed" not in refused.error
    forced = rushlight(*other, "--force")
    assert forced.code == 0
    assert "going on all the same" in forced.err
    assert rows(unfinished)[-1]["step"] == 6


def test_other_images_are_refused(
    make_photos: MakePhotos, rushlight: Rushlight, kill_at: Callable[..., None], tmp_path: Path
) -> None:
    folder, run = make_photos(each=5), tmp_path / "run"
    kill_at(2)
    assert rushlight("train", "images", folder, *IMAGES, "--output", run).code == 143
    write_photos(folder, each=6)
    refused = rushlight("train", "images", "--resume", run)
    assert refused.code == 2
    assert "the data has changed" in refused.error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "text", "--resume", "run"), "a training of images, not of text"),
        (("train", "images", "--resume", "runs"), "no such run folder"),
        (("train", "images", "--resume", "run", "--output", "elsewhere"), "leave out --output"),
        (("train", "images", "--resume", "photos"), "no state of a training"),
    ],
)
def test_what_cannot_go_on_is_told(
    unfinished: Path, rushlight: Rushlight, photos: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "photos").mkdir(exist_ok=True)
    ran = rushlight(*words)
    assert ran.code == 2
    assert said in ran.error


def test_a_finished_run_has_nothing_left_to_do(trained: Path, rushlight: Rushlight) -> None:
    ran = rushlight("train", "images", "--resume", trained)
    assert ran.code == 2
    assert "the run is finished" in ran.error


def test_a_torn_state_falls_back_to_the_one_before_and_says_so(
    unfinished: Path, photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    assert rushlight("train", "images", photos, *IMAGES, "--output", whole).code == 0
    newest = StateFile(unfinished).newest
    newest.write_bytes(newest.read_bytes()[:-100])
    ran = rushlight("train", "images", "--resume", unfinished)
    assert ran.code == 0
    assert "resume.damaged.safetensors" in ran.err
    assert_same(whole, unfinished)


def test_where_both_states_are_torn_the_run_is_refused(unfinished: Path, rushlight: Rushlight) -> None:
    file = StateFile(unfinished)
    for path in (file.newest, file.previous):
        path.write_bytes(path.read_bytes()[:-100])
    ran = rushlight("train", "images", "--resume", unfinished)
    assert ran.code == 7
    assert "refused" in ran.error


@pytest.mark.parametrize("part", ["facts", "learner"])
def test_a_state_of_a_stranger_is_refused(part: str, unfinished: Path, rushlight: Rushlight) -> None:
    file = StateFile(unfinished)
    state, facts = file.read()
    if part == "facts":
        del facts["versions"]
    else:
        state["learner"]["plan"] = {"steps": "many"}
    file.write(state, facts)
    ran = rushlight("train", "images", "--resume", unfinished)
    assert ran.code == 7
    assert "makes no sense" in ran.error or "does not belong to this training" in ran.error


def test_a_run_that_moved_to_another_folder_goes_on_there(
    unfinished: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(unfinished, moved)
    assert rushlight("train", "images", "--resume", moved).code == 0


def test_a_loss_that_is_no_number_leaves_the_last_good_state(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    ran = rushlight("train", "images", photos, *IMAGES, "--lr", "1e20", "--schedule", "constant", "--output", run)
    assert ran.code == 3
    state = StateFile(run).read()[0]["learner"]
    assert all(bool(tensor.isfinite().all()) for tensor in state.get("model", {}).values())
    went_on = rushlight("train", "images", "--resume", run, "--lr", "1e-3", "--force")
    assert went_on.code == 0
