"""Searching: what a range means, what is given up, and that the time limit holds."""

from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from rushlight.runtime.errors import InputError
from rushlight.studies.comparison import ACCURACY, LOSS
from rushlight.studies.tuning import ReportToTrial, Search, load_search, parse_range
from rushlight.studies.variations import Variation
from rushlight.training.learner import Learner
from tests.training.small_task import digits, small_net


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("lr=1e-4..1e-1", "lr", FloatDistribution(1e-4, 1e-1, log=True)),
        ("dropout=0..0.5", "dropout", FloatDistribution(0, 0.5)),
        ("weight-decay=0.1..0.5", "weight_decay", FloatDistribution(0.1, 0.5)),
        ("width=16..64", "width", IntDistribution(16, 64)),
        ("hidden_size=16..512", "hidden_size", IntDistribution(16, 512, log=True)),
        ("optimizer=adamw,muon", "optimizer", CategoricalDistribution(["adamw", "muon"])),
    ],
)
def test_range_is_what_was_written(text: str, name: str, values: optuna.distributions.BaseDistribution) -> None:
    found = parse_range(text)
    assert (found.name, found.values) == (name, values)


@pytest.mark.parametrize("text", ["lr", "lr=0.1", "lr=1..", "lr=2..1", "lr=a..b", "=1..2", "lr=0.1,0.1", "lr=1..inf"])
def test_range_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--over"):
        parse_range(text)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def test_search_finds_the_better_half_and_goes_on_where_it_was(database: str) -> None:
    tried: list[float] = []

    def train(variation: Variation, trial: int) -> float:
        lr = float(dict(variation.settings)["lr"])
        tried.append(lr)
        return -((lr - 0.3) ** 2)

    for most in (10, 25):
        search = Search(database, [parse_range("lr=0.0..1.0")], ACCURACY, seed=0)
        search.run(train, seconds=1e9, reserve=lambda each: 0.0, most=most)
        assert len(tried) == most
    assert abs(float(search.winner().settings["lr"]) - 0.3) < 0.1
    later = tried[15:]
    assert sum(abs(lr - 0.3) < 0.25 for lr in later) > len(later) / 2  # by chance it would be half of them


def test_of_losses_the_smallest_wins_and_failures_do_not(database: str) -> None:
    values = iter([3.0, None, 1.0, float("nan"), 2.0])
    search = Search(database, [parse_range("lr=1,2,3")], LOSS, seed=0)
    search.run(lambda variation, trial: next(values), seconds=1e9, reserve=lambda each: 0.0, most=5)
    assert search.winner().value == 1.0
    assert [tried.value for tried in search.tried()] == [3.0, None, 1.0, None, 2.0]


def test_search_leaves_the_time_that_is_reserved(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("rushlight.studies.tuning.time.monotonic", lambda: float(next(clock)))
    search = Search(database, [parse_range("lr=0.0..1.0")], ACCURACY, seed=0)
    search.run(lambda variation, trial: 0.5, seconds=100, reserve=lambda each: 4 * each)
    assert search.seconds_spent == 60  # six trainings of ten seconds, and the time of four more is left


def test_search_in_which_nothing_came_to_its_end_says_so(database: str) -> None:
    search = Search(database, [parse_range("lr=0.0..1.0")], ACCURACY, seed=0)
    search.run(lambda variation, trial: None, seconds=1e9, reserve=lambda each: 0.0, most=2)
    with pytest.raises(InputError, match="no training of the search came to its end"):
        search.winner()


def test_training_that_does_worse_than_the_median_is_given_up(database: str) -> None:
    search = load_search(database, LOSS)
    lengths = []
    for lr in (0.1, 0.1, 0.1, 0.1, 0.1, 1e-9):
        trial = search.ask()
        callbacks = [ReportToTrial(trial, "valid_loss")]
        learner = Learner(small_net(), digits(), device="cpu", precision="float32", callbacks=callbacks)
        learner.fit(5, lr=lr)
        lengths.append(learner.epoch)
        if learner.epoch < 5:
            search.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            search.tell(trial, learner.row["valid_loss"].value)
    assert lengths[:5] == [5] * 5
    assert lengths[5] < 5
