"""Each ingredient of a recipe can be left out, and then it is not there."""

import numpy as np
import pytest
import torch

from rushlight.data.augmentation import AlternatingFlip, Compose, Cutout, FlipAndCrop, PadAndCrop, mirrors, reduced
from rushlight.data.images import ImageData
from rushlight.data.text import TextData
from rushlight.runtime.errors import InputError
from rushlight.tasks import ingredients, recipes
from rushlight.tasks.image_classifier import ImageClassifier
from rushlight.tasks.language_model import LanguageModel
from rushlight.training.clipping import GradientClipping
from rushlight.training.muon import Muon
from rushlight.training.resizing import ProgressiveResizing


@pytest.fixture
def images() -> ImageData:
    random = np.random.default_rng(0)
    return ImageData.from_arrays(random.integers(0, 256, (40, 32, 32, 3), np.uint8), np.arange(40) % 2, size=32)


@pytest.fixture
def text(tmp_path) -> TextData:
    file = tmp_path / "text.txt"
    file.write_text("a line of text, and another one\n" * 60)
    return TextData.from_files(file)


def fast(images: ImageData, *without: str) -> ImageClassifier:
    classifier = ImageClassifier(images, "fast_16", without=without, device="cpu")
    _ = classifier.learner  # made now
    return classifier


def test_the_whole_recipe_is_there_unless_something_is_left_out(images):
    classifier = fast(images)
    assert set(classifier.ingredients) == set(ingredients.FAST)
    augmentation = classifier.data.train.augmentation
    assert isinstance(augmentation, FlipAndCrop)
    assert len(classifier.learner.callbacks) == 2


@pytest.mark.parametrize("name", ingredients.FAST)
def test_a_fast_net_trains_without_any_of_them(name, images):
    classifier = fast(images, name).fit(steps=2)
    assert torch.isfinite(classifier.learner.loss)


def test_what_is_left_out_of_a_fast_net_is_not_there(images):
    assert fast(images, "label_smoothing").learner.forward_step.objective.loss.label_smoothing == 0
    assert not mirrors(fast(images, "mirroring").data.train.augmentation)
    assert not isinstance(fast(images, "shifts").data.train.augmentation, PadAndCrop)
    optimizer = fast(images, "muon").learner.optimizer
    assert isinstance(optimizer, torch.optim.SGD)
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    classifier = fast(images)
    assert any(isinstance(part, Muon) for part in classifier.learner.optimizer.members)
    assert len(trained) == len(list(classifier.learner.model.parameters()))
    decays = [group["weight_decay"] for group in fast(images, "weight_decay").learner.optimizer.param_groups]
    assert not any(decays)
    callbacks = [type(callback) for callback in fast(images, "smaller_images_first").learner.callbacks]
    assert callbacks == [recipes.FinishWhitening]
    callbacks = [type(callback) for callback in fast(images, "first_layer_stops").learner.callbacks]
    assert callbacks == [ProgressiveResizing]
    plain, whitened = (c.learner.model.whiten.weight for c in (fast(images, "whitening"), fast(images)))
    assert not torch.allclose(plain, whitened)
    assert fast(images, "scaled_output").model_arguments["output_scale"] == 1


def test_without_annealing_the_rate_stays(images):
    rows = fast(images, "annealing").fit(epochs=3).learner.history.rows
    assert len({row["lr"] for row in rows}) == 1


def test_a_model_without_a_partial_identity_is_rebuilt_from_its_file(images, tmp_path):
    from rushlight.inference.predictor import Predictor

    classifier = fast(images, "partial_identity", "scaled_output").fit(steps=1)
    classifier.save(tmp_path / "model.safetensors")
    again = Predictor.load(tmp_path / "model.safetensors", device="cpu")
    batch = next(iter(images.valid))[0]
    torch.testing.assert_close(again.model.eval()(batch), classifier.learner.model(batch))


@pytest.mark.parametrize("name", ingredients.PLAIN)
def test_a_plain_network_trains_without_any_of_them(name, images):
    classifier = ImageClassifier(images, "conv_layers", without=[name], device="cpu").fit(steps=2)
    assert torch.isfinite(classifier.learner.loss)


@pytest.mark.slow
def test_what_is_left_out_of_fine_tuning_is_not_there():
    random = np.random.default_rng(0)
    photos = ImageData.from_arrays(random.integers(0, 256, (12, 96, 96, 3), np.uint8), np.arange(12) % 2, size=96)
    whole = ImageClassifier(photos, device="cpu")
    assert set(whole.ingredients) == set(ingredients.BACKBONE)
    assert whole.learner.batch_norm_frozen
    without = ImageClassifier(photos, device="cpu", without=["kept_statistics", "rate_for_each_group", "unfreezing"])
    assert not without.learner.batch_norm_frozen
    without.fit(minutes=10)  # the head is solved, and there would be time for more
    assert without.learner.epoch == 0
    rates = [classifier.unfreeze()._recipe.rates(classifier.learner, None, None)[0] for classifier in (whole, without)]
    assert rates == [(1e-5, 1e-4, 1e-3), 1e-4]


def test_unknown_ingredient_is_refused_and_the_nearest_named(images, text):
    with pytest.raises(InputError, match="no ingredient 'shift': did you mean 'shifts'"):
        ImageClassifier(images, without=["shift"])
    with pytest.raises(InputError, match="no ingredient 'muon'"):
        ImageClassifier(images, "conv_layers", without=["muon"])
    with pytest.raises(InputError, match="did you mean 'warm_up'"):
        LanguageModel(text, without=["warmup"])


@pytest.mark.parametrize("name", ingredients.TEXT)
def test_a_language_model_trains_without_any_of_them(name, text):
    options = {"hidden_size": 8, "embedding_size": 4, "layers": 1}
    kind = "lstm" if name == "weight_dropout" else "auto"
    model = LanguageModel(text, kind, model_options=options, without=[name], device="cpu").fit(steps=3)
    assert torch.isfinite(model.learner.loss)
    assert model.is_guided == (kind == "auto" and name != "ngram")
    if name in ("dropout", "input_dropout", "weight_dropout"):
        assert name not in model.model_arguments.get("body", model.model_arguments)
    clips = any(isinstance(callback, GradientClipping) for callback in model._with_clipping([]))
    assert clips == (name != "gradient_clipping")


def test_ingredients_of_a_language_model_are_those_of_its_recipe(text):
    assert "weight_dropout" not in LanguageModel(text, "transformer").ingredients
    assert "ngram" not in LanguageModel(text, "lstm").ingredients
    assert "gradient_clipping" not in LanguageModel(text, optimizer="sgd").ingredients


def test_reduced_augmentation_keeps_what_is_neither_mirroring_nor_shift():
    both = Compose([FlipAndCrop(1 / 16), Cutout()])
    kept = reduced(both, mirroring=False, shifts=True)
    assert [type(part) for part in kept.augmentations] == [PadAndCrop, Cutout]
    assert kept.augmentations[0].padding == 1 / 16
    assert isinstance(reduced(FlipAndCrop(), mirroring=True, shifts=False), AlternatingFlip)
    assert reduced(FlipAndCrop(), mirroring=False, shifts=False) is None
    assert reduced(both, mirroring=True, shifts=True) is both
    assert reduced(None, mirroring=False, shifts=False) is None
