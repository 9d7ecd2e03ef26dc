"""What every task promises, whatever it learns. A new line in `tasks.KINDS` is tested here without another word."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from rushlight.runtime.errors import InputError
from tests.contracts.tasks import KINDS, same, weights_of

STEPS = 3


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUSHLIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    if "byte pairs" in request.param and importlib.util.find_spec("tokenizers") is None:
        pytest.skip("the package tokenizers is not installed")
    return KINDS[request.param]


def refused(make: Any) -> str:
    """The one line with which something is refused."""
    with pytest.raises(InputError) as caught:
        make()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def made_or_refused(make: Any) -> tuple[Any, str]:
    """What is made, or the line with which it is refused."""
    try:
        return make(), ""
    except InputError as refusal:
        return None, str(refusal)


def assert_speaks_of(kind: Any, message: str) -> None:
    """A refusal is one line, and speaks of classes only where there are some."""
    assert message
    assert "\n" not in message
    assert "class" not in message or kind == KINDS["images, a class"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(kind: Any, tmp_path: Path) -> None:
    data = kind.data(tmp_path)
    first, again, other = (weights_of(kind.task(data, seed=seed).fit(steps=STEPS)) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_training_again_goes_on(kind: Any, tmp_path: Path) -> None:
    task = kind.task(kind.data(tmp_path)).fit(1)
    after_one = weights_of(task)
    assert task.fit(1) is task
    assert [row["epoch"] for row in task.learner.history] == [1, 2]
    assert not same(after_one, weights_of(task))


def test_a_saved_model_answers_as_the_task_does(kind: Any, tmp_path: Path) -> None:
    task = kind.task(kind.data(tmp_path)).fit(steps=STEPS)
    file = tmp_path / "model.safetensors"
    task.save(file)
    assert kind.loaded_answers(file, task) == kind.answers(task)


def test_measuring_and_answering_change_nothing(kind: Any, tmp_path: Path) -> None:
    task = kind.task(kind.data(tmp_path)).fit(steps=STEPS)
    before, drawn = weights_of(task), torch.get_rng_state()
    first = (task.evaluate().loss, kind.answers(task))
    assert (task.evaluate().loss, kind.answers(task)) == first
    assert same(weights_of(task), before)
    assert torch.equal(torch.get_rng_state(), drawn)
    # Nor does it change what training does next.
    measured = weights_of(task.fit(steps=STEPS))
    unmeasured = weights_of(kind.task(kind.data(tmp_path)).fit(steps=STEPS).fit(steps=STEPS))
    assert same(measured, unmeasured)


def test_what_is_measured_has_an_interval_and_says_on_how_many(kind: Any, tmp_path: Path) -> None:
    task = kind.task(kind.data(tmp_path, samples=2400)).fit(steps=STEPS)
    loss = task.evaluate().loss
    assert math.isfinite(loss.value)
    assert loss.n > 0
    assert loss.interval is not None
    assert loss.interval[0] <= loss.value <= loss.interval[1]


def test_data_without_anything_in_it_are_refused(kind: Any, tmp_path: Path) -> None:
    assert_speaks_of(kind, refused(lambda: kind.data(tmp_path, samples=0)))


@pytest.mark.parametrize("samples", [1, 2, 3, 6])
def test_very_little_data_are_learned_or_refused(kind: Any, tmp_path: Path, samples: int) -> None:
    data, refusal = made_or_refused(lambda: kind.data(tmp_path, samples=samples))
    if refusal:
        assert samples < 4, f"{samples} are enough to train on some and to validate on another, but: {refusal}"
        assert_speaks_of(kind, refusal)
        return
    task = kind.task(data).fit(steps=STEPS)
    assert all(tensor.isfinite().all() for tensor in weights_of(task).values() if tensor.is_floating_point())
    if data.valid is not None:
        assert task.evaluate().loss.n >= 1


def test_data_with_nothing_to_tell_apart_are_learned_or_refused(kind: Any, tmp_path: Path) -> None:
    data, refusal = made_or_refused(lambda: kind.data_of_one(tmp_path))
    if refusal:
        assert_speaks_of(kind, refusal)
        return
    task = kind.task(data).fit(steps=STEPS)
    assert math.isfinite(task.evaluate().loss.value)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"model": "conv_layerz", "model_options": {}}, "conv_layerz"),
        ({"optimizer": "adamv"}, "adamv"),
        ({"device": "gpu0"}, "gpu0"),
        ({"precision": "float7"}, "float7"),
        ({"model_options": {"hidden_sizes": 3}}, "hidden_sizes"),
    ],
)
def test_settings_that_do_not_exist_are_refused_by_name(
    kind: Any, tmp_path: Path, settings: dict[str, Any], named: str
) -> None:
    data = kind.data(tmp_path)
    assert named in refused(lambda: kind.task(data, **settings).fit(steps=1))


@pytest.mark.parametrize("length", [{}, {"epochs": 0}, {"epochs": -1}, {"steps": 0}, {"minutes": 0}, {"minutes": -1.0}])
def test_a_training_without_a_length_is_refused_and_changes_nothing(
    kind: Any, tmp_path: Path, length: dict[str, Any]
) -> None:
    task = kind.task(kind.data(tmp_path))
    before = weights_of(task)
    refused(lambda: task.fit(**length))
    assert same(weights_of(task), before)


@pytest.mark.parametrize("lr", [0.0, -0.1, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused_and_changes_nothing(kind: Any, tmp_path: Path, lr: float) -> None:
    task = kind.task(kind.data(tmp_path))
    before = weights_of(task)
    refused(lambda: task.fit(steps=1, lr=lr))
    assert same(weights_of(task), before)


def test_a_part_that_does_not_exist_is_refused_by_name(kind: Any, tmp_path: Path) -> None:
    task = kind.task(kind.data(tmp_path)).fit(steps=1)
    assert "training" in refused(lambda: task.evaluate("training"))
