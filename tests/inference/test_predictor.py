import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from rushlight.data.batches import ImageBatches
from rushlight.inference import Predictor, load_classifier, save_classifier
from rushlight.inference.calibration import Calibration
from rushlight.nn.models import MODELS, build_model
from rushlight.runtime.checkpoint import read_checkpoint, save_checkpoint
from rushlight.runtime.errors import InputError, ModelFileError, NonFiniteError
from rushlight.runtime.measured import Measured, proportion
from rushlight.runtime.run_folder import RunFolder

COLOURS = {"red": (220, 20, 20), "green": (20, 220, 20), "blue": (20, 20, 220)}


class MeanColour(nn.Module):
    """Answers with the strongest channel, so that what it ought to say about a picture is plain."""

    def forward(self, images):
        return 5 * images.mean(dim=(2, 3))


def predictor_of_colours(size=8, **metadata):
    return Predictor(MeanColour(), list(COLOURS), size, (0.5,) * 3, (0.25,) * 3, metadata, device="cpu")


def picture(colour, size=(20, 30)):
    noise = np.random.default_rng(0).integers(0, 20, (*size, 3))
    return (np.array(COLOURS[colour]) + noise).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Images at several depths, and things that are no images."""
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name, colour in {
        "b.PNG": "blue",
        "a.jpg": "red",
        "deep/c.bmp": "green",
        "deep/deeper/d.webp": "red",
        ".hidden/e.png": "red",
        "._a.jpg": "red",
    }.items():
        data = io.BytesIO()
        Image.fromarray(picture(colour)).save(data, "png")
        (tmp_path / name).write_bytes(data.getvalue())
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "loop").symlink_to(tmp_path)
    return tmp_path


@pytest.fixture
def saved(tmp_path):
    """A small trained-looking classifier on disk, and the model it was made from."""
    torch.manual_seed(0)
    model = build_model("fully_connected", classes=3, channels=3, size=8).eval()
    path = tmp_path / "model.safetensors"
    save_classifier(path, model, "fully_connected", {}, list(COLOURS), 8, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return path, model


def test_one_file_one_array_and_one_picture_get_the_same_answer(folder):
    predictor = predictor_of_colours()
    array = picture("blue")
    answers = [
        predictor.predict(one) for one in (folder / "b.PNG", str(folder / "b.PNG"), array, Image.fromarray(array))
    ]
    assert [len(answer) for answer in answers] == [1, 1, 1, 1]
    assert {answer[0].label for answer in answers} == {"blue"}
    assert len({tuple(answer[0].probabilities.items()) for answer in answers}) == 1


def test_a_folder_is_searched_to_the_bottom_and_answered_by_name(folder):
    answers = predictor_of_colours().predict(folder)
    assert [(answer.source, answer.label) for answer in answers] == [
        (str(folder / "a.jpg"), "red"),
        (str(folder / "b.PNG"), "blue"),
        (str(folder / "deep" / "c.bmp"), "green"),
        (str(folder / "deep" / "deeper" / "d.webp"), "red"),
    ]
    assert answers.skipped == []


def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "f.png"
    outside.write_bytes((folder / "b.PNG").read_bytes())
    (folder / "f.png").symlink_to(outside)
    (folder / "g.png").symlink_to(folder / "b.PNG")
    names = [answer.source for answer in predictor_of_colours().predict(folder)]
    assert str(folder / "f.png") not in names
    assert str(folder / "g.png") in names


def test_many_inputs_of_every_kind_are_answered_in_their_order(folder):
    inputs = [picture("green"), folder / "b.PNG", Image.fromarray(picture("red")), str(folder / "deep")]
    answers = predictor_of_colours().predict(inputs)
    assert [answer.label for answer in answers] == ["green", "blue", "red", "green", "red"]
    assert answers[0].source == "image 0"
    assert answers[2].source == "image 2"


def test_more_images_than_a_batch_keep_their_order():
    colours = [list(COLOURS)[index % 3] for index in range(150)]
    answers = predictor_of_colours().predict(np.stack([picture(colour, (8, 8)) for colour in colours]))
    assert [answer.label for answer in answers] == colours


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (9, 7, 4), (2, 9, 7), (2, 9, 7, 1), (1, 1), (1, 500)])
def test_arrays_of_every_shape_are_answered(shape):
    answers = predictor_of_colours().predict(np.full(shape, 100, np.uint8))
    assert len(answers) == (2 if shape[0] == 2 else 1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_pictures_of_every_mode_are_answered(mode):
    assert predictor_of_colours().predict(Image.new(mode, (9, 7)))[0].probability > 0


def test_a_turned_photograph_is_set_upright():
    upright = picture("red", (16, 16))
    upright[:8] = picture("blue", (8, 16))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    data = io.BytesIO()
    Image.fromarray(upright[::-1, ::-1]).save(data, "png", exif=exif)

    class TopHalf(MeanColour):
        def forward(self, images):
            return super().forward(images[:, :, :4])

    predictor = Predictor(TopHalf(), list(COLOURS), 8, (0.5,) * 3, (0.25,) * 3, device="cpu")
    assert predictor.predict(Image.open(data))[0].label == "blue"


def test_unreadable_files_are_listed_with_the_reason_and_the_rest_is_answered(folder):
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("hello")
    (folder / "cut.png").write_bytes((folder / "b.PNG").read_bytes()[:300])
    answers = predictor_of_colours().predict([folder / name for name in ("empty.png", "b.PNG", "text.jpg", "cut.png")])
    assert [answer.label for answer in answers] == ["blue"]
    assert [skipped.source for skipped in answers.skipped] == [
        str(folder / name) for name in ("empty.png", "text.jpg", "cut.png")
    ]
    assert all(skipped.reason for skipped in answers.skipped)


def test_probabilities_are_named_sorted_and_sum_to_one():
    answer = predictor_of_colours().predict(picture("green"))[0]
    assert set(answer.probabilities) == set(COLOURS)
    values = list(answer.probabilities.values())
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1)
    assert (answer.label, answer.probability) == next(iter(answer.probabilities.items()))
    assert json.loads(json.dumps(answer.to_json()))["label"] == "green"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("no/such/file.png", "no file or folder"),
        ([], "no image"),
        (np.zeros((4, 4, 3), np.float32), "uint8"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros(4, np.uint8), "not (4,)"),
        (np.zeros((1, 2, 4, 4, 3), np.uint8), "not (1, 2, 4, 4, 3)"),
        (5, "int"),
        ([None], "NoneType"),
        (b"GIF89a", "bytes"),
    ],
)
def test_what_is_no_image_is_refused(wrong, said):
    with pytest.raises(InputError) as caught:
        predictor_of_colours().predict(wrong)
    assert said in str(caught.value)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no images"):
        predictor_of_colours().predict(tmp_path)


def test_unknown_views_are_answered_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'flip'"):
        predictor_of_colours().predict(picture("red"), tta="flips")


def test_test_time_augmentation_takes_the_views_of_the_model_file():
    class LeftSide(MeanColour):
        def forward(self, images):
            return super().forward(images[..., :2])

    left_red = picture("blue", (8, 8))
    left_red[:, :4] = picture("red", (8, 4))
    with_flip, without = (
        Predictor(LeftSide(), list(COLOURS), 8, (0.5,) * 3, (0.25,) * 3, {"views": views}, device="cpu")
        for views in ("flip_shift", "shift")
    )
    assert with_flip.predict(left_red, tta=True)[0].probability < 0.6
    assert without.predict(left_red, tta=True)[0].probability > 0.9
    assert without.predict(left_red, tta="flip")[0].probability < 0.6


def test_a_model_that_gives_nan_is_no_answer():
    class Diverged(MeanColour):
        def forward(self, images):
            return super().forward(images) * float("nan")

    with pytest.raises(NonFiniteError):
        Predictor(Diverged(), list(COLOURS), 8, (0.5,) * 3, (0.25,) * 3, device="cpu").predict(picture("red"))


# --- batches ----------------------------------------------------------------------------------------------


def normalised(pixels, mean, std):
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (images - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def batches_of(pixels, targets, mean, std):
    return ImageBatches(pixels, targets, mean, std, batch_size=4, device="cpu")


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)


def test_logits_are_the_models_own(saved, pixels):
    path, model = saved
    predictor = Predictor.load(path, device="cpu", precision="float32")
    batches = batches_of(pixels, torch.arange(10) % 3, predictor.mean, predictor.std)
    logits, targets = predictor.logits(batches)
    with torch.no_grad():
        expected = model(normalised(pixels, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    assert torch.allclose(logits, expected, atol=1e-5)
    assert torch.equal(targets, torch.arange(10) % 3)


def test_batches_normalised_otherwise_get_the_same_answers(saved, pixels):
    predictor = Predictor.load(saved[0], device="cpu", precision="float32")
    targets = torch.zeros(10, dtype=torch.int64)
    own = batches_of(pixels, targets, predictor.mean, predictor.std)
    other = batches_of(pixels, targets, (0.1, 0.2, 0.9), (0.5, 0.6, 0.7))
    assert torch.allclose(predictor.logits(own)[0], predictor.logits(other)[0], atol=1e-4)


@pytest.mark.parametrize("tta", [False, True, "crops"])
def test_evaluation_judges_what_prediction_answers(saved, pixels, tta):
    predictor = Predictor.load(saved[0], device="cpu", precision="float32")
    targets = torch.arange(10) % 3
    evaluation = predictor.evaluate(batches_of(pixels, targets, predictor.mean, predictor.std), "test", tta=tta)
    answers = predictor.predict(pixels, tta=tta)
    assert [predictor.classes[index] for index in evaluation.predictions] == [answer.label for answer in answers]
    assert evaluation.probabilities.max(1) == pytest.approx([answer.probability for answer in answers], abs=1e-5)
    assert (evaluation.split, evaluation.views == "none") == ("test", tta is False)


@pytest.mark.parametrize("batches", [None, []])
def test_a_part_that_is_not_there_is_named(batches):
    with pytest.raises(InputError, match="no 'valid' part"):
        predictor_of_colours().evaluate(batches)


def test_data_with_more_classes_than_the_model_is_refused():
    with pytest.raises(InputError, match="more classes"):
        predictor_of_colours().evaluate([(torch.zeros(1, 3, 8, 8), torch.tensor([3]))])


def test_a_model_in_training_answers_as_in_evaluation_and_keeps_its_statistics():
    model = nn.Sequential(nn.BatchNorm2d(3), MeanColour(), nn.Dropout(0.5))
    predictor = Predictor(model, list(COLOURS), 8, (0.5,) * 3, (0.25,) * 3, device="cpu")
    before = predictor.predict(picture("red"))
    model.train()
    assert predictor.predict(picture("red")) == before
    assert model[0].num_batches_tracked == 0


# --- model files ------------------------------------------------------------------------------------------


# The large ResNets are the small ones with more blocks, and take seconds each.
LARGE = {"resnet34", "resnet50", "resnet101", "resnet152", "preact_resnet34", "preact_resnet50"}
LARGE |= {"preact_resnet101", "preact_resnet152"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in MODELS]
)
def test_every_model_rebuilds_itself_from_its_file(tmp_path, name):
    torch.manual_seed(1)
    model = build_model(name, classes=3, channels=3, size=32).eval()
    path = tmp_path / "m"
    save_classifier(path, model, name, {}, ["a", "b", "c"], 32, (0.5,) * 3, (0.25,) * 3, {"accuracy": proportion(3, 4)})
    random_state = torch.get_rng_state()
    again, metadata = load_classifier(path)
    assert torch.equal(torch.get_rng_state(), random_state)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.eval()(images), model(images))
    assert Measured.from_json(metadata["metrics"]["accuracy"]) == proportion(3, 4)


def test_the_temperature_is_saved_and_used_and_changes_no_answer(saved, tmp_path):
    path, model = saved
    warm = tmp_path / "warm.safetensors"
    save_classifier(
        warm,
        model,
        "fully_connected",
        {},
        list(COLOURS),
        8,
        (0.5, 0.4, 0.3),
        (0.2, 0.3, 0.4),
        calibration=Calibration(3.0),
    )
    plain, calmed = (Predictor.load(file, device="cpu").predict(picture("red"))[0] for file in (path, warm))
    assert list(plain.probabilities) == list(calmed.probabilities)
    logarithms = np.log([[answer.probabilities[name] for name in COLOURS] for answer in (plain, calmed)])
    assert np.diff(logarithms[1]) == pytest.approx(np.diff(logarithms[0]) / 3, abs=1e-5)


def test_a_run_folder_is_loaded_by_its_path(tmp_path, saved):
    with RunFolder.create(tmp_path / "run") as run:
        run.model.write_bytes(saved[0].read_bytes())
    predictor = Predictor.load(run.path, device="cpu")
    assert predictor.classes == list(COLOURS)
    assert (predictor.size, predictor.mean) == (8, (0.5, 0.4, 0.3))


def test_a_missing_run_is_an_input_error(tmp_path):
    with pytest.raises(InputError):
        Predictor.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "text"}, "a language model"),
        ({"task": None}, "None"),
        ({"model": "os.system"}, "os.system"),
        ({"model": "fully_conected"}, "did you mean 'fully_connected'"),
        ({"model": ["fully_connected"]}, "does not have"),
        ({"model_arguments": None}, "model_arguments"),
        ({"model_arguments": {"unheard_of": 1}}, "cannot be built"),
        ({"model_arguments": {"hidden_size": 10**12}}, "model_arguments"),
        ({"classes": []}, "classes"),
        ({"classes": ["a", "a"]}, "classes"),
        ({"classes": "abc"}, "classes"),
        ({"classes": ["a", "b", "c", "d"]}, "do not fit"),
        ({"size": 16}, "do not fit"),
        ({"size": 10**9}, "size"),
        ({"size": True}, "size"),
        ({"mean": [0.5, 0.5]}, "std"),
        ({"mean": "0.5"}, "mean"),
        ({"std": [0.2, 0.0, 0.2]}, "std"),
        ({"std": [0.2, None, 0.2]}, "std"),
        ({"views": "turns"}, "views"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"calibration_losses": [0.1, -1]}, "calibration_losses"),
        ({"calibration_losses": "none"}, "calibration_losses"),
        ({"fit": ["crop"]}, "fit"),
        ({"metrics": 5}, "metrics"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused_by_name(saved, changes, said):
    path, model = saved
    save_checkpoint(path, model.state_dict(), read_checkpoint(path).metadata | changes)
    with pytest.raises(ModelFileError) as caught:
        load_classifier(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named(saved):
    path, model = saved
    metadata = read_checkpoint(path).metadata
    del metadata["std"]
    save_checkpoint(path, model.state_dict(), metadata)
    with pytest.raises(ModelFileError, match="'std' is missing"):
        load_classifier(path)
