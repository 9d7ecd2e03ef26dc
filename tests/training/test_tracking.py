"""A tracker notes what the history holds; what TensorBoard is given is read back from its files."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured
from rushlight.training import tracking
from rushlight.training.learner import Learner
from rushlight.training.metrics import Accuracy
from rushlight.training.tracking import STEPS_BETWEEN, Tracker, row_values
from tests.training.small_task import digits, small_net


def learner_with(tracker: Tracker) -> Learner:
    return Learner(small_net(), digits(), metrics=[Accuracy()], callbacks=[tracker], device="cpu", precision="float32")


def events_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every scalar that TensorBoard's own reader finds: pairs of step and value by name."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_shows_what_the_history_holds(tmp_path):
    pytest.importorskip("tensorboard")
    tracker = Tracker("tensorboard", tmp_path / "tb", settings={"lr": 0.01, "output": tmp_path})
    learner = learner_with(tracker)
    learner.fit(3, lr=0.01)
    found = events_of(tmp_path / "tb")  # before it is closed: a run that is killed has its record
    rows = learner.history.rows
    for name in ("train_loss", "valid_loss", "accuracy"):
        expected = [(row["step"], pytest.approx(row[name].value, rel=1e-6)) for row in rows]
        assert found[name] == expected
    low, high = rows[-1]["accuracy"].interval
    assert found["accuracy/low"][-1][1] == pytest.approx(low)
    assert found["accuracy/high"][-1][1] == pytest.approx(high)
    steps = [step for step, _ in found["step_loss"]]
    assert steps == list(range(STEPS_BETWEEN, learner.step + 1, STEPS_BETWEEN))
    tracker.close()


def test_several_fits_go_on_in_one_record(tmp_path):
    pytest.importorskip("tensorboard")
    tracker = Tracker("tensorboard", tmp_path)
    learner = learner_with(tracker)
    learner.fit(1, lr=0.01)
    learner.fit(1, lr=0.01)
    tracker.close()
    assert [step for step, _ in events_of(tmp_path)["epoch"]] == [12, 24]


class RecordingModule(ModuleType):
    """A module with the three functions that Trackio and Weights & Biases share, which keeps what it is given."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.started: dict = {}
        self.rows: list[tuple[int, dict]] = []
        self.finished = False

    def init(self, **options) -> None:
        self.started = options

    def log(self, values, step) -> None:
        self.rows.append((step, values))

    def finish(self) -> None:
        self.finished = True


@pytest.mark.parametrize("service", ["trackio", "wandb"])
def test_trackio_and_wandb_are_given_the_same_and_send_nothing(service, tmp_path, monkeypatch):
    module = RecordingModule(service)
    monkeypatch.setitem(sys.modules, service, module)
    monkeypatch.setattr(tracking, "find_spec", lambda name: module)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    tracker = Tracker(service, tmp_path / "run-1", settings={"lr": 0.01, "output": Path("x")})
    learner = learner_with(tracker)
    learner.fit(1, lr=0.01)
    tracker.close()
    assert module.started["name"] == "run-1"
    assert json.dumps(module.started["config"])
    if service == "wandb":
        assert module.started["mode"] == "offline"
    assert [step for step, _ in module.rows] == [10, 12]
    assert module.rows[-1][1] == row_values(learner.history[0])
    assert module.finished


def test_a_row_becomes_numbers_with_the_bounds_of_its_intervals():
    row = {
        "epoch": 2,
        "step": 9,
        "lr": 0.1,
        "loss": Measured(0.5, None, 3, None),
        "accuracy": Measured(0.9, (0.8, 1.0), 10, "wilson"),
    }
    expected = {"epoch": 2, "lr": 0.1, "loss": 0.5, "accuracy": 0.9, "accuracy/low": 0.8, "accuracy/high": 1.0}
    assert row_values(row) == expected


def test_a_tracker_that_is_not_installed_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'rushlight\[trackio\]'"):
        Tracker("trackio", tmp_path)


def test_an_unknown_tracker_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match="did you mean 'tensorboard'"):
        Tracker("tensorbord", tmp_path)
