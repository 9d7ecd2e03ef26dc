"""Several labels and numbers, from images to answers: learned, saved, loaded, explained."""

import numpy as np
import pytest
import torch

from rushlight.data.images import ImageData
from rushlight.inference.explain import Explainer
from rushlight.inference.predictor import Predictor
from rushlight.runtime.errors import InputError
from rushlight.tasks.image_classifier import ImageClassifier
from rushlight.training.losses import BinaryCrossEntropy, NumberLoss, balanced_label_weights, binary_cross_entropy
from tests.shapes import discs, squares

SIZE = 32


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUSHLIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def data_of(kind: str, count: int = 240, size: int = SIZE, **options) -> ImageData:
    images, targets = {"labels": squares, "number": discs}[kind](count, size)
    if kind == "number":
        options.setdefault("classes", ["radius"])
    return ImageData.from_arrays(images, targets, size=size, device="cpu", **options)


@pytest.fixture(scope="module", params=["labels", "number"])
def trained(request) -> ImageClassifier:
    classifier = ImageClassifier(data_of(request.param), "fast_16", device="cpu").fit(12)
    classifier.calibrate()
    return classifier


def test_a_fast_net_learns(trained):
    evaluation = trained.evaluate()
    row = trained.learner.history[-1]
    if trained.data.target == "labels":
        assert evaluation.mean_average_precision.value > 0.9
        assert evaluation.f1_micro.value > 0.8
        assert row["mean_average_precision"].value == pytest.approx(evaluation.mean_average_precision.value, abs=0.02)
    else:
        assert evaluation.r2.value > 0.8
        assert evaluation.per_number[0].mean_absolute_error.value < 3
        assert row["r2"].value == pytest.approx(evaluation.r2.value, abs=0.02)
    assert trained.evaluate(tta=True).n == evaluation.n


def test_a_saved_model_answers_alike(trained, tmp_path):
    trained.save(tmp_path / "model.safetensors")
    loaded = Predictor.load(tmp_path / "model.safetensors", device="cpu")
    assert loaded.metadata["target"]["kind"] == trained.data.target
    images = list(trained.data.valid.pixels(range(8)))
    ours, theirs = trained.predict(images), loaded.predict(images)
    assert [answer.to_json() for answer in ours] == [answer.to_json() for answer in theirs]
    assert loaded.evaluate(trained.data.valid.as_they_are()).loss == trained.evaluate().loss


def test_answers_are_in_the_persons_words_and_units(trained):
    answers = trained.predict(list(trained.data.valid.pixels(range(20))))
    targets = trained.data.valid.targets[:20].numpy()
    if trained.data.target == "labels":
        wanted = [{name for name, has in zip(trained.data.classes, row, strict=True) if has} for row in targets]
        assert np.mean([set(answer.labels) == labels for answer, labels in zip(answers, wanted, strict=True)]) > 0.6
        assert all(answer.probabilities[name] >= 0.5 for answer in answers for name in answer.labels)
        assert any("no label" in answer.cells()[0] for answer in answers if not answer.labels)
    else:
        values = np.array([answer.values["radius"] for answer in answers])
        assert np.abs(values - targets[:, 0]).mean() < 4
        within = [answer.intervals["radius"][0] <= t <= answer.intervals["radius"][1]
                  for answer, t in zip(answers, targets[:, 0], strict=True)]  # fmt: skip
        assert np.mean(within) > 0.8
        assert answers[0].coverage == 0.95
        narrow = trained.predict(list(trained.data.valid.pixels([0])), coverage=0.5)[0]
        assert narrow.intervals["radius"][1] < answers[0].intervals["radius"][1]
        assert trained.predict(list(trained.data.valid.pixels([0])), tta=True)[0].intervals is None


def test_thresholds_are_chosen_on_request_kept_and_judged_honestly(trained, tmp_path):
    if trained.data.target == "number":
        with pytest.raises(InputError, match="several labels"):
            trained.calibrate(choose_thresholds=True)
        return
    trained.calibrate(choose_thresholds=True)
    assert trained.evaluate().thresholds.shape == trained.data.valid.targets.shape
    assert trained.evaluate("train").thresholds.shape == (3,)
    trained.save(tmp_path / "model.safetensors")
    kept = Predictor.load(tmp_path / "model.safetensors", device="cpu").answers
    assert kept.thresholds == trained.calibration.thresholds
    assert kept.are_chosen
    trained.calibrate()
    assert trained.evaluate().thresholds.tolist() == [0.5] * 3


@pytest.mark.parametrize("method", ["auto", "occlusion"])
def test_any_label_and_the_number_are_explained(trained, method):
    explainer = Explainer(trained.predictor(), method)
    pixels = list(trained.data.valid.pixels(range(3)))
    for name in trained.data.classes:
        for found in explainer.explain(pixels, name):
            assert found.label == name
            assert found.heat.shape == (SIZE, SIZE)
            assert 0 <= found.heat.min() <= found.heat.max() <= 1
            assert found.probability == pytest.approx(found.prediction.of(name))
    assert found.figure().axes
    assert explainer.check(found).hottest is not None
    with pytest.raises(InputError, match="knows no class"):
        explainer.explain(pixels, "violet")


