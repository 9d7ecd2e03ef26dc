"""`--seeds` of a training, and several runs measured together."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rushlight.app.several_runs import SeveralRuns
from rushlight.runtime.measured import Measured, mean_of_runs

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err

SHORT = ("--steps", "2", "--model", "conv_layers", "--size", "32", "--no-report")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_training_with_several_seeds_leaves_a_run_for_each_and_their_mean(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    folder = tmp_path / "seeds"
    ran = rushlight("train", "images", photos, *SHORT, "--seeds", "3", "--seed", "5", "--json", "--output", folder)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    runs = [folder / f"seed-{seed}" for seed in (5, 6, 7)]
    assert found["runs"] == [str(run) for run in runs]
    facts = [read(run / "run.json") for run in runs]
    assert [fact["data"]["seed"] for fact in facts] == [5, 6, 7]
    assert {fact["data"]["split_seed"] for fact in facts} == {5}
    assert facts[1]["command"][1:4] == ["train", "images", str(photos)]  # each says how it alone is repeated
    assert "--seeds" not in facts[1]["command"]
    values = [fact["results"]["valid"]["accuracy"]["value"] for fact in facts]
    assert found["results"]["accuracy"] == mean_of_runs(values).to_json()
    assert [value["value"] for value in found["values"]["accuracy"]] == values
    assert read(folder / "run.json")["results"]["valid"]["accuracy"] == found["results"]["accuracy"]

    # `evaluate` says the same of the folder, and of the runs named one by one.
    again = json.loads(rushlight("evaluate", folder, "--json").out)
    assert again["results"]["accuracy"] == found["results"]["accuracy"]
    assert json.loads(rushlight("evaluate", *runs, "--json").out) == again
    table = rushlight("evaluate", folder).out
    assert table.count("seed-6") == 2  # accuracy and loss
    assert "3 runs" in table

    # Where the last seeds are missing, as after an interruption, only they are trained.
    (folder / "run.json").unlink()
    shutil.rmtree(runs[2])
    before = (runs[0] / "run.json").read_bytes()
    ran = rushlight("train", "images", photos, *SHORT, "--seeds", "3", "--seed", "5", "--json", "--output", folder)
    assert json.loads(ran.out)["results"]["accuracy"] == found["results"]["accuracy"]
    assert (runs[0] / "run.json").read_bytes() == before

    # A page about all of them.
    ran = rushlight("report", folder)
    assert ran.code == 0, ran.err
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{100 * found['results']['accuracy']['value']:.1f} %" in page
    assert all(f"seed-{seed}" in page for seed in (5, 6, 7))

    # Nothing is overwritten, and the folder itself is no model.
    assert "holds a run already" in rushlight("train", "images", photos, *SHORT, "--output", folder).error
    assert "holds the runs of 3 seeds" in rushlight("predict", folder, photos / "red").error
    assert "here are 3 runs" in rushlight("evaluate", folder, "--output", tmp_path / "pictures").error


def test_seeds_of_a_text_and_of_images_without_a_validation_part(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    text = tmp_path / "book.txt"
    text.write_text("the cat sat on the mat and the dog lay by the door\n" * 100)
    short = ("--steps", "2", "--hidden-size", "8", "--no-report", "--seeds", "2")
    ran = rushlight("train", "text", text, *short)
    assert ran.code == 0, ran.err
    assert "2 runs" in ran.out
    assert len(list(Path("runs/text/book-1").glob("seed-*/model.safetensors"))) == 2
    assert "--fit-all" in rushlight("train", "images", photos, *SHORT, "--seeds", "2", "--fit-all").error


def test_only_what_all_runs_measured_is_averaged() -> None:
    accuracy = Measured(0.5, (0.4, 0.6), 10, "wilson").to_json()
    results = [
        {"accuracy": accuracy, "loss": accuracy, "split": "valid", "per_class": {"n": {}}},
        {"accuracy": accuracy, "per_class": {"n": {}}},
    ]
    found = SeveralRuns.of("valid", [Path("a"), Path("b")], results)
    assert list(found.values) == ["accuracy"]
    assert found.to_json()["results"]["accuracy"] == {"value": 0.5, "interval": [0.5, 0.5], "n": 2, "method": "t"}


@pytest.mark.parametrize("seeds", ["0", "-1"])
def test_number_of_seeds_is_at_least_one(seeds: str, photos: Path, rushlight: Rushlight) -> None:
    assert "more than 0" in rushlight("train", "images", photos, "--seeds", seeds).error
