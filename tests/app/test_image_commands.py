"""Train, evaluate, predict: what a folder of images becomes, and what is said of one that cannot be used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from rushlight.inference.predictor import Predictor
from rushlight.runtime.measured import Measured
from rushlight.runtime.run_folder import RunFolder

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err
MakePhotos = Callable[..., Path]

SHORT = ("--steps", "2", "--model", "conv_layers", "--size", "32")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


# --- what training leaves ------------------------------------------------------------------------------------------


def test_run_folder_holds_model_history_pictures_and_how_it_came_about(trained: Path, photos: Path) -> None:
    facts = read(trained / "run.json")
    assert facts["data"]["name_or_path"] == str(photos)
    assert facts["arguments"]["model"] == "conv_layers"
    assert {"python", "torch", "rushlight"} <= set(facts["versions"])
    accuracy = Measured.from_json(facts["results"]["valid"]["accuracy"])
    assert accuracy.n == 6
    rows = [json.loads(line) for line in (trained / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 21))
    for name in ("curves.png", "confusion.png", "most_wrong.png"):
        with Image.open(trained / name) as picture:
            assert min(picture.size) > 100


def test_evaluate_measures_on_the_validation_part_of_the_training(trained: Path, rushlight: Rushlight) -> None:
    again = json.loads(rushlight("evaluate", trained, "--json").out)
    assert again["split"] == "valid"
    assert again["accuracy"] == read(trained / "run.json")["results"]["valid"]["accuracy"]
    assert again["loss"]["value"] == pytest.approx(
        read(trained / "run.json")["results"]["valid"]["loss"]["value"], rel=1e-4
    )


def test_predict_answers_about_new_images_and_names_what_it_cannot_read(
    trained: Path, make_photos: MakePhotos, rushlight: Rushlight
) -> None:
    folder = make_photos(each=1)
    (folder / "broken.png").write_bytes(b"no image")
    ran = rushlight("predict", trained, folder, "--json")
    answers = {Path(a["source"]).parent.name: a["label"] for a in json.loads(ran.out)["predictions"]}
    assert answers == {"blue": "blue", "green": "green", "red": "red"}
    assert [Path(s["source"]).name for s in json.loads(ran.out)["skipped"]] == ["broken.png"]
    for_people = rushlight("predict", trained, folder / "red", "--tta")
    assert for_people.out.split()[1:2] == ["red"]


def test_other_images_are_evaluated_by_the_names_of_their_classes(
    trained: Path, make_photos: MakePhotos, rushlight: Rushlight
) -> None:
    two = make_photos(each=20, classes=("green", "red"))  # class numbers 0 and 1 there, 1 and 2 in the model
    ran = rushlight("evaluate", trained, "--data", two, "--json")
    assert json.loads(ran.out)["accuracy"]["value"] == 1.0
    assert json.loads(ran.out)["n"] == 40  # all of them: none was trained on


def test_the_images_of_the_run_stay_cut_as_they_were_when_they_are_named(
    trained: Path, photos: Path, rushlight: Rushlight
) -> None:
    own, named = (
        json.loads(rushlight("evaluate", trained, *words, "--json").out) for words in ((), ("--data", photos))
    )
    assert own == named
    assert own["n"] < 30


def test_class_the_model_does_not_know_is_refused(trained: Path, make_photos: MakePhotos, rushlight: Rushlight) -> None:
    folder = make_photos(each=4)
    (folder / "red").rename(folder / "rde")
    ran = rushlight("evaluate", trained, "--data", folder)
    assert ran.code == 2
    assert "'rde': did you mean 'red'?" in ran.error


def test_images_that_changed_since_the_training_are_noticed(
    make_photos: MakePhotos, rushlight: Rushlight, tmp_path: Path
) -> None:
    folder = make_photos()
    assert rushlight("train", "images", folder, *SHORT, "--output", tmp_path / "run").code == 0
    shutil.copy(folder / "red" / "1.png", folder / "red" / "another.png")
    ran = rushlight("evaluate", tmp_path / "run")
    assert ran.code == 0
    assert "has changed since the training" in ran.err


def test_fit_all_leaves_no_validation_part_to_flatter_the_model(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    ran = rushlight("train", "images", photos, *SHORT, "--fit-all", "--json", "--output", tmp_path / "run")
    assert json.loads(ran.out)["results"] == {}
    assert "--fit-all" in rushlight("evaluate", tmp_path / "run").error


def test_test_images_are_not_read_by_training(make_photos: MakePhotos, rushlight: Rushlight, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    shutil.copytree(make_photos(), folder / "train")
    shutil.copytree(folder / "train", folder / "test")
    for file in (folder / "test").rglob("*.png"):
        file.write_bytes(b"would be an error if it were read")
    assert rushlight("train", "images", folder, *SHORT, "--output", tmp_path / "run").code == 0
    assert rushlight("evaluate", tmp_path / "run", "--split", "test").code == 2


def test_what_the_test_images_say_is_kept_in_the_run_and_stands_in_its_report(
    make_photos: MakePhotos, rushlight: Rushlight, tmp_path: Path
) -> None:
    folder, run = tmp_path / "parts", tmp_path / "run"
    shutil.copytree(make_photos(), folder / "train")
    shutil.copytree(folder / "train", folder / "test")
    assert rushlight("train", "images", folder, *SHORT, "--output", run).code == 0

    def kept() -> Any:
        return json.loads((run / "run.json").read_text())["results"].get("test")

    other = shutil.copytree(folder, tmp_path / "other")
    for elsewhere in (("--tta",), ("--data", other)):  # says nothing about the model as it is, or about its own data
        assert rushlight("evaluate", run, "--split", "test", *elsewhere).code == 0
        assert kept() is None
    found = json.loads(rushlight("evaluate", run, "--split", "test", "--json").out)
    assert kept() == found
    assert found["n"] == 30
    assert rushlight("report", run).code == 0
    page = (run / "report.html").read_text()
    assert "the test images played no part before the end" in page
    (folder / "train" / "red" / "1.png").unlink()
    assert rushlight("evaluate", run, "--split", "test").code == 0
    assert kept() == found  # of changed data nothing is kept


def test_cycles_keep_a_model_each(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    cycles = ("--cycles", "2", "--cycle-multiplier", "2", "--model", "conv_layers", "--size", "32")
    assert rushlight("train", "images", photos, *cycles, "--output", tmp_path / "run").code == 0
    kept = sorted((tmp_path / "run" / "cycles").glob("*.safetensors"))
    assert len(kept) == 2
    weights = [next(Predictor.load(path).model.parameters()) for path in kept]
    assert not torch.equal(*weights)


def moved_by_a_second_step(rushlight: Rushlight, photos: Path, folder: Path, *flags: str) -> float:
    """The largest change of a weight between trainings of one step and of two."""
    words = ["train", "images", photos, *SHORT[2:], "--optimizer", "sgd", "--lr", "0.1", "--batch-size", "2", *flags]
    for steps in ("1", "2"):
        rushlight(*words, "--steps", steps, "--schedule", "constant", "--output", folder / steps)
    one, two = (Predictor.load(folder / steps).model.state_dict() for steps in ("1", "2"))
    return max((one[key] - two[key]).abs().max().item() for key in one)


def test_gradients_may_be_clipped(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    assert moved_by_a_second_step(rushlight, photos, tmp_path / "plain") > 1e-5
    assert moved_by_a_second_step(rushlight, photos, tmp_path / "clipped", "--clip-gradients", "1e-9") < 1e-8


def test_gradients_may_be_accumulated(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    words = ["train", "images", photos, *SHORT[2:], "--batch-size", "2", "--epochs", "1", "--json"]
    steps = {}
    for batches in ("1", "3"):
        rushlight(*words, "--accumulate", batches, "--output", tmp_path / batches)
        rows = (tmp_path / batches / "history.jsonl").read_text().splitlines()
        steps[batches] = json.loads(rows[-1])["step"]
    assert steps["3"] == -(-steps["1"] // 3)


def test_runs_are_numbered_and_never_overwritten(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    for number in (1, 2):
        ran = rushlight("train", "images", photos, *SHORT, "--json")
        assert json.loads(ran.out)["run"] == f"runs/images/photos-{number}"
    ran = rushlight("train", "images", photos, *SHORT, "--output", tmp_path / "runs" / "images" / "photos-1")
    assert ran.code == 2
    assert "never overwritten" in ran.error


def test_lr_find_suggests_a_rate_and_draws_it(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    ran = rushlight("lr-find", "images", photos, "--model", "conv_layers", "--steps", "30", "--json")
    found = json.loads(ran.out)
    assert len(found["lrs"]) == len(found["losses"]) > 10
    with Image.open(tmp_path / "lr-find.png") as picture:
        assert min(picture.size) > 100


def test_ladder_prints_a_row_a_rung_beside_the_lecture(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    ran = rushlight("ladder", photos, "--rungs", "1,3", "--equal-epochs", "1", "--json", "--output", "ladder.json")
    rows = json.loads(ran.out)["rungs"]
    assert [row["parameters"] for row in rows] == [40 * 3073 + 41 * 3, 36_923]
    assert all(0 <= row["accuracy"]["value"] <= 1 for row in rows)
    assert read(tmp_path / "ladder.json") == json.loads(ran.out)


def test_summary_counts_what_the_model_holds(rushlight: Rushlight) -> None:
    table = json.loads(rushlight("summary", "residual_net", "--json").out)
    assert table["parameters"] == sum(layer["parameters"] for layer in table["layers"]) == 769_170


# --- what cannot be used -------------------------------------------------------------------------------------------


def test_missing_folder(rushlight: Rushlight) -> None:
    ran = rushlight("train", "images", "photso/2026")
    assert (ran.code, ran.out) == (2, "")
    assert "photso/2026" in ran.error


def test_empty_folder(rushlight: Rushlight, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    ran = rushlight("train", "images", "photos")
    assert ran.code == 2
    assert "photos" in ran.error


def test_one_class(make_photos: MakePhotos, rushlight: Rushlight) -> None:
    ran = rushlight("train", "images", make_photos(classes=("red",)))
    assert ran.code == 2
    assert "red" in ran.error


def test_empty_class_is_named(make_photos: MakePhotos, rushlight: Rushlight) -> None:
    folder = make_photos()
    (folder / "yellow").mkdir()
    ran = rushlight("train", "images", folder)
    assert ran.code == 2
    assert "yellow" in ran.error


def test_class_with_one_image_trains_and_is_told(make_photos: MakePhotos, rushlight: Rushlight) -> None:
    make_photos(each=1, classes=("red",))
    ran = rushlight("train", "images", make_photos(each=10, classes=("blue", "green")), *SHORT)
    assert ran.code == 0
    assert "red" in ran.err


def test_nothing_readable(make_photos: MakePhotos, rushlight: Rushlight, tmp_path: Path) -> None:
    folder = make_photos()
    for file in folder.rglob("*.png"):
        file.write_bytes(b"no image")
    ran = rushlight("train", "images", folder)
    assert ran.code == 2
    assert "30" in ran.error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--model", "resnet19", "did you mean 'resnet18'?"),
        ("--optimizer", "adamm", "did you mean 'adam'?"),
        ("--schedule", "cosin", "did you mean 'cosine'?"),
        ("--augment", "smal", "did you mean 'small'?"),
        ("--device", "gpuu", "gpuu"),
        ("--precision", "float23", "did you mean 'float32'?"),
        ("--size", "4", "8 and 1024"),
    ],
)
def test_unknown_name(flag: str, value: str, told: str, photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    options = [flag, value] if flag == "--model" else [flag, value, "--model", "conv_layers"]
    ran = rushlight("train", "images", photos, "--steps", "1", *options)
    assert ran.code == 2
    assert told in ran.error
    assert not list((tmp_path / "runs").rglob("*.safetensors"))


def test_run_folder_that_cannot_be_written(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    ran = rushlight("train", "images", photos, *SHORT, "--output", tmp_path / "file" / "run")
    assert ran.code == 5
    assert str(tmp_path / "file" / "run") in ran.error


def test_run_folder_in_use(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run"):
        ran = rushlight("train", "images", photos, *SHORT, "--output", tmp_path / "run")
    assert ran.code == 6
    assert str(tmp_path / "run") in ran.error


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_model_file_that_is_not_ours(command: str, rushlight: Rushlight, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    ran = rushlight(command, "model.pt", *(["x.png"] if command == "predict" else []))
    assert ran.code == 7
    assert "model.pt" in ran.error


def test_run_that_is_not_there_names_the_nearest(trained: Path, rushlight: Rushlight) -> None:
    ran = rushlight("predict", trained.with_name("trainde"), "x.png")
    assert ran.code == 2
    assert str(trained) in ran.error


def test_image_that_is_not_there(trained: Path, rushlight: Rushlight) -> None:
    ran = rushlight("predict", trained, "nothing.png")
    assert ran.code == 2
    assert "nothing.png" in ran.error


def test_no_readable_image_at_all(trained: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    ran = rushlight("predict", trained, "broken.png")
    assert ran.code == 2
    assert "broken.png" in ran.error


def test_loss_that_explodes_exits_3(photos: Path, rushlight: Rushlight) -> None:
    explode = (
        "--epochs",
        "50",
        "--model",
        "conv_layers",
        "--optimizer",
        "sgd",
        "--lr",
        "1e18",
        "--schedule",
        "constant",
    )
    ran = rushlight("train", "images", photos, *explode, "--size", "32")
    assert ran.code == 3
    assert "learning rate" in ran.error


def test_settings_of_the_network_reach_it_and_stand_in_its_file(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    words = ("--model", "batch_norm_net", "--model-option", "norm=none", "--model-option", "widths=[4, 8]")
    assert rushlight("train", "images", photos, *words, "--steps", "1", "--output", tmp_path / "run").code == 0
    predictor = Predictor.load(tmp_path / "run", device="cpu")
    assert predictor.metadata["model_arguments"]["widths"] == [4, 8]
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in predictor.model.modules())
    refused = rushlight("train", "images", photos, "--model", "batch_norm_net", "--model-option", "nrom=none")
    assert refused.code == 2
    assert "did you mean 'norm'" in refused.error


def test_explaining_draws_and_asks_again(rushlight, trained, photos, tmp_path):
    ran = rushlight(
        "explain", trained, photos / "red" / "0.png", photos / "blue", "--check", "--output", tmp_path / "why"
    )
    assert ran.code == 0
    assert "closer:" in ran.out
    assert "A closer look agrees on" in ran.out
    assert "Blurring the hottest fifth" in ran.out
    pictures = sorted(path.name for path in (tmp_path / "why").iterdir())
    assert len(pictures) == 11
    assert "0.png" in pictures
    assert "0-2.png" in pictures  # of the same name, from another folder


def test_explaining_as_json_holds_both_answers(rushlight, trained, photos, tmp_path):
    ran = rushlight("explain", trained, photos / "red" / "0.png", "--zoom", "2", "--json", "--output", tmp_path / "why")
    (image,) = json.loads(ran.out)["images"]
    assert len(image["closer"]) == 2
    assert set(image["prediction"]["probabilities"]) == {"blue", "green", "red"}
    assert len(image["hottest_region"]) == 4


def test_the_worst_mistakes_are_explained_in_one_picture(rushlight, trained, tmp_path):
    ran = rushlight("explain", trained, "--worst", "5", "--output", tmp_path / "why")
    assert ran.code == 0
    assert "no mistake" in ran.out or (tmp_path / "why" / "worst.png").stat().st_size > 1000


def test_explaining_nothing_or_a_text_is_refused(rushlight, trained, photos, tmp_path):
    assert rushlight("explain", trained).code == 2
    assert rushlight("explain", trained, photos / "red", "--worst", "3").code == 2
    ran = rushlight("explain", trained, photos / "red" / "0.png", "--method", "gradcam")
    assert ran.error.endswith("--method gradcam: did you mean 'grad_cam'?")
    story = tmp_path / "story.txt"
    story.write_text("The cat sat on the mat.\n" * 100)
    quick = ("--epochs", "1", "--hidden-size", "8", "--layers", "1", "--output", tmp_path / "text")
    assert rushlight("train", "text", story, *quick).code == 0
    ran = rushlight("explain", tmp_path / "text", photos / "red" / "0.png")
    assert ran.code == 7
    assert "a language model, not an image classifier" in ran.error


def test_a_pretrained_network_learns_head_and_then_all(rushlight, photos, tmp_path):
    flags = ("--backbone", "efficientnet_lite0", "--head", "average", "--size", "64", "--epochs", "2")
    later = ("--unfreeze-epochs", "1", "--progressive-sizes", "48")
    ran = rushlight("train", "images", photos, *flags, *later, "--output", tmp_path / "run")
    assert ran.code == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    answer = json.loads(rushlight("predict", tmp_path / "run", photos / "red" / "0.png", "--json").out)
    assert set(answer["predictions"][0]["probabilities"]) == {"blue", "green", "red"}
    assert rushlight("explain", tmp_path / "run", photos / "red" / "0.png").code == 0
    assert (tmp_path / "run" / "explanations" / "0.png").exists()


def test_a_time_limit_decides_how_far_a_pretrained_network_goes(rushlight, photos, tmp_path):
    flags = ("--backbone", "efficientnet_lite0", "--size", "64", "--minutes", "0.1", "--freeze")
    ran = rushlight("train", "images", photos, *flags, "--json", "--output", tmp_path / "run")
    assert ran.code == 0
    assert json.loads(ran.out)["results"]["valid"]["accuracy"]["value"] > 0.5
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--backbone", "resnet43"), "unknown backbone 'resnet43': did you mean 'resnet34'"),
        (("--backbone", "resnet34", "--model", "resnet18"), "give one of them"),
        (("--head", "averge"), "--head averge: did you mean 'average'"),
        (("--freeze", "--unfreeze-epochs", "1"), "give one of them"),
        (("--freeze",), "are for a pretrained network; name one with --backbone"),
        (("--progressive-sizes", "16"), "are for a pretrained network; name one with --backbone"),
        (("--progressive-sizes", "large"), "whole numbers of pixels"),
        (("--progressive-sizes", "16", "--freeze"), "--progressive-sizes are for training it"),
        (("--freeze", "--moving-statistics"), "give one of them"),
        (("--backbone", "resnet34"), "are not on this machine and cannot be fetched"),
        (("--backbone", "timm/vit_tiny_patch16_224"), "needs the package timm"),
    ],
)
def test_wrong_wishes_for_a_pretrained_network_are_refused(rushlight, photos, tmp_path, flags, message):
    ran = rushlight("train", "images", photos, *flags, "--epochs", "1", "--output", tmp_path / "run")
    assert ran.code == 2
    assert message in ran.error
    assert not (tmp_path / "run").exists()


def test_a_run_can_be_tracked_for_tensorboard(photos: Path, tmp_path: Path, rushlight: Rushlight) -> None:
    pytest.importorskip("tensorboard")
    ran = rushlight("train", "images", photos, *SHORT, "--track", "tensorboard", "--output", tmp_path / "run")
    assert ran.code == 0
    assert list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))
