"""Exported models answer as the originals do, and are refused where they do not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rushlight.data.tokenizers import CharacterTokenizer
from rushlight.inference.calibration import Calibration
from rushlight.inference.classifier_file import save_classifier
from rushlight.inference.export import exporting
from rushlight.inference.export.exporting import export_model
from rushlight.inference.export.formats import FORMATS
from rushlight.inference.export.programs import checking_pixels
from rushlight.inference.predictor import Predictor
from rushlight.inference.text_file import save_language_model
from rushlight.inference.writer import Writer
from rushlight.nn.language_models import build_language_model
from rushlight.nn.models import build_model
from rushlight.runtime.errors import InputError

CLASSES = ["cat", "dog", "Vögel"]
MEAN, STD, TEMPERATURE = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3], 1.7
TEXT = "the cat sat on the mat.\nand the dog ran to the cat\n"
SMALL = {"embedding_size": 8, "hidden_size": 16, "layers": 2}

MODELS = {
    "conv_layers": {},
    "resnet18": {},
    "backbone_classifier": {"backbone": "efficientnet_lite0"},
}


def classifier_file(folder: Path, name: str, size: int = 32, target: dict | None = None) -> Path:
    torch.manual_seed(0)
    model = build_model(name, len(CLASSES), size=size, **MODELS[name])
    file = folder / "model.safetensors"
    calibration = Calibration(TEMPERATURE)
    save_classifier(file, model, name, MODELS[name], CLASSES, size, MEAN, STD, calibration=calibration, target=target)
    return file


def language_model_file(folder: Path, name: str, **options: object) -> Path:
    torch.manual_seed(0)
    tokenizer = CharacterTokenizer.learn([TEXT])
    options = options or SMALL
    model = build_language_model(name, tokenizer.size, **options)
    for parameter in model.parameters():
        parameter.data *= 3  # a new model says nearly the same everywhere
    file = folder / "model.safetensors"
    save_language_model(file, model, name, options, tokenizer, "character", lowercase=True)
    return file


def session(file: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def require(format_name: str) -> None:
    for package in FORMATS[format_name].packages:
        pytest.importorskip(package)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("conv_layers", "onnx"),
        ("conv_layers", "torch-export"),
        pytest.param("resnet18", "onnx", marks=pytest.mark.slow),
        pytest.param("backbone_classifier", "onnx", marks=pytest.mark.slow),
    ],
)
def test_a_classifier_gives_the_labels_of_the_original_100_times(name, format_name, tmp_path):
    require(format_name)
    exported = export_model(classifier_file(tmp_path, name), format_name)
    assert exported.path == tmp_path / f"model{FORMATS[format_name].suffix}"
    assert (exported.comparison.predictions, exported.comparison.same) == (100, 100)
    assert exported.comparison.largest_difference < 1e-3


def test_pixels_go_in_as_they_are_and_calibrated_probabilities_come_out(tmp_path):
    file = classifier_file(tmp_path, "conv_layers")
    onnx_file = export_model(file).path
    ours = Predictor.load(file, device="cpu", precision="float32")
    pixels = checking_pixels(7, 32).numpy()
    asked = session(onnx_file)
    (probabilities,) = asked.run(["probabilities"], {"pixels": pixels})
    torch.testing.assert_close(torch.from_numpy(probabilities), ours.pixel_probabilities(pixels), rtol=1e-4, atol=1e-5)
    told = asked.get_modelmeta().custom_metadata_map
    assert json.loads(told["labels"]) == CLASSES
    assert (json.loads(told["mean"]), json.loads(told["std"])) == (MEAN, STD)
    assert (float(told["temperature"]), told["size"], told["fit"]) == (TEMPERATURE, "32", "crop")


@pytest.mark.parametrize(
    ("target", "output"),
    [
        ({"kind": "labels", "thresholds": [0.2, 0.5, 0.9]}, "probabilities"),
        ({"kind": "number", "mean": [10.0, -2.0, 1e4], "deviation": [3.0, 0.5, 200.0]}, "values"),
    ],
)
@pytest.mark.parametrize("format_name", ["onnx", "torch-export"])
def test_labels_and_numbers_come_out_as_the_original_says_them(target, output, format_name, tmp_path):
    require(format_name)
    file = classifier_file(tmp_path, "conv_layers", target=target)
    exported = export_model(file, format_name)
    assert (exported.comparison.predictions, exported.comparison.same) == (100, 100)
    if format_name != "onnx":
        return
    pixels = checking_pixels(7, 32).numpy()
    asked = session(exported.path)
    (found,) = asked.run([output], {"pixels": pixels})
    expected = Predictor.load(file, device="cpu", precision="float32").pixel_probabilities(pixels).float()
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)
    told = json.loads(asked.get_modelmeta().custom_metadata_map["target"])
    assert {key: told[key] for key in target} == target


@pytest.mark.parametrize(
    "options", [{}, {"tie_weights": True, "layers": 1, "embedding_size": 8, "dropout": 0.5}], ids=str
)
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_a_language_model_gives_the_tokens_of_the_original_100_times(name, options, tmp_path):
    require("onnx")
    exported = export_model(language_model_file(tmp_path, name, **options))
    assert (exported.comparison.predictions, exported.comparison.same) == (100, 100)
    assert exported.comparison.largest_difference < 1e-3


def test_an_exported_language_model_keeps_its_state_as_the_writer_does(tmp_path):
    file = language_model_file(tmp_path, "lstm")
    asked = session(export_model(file).path)
    told = asked.get_modelmeta().custom_metadata_map
    vocabulary, first = json.loads(told["vocabulary"]), int(told["first_number"])
    states = json.loads(told["states"])
    given = {state["input"]: torch.zeros(1, state["size"]).numpy() for state in states}
    text = "the "
    number = [first + vocabulary.index(character) for character in text]
    for _ in range(40):
        tokens = torch.tensor(number)[:, None].numpy()
        logits, *after = asked.run(["logits", *(state["output"] for state in states)], {"tokens": tokens, **given})
        given = {state["input"]: part for state, part in zip(states, after, strict=True)}
        logits[-1, 0, :first] = -float("inf")
        number = [int(logits[-1, 0].argmax())]
        text += vocabulary[number[0] - first]
    assert text == Writer.load(file, device="cpu").write("the ", 40, greedy=True)


def test_a_model_that_answers_otherwise_is_not_written_and_nothing_is_lost(tmp_path, monkeypatch):
    file = classifier_file(tmp_path, "conv_layers")
    kept = tmp_path / "model.pt2"
    kept.write_bytes(b"an export of before")
    honest = FORMATS["torch-export"]

    def read_badly(data, program):
        run = honest.read(data, program)
        return lambda arguments: [result * 1.1 for result in run(arguments)]

    monkeypatch.setitem(exporting.FORMATS, "torch-export", replace(honest, read=read_badly))
    with pytest.raises(InputError, match="does not answer as") as refused:
        export_model(file, "torch-export")
    assert "\n" not in str(refused.value)
    assert kept.read_bytes() == b"an export of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt2", "model.safetensors"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("qrnn", SMALL),
        ("transformer", {"hidden_size": 16, "layers": 1}),
        ("ngram", {"order": 2}),
        ("mixture", {"members": [{"model": "lstm", **SMALL}, {"model": "gru", **SMALL}]}),
    ],
)
def test_a_language_model_without_an_operator_for_its_state_is_refused(name, options, tmp_path):
    require("onnx")
    with pytest.raises(InputError, match=f"'{name}' cannot be exported, only rnn, gru, lstm"):
        export_model(language_model_file(tmp_path, name, **options))


def test_a_language_model_is_not_exported_with_a_fixed_length(tmp_path):
    with pytest.raises(InputError, match="use --to onnx"):
        export_model(language_model_file(tmp_path, "lstm"), "torch-export")


def test_a_missing_package_is_one_line_that_says_how_to_install_it(tmp_path, monkeypatch):
    file = classifier_file(tmp_path, "conv_layers")
    missing = replace(FORMATS["onnx"], packages=("onnx_of_another_world",))
    monkeypatch.setitem(exporting.FORMATS, "onnx", missing)
    with pytest.raises(InputError, match=r"needs the package onnx_of_another_world: pip install 'rushlight\[onnx\]'"):
        export_model(file)


def test_an_unknown_format_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match="did you mean 'onnx'"):
        export_model(tmp_path, "onxx")