@pytest.mark.parametrize("kind", ["labels", "number"])
def test_a_head_on_a_pretrained_body_is_solved_and_its_map_adds_up_to_the_output(kind):
    classifier = ImageClassifier(data_of(kind, 60, 96), device="cpu", precision="float32").fit_head()
    evaluation = classifier.evaluate()
    if kind == "labels":
        assert evaluation.mean_average_precision.value > 0.7
    else:
        assert evaluation.r2.value > 0.4
    predictor = classifier.predictor()
    head = predictor.model.head
    images = predictor.inputs(classifier.data.valid.pixels(range(4)))
    with torch.inference_mode():
        features = predictor.model.forward_features(images)
        evidence = head.evidence(features).sum((2, 3)) + head.constant()
        torch.testing.assert_close(evidence, head(features), rtol=1e-3, atol=1e-3)
    assert {found.method for found in Explainer(predictor).explain(list(classifier.data.valid.pixels(range(2))))} == {
        "cam"
    }


def test_what_raises_or_lowers_a_number_is_said():
    classifier = ImageClassifier(data_of("number"), "fast_16", device="cpu").fit(6)
    answers = Explainer(classifier.predictor()).explain(list(classifier.data.valid.pixels(range(12))))
    mean = classifier.data.train.targets.mean().item()
    for found in answers:
        assert found.evidence == f"what {'raises' if found.probability >= mean else 'lowers'} radius"


def test_units_change_nothing_but_the_answers():
    images, radii = discs(80, SIZE)
    found = []
    for factor, shift in ((1.0, 0.0), (1000.0, 5e6)):
        data = ImageData.from_arrays(images, radii * factor + shift, size=SIZE, device="cpu")
        classifier = ImageClassifier(data, "conv_layers", device="cpu", precision="float32").fit(2)
        (answer,) = classifier.predict(images[:1])
        found.append((answer.values["number"] - shift) / factor)
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_wishes_that_a_number_cannot_meet_are_refused():
    data = data_of("number", 40)
    for wish in ({"label_smoothing": 0.1}, {"class_weights": "balanced"}):
        with pytest.raises(InputError, match="a number has no classes"):
            ImageClassifier(data, "fast_16", device="cpu", **wish)
    with pytest.raises(InputError, match="one number above 0 for each of the 3 labels"):
        ImageClassifier(data_of("labels", 40), "fast_16", device="cpu", class_weights=[1.0])
    classifier = ImageClassifier(data_of("labels", 60), "conv_layers", device="cpu").fit(1)
    with pytest.raises(InputError, match="this model gives labels"):
        classifier.predict(list(classifier.data.valid.pixels([0])), coverage=0.9)


def test_balanced_weights_let_a_rare_label_count_as_much_as_its_absence():
    targets = torch.zeros(100, 2)
    targets[:10, 0] = targets[:50, 1] = 1
    weights = balanced_label_weights(targets)
    torch.testing.assert_close(weights, torch.tensor([[100 / 180, 1.0], [5.0, 1.0]]))
    outputs = torch.zeros(100, 2, requires_grad=True)
    BinaryCrossEntropy(label_weights=weights)(outputs, targets).backward()
    assert outputs.grad.sum(0).abs().max() < 1e-6  # having and not having pull alike


def test_losses_are_pytorchs():
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(20, 3, generator=generator), (torch.rand(20, 3, generator=generator) < 0.4).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(outputs, targets)
    torch.testing.assert_close(binary_cross_entropy(outputs, targets), expected)
    smooth = torch.nn.functional.binary_cross_entropy_with_logits(outputs, targets * 0.8 + 0.1)
    torch.testing.assert_close(BinaryCrossEntropy(0.2)(outputs, targets), smooth)
    numbers = 7 + 3 * torch.randn(20, 3, generator=generator)
    wanted = (numbers - 7) / 3
    for squared, function in ((True, torch.nn.functional.mse_loss), (False, torch.nn.functional.smooth_l1_loss)):
        torch.testing.assert_close(NumberLoss([7] * 3, [3] * 3, squared)(outputs, numbers), function(outputs, wanted))


def test_a_file_of_old_is_one_label(tmp_path):
    from rushlight.runtime.checkpoint import read_checkpoint, save_checkpoint

    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    data = ImageData.from_arrays(images, np.arange(20) % 2, size=16, device="cpu")
    ImageClassifier(data, "conv_layers", device="cpu").fit(1).save(tmp_path / "new.safetensors")
    new = read_checkpoint(tmp_path / "new.safetensors")
    old = {key: value for key, value in new.metadata.items() if key not in ("target", "calibration_scales")}
    save_checkpoint(tmp_path / "old.safetensors", new.tensors, old)
    answers = [Predictor.load(tmp_path / name, device="cpu").predict(images[:3]) for name in
               ("new.safetensors", "old.safetensors")]  # fmt: skip
    assert answers[0] == answers[1]
