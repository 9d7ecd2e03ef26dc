"""The classifier: learns, measures, answers, saves, and refuses what it cannot use."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from rushlight.data.images import ImageData
from rushlight.inference.predictor import Predictor
from rushlight.runtime.errors import InputError
from rushlight.tasks import recipes
from rushlight.tasks.image_classifier import ImageClassifier
from rushlight.tasks.objectives import ImageStep, LossSettings, one_label
from rushlight.training.callbacks import Callback
from rushlight.training.stopping import KeepBest


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    return (digits.images * (255 / 16)).round().astype(np.uint8), digits.target


def make_data(arrays, count: int = 400, **options) -> ImageData:
    images, labels = arrays
    options.setdefault("augment", None)
    return ImageData.from_arrays(images[:count], labels[:count], size=16, device="cpu", **options)


@pytest.fixture
def data(arrays) -> ImageData:
    images, labels = arrays
    return make_data(arrays, test=(images[400:600], labels[400:600]))


def test_a_fast_net_learns(data):
    classifier = ImageClassifier(data, device="cpu").fit(20)
    evaluation = classifier.evaluate()
    assert evaluation.accuracy.value > 0.8
    assert classifier.learner.history[-1]["accuracy"].value == pytest.approx(evaluation.accuracy.value, abs=0.03)


def test_a_time_limit_chooses_a_fast_net_and_ends(data):
    classifier = ImageClassifier(data, device="cpu").fit(minutes=0.05)
    assert classifier.model_name.startswith("fast_")
    assert classifier.learner.progress == 1.0
    assert "accuracy" in classifier.learner.history[-1]


def test_calibration_makes_it_as_sure_as_it_is_right_and_ends_with_the_next_fit(data, tmp_path):
    classifier = ImageClassifier(data, device="cpu", label_smoothing=0.4).fit(20)
    before = classifier.evaluate()
    assert 0 < classifier.calibrate().temperature < 1  # smoothed labels teach it to hold back
    after = classifier.evaluate()
    assert (after.predictions == before.predictions).all()
    assert after.calibration_error.value < 0.5 * before.calibration_error.value
    classifier.save(tmp_path / "model.safetensors")
    kept = Predictor.load(tmp_path / "model.safetensors", device="cpu").evaluate(data.valid.as_they_are())
    assert kept.loss.value == pytest.approx(after.loss.value, abs=1e-4)
    assert classifier.fit(1).temperature == 1.0


def test_cycles_choose_the_width_by_their_epochs(arrays):
    few = ImageClassifier(make_data(arrays), device="cpu").fit_cycles(2, cycle_multiplier=2)
    assert few.model_name == "fast_16"
    assert few.learner.epoch == 3


def test_any_module_can_be_trained(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10))
    classifier = ImageClassifier(data, model, device="cpu").fit(5, lr=1e-2)
    assert classifier.evaluate().accuracy.value > 0.8
    assert "Linear" in classifier.summary()


def test_the_same_seed_gives_the_same_weights(arrays):
    weights = []
    for seed in (1, 1, 2):
        classifier = ImageClassifier(
            make_data(arrays, seed=seed, augment="small"), "fast_16", seed=seed, device="cpu", precision="float32"
        ).fit(steps=5)
        weights.append(torch.cat([p.detach().flatten() for p in classifier.learner.model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_saved_classifier_answers_alike(data, arrays, tmp_path):
    classifier = ImageClassifier(data, "fast_16", device="cpu").fit(2)
    classifier.save(tmp_path / "model.safetensors")
    loaded = Predictor.load(tmp_path / "model.safetensors", device="cpu")
    ours, theirs = classifier.predict(list(arrays[0][:20])), loaded.predict(list(arrays[0][:20]))
    assert [answer.label for answer in ours] == [answer.label for answer in theirs]
    assert loaded.evaluate(data.test, split="test").accuracy == classifier.evaluate("test").accuracy


def test_measured_loss_is_plain_cross_entropy_whatever_is_trained_on(data):
    step = ImageStep(one_label(data, LossSettings(label_smoothing=0.3), 0.1))
    model = nn.Linear(4, 3)
    batch = (torch.randn(8, 4), torch.randint(3, (8,)))
    _, training = step(model.train(), batch)
    logits, measured = step(model.eval(), batch)
    assert measured.item() == pytest.approx(nn.functional.cross_entropy(logits, batch[1]).item())
    assert training.item() != pytest.approx(measured.item())


def test_a_fast_net_begins_with_smaller_images_and_ends_with_the_full_size(arrays):
    class Sizes(Callback):
        def __init__(self) -> None:
            self.trained: list[int] = []
            self.measured: list[int] = []

        def batch_start(self, learner) -> None:
            self.trained.append(learner.batch[0].shape[-1])

        def validation_start(self, learner) -> None:
            self.measured.append(learner.data.valid.image_size)

    images, labels = arrays
    data = ImageData.from_arrays(images[:200], labels[:200], size=32, augment=None, device="cpu")
    sizes = Sizes()
    ImageClassifier(data, "fast_16", device="cpu").fit(10, callbacks=[sizes])
    assert sizes.trained == sorted(sizes.trained)
    assert set(sizes.trained) == {24, 32}
    assert sizes.trained.count(24) == pytest.approx(recipes.SMALLER_IMAGES_UNTIL * len(sizes.trained), abs=1)
    assert sizes.measured[0] == 24
    assert data.train.image_size == data.valid.image_size == sizes.measured[-1] == 32


def test_callbacks_of_one_fit_do_not_stay(data):
    classifier = ImageClassifier(data, "fast_16", device="cpu")
    before = list(classifier.learner.callbacks)
    classifier.fit(1, callbacks=[KeepBest()])
    assert classifier.learner.callbacks == before


def test_cycles(data):
    classifier = ImageClassifier(data, "conv_layers", device="cpu").fit_cycles(2, cycle_multiplier=2, lr=1e-2)
    assert classifier.learner.epoch == 3


def test_freezing_reaches_the_model(data):
    classifier = ImageClassifier(data, "fast_16", device="cpu").freeze_to("head")
    trainable = [name for name, p in classifier.learner.model.named_parameters() if p.requires_grad]
    assert trainable == ["head.weight"]
    classifier.unfreeze()
    assert all(p.requires_grad for p in classifier.learner.model.parameters())


def test_the_finder_suggests_a_rate(data):
    assert ImageClassifier(data, "conv_layers", device="cpu").find_lr(steps=60).suggestion > 0


def test_balanced_class_weights_weigh_rare_classes_more(arrays):
    images, labels = arrays
    keep = np.concatenate([np.flatnonzero(labels == 0)[:100], np.flatnonzero(labels == 1)[:10]])
    data = ImageData.from_arrays(images[keep], labels[keep], size=16, device="cpu")
    classifier = ImageClassifier(data, "fast_16", class_weights="balanced", device="cpu")
    weights = classifier.learner.forward_step.objective.loss.class_weights
    assert weights[1] / weights[0] == pytest.approx(10, rel=0.3)


def test_digits_are_not_mirrored_when_predicting(data, arrays):
    assert ImageClassifier(data, device="cpu").predictor().metadata["views"] == "shift"
    assert ImageClassifier(make_data(arrays, augment="small"), device="cpu")._views == "flip_shift"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "fast_17"}, "unknown model 'fast_17'.*did you mean 'fast_16'"),
        ({"class_weights": "balance"}, "class weights are 'balanced'"),
        ({"model": "fast_16", "model_options": {"widht": 3}}, "no option 'widht'"),
        ({"model": "fast_16", "optimizer": "adamm"}, "unknown optimizer 'adamm'.*adam"),
        ({"precision": "float17"}, "unknown precision"),
    ],
)
def test_names_that_do_not_exist_are_refused(data, options, message):
    with pytest.raises(InputError, match=message):
        ImageClassifier(data, device="cpu", **options).fit(1)


def test_a_part_that_does_not_exist_is_refused(arrays):
    with pytest.raises(InputError, match="test"):
        ImageClassifier(make_data(arrays), "fast_16", device="cpu").evaluate("test")
    with pytest.raises(InputError, match="valid"):
        ImageClassifier(make_data(arrays), "fast_16", device="cpu").evaluate("vaild")


def test_what_was_measured_is_measured_again_once_a_weight_has_changed(data):
    classifier = ImageClassifier(data, "conv_layers", device="cpu").fit(steps=2)
    classifier.calibrate()
    before = classifier.evaluate()
    part = data.valid.as_they_are()
    assert before.loss == classifier.predictor().evaluate(part).loss
    with torch.no_grad():
        next(iter(classifier.learner.model.parameters())).mul_(-1)
    after = classifier.evaluate()
    assert after.loss != before.loss
    assert after.loss == classifier.predictor().evaluate(part).loss
