"""Training that was interrupted ends as if it had not been: weights, history and random numbers, to the bit."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from rushlight.runtime.errors import InputError, Interrupted, ModelFileError
from rushlight.runtime.seeds import random_state, seed_everything
from rushlight.runtime.state_file import StateFile
from rushlight.runtime.stop_signals import StopSignals
from rushlight.training import resuming
from rushlight.training.averaging import AverageWeights
from rushlight.training.callbacks import Callback
from rushlight.training.clipping import GradientClipping
from rushlight.training.history import row_to_json
from rushlight.training.learner import Learner
from rushlight.training.metrics import Accuracy
from rushlight.training.optimizers import OPTIMIZERS
from rushlight.training.plan import Plan
from rushlight.training.resuming import Resumable
from rushlight.training.saving import CycleCheckpoints
from rushlight.training.stopping import EarlyStopping, KeepBest
from tests.training.small_task import digits

MakeCallbacks = Callable[[Path], list[Callback]]
Fit = Callable[[Learner], Any]


def net() -> nn.Module:
    """Convolutions in channels-last memory, statistics that move, and dropout that draws."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(128, 10),
    )  # fmt: skip


class StopAt(Callback):
    """Asks for an end after so many steps, as the handler of a signal does."""

    def __init__(self, step: int, signals: StopSignals) -> None:
        self.step, self.signals = step, signals

    def step_done(self, learner: Learner) -> None:
        if learner.step == self.step:
            self.signals.received = signal.SIGTERM


def program(
    folder: Path,
    fit: Fit,
    *,
    stop_at: int | None = None,
    optimizer: str = "adamw",
    callbacks: MakeCallbacks = lambda folder: [],
    data: Callable[[], Any] = lambda: digits(samples=150, batch_size=25),
) -> Learner:
    """Begins, or goes on where the folder says, in a world that is otherwise new."""
    seed_everything(0)
    file, signals = StateFile(folder), StopSignals()
    saved = file.read()[0] if file.exists() else None
    learner = Learner(net(), data(), optimizer=optimizer, metrics=[Accuracy()], device="cpu", precision="float32")
    if saved is not None:
        seed_everything(12345)  # what another process had drawn by now
    learner.callbacks = [*callbacks(folder), Resumable(file, signals=signals, steps=1000, saved=saved)]
    if stop_at is not None:
        learner.callbacks.insert(0, StopAt(stop_at, signals))
    fit(learner)
    return learner


def interrupted(folder: Path, stops: list[int], fit: Fit, **options: Any) -> Learner:
    """The same program, stopped and begun again at each of these steps."""
    for step in stops:
        with pytest.raises(Interrupted):
            program(folder, fit, stop_at=step, **options)
    return program(folder, fit, **options)


def everything(learner: Learner) -> dict[str, Any]:
    rows = [
        {name: value for name, value in row_to_json(row).items() if name != "seconds"} for row in learner.history.rows
    ]
    optimizer = learner.optimizer.state_dict()
    rates = [group["lr"] for group in optimizer["param_groups"]]
    return {"model": learner.model.state_dict(), "optimizer": optimizer["state"], "rates": rates, "rows": rows,
            "random": random_state(), "epoch": learner.epoch, "step": learner.step}  # fmt: skip


