"""The commands of text, as a person types them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rushlight.app.cli import main

QUICK = ("--hidden-size", "24", "--layers", "1", "--lr", "0.01", "--batch-size", "16", "--window", "20")


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Path:
    random = np.random.default_rng(0)
    sentences = ["The cat sat on the mat.\n", "A dog ran to the sea.\n", "It was dark at night.\n"]
    path = tmp_path_factory.mktemp("text") / "story.txt"
    path.write_text("".join(random.choice(sentences) for _ in range(400)))
    return path


@pytest.fixture(scope="module")
def run(story, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "story"
    assert main(["train", "text", str(story), "--epochs", "8", *QUICK, "--output", str(folder)]) == 0
    return folder


def test_training_leaves_a_run_folder_and_says_what_the_number_means(rushlight, story, tmp_path):
    ran = rushlight("train", "text", story, "--epochs", "2", "--lowercase", *QUICK, "--output", tmp_path / "run")
    assert ran.code == 0
    assert "Nats a character" in ran.out
    assert "this model" in ran.out
    assert "counting what followed" in ran.out
    assert "the compressor" in ran.out
    assert f"generate {tmp_path / 'run'}" in ran.out
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["arguments"]["lowercase"] is True
    assert facts["results"]["valid"]["loss"]["method"] == "blocks"
    assert facts["results"]["baselines"]["ngram"]["value"] > 0
    assert facts["data"]["fingerprint"]
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000


def test_evaluating_again_gives_what_training_said(rushlight, run):
    ran = rushlight("evaluate", run, "--json")
    assert ran.code == 0
    kept = json.loads((run / "run.json").read_text())["results"]["valid"]
    again = json.loads(ran.out)
    assert again["split"] == "valid"
    assert again["loss"]["value"] == pytest.approx(kept["loss"]["value"], abs=1e-4)
    assert "bits_per_token" in again
    assert "perplexity a word" in rushlight("evaluate", run).out


def test_learning_on_the_way_stands_on_lines_of_its_own(rushlight, run, trained):
    ran = rushlight("evaluate", run, "--dynamic", "--cache", "--json")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found["loss"] == json.loads(rushlight("evaluate", run, "--json").out)["loss"]
    assert found["dynamic_evaluation"]["loss"]["n"] == found["loss"]["n"]
    assert found["neural_cache"]["loss"]["value"] > 0
    assert "dynamic evaluation" in rushlight("evaluate", run, "--dynamic").out
    assert "image classifier" in rushlight("evaluate", trained, "--dynamic").error


def test_another_text_is_measured_with_the_vocabulary_of_the_model(rushlight, run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("A dog sat on the mat.\nIt was dark at sea.\n" * 40 + "zebra quiz\n")
    ran = rushlight("evaluate", run, "--data", other, "--json")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found["loss"]["value"] < 2.5
    assert found["n"] == len(other.read_text()) - 1  # all of it: none was trained on
    other.write_bytes("caf\u00e9 au lait\n".encode("latin-1") * 30)
    assert "--encoding" in rushlight("evaluate", run, "--data", other).error
    assert rushlight("evaluate", run, "--data", other, "--encoding", "latin-1").code == 0


def test_it_writes_on_and_the_seed_repeats_it(rushlight, run):
    first = rushlight("generate", run, "The cat ", "--length", "60", "--seed", "1")
    assert first.code == 0
    assert first.out.startswith("The cat ")
    assert len(first.out) == len("The cat ") + 60 + 1
    assert rushlight("generate", run, "The cat ", "--length", "60", "--seed", "1").out == first.out
    assert len(json.loads(rushlight("generate", run, "A", "--length", "30", "--json").out)["text"]) == 30
    for how in (("--greedy",), ("--beams", "3"), ("--top-k", "2"), ("--top-p", "0.5")):
        assert rushlight("generate", run, "A dog", "--length", "10", *how).code == 0


def test_unknown_characters_of_the_beginning_are_said(rushlight, run):
    ran = rushlight("generate", run, "Ünknöwn 7", "--length", "10")
    assert ran.code == 0
    assert "does not know" in ran.err
    assert "Ü" in ran.err


def test_a_score_is_printed_and_drawn(rushlight, run, story, tmp_path):
    ran = rushlight("score", run, story, "--length", "300", "--output", tmp_path / "surprise.png")
    assert ran.code == 0
    assert "299 characters" in ran.out
    assert Image.open(tmp_path / "surprise.png").width > 300
    scored = json.loads(rushlight("score", run, "The cat sat", "--json").out)
    assert "".join(scored["tokens"]) == "The cat sat"
    assert scored["losses"][0] is None
    plain, odd = (
        json.loads(rushlight("score", run, text, "--json").out)["mean"] for text in ("The cat sat", "tca ehT s")
    )
    assert plain < odd


def test_without_a_text_it_is_the_embedded_prose(rushlight, tmp_path):
    ran = rushlight("train", "text", "--steps", "3", *QUICK, "--output", tmp_path / "run", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["results"]["valid"]["n"] > 50_000


def test_cycles_leave_checkpoints_that_write(rushlight, story, tmp_path):
    options = ("--cycles", "2", "--output", tmp_path / "run", "--clip-gradients", "1", "--average-weights", "0.9")
    assert rushlight("train", "text", story, *QUICK, *options).code == 0
    checkpoints = sorted((tmp_path / "run" / "cycles").iterdir())
    assert len(checkpoints) == 2
    assert rushlight("generate", checkpoints[0], "A", "--length", "5").code == 0
    assert rushlight("evaluate", checkpoints[0]).code == 0  # it finds the text of the run one folder up


def test_settings_of_the_network_and_of_the_windows_reach_them(rushlight, story, tmp_path):
    own = (
        "--model-option",
        "tie_weights=true",
        "--model-option",
        "embedding_size=24",
        "--fixed-window",
        "--same-start",
    )
    ran = rushlight("train", "text", story, *QUICK, *own, "--steps", "2", "--output", tmp_path / "run", "--json")
    assert ran.code == 0
    from rushlight.inference.writer import Writer

    model = Writer.load(tmp_path / "run", device="cpu").model
    assert torch.equal(model.body.head.weight, model.body.embedding.weight)
    for wrong, message in (("tie_weight=true", "did you mean 'tie_weights'"), ("layers", "NAME=VALUE")):
        refused = rushlight("train", "text", story, "--model-option", wrong)
        assert refused.code == 2
        assert message in refused.error


def test_a_learning_rate_is_suggested(rushlight, story):
    ran = rushlight("lr-find", "text", story, "--hidden-size", "24", "--batch-size", "16", "--window", "20", "--json")
    assert ran.code == 0
    assert 1e-5 < json.loads(ran.out)["suggestion"] < 10
    assert Path("lr-find.png").is_file()


def test_the_nearest_of_a_misspelt_name_is_told(rushlight, story):
    for flag, wrong, right in (
        ("--model", "lstn", "lstm"),
        ("--tokens", "words", "word"),
        ("--optimizer", "adamw2", "adamw"),
    ):
        ran = rushlight("train", "text", story, flag, wrong)
        assert ran.code == 2
        assert f"did you mean '{right}'" in ran.error


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        (b"", (), 2, "is empty"),
        (b"a", (), 2, "needs more"),
        (b"caf\xe9 " * 100, (), 2, "is not utf-8: byte 0xe9 at offset 3"),
        (b"abc " * 100, ("--encoding", "utf-99"), 2, "there is no encoding 'utf-99'"),
        (b"abc " * 100, ("--minutes", "1", "--epochs", "2"), 2, "give one of them"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused(rushlight, tmp_path, content, options, code, message):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    ran = rushlight("train", "text", path, *options)
    assert ran.code == code
    assert message in ran.error
    assert not Path("runs").exists()


def test_what_is_odd_about_a_text_is_said_and_trained_on(rushlight, tmp_path):
    for name, content in (("nul", b"ab\0cd\0" * 60), ("one", b"a" * 500), ("short", b"ab cd\n" * 12)):
        path = tmp_path / f"{name}.txt"
        path.write_bytes(content)
        ran = rushlight("train", "text", path, "--steps", "5", "--hidden-size", "8", "--layers", "1")
        assert ran.code == 0, ran.err
    assert rushlight("generate", "runs/text/one-1", "a", "--length", "5").out == "aaaaaa\n"


def test_a_model_of_the_other_kind_is_refused(rushlight, run, trained, photos):
    assert "it holds an image classifier, not a language model" in rushlight("generate", trained, "x").error
    assert rushlight("generate", trained, "x").code == 7
    assert "it holds a language model, not an image classifier" in rushlight("predict", run, photos).error
    assert "--tta" in rushlight("evaluate", run, "--tta").error


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--temperature", "0"), "temperature"), (("--temperature", "-1"), "temperature"), (("--top-p", "3"), "top_p"),
     (("--greedy", "--beams", "2"), "give one of them")],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_refused(rushlight, run, options, message):
    ran = rushlight("generate", run, "A", *options)
    assert ran.code == 2
    assert message in ran.error


def test_two_runs_of_a_text_answer_together(rushlight, run, story, tmp_path):
    second = tmp_path / "second"
    assert rushlight("train", "text", story, "--epochs", "8", *QUICK, "--seed", "1", "--output", second).code == 0
    ran = rushlight("mix", run, second, "--output", tmp_path / "both")
    assert ran.code == 0
    assert "together" in ran.out
    losses = [
        json.loads(rushlight("evaluate", r, "--json").out)["loss"]["value"] for r in (run, second, tmp_path / "both")
    ]
    assert losses[2] < sum(losses[:2]) / 2
    kept = json.loads((tmp_path / "both" / "run.json").read_text())
    assert kept["results"]["valid"]["loss"]["value"] == pytest.approx(losses[2], abs=1e-6)
    assert len(rushlight("generate", tmp_path / "both", "The ", "--length", "20", "--seed", "0").out) > 20
    ran = rushlight("mix", run, "--ngram", "--output", tmp_path / "counted")
    assert ran.code == 0
    assert "n-gram model" in ran.out
    assert rushlight("mix", run, second, "--ngram-weight", "0.3").error.endswith("--ngram-weight needs --ngram")


def test_runs_that_cannot_be_mixed_are_refused_and_nothing_is_left(rushlight, run, trained, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("The cat sat on the mat.\n" * 200)
    second = tmp_path / "second"
    assert rushlight("train", "text", other, "--epochs", "1", *QUICK, "--output", second).code == 0
    ran = rushlight("mix", run, second, "--output", tmp_path / "both")
    assert ran.code == 2
    assert "another text" in ran.error
    ran = rushlight("mix", run, trained, "--output", tmp_path / "both")
    assert ran.code in (2, 7)
    assert str(trained) in ran.error
    assert rushlight("mix", run, "--output", tmp_path / "both").code == 2
    assert not (tmp_path / "both").exists()
