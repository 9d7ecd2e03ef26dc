"""Every way to train that the tasks have, interrupted here and there, ends as if it had been left alone."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rushlight.data.images import ImageData
from rushlight.data.text import TextData
from rushlight.runtime.errors import Interrupted
from rushlight.runtime.seeds import seed_everything
from rushlight.runtime.state_file import StateFile
from rushlight.runtime.stop_signals import StopSignals
from rushlight.tasks.image_classifier import ImageClassifier
from rushlight.tasks.language_model import MODEL_NAMES, LanguageModel
from rushlight.training.callbacks import Callback
from rushlight.training.history import row_to_json
from rushlight.training.learner import Learner
from rushlight.training.resuming import Resumable

Program = Callable[[list[Callback], dict[str, Any]], Learner]
"""Makes a task, gives it the decisions of an earlier process, fits it with callbacks, and gives back its learner."""


class StopAt(Callback):
    """Asks for an end in the n-th step of all fits, as the handler of a signal does."""

    def __init__(self, step: int, signals: StopSignals) -> None:
        self.left, self.signals = step, signals

    def step_done(self, learner: Learner) -> None:
        self.left -= 1
        if self.left == 0:
            self.signals.received = signal.SIGTERM


def run(program: Program, folder: Path, stop_after: int | None = None) -> Learner:
    """Begin, or go on where the folder says, and stop after so many more steps."""
    file, signals = StateFile(folder), StopSignals()
    saved, facts = file.read() if file.exists() else (None, {"decisions": {}})
    seed_everything(0 if saved is None else 999)
    resumable = Resumable(file, facts, signals=signals, saved=saved)
    stop = [] if stop_after is None else [StopAt(stop_after, signals)]
    return program([*stop, resumable], facts["decisions"])


def assert_same_whatever_the_interruptions(program: Program, folder: Path, stops: list[int]) -> None:
    whole = run(program, folder / "whole")
    for steps in stops:
        with pytest.raises(Interrupted):
            run(program, folder / "parts", steps)
    parts = run(program, folder / "parts")
    tensors, others = whole.model.state_dict(), parts.model.state_dict()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []
    rows, other_rows = (
        [row_to_json({**row, "seconds": 0.0}) for row in learner.history.rows] for learner in (whole, parts)
    )
    assert rows == other_rows


# --- images --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUSHLIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def patches(size: int, count: int, batch_size: int) -> ImageData:
    """Noisy patches of three colours."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    colours = np.array([[200, 60, 40], [60, 180, 60], [50, 70, 200]])
    images = random.normal(colours[labels][:, None, None], 60, (count, size, size, 3))
    return ImageData.from_arrays(
        np.clip(images, 0, 255).astype(np.uint8), labels, size=size, device="cpu", batch_size=batch_size
    )


def image_program(
    size: int, count: int, batch_size: int, fit: Callable[..., Any], *model: Any, **options: Any
) -> Program:
    def program(callbacks: list[Callback], decisions: dict[str, Any]) -> Learner:
        classifier = ImageClassifier(patches(size, count, batch_size), *model, device="cpu", **options)
        classifier.decisions.update(decisions)
        fit(classifier, callbacks)
        return classifier.learner

    return program


def test_a_fast_net_with_growing_images_and_two_optimizers(tmp_path: Path) -> None:
    def fit(classifier: ImageClassifier, callbacks: list[Callback]) -> None:
        classifier.fit(4, callbacks=callbacks)

    program = image_program(32, 80, 16, fit, "fast_16", precision="float32")
    assert_same_whatever_the_interruptions(program, tmp_path, [2, 3, 7])


def test_a_head_trained_on_features_and_then_all_of_a_pretrained_network(tmp_path: Path) -> None:
    def fit(classifier: ImageClassifier, callbacks: list[Callback]) -> None:
        classifier.fit_head(4, callbacks=callbacks)  # 4 steps an epoch
        classifier.unfreeze()
        classifier.fit(1, callbacks=callbacks)

    program = image_program(
        72, 20, 4, fit, backbone="efficientnet_lite0", model_options={"head": "two_layer"}, precision="float32"
    )
    assert_same_whatever_the_interruptions(program, tmp_path, [6, 12])


def test_a_solved_head_and_then_all_of_a_pretrained_network(tmp_path: Path) -> None:
    def fit(classifier: ImageClassifier, callbacks: list[Callback]) -> None:
        classifier.fit_head(callbacks=callbacks)
        classifier.unfreeze()
        classifier.fit(1, callbacks=callbacks)

    program = image_program(72, 20, 4, fit, backbone="efficientnet_lite0", precision="float32")
    assert_same_whatever_the_interruptions(program, tmp_path, [2])


def test_within_a_time_limit_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    def fit(classifier: ImageClassifier, callbacks: list[Callback]) -> None:
        classifier.fit_within(0.2, callbacks=callbacks)

    program = image_program(72, 20, 4, fit, backbone="efficientnet_lite0", precision="float32")
    decisions = {"epochs of everything": 4.0, "keep the solved head": True}

    def decided(callbacks: list[Callback], before: dict[str, Any]) -> Learner:
        return program(callbacks, decisions | before)

    with pytest.raises(Interrupted):
        run(decided, tmp_path, 2)
    solved = StateFile(tmp_path).read()[0]["learner"]["callbacks"]["AtFitStart-1"]
    learner = run(decided, tmp_path)
    assert [row["step"] for row in learner.history.rows].count(0) == 1  # the head was solved once
    kept = learner.model.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in solved["weights"].items())
    assert learner.history.rows[-1]["accuracy"].to_json() == solved["row"]["accuracy"]


# --- text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_every_language_model_keeps_what_it_remembers(model: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    text = tmp_path / "story.txt"
    text.write_text("".join(random.choice(["the cat sat.\n", "a dog ran!\n", "it was dark\n"]) for _ in range(60)))

    def program(callbacks: list[Callback], decisions: dict[str, Any]) -> Learner:
        data = TextData.from_files(text, batch_size=4, window=10, device="cpu")
        task = LanguageModel(
            data, model, model_options={"hidden_size": 16, "layers": 2}, device="cpu", precision="float32"
        )
        task.fit(2, callbacks=callbacks)
        return task.learner

    assert_same_whatever_the_interruptions(program, tmp_path, [3, 9])