def assert_equal(first: Any, second: Any, where: str = "") -> None:
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype, where
        assert first.stride() == second.stride(), where
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert list(first) == list(second), where
        for name in first:
            assert_equal(first[name], second[name], f"{where}.{name}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, parts in enumerate(zip(first, second, strict=True)):
            assert_equal(*parts, f"{where}.{index}")
    else:
        assert first == second, where


def three_epochs(learner: Learner) -> Any:
    return learner.fit(3, lr=1e-2)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on_to_the_bit(optimizer: str, tmp_path: Path) -> None:
    whole = program(tmp_path / "whole", three_epochs, optimizer=optimizer)
    parts = interrupted(tmp_path / "parts", [4, 9], three_epochs, optimizer=optimizer)
    assert_equal(everything(whole), everything(parts))


@pytest.mark.parametrize("step", range(1, 13))
def test_every_step_can_be_the_last_before_an_interruption(step: int, tmp_path: Path) -> None:
    def two_epochs(learner: Learner) -> Any:
        return learner.fit(2, lr=1e-2)

    def averaged(folder: Path) -> list[Callback]:
        return [AverageWeights(0.9)]

    whole = program(tmp_path / "whole", two_epochs, callbacks=averaged)
    parts = interrupted(tmp_path / "parts", [step], two_epochs, callbacks=averaged)
    assert_equal(everything(whole), everything(parts))


CALLBACKS: dict[str, MakeCallbacks] = {
    "averages, and the best of them": lambda folder: [AverageWeights(0.9), KeepBest()],
    "stopping early": lambda folder: [EarlyStopping(1, "accuracy"), KeepBest("accuracy")],
    "clipping": lambda folder: [GradientClipping(0.1)],
    "cycles": lambda folder: [CycleCheckpoints(folder / "cycles")],
}


@pytest.mark.parametrize("callbacks", CALLBACKS)
def test_callbacks_remember(callbacks: str, tmp_path: Path) -> None:
    def fit(learner: Learner) -> Any:
        return learner.fit_cycles(3, lr=0.05) if callbacks == "cycles" else learner.fit(4, lr=0.05)

    make = CALLBACKS[callbacks]
    whole = program(tmp_path / "whole", fit, callbacks=make)
    parts = interrupted(tmp_path / "parts", [3, 6, 11], fit, callbacks=make)
    assert_equal(everything(whole), everything(parts))
    if callbacks == "cycles":
        names = ["cycle-1.safetensors", "cycle-2.safetensors", "cycle-3.safetensors"]
        assert sorted(path.name for path in (tmp_path / "parts" / "cycles").iterdir()) == names


def test_gradients_that_were_being_summed_are_summed_again(tmp_path: Path) -> None:
    def fit(learner: Learner) -> Any:
        return learner.fit(3, lr=1e-2, accumulate=4)  # the last step of each epoch is of fewer batches

    whole = program(tmp_path / "whole", fit)
    assert_equal(everything(whole), everything(interrupted(tmp_path / "parts", [1, 2, 5], fit)))


def test_a_plain_data_loader_goes_on_with_the_order_it_had_drawn(tmp_path: Path) -> None:
    def data() -> Any:
        generator = torch.Generator().manual_seed(5)
        images, targets = torch.randn(90, 1, 8, 8, generator=generator), torch.arange(90) % 10
        return DataLoader(TensorDataset(images, targets), batch_size=20, shuffle=True), None

    whole = program(tmp_path / "whole", three_epochs, data=data)
    parts = interrupted(tmp_path / "parts", [2, 7, 13], three_epochs, data=data)
    assert_equal(everything(whole), everything(parts))


def test_a_program_of_several_fits_goes_on_in_the_one_that_was_under_way(tmp_path: Path) -> None:
    def head_then_everything(learner: Learner) -> Any:
        learner.freeze_to("6").fit(1, lr=1e-2)
        learner.unfreeze().fit(2, lr=[1e-3, 1e-3, 1e-2])
        return learner.fit(1, lr=1e-4)

    for stops in ([3], [6], [7], [18], [2, 6, 10, 20, 24]):
        name = "-".join(map(str, stops))
        whole = program(tmp_path / f"whole-{name}", head_then_everything)
        parts = interrupted(tmp_path / f"parts-{name}", stops, head_then_everything)
        assert_equal(everything(whole), everything(parts))


def test_a_program_that_had_ended_ends_again_without_training(tmp_path: Path) -> None:
    whole = program(tmp_path, three_epochs)
    again = program(tmp_path, three_epochs, callbacks=lambda folder: [Refuse()])
    assert_equal(everything(whole), everything(again))


class Refuse(Callback):
    def batch_start(self, learner: Learner) -> None:
        raise AssertionError("there is nothing left to train")


def test_a_time_limit_goes_on_with_what_was_left() -> None:
    now = 100.0
    plan = Plan(seconds=60.0, clock=lambda: now)
    now = 130.0
    kept = plan.state_dict()
    now = 5000.0  # another process, another clock
    later = Plan(seconds=60.0, clock=lambda: now)
    later.load_state_dict(kept)
    assert later.progress(1) == pytest.approx(0.5)
    now += 30.0
    assert later.progress(1) == 1.0


def test_making_ready_to_go_on_counts_against_a_time_limit(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        program(tmp_path, lambda learner: learner.fit(minutes=1), stop_at=2)
    before = StateFile(tmp_path).read()[0]

    def fit_slowly(learner: Learner) -> None:
        time.sleep(0.2)
        learner.fit(minutes=1)

    with pytest.raises(Interrupted):
        program(tmp_path, fit_slowly, stop_at=3)
    after = StateFile(tmp_path).read()[0]
    assert after["learner"]["plan"]["elapsed"] >= before["learner"]["plan"]["elapsed"] + 0.2
    assert after["seconds"] >= before["seconds"] + 0.2


def test_what_a_kill_before_the_first_step_threw_away_is_not_counted(tmp_path: Path) -> None:
    class KilledAtFirstBatch(Callback):
        def batch_start(self, learner: Learner) -> None:
            raise KeyboardInterrupt

    def fit_slowly(learner: Learner) -> None:
        time.sleep(0.2)
        learner.fit(minutes=1)

    with pytest.raises(KeyboardInterrupt):
        program(tmp_path, fit_slowly, callbacks=lambda folder: [KilledAtFirstBatch()])
    # The time limit begins anew with the training, so the time until then must not add to it.
    assert StateFile(tmp_path).read()[0]["seconds"] == 0


def test_state_is_saved_so_often_that_it_takes_a_hundredth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(resuming.time, "monotonic", lambda: now)

    class SlowFile(StateFile):
        writes = 0

        def write(self, state: Any, facts: Any) -> None:
            nonlocal now
            now += 2.0
            self.writes += 1

    class Tick(Callback):
        def step_done(self, learner: Learner) -> None:
            nonlocal now
            now += 20.0

    file = SlowFile(tmp_path)
    learner = Learner(net(), digits(samples=150, batch_size=25), device="cpu", precision="float32")
    learner.callbacks = [Tick(), Resumable(file)]
    learner.fit(steps=100)
    assert 0.008 * now < 2.0 * file.writes <= 0.01 * now


def test_a_state_of_another_model_or_optimizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        program(tmp_path, three_epochs, stop_at=2)
    saved = StateFile(tmp_path).read()[0]["learner"]
    other = Learner(nn.Linear(2, 2), digits(), device="cpu", precision="float32")
    with pytest.raises(ModelFileError, match="do not fit"):
        other.load_state_dict(saved)
    model = net()
    one_group = Learner(model, digits(), optimizer=torch.optim.SGD(model.parameters(), 0.1), device="cpu")
    with pytest.raises(InputError, match="another optimizer"):
        one_group.load_state_dict(saved)
