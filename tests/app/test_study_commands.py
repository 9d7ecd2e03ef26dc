"""`ablate`: what a study leaves, how it goes on, and what is refused before anything is trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rushlight.app.study_runs import subject_of
from rushlight.app.study_training import StudiedTraining
from rushlight.runtime.measured import Measured
from rushlight.studies.variations import Cell, Variation, grid
from rushlight.tasks.ingredients import FAST, PLAIN

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err
MakePhotos = Callable[..., Path]

SHORT = ("--model", "batch_norm_net", "--size", "32", "--steps", "2")
VARIED = ("--vary", "norm=after_relu,none", "--seeds", "2")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_study_leaves_runs_table_values_and_picture_and_goes_on_where_it_was(
    make_photos: MakePhotos, rushlight: Rushlight, tmp_path: Path
) -> None:
    photos, study = make_photos(), tmp_path / "study"
    command = ("ablate", "images", photos, *SHORT, *VARIED, "--output", study)
    ran = rushlight(*command)
    assert ran.code == 0, ran.err
    assert "norm=none" in ran.out
    results = read(study / "results.json")
    assert results["measured_on"] == "6 validation images"
    assert [row["variation"] for row in results["rows"]] == ["norm=after_relu", "norm=none"]
    for row in results["rows"]:
        assert Measured.from_json(row["mean"]).n == 2
        assert set(row["values"]) == {"0", "1"}
    assert results["rows"][1]["comparison"]["difference"]["method"] == "paired t"
    assert "<title>" in (study / "report.html").read_text()
    table = (study / "table.md").read_text()
    assert "| norm=none | 2 |" in table
    with Image.open(study / "comparison.png") as picture:
        assert min(picture.size) > 100

    # Every cell is a run that a person could have made: the same parts of the data, each with its seed.
    runs = sorted((study / "cells").iterdir())
    assert len(runs) == 4
    facts = [read(run / "run.json") for run in runs]
    assert {(fact["data"]["split_seed"], fact["data"]["fingerprint"]) for fact in facts} == {
        (0, facts[0]["data"]["fingerprint"])
    }
    assert sorted(fact["data"]["seed"] for fact in facts) == [0, 0, 1, 1]

    # Again: nothing is trained anew. With another seed, only that one is.
    before = {run: run.stat().st_mtime_ns for run in runs}
    assert json.loads(rushlight(*command, "--json").out)["results"] == results
    assert rushlight(*command[:-4], "--seeds", "3", "--output", study).code == 0
    assert {run: run.stat().st_mtime_ns for run in runs} == before
    assert read(study / "results.json")["seeds"] == [0, 1, 2]

    # Other settings are another study, and other data are other data.
    assert "another study" in rushlight(*command, "--lr", "0.1").error
    shutil.copy(photos / "red" / "1.png", photos / "red" / "another.png")
    assert "the data has changed" in rushlight(*command).error


@pytest.mark.slow
def test_study_of_a_text_counts_less_as_better_and_names_cells(rushlight: Rushlight, tmp_path: Path) -> None:
    text = tmp_path / "book.txt"
    text.write_text("the cat sat on the mat and the dog lay by the door\n" * 200)
    short = ("--hidden-size", "8", "--steps", "2", "--seeds", "1")
    ran = rushlight("ablate", "text", text, "--vary", "cell=rnn,gru", *short, "--output", tmp_path / "study", "--json")
    assert ran.code == 0, ran.err
    results = json.loads(ran.out)["results"]
    assert results["quantity"] == "loss"
    assert [row["variation"] for row in results["rows"]] == ["cell=rnn", "cell=gru"]
    assert results["rows"][1]["comparison"]["outcome"] == "cannot tell"


@pytest.mark.slow
def test_leave_one_out_trains_the_recipe_and_each_of_its_reductions(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    short = ("--model", "conv_layers", "--size", "32", "--steps", "2", "--seeds", "1")
    ran = rushlight("ablate", "images", photos, "--leave-one-out", *short, "--output", study)
    assert ran.code == 0, ran.err
    varied = [row["variation"] for row in read(study / "results.json")["rows"]]
    assert varied == ["baseline", *(f"{name}=off" for name in PLAIN)]
    runs = [read(run)["command"] for run in study.glob("cells/*/run.json")]
    assert sum("--without" in command for command in runs) == len(PLAIN)


@pytest.mark.slow
def test_training_that_fails_is_told_and_harms_no_other(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    study = tmp_path / "study"
    # Muon at an absurd rate stays finite; plain gradient descent does not.
    varied = ("--vary", "lr=0.001,1e30", "--optimizer", "sgd", "--seeds", "1")
    ran = rushlight("ablate", "images", photos, *SHORT[:-1], "30", *varied, "--output", study)
    assert ran.code == 0, ran.err
    rows = read(study / "results.json")["rows"]
    assert rows[0]["values"]
    assert "loss became" in rows[1]["failures"]["0"] or "overflowed" in rows[1]["failures"]["0"]
    assert "failed" in ran.out


@pytest.mark.slow
def test_search_trains_its_winner_again_with_a_new_seed(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    study = tmp_path / "search"
    short = ("--model", "conv_layers", "--size", "32", "--epochs", "2", "--trials", "3", "--seeds", "1")
    command = ("tune", "images", photos, *short, "--over", "lr=1e-12..1e-1", "--output", study, "--json")
    ran = rushlight(*command)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["tried"] == 3
    tried = read(study / "search.json")["tried"]
    assert len(tried) == 3
    whole = [one["value"] for one in tried if one["value"] is not None]
    assert found["winner"]["value"] == max(whole)
    assert found["given_up"] == 3 - len(whole)
    rows = found["results"]["rows"]
    assert rows[0]["variation"] == "baseline"
    assert rows[1]["settings"] == found["winner"]["settings"]
    assert set(rows[1]["values"]) == {"1"}  # not the seed that it was chosen with
    assert json.loads(rushlight(*command).out) == found


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "--over NAME=LOW..HIGH"),
        ("--over lr=1..0", "write a range as"),
        ("--over wdith=16..64", "did you mean 'width'?"),
        ("--over optimizer=adamw,mouton", "did you mean 'muon'?"),
        ("--over dropout=0..0.5 --model wide_residual_net --epochs 1 --minutes-each 1", "give one of them"),
    ],
)
def test_search_that_cannot_be_made_is_refused(words: str, told: str, photos: Path, rushlight: Rushlight) -> None:
    ran = rushlight("tune", "images", photos, "--size", "32", *words.split())
    assert ran.code == 2
    assert told in ran.error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "--vary NAME=VALUE,VALUE"),
        ("--vary nrm=none,after_relu --model batch_norm_net", "did you mean 'norm'?"),
        ("--vary norm=none,after_relo --model batch_norm_net", "can be only after_relu, before_relu, none"),
        ("--vary lerning_rate=1,2", "there is no such option, ingredient, or part of fast_64"),
        ("--vary optimizer=adamw,mouton", "did you mean 'muon'?"),
        ("--vary optimizer", "write it as NAME=VALUE,VALUE"),
        ("--vary lr=0.1,0.1", "a value stands there twice"),
        ("--vary lr=0.1 --vary lr=0.2", "put all its values into one --vary"),
        ("--vary lr=0.1", "nothing to compare it with"),
        ("--vary lr=0.1,fast", "--lr fast"),
        ("--vary batch_size=8,many", "batch_size=many"),
        ("--vary freeze=on,perhaps", "it is on or off"),
        ("--vary wihtening=on,off", "did you mean 'whitening'?"),
        ("--vary whitening=on,half", "an ingredient of the recipe, which is on or off"),
        ("--vary seed=1,2", "--seeds says how many"),
        ("--vary valid_fraction=0.1,0.2", "could not be compared"),
        ("--vary lr=0.1,0.2 --baseline lr=0.3", "did you mean 'lr=0.2'?"),
        ("--vary lr=0.1,0.2 --epochs 1 --minutes-each 1", "--minutes-each and --epochs"),
        ("--vary lr=0.1,0.2 --seeds 0", "more than 0"),
        ("--vary lr=0.1,0.2 --epoch 2", "did you mean '--epochs'?"),
        ("--vary lr=0.1,0.2 --minutes 2", "did you mean '--minutes-each'?"),
        ("--vary lr=0.1,0.2 --fit-all", "no validation images"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    words: str, told: str, photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    ran = rushlight("ablate", "images", photos, "--size", "32", *words.split())
    assert ran.code == 2
    assert told in ran.error
    assert not (tmp_path / "runs").exists()


def test_network_that_has_the_varied_parts_is_trained_where_none_is_named() -> None:
    training = StudiedTraining("images", "photos", {}, 0, FAST, "fast_64")
    assert training.model_with_parts(grid(["norm=after,none"])) == "batch_norm_net"
    assert training.model_with_parts(grid(["norm=after,none", "residual=on,off"])) == "deep_net"
    for choices in (
        ["width=16,32"],
        ["lr=1,2"],
        ["muon=on,off"],
        ["nothing=1,2"],
        ["model=deep_net", "norm=after,none"],
    ):
        assert training.model_with_parts(grid(choices)) is None
    named = StudiedTraining("images", "photos", {"model": "fast_16"}, 0, FAST, "fast_16")
    assert named.model_with_parts(grid(["norm=after,none"])) is None


@pytest.mark.parametrize(
    ("header", "cells", "quantity"),
    [
        ("file,label", ("red", "blue"), "accuracy"),
        ("file,labels", ("red warm", "blue"), "mean_average_precision"),
        ("file,price", ("1.5", "2.5"), "r2"),
    ],
)
def test_runs_are_compared_by_what_their_kind_of_target_is_measured_by(
    header: str, cells: tuple[str, str], quantity: str, photos: Path, tmp_path: Path
) -> None:
    files = sorted(photos.rglob("*.png"))
    rows = [f"{file},{cells[number % 2]}" for number, file in enumerate(files)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    fixed = {"size": 32, "model": "conv_layers"}
    fixed |= {"target": "labels", "columns": "labels"} if "labels" in header else {}
    fixed |= {"target": "number", "columns": "price"} if "price" in header else {}
    assert subject_of("images", str(table), fixed, 0).quantity.name == quantity


def test_output_that_holds_a_run_is_refused(trained: Path, photos: Path, rushlight: Rushlight) -> None:
    ran = rushlight("ablate", "images", photos, "--vary", "lr=0.1,0.2", "--output", trained)
    assert (ran.code, "holds a run" in ran.error) == (2, True)


@pytest.mark.parametrize(
    ("fixed", "settings", "words"),
    [
        ({"lr": "0.1"}, {}, ["--lr", "0.1"]),
        ({"lr": "0.1"}, {"lr": "0.2"}, ["--lr", "0.2"]),
        ({}, {"norm": "before"}, ["--model-option", "norm=before_relu"]),
        ({"epochs": 2.0}, {"norm": "none"}, ["--epochs", "2.0", "--model-option", "norm=none"]),
        ({"model_option": ["norm=before_relu"]}, {"norm": "none"}, ["--model-option", "norm=none"]),
        (
            {"model": "residual_net"},
            {"residual": "off"},
            ["--model", "residual_net", "--model-option", "residual=false"],
        ),
        ({}, {"freeze": "on", "features_once": "off"}, ["--freeze", "--no-features-once"]),
        ({"freeze": True}, {"freeze": "off"}, []),
        ({}, {"shifts": "off"}, ["--without", "shifts"]),
        ({"without": ["shifts", "muon"]}, {"shifts": "on"}, ["--without", "muon"]),
    ],
)
def test_cell_is_a_command_line(fixed: dict[str, Any], settings: dict[str, str], words: list[str]) -> None:
    training = StudiedTraining(
        "images", "photos", fixed, split_seed=0, ingredients=FAST, default_model="batch_norm_net"
    )
    found = training.words(Cell(Variation.of(settings), 7))
    assert found == ["train", "images", "photos", *words, "--no-report", "--seed", "7", "--split-seed", "0"]
