"""The commands on tables of several labels and of numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rushlight.app.cli import main
from tests.shapes import discs, squares

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err

SHORT = ("--epochs", "8", "--model", "conv_layers", "--lr", "0.01", "--size", "32")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for name, (images, _) in {"square": squares(120, 32), "disc": discs(120, 32)}.items():
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(folder / f"{name}{number}.png")
    labels = [f"square{i}.png,{';'.join(found)}" for i, found in enumerate(squares(120, 32)[1])]
    radii = [f"disc{i}.png,{radius:.2f},{i}" for i, radius in enumerate(discs(120, 32)[1])]
    (folder / "labels.csv").write_text("\n".join(["file,labels", *labels]))
    (folder / "numbers.csv").write_text("\n".join(["file,radius,number", *radii]))
    return folder


@pytest.fixture(scope="module")
def runs(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run folders of small networks, of labels and of a number; for reading only."""
    folder = tmp_path_factory.mktemp("runs")
    number = ("--target", "number", "--columns", "radius")
    for name, words in {"labels": (), "numbers": number}.items():
        assert (
            main(["train", "images", str(tables / f"{name}.csv"), *words, *SHORT, "--output", str(folder / name)]) == 0
        )
    return {name: folder / name for name in ("labels", "numbers")}


@pytest.mark.parametrize(("name", "picture"), [("labels", "labels.png"), ("numbers", "predicted.png")])
def test_a_run_holds_pictures_results_and_where_they_came_from(runs, name, picture) -> None:
    facts = json.loads((runs[name] / "run.json").read_text())
    assert facts["data"]["target"] == {"labels": "labels", "numbers": "number"}[name]
    assert facts["results"]["valid"]["n"] > 10
    for drawn in (picture, "curves.png", "most_wrong.png"):
        with Image.open(runs[name] / drawn) as opened:
            assert min(opened.size) > 100


@pytest.mark.parametrize("name", ["labels", "numbers"])
def test_evaluate_measures_the_same_parts_again(runs, name, rushlight: Rushlight) -> None:
    again = json.loads(rushlight("evaluate", runs[name], "--json").out)
    kept = json.loads((runs[name] / "run.json").read_text())["results"]["valid"]
    assert again["n"] == kept["n"]
    assert again["loss"]["value"] == pytest.approx(kept["loss"]["value"], rel=1e-3)
    ran = rushlight("evaluate", runs[name], "--tta", "--output", "pictures")
    assert ("mean average precision" if name == "labels" else "radius") in ran.out
    assert list(Path("pictures").glob("*.png"))
    assert "does not answer with one of several classes" in rushlight("evaluate", runs[name], "--coverage", "0.9").error


def test_other_labels_are_matched_by_name_and_other_numbers_by_column(runs, tables, rushlight: Rushlight) -> None:
    rows = (tables / "labels.csv").read_text().splitlines()
    few = [row.replace("blue", "").replace(";;", ";") for row in rows if "green" in row or "red" in row]
    (tables / "few.csv").write_text("\n".join(["file,labels", *few]))
    found = json.loads(rushlight("evaluate", runs["labels"], "--data", tables / "few.csv", "--json").out)
    assert found["classes"] == ["blue", "green", "red"]
    assert found["per_label"]["blue"]["support"] == 0
    assert found["n"] == len(few)
    found = json.loads(rushlight("evaluate", runs["numbers"], "--data", tables / "numbers.csv", "--json").out)
    assert found["classes"] == ["radius"]
    ran = rushlight("evaluate", runs["numbers"], "--data", tables / "labels.csv")
    assert "no column 'radius'" in ran.error


def test_predict_prints_labels_with_probabilities_and_numbers_with_their_names(runs, tables, rushlight) -> None:
    ran = rushlight("predict", runs["labels"], tables / "square0.png", tables / "square1.png")
    assert all("%" in line for line in ran.out.splitlines())
    ran = rushlight("predict", runs["numbers"], tables / "disc0.png", "--coverage", "0.8")
    assert " radius " in ran.out
    assert " to " in ran.out
    assert "80 % of images" in ran.err
    (answer,) = json.loads(rushlight("predict", runs["numbers"], tables / "disc0.png", "--json").out)["predictions"]
    assert answer["intervals"]["radius"][0] < answer["values"]["radius"] < answer["intervals"]["radius"][1]
    assert "this model gives labels" in rushlight("predict", runs["labels"], tables, "--coverage", "0.9").error


def test_explain_draws_a_chosen_label_and_the_number(runs, tables, rushlight: Rushlight) -> None:
    ran = rushlight("explain", runs["labels"], tables / "square0.png", "--class", "red", "--check", "--output", "a")
    assert ran.code == 0
    assert Path("a/square0.png").exists()
    ran = rushlight("explain", runs["numbers"], tables / "disc0.png", tables / "disc1.png", "--check", "--output", "b")
    assert "moves the number back" in ran.out
    assert "closer" not in ran.out
    (image, _) = json.loads(
        rushlight("explain", runs["numbers"], tables / "disc0.png", tables / "disc1.png", "--json").out
    )["images"]
    assert image["label"] == "radius"
    assert image["value"] == image["prediction"]["values"]["radius"]
    assert rushlight("explain", runs["numbers"], "--worst", "3", "--output", "c").code == 0
    assert Path("c/worst.png").exists()
    assert "did you mean 'red'?" in rushlight("explain", runs["labels"], tables / "square0.png", "--class", "rde").error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--target", "numbers"), "did you mean 'number'?"),
        (("--columns", "prize"), "no column 'prize'"),
        (("--target", "number", "--label-smoothing", "0.1"), "a number has no classes"),
        (("--target", "number", "--class-weights", "balanced"), "a number has no classes"),
    ],
)
def test_misuse_is_one_line(words, told, tables, rushlight: Rushlight) -> None:
    ran = rushlight("train", "images", tables / "numbers.csv", *words, *SHORT)
    assert ran.code == 2
    assert told in ran.error


def test_thresholds_chosen_in_training_are_judged_alike_later(tables, rushlight: Rushlight) -> None:
    ran = rushlight(
        "train", "images", tables / "labels.csv", *SHORT, "--choose-thresholds", "--output", "run", "--json"
    )
    valid = json.loads(ran.out)["results"]["valid"]
    again = json.loads(rushlight("evaluate", "run", "--json").out)
    assert valid["thresholds"] == again["thresholds"] == "chosen on the other images of this part"
    assert again["f1_macro"]["value"] == pytest.approx(valid["f1_macro"]["value"], abs=1e-6)
    ran = rushlight("train", "images", tables / "numbers.csv", "--target", "number", *SHORT, "--choose-thresholds")
    assert "--choose-thresholds is for tables" in ran.error


def test_what_compares_accuracies_needs_classes(tables, rushlight: Rushlight) -> None:
    for command in ("ladder", "data-curve"):
        ran = rushlight(command, tables / "labels.csv")
        assert "needs one class" in ran.error, command


def test_the_finder_of_rates_takes_numbers(tables, rushlight: Rushlight) -> None:
    words = ("--target", "number", "--columns", "radius", "--model", "conv_layers", "--steps", "20")
    assert rushlight("lr-find", "images", tables / "numbers.csv", *words).code == 0


def test_a_folder_has_no_numbers(photos: Path, rushlight: Rushlight) -> None:
    assert "need a table" in rushlight("train", "images", photos, "--target", "number").error
