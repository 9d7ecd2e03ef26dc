"""A pretrained body: its head is learned in seconds, the body stays until it is asked for, and the file brings all."""

import numpy as np
import pytest
import torch

from rushlight.data.images import ImageData
from rushlight.inference.predictor import Predictor
from rushlight.runtime.errors import InputError
from rushlight.tasks import fine_tuning
from rushlight.tasks.image_classifier import ImageClassifier
from rushlight.training.callbacks import Callback
from rushlight.training.resizing import growing

SIZE = 96
COLOURS = np.array([[200, 60, 40], [60, 180, 60], [50, 70, 200]])


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUSHLIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data() -> ImageData:
    """Noisy patches of a colour on a noisy ground, 96 pixels wide."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = random.normal(128, 40, (60, SIZE, SIZE, 3))
    for image, label in zip(images, labels, strict=True):
        top, left = random.integers(0, SIZE // 2, 2)
        image[top : top + SIZE // 2, left : left + SIZE // 2] = random.normal(
            COLOURS[label], 40, (SIZE // 2,) * 2 + (3,)
        )
    return ImageData.from_arrays(np.clip(images, 0, 255).astype(np.uint8), labels, size=SIZE, device="cpu")


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.fixture
def classifier(data) -> ImageClassifier:
    return ImageClassifier(data, device="cpu")


def test_photographs_get_a_pretrained_body_and_small_images_do_not(data, classifier):
    assert classifier.backbone == "efficientnet_lite0"
    small = ImageData.from_arrays(np.zeros((8, 32, 32, 3), np.uint8), [0, 1] * 4, device="cpu")
    assert ImageClassifier(small).backbone is None
    assert ImageClassifier(data, "resnet18").backbone is None
    assert ImageClassifier(data, "efficientnet_lite0").backbone == "efficientnet_lite0"


def test_the_solved_head_answers_well_and_the_body_is_untouched(data, classifier, tmp_path):
    body = classifier.learner.model.body
    before = weights(body)
    classifier.fit_head()
    assert not changed(body, before)
    evaluation = classifier.evaluate()
    assert evaluation.accuracy.value > 0.8
    row = classifier.learner.history[-1]
    assert row["accuracy"].value == pytest.approx(evaluation.accuracy.value)
    assert row["valid_loss"].value == pytest.approx(evaluation.loss.value, abs=0.05)
    classifier.save(tmp_path / "model.safetensors")
    kept = Predictor.load(tmp_path / "model.safetensors", device="cpu").evaluate(classifier.data.valid)
    assert kept.loss.value == pytest.approx(evaluation.loss.value, abs=0.02)


@pytest.mark.parametrize("head", ["average", "convolution", "two_layer"])
def test_any_head_learns_from_features_computed_once(data, head):
    classifier = ImageClassifier(data, model_options={"head": head}, device="cpu").fit_head(15, lr=3e-3)
    assert len(classifier.learner.history) == 15
    assert classifier.learner.epoch == 15
    assert classifier.evaluate().accuracy.value > 0.6


def test_features_once_and_the_body_every_epoch_learn_the_same(data):
    """The same head, batches of the same size and the same rate; without augmentation nothing else differs."""
    plain = ImageData.from_arrays(*_arrays(data), size=SIZE, augment=None, device="cpu")
    accuracies = []
    for features_once in (True, False):
        classifier = ImageClassifier(plain, device="cpu", precision="float32")
        if features_once:
            classifier.fit_head(5, lr=1e-3)
        else:
            classifier.fit(5, lr=1e-3)
        accuracies.append(classifier.evaluate().loss.value)
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.02)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_measuring_after_features_asks_the_body_no_more_and_says_what_the_model_says(data, precision):
    classifier = ImageClassifier(data, device="cpu", precision=precision).fit_head()
    passes = []
    watch = classifier.learner.model.body.register_forward_hook(lambda *_: passes.append(1))
    classifier.calibrate()
    evaluation = classifier.evaluate()
    watch.remove()
    assert not passes
    expected, _ = classifier.predictor().logits(classifier.data.valid.as_they_are())
    tolerance = 1e-5 if precision == "float32" else 0.05  # of numbers of 8 bits up to 4
    np.testing.assert_allclose(evaluation.probabilities, expected.softmax(1), atol=tolerance, rtol=0)


def _arrays(data: ImageData) -> tuple[np.ndarray, np.ndarray]:
    parts = [data.part(name) for name in ("train", "valid")]
    pixels = [part.pixels(range(part.samples)) for part in parts]
    return np.concatenate(pixels), np.concatenate([part.targets.numpy() for part in parts])


def test_only_the_head_trains_until_the_rest_is_unfrozen_and_statistics_stay(classifier):
    body = classifier.learner.model.body
    before = weights(body)
    classifier.fit(1)
    assert not changed(body, before)
    classifier.unfreeze().fit(1)
    moved = changed(body, before)
    assert any(name.endswith("0.weight") for name in moved)
    assert not any("running" in name for name in moved)
    classifier.learner.freeze_batch_norm(False)
    classifier.fit(1)
    assert any("running" in name for name in changed(body, before))
    with pytest.raises(InputError, match="the body is not frozen"):
        classifier.fit_head()


def test_each_layer_group_has_a_rate_of_its_own_once_unfrozen(classifier):
    classifier.unfreeze().fit(steps=1)
    rates = {group["name"].split(".")[0]: group["initial_lr"] for group in classifier.learner.optimizer.param_groups}
    assert rates["early"] < rates["late"] < rates["head"]


def test_within_a_time_limit_the_better_of_both_steps_is_kept(classifier):
    class Rows(Callback):
        def __init__(self):
            self.rows = []

        def epoch_end(self, learner):
            self.rows.append(dict(learner.row))

    seen = Rows()
    classifier.fit_within(0.25, callbacks=[seen])
    solved, last = seen.rows[0], classifier.learner.history[-1]
    assert (last["accuracy"].value, -last["valid_loss"].value) >= (
        solved["accuracy"].value,
        -solved["valid_loss"].value,
    )
    assert classifier.evaluate().accuracy.value == pytest.approx(last["accuracy"].value)


def test_all_of_it_begins_with_smaller_images_where_that_is_asked_for(data):
    class Sizes(Callback):
        def __init__(self):
            self.seen = []

        def batch_start(self, learner):
            self.seen.append(learner.batch[0].shape[-1])

    sizes = Sizes()
    classifier = ImageClassifier(data, device="cpu")
    classifier.fit_head().unfreeze().fit(steps=6, callbacks=[*growing([48, 64], data.size), sizes])
    assert sizes.seen == [48, 48, 64, 64, 96, 96]
    assert classifier.data.train.image_size == classifier.data.valid.image_size == SIZE
    with pytest.raises(InputError, match="grow towards the 96 pixels of the images, which 64, 48 do not"):
        classifier.fit_within(1, sizes=[64, 48])
    assert growing([], 96) == []


def test_a_frozen_body_stays_within_a_time_limit(classifier):
    before = weights(classifier.learner.model.body)
    classifier.fit_within(0.25, freeze=True)
    assert not changed(classifier.learner.model.body, before)


def test_images_of_four_channels_meet_an_adapted_first_layer(data, tmp_path):
    """What tells the classes apart is in the fourth channel alone."""
    images, labels = _arrays(data)
    grey = np.repeat(images.mean(axis=3, keepdims=True), 3, axis=3).astype(np.uint8)
    told = np.where(labels[:, None, None, None] == 0, 40, 200) + np.random.default_rng(0).integers(
        -20, 20, (60, SIZE, SIZE, 1)
    )
    four = np.concatenate([grey, told.astype(np.uint8)], axis=3)
    labels = np.minimum(labels, 1)
    with_it = ImageData.from_arrays(four, labels, size=SIZE, device="cpu")
    assert (with_it.channels, len(with_it.mean)) == (4, 4)
    with_it.show_batch(4)
    classifier = ImageClassifier(with_it, device="cpu").fit_head()
    assert classifier.learner.model.body.stem[0].weight.shape[1] == 4
    without = ImageClassifier(ImageData.from_arrays(grey, labels, size=SIZE, device="cpu"), device="cpu").fit_head()
    assert classifier.evaluate().accuracy.value > max(0.9, without.evaluate().accuracy.value)
    classifier.save(tmp_path / "model.safetensors")
    loaded = Predictor.load(tmp_path / "model.safetensors", device="cpu")
    assert [answer.label for answer in loaded.predict(list(four[:6]))] == [
        answer.label for answer in classifier.predict(list(four[:6]))
    ]
    assert loaded.predict(np.kron(four[0], np.ones((2, 2, 1), np.uint8)))  # brought to the size of the model
    with pytest.raises(InputError, match=r"takes arrays \(H, W, 4\)"):
        loaded.predict(grey[0])
    with pytest.raises(InputError, match="heat maps are drawn over photographs"):
        classifier.explain(four[0])
    with pytest.raises(InputError, match="all parts need the same channels"):
        ImageData.from_arrays(four, labels, valid=(grey, labels))


def test_wishes_that_cannot_be_met_are_refused(data):
    with pytest.raises(InputError, match="unknown backbone 'resnet43': did you mean 'resnet34'"):
        ImageClassifier(data, backbone="resnet43")
    with pytest.raises(InputError, match="give one of them"):
        ImageClassifier(data, "resnet18", backbone="resnet34")
    with pytest.raises(InputError, match="cannot be built: there is no head 'averge'"):
        _ = ImageClassifier(data, model_options={"head": "averge"}).learner
    with pytest.raises(InputError, match="only with a pretrained body"):
        ImageClassifier(data, "conv_layers").fit_head()
    with pytest.raises(InputError, match="are not on this machine and cannot be fetched"):
        _ = ImageClassifier(data, backbone="resnet34").learner


def test_a_classifier_explains_its_answers(data, classifier):
    classifier.fit_head()
    images = data.valid.pixels(range(2))
    explanations = classifier.explain(list(images))
    assert [found.prediction for found in explanations] == list(classifier.predict(list(images)))
    assert all(found.heat.shape == (SIZE, SIZE) for found in explanations)
    (other,) = classifier.explain(images[0], label=data.classes[1])
    assert other.label == data.classes[1]


def test_a_solved_head_learns_from_augmented_views_too(data):
    plain, augmented = (
        ImageClassifier(data, device="cpu").fit_head(augmented_views=views).learner.model.head.linear.weight
        for views in (0, 2)
    )
    again = ImageClassifier(data, device="cpu").fit_head(augmented_views=2).learner.model.head.linear.weight
    assert not torch.allclose(plain, augmented)
    assert torch.equal(augmented, again)


class Asked:
    """Counts the images that a body is asked about."""

    def __init__(self, classifier):
        self.images = 0
        classifier.learner.model.body.register_forward_hook(self.count, prepend=True)

    def count(self, module, inputs, outputs):
        self.images += len(outputs)


@pytest.mark.parametrize(
    ("images_affordable", "asked"),
    [(1000, 48 + 48 + 12), (70, 48 + 12), (40, 28 + 12), (1, 12 + 12)],
    ids=["all", "no mirror images", "some images", "the fewest"],
)
def test_a_solved_head_takes_as_many_features_as_there_is_time_for(
    data, tmp_path, monkeypatch, capsys, images_affordable, asked
):
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(fine_tuning, "seconds_an_image", lambda learner, data: 1.0)
    monkeypatch.setattr(fine_tuning, "SHARE_OF_FEATURES", 1.0)
    monkeypatch.setattr(fine_tuning, "LEAST_SHARE_OF_TRAINING", 0.625)
    monkeypatch.setattr(fine_tuning, "FEWEST_IMAGES", 12)
    classifier = ImageClassifier(data, device="cpu")
    assert (classifier.data.train.samples, classifier.data.valid.samples) == (48, 12)
    counted = Asked(classifier)
    classifier.fit_head(minutes=images_affordable / 60)
    classifier.evaluate()
    assert counted.images == asked
    assert ("there is time to learn from" in capsys.readouterr().err) == (images_affordable < 60)
    again = ImageClassifier(data, device="cpu")
    again.decisions.update(classifier.decisions)  # a run that goes on, whatever is kept by now
    again.fit_head(minutes=images_affordable / 60)
    assert torch.equal(again.learner.model.head.linear.weight, classifier.learner.model.head.linear.weight)


def test_measuring_how_long_an_image_takes_moves_nothing(classifier):
    before = weights(classifier.learner.model)
    classifier.learner.model.train()
    assert fine_tuning.seconds_an_image(classifier.learner, classifier.data) > 0
    assert not changed(classifier.learner.model, before)
