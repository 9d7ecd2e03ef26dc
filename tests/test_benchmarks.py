"""What the comparisons with other libraries rest on: what is kept, what is repeated, what a table says."""

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Imports a module of the benchmarks, as a script there would, in a folder of its own."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.chdir(tmp_path)
    # What was published is of one kind of machine, which may be this one.
    monkeypatch.setattr(importlib.import_module("side_by_side"), "PUBLISHED", tmp_path / "published")
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_what_was_measured_is_kept_and_not_measured_again(load: Any) -> None:
    shared = load("side_by_side")
    cases = [shared.Case.of("one", size=1), shared.Case.of("other", size=1)]
    order: list[str] = []

    def run(case: Any, number: int) -> dict[str, float]:
        order.append(case.way)
        return {"seconds": float(number)}

    shared.Results("shown", {"a": 1}).in_turns(cases, 2, run)
    assert order == ["one", "other", "other", "one"]  # in turns
    again = shared.Results("shown", {"a": 1})
    again.in_turns(cases, 3, run)
    assert order[4:] == ["one", "other"]  # the third round alone
    assert again.values(cases[0], "seconds") == [0.0, 1.0, 2.0]
    assert shared.Results("shown", {"a": 2}).rows == []  # other settings are another measurement
    assert shared.Results("shown", {"a": 1}, quick=True).rows == []  # so are small ones


def test_what_failed_is_said_and_tried_again(load: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shared = load("side_by_side")
    results, case = shared.Results("failing", {}), shared.Case.of("absent")

    def fail() -> dict[str, float]:
        raise ValueError("no such library")

    assert results.measured(case, 0, fail) is None
    results.write_page("a table")
    assert "Not measured: absent (no such library)." in capsys.readouterr().out
    assert results.measured(case, 0, lambda: {"seconds": 1.0})["seconds"] == 1.0


def test_disturbed_measurements_are_repeated_where_that_is_asked_for(load: Any) -> None:
    shared = load("side_by_side")
    results, case = shared.Results("disturbed", {}), shared.Case.of("one")
    for number, others in enumerate((0.0, 1.5)):
        results.measured(case, number, lambda others=others: {"others": others})
    assert len(shared.Results("disturbed", {}).rows) == 2
    assert [row["round"] for row in shared.Results("disturbed", {}, again_if_busy=True).rows] == [0]


def test_exponents_are_those_of_the_largest_sizes(load: Any) -> None:
    exponent = load("growth").exponent
    sizes = [1, 10, 100, 1000]
    assert exponent(sizes, [5.0, 10.0, 100.0, 1000.0]) == pytest.approx(1)
    assert exponent(sizes, [float(size**2) for size in sizes]) == pytest.approx(2)
    assert math.isnan(exponent([1], [1.0]))


def test_only_sections_that_were_measured_change_on_the_page(load: Any, tmp_path: Path) -> None:
    filled = load("write_page").filled
    (tmp_path / "growth-0123ab.md").write_text("| new |\n")
    (tmp_path / "growth-quick-0123ab.md").write_text("| small settings |\n")
    page = "<!-- growth -->\nold\n<!-- end -->\n<!-- transfer -->\nNot measured.\n<!-- end -->\n"
    found = filled(page, tmp_path)
    assert found == "<!-- growth -->\n\n| new |\n\n<!-- end -->\n<!-- transfer -->\nNot measured.\n<!-- end -->\n"
    assert filled(found, tmp_path) == found


def test_results_behind_a_page_are_published_and_gone_on_from(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, write_page = load("side_by_side"), load("write_page")
    results, case = shared.Results("growth", {}), shared.Case.of("one")
    results.measured(case, 0, lambda: {"seconds": 1.0})
    results.write_page("a table")
    published = tmp_path / "published"
    published.mkdir()
    (published / "growth-0123ab.json").write_text("{}")  # of a machine before
    write_page.publish("<!-- growth -->\n<!-- end -->\n", results.path.parent, published)
    assert [path.name for path in published.iterdir()] == [results.path.name]
    monkeypatch.setattr(shared, "PUBLISHED", published)
    results.path.unlink()
    assert shared.Results("growth", {}).values(case, "seconds") == [1.0]
    other = shared.machine() | {"processor": "another"}
    monkeypatch.setattr(shared, "machine", lambda: other)
    assert shared.Results("growth", {}).rows == []  # of another machine nothing is known


def test_a_training_that_misses_a_target_bounds_the_time_to_it(load: Any) -> None:
    comparison, shared = load("time_to_accuracy"), load("side_by_side")
    results = shared.Results("time-to-accuracy", {})
    for number, (length, accuracy) in enumerate([(2, 0.5), (12, 0.84), (5, 0.81)]):
        case = shared.Case.of("speed run", length=length)
        row = {"seconds": 100.0 * length, "accuracy": accuracy}
        results.measured(case, number, lambda row=row: row)
    assert comparison.time_to(results, "speed run", 0.8) == "500 (n = 1)"
    assert comparison.time_to(results, "speed run", 0.85) == "not in 1,200"
    assert comparison.time_to(results, "Rushlight", 0.8) == "not measured"


def test_every_comparison_has_its_section(load: Any) -> None:
    page = (BENCHMARKS.parent / "docs" / "benchmarks.md").read_text()
    scripts = (
        "time_to_accuracy",
        "loop_overhead",
        "language_model_peers",
        "transfer",
        "first_batch",
        "activation_maps",
    )
    for script in (*scripts, "start_up", "growth"):
        assert f"<!-- {script.replace('_', '-')} -->" in page
        assert f"benchmarks/{script}.py" in page


def test_peers_are_judged_on_every_token_once(load: Any) -> None:
    arrays, torch = load("text_arrays"), load("torch")
    tokens = np.arange(2000) % 7

    def sure(inputs: Any) -> Any:
        return 50.0 * torch.nn.functional.one_hot((inputs + 1) % 7, 7)

    assert arrays.loss_with_context(sure, tokens, 64) == pytest.approx(0, abs=1e-6)
    assert arrays.loss_with_state(lambda inputs, state: (sure(inputs), state), tokens) == pytest.approx(0, abs=1e-6)
    uniform = arrays.loss_with_state(lambda inputs, state: (torch.zeros(*inputs.shape, 7), state), tokens)
    assert uniform == pytest.approx(math.log(7), abs=1e-6)


def test_batches_for_peers_hold_each_image_once_an_epoch(load: Any) -> None:
    recipes, torch = load("image_recipes"), load("torch")
    images = recipes.normalised(torch.randint(0, 256, (64, 3, 8, 8), dtype=torch.uint8))
    batches = recipes.Batches(images, torch.arange(64), 16, shift=2)
    seen = [(inputs, targets) for inputs, targets in batches]
    assert sorted(torch.cat([targets for _, targets in seen]).tolist()) == list(range(64))
    still = recipes.Batches(images, torch.arange(64), 16, shift=0)
    for inputs, targets in still:
        own = images[targets]
        mirrored = (inputs == own.flip(3)).flatten(1).all(1)
        assert (mirrored | (inputs == own).flatten(1).all(1)).all()
