"""Features computed once: right, kept by content, and a head solved from them that does what it should."""

import numpy as np
import pytest
import torch
from torch import nn

from rushlight.data.augmentation.transforms import HorizontalFlip
from rushlight.data.images import ImageData
from rushlight.nn.backbones import BackboneClassifier
from rushlight.nn.heads import HEADS
from rushlight.runtime.device import select_precision
from rushlight.runtime.files import user_cache_folder
from rushlight.tasks.features import AS_IT_IS, MIRRORED, FeatureBatches, features_once
from rushlight.tasks.linear_heads import solve_linear_head

CPU = torch.device("cpu")
FLOAT32 = select_precision("float32", CPU)


class SmallBody(nn.Module):
    """A body with batch norm, which behaves otherwise while training."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 5, 3, stride=4), nn.BatchNorm2d(5), nn.ReLU())

    def forward(self, x):
        return self.layers(x)

    def layer_groups(self):
        return {"body": self.layers}


@pytest.fixture
def data(tmp_path, monkeypatch) -> ImageData:
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (90, 16, 16, 3), dtype=np.uint8)
    return ImageData.from_arrays(images, np.arange(90) % 3, size=16, device="cpu")


def model(head: str = "average_and_maximum") -> BackboneClassifier:
    torch.manual_seed(0)
    return BackboneClassifier(SmallBody(), HEADS[head](5, 3))


def kept_files() -> list:
    folder = user_cache_folder() / "features"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_features_are_what_the_body_gives_in_the_order_of_the_part(data):
    net = model().train()
    found = features_once(net, data.train, CPU, FLOAT32)
    net.eval()
    images = data.train.inputs(torch.arange(data.train.samples))
    with torch.inference_mode():
        expected = net.head.pool(net.body(images))
        mirrored = net.head.pool(net.body(images.flip(3)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features_once(net, data.train, CPU, FLOAT32, MIRRORED), mirrored, rtol=1e-4, atol=1e-5)


def test_a_head_that_needs_places_gets_maps(data):
    net = model("convolution")
    found = features_once(net, data.train, CPU, FLOAT32)
    assert found.shape == (data.train.samples, 5, 4, 4)
    with torch.inference_mode():
        expected = net.eval().body(data.train.inputs(torch.arange(data.train.samples)))
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2)


def test_the_same_features_are_read_again_and_others_computed_anew(data):
    net = model()
    first = features_once(net, data.train, CPU, FLOAT32)
    assert len(kept_files()) == 1
    again = features_once(net, data.train, CPU, FLOAT32)
    assert np.array_equal(first, again)
    assert len(kept_files()) == 1
    features_once(net, data.valid, CPU, FLOAT32)
    assert len(kept_files()) == 2
    with torch.no_grad():
        net.body.layers[0].weight.mul_(1.5)  # as training would
    changed = features_once(net, data.train, CPU, FLOAT32)
    assert len(kept_files()) == 3
    assert not np.allclose(first, changed)
    other = data.prepared_for((0.1,) * 3, (0.9,) * 3)
    features_once(net, other.train, CPU, FLOAT32)
    assert len(kept_files()) == 4


def test_augmented_features_go_by_seed_and_epoch(data):
    net = model()
    train = data.train
    train.augmentation = HorizontalFlip()
    plain, first, second = (features_once(net, train, CPU, FLOAT32, view) for view in (AS_IT_IS, 0, 1))
    with torch.inference_mode():
        train.shuffle = False
        train.set_epoch(1)
        expected = torch.cat([net.head.pool(net.eval().body(images)) for images, _ in train])
    np.testing.assert_allclose(second, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(first, plain)
    assert not np.allclose(first, second)
    train.seed = 7
    assert not np.allclose(features_once(net, train, CPU, FLOAT32, 0), first)
    half = train.subset(range(train.samples // 2))
    np.testing.assert_allclose(
        features_once(net, half, CPU, FLOAT32, 0), features_once(net, train, CPU, FLOAT32, 0)[: half.samples]
    )


def test_a_damaged_file_is_computed_anew_and_a_dying_run_leaves_none(data):
    net = model()
    first = np.array(features_once(net, data.train, CPU, FLOAT32))
    (file,) = kept_files()
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(features_once(net, data.train, CPU, FLOAT32), first)

    class Dies(nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    net.body.layers = nn.Sequential(Dies())
    with pytest.raises(KeyboardInterrupt):
        features_once(net, data.train, CPU, FLOAT32)
    assert kept_files() == [file]


def blobs(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    centres = np.random.default_rng(9).normal(0, 2, (classes, 6))
    return (centres[targets] + random.normal(0, 1, (count, 6))).astype(np.float32), targets


@pytest.mark.parametrize("classes", [2, 3])
def test_a_solved_head_answers_as_logistic_regression_does(classes):
    from sklearn.linear_model import LogisticRegression

    features, targets = blobs(120, classes)
    solution = solve_linear_head([features], targets, classes)
    head = HEADS["average"](6, classes).eval()
    solution.copy_to(head)
    with torch.inference_mode():
        found = head(torch.from_numpy(features)[:, :, None, None]).softmax(1).numpy()
    scaled = (features - features.mean(0)) / features.std(0)
    expected = LogisticRegression(C=solution.strength, max_iter=1000).fit(scaled, targets).predict_proba(scaled)
    np.testing.assert_allclose(found, expected, atol=0.02)
    fresh, truth = blobs(300, classes, seed=1)
    with torch.inference_mode():
        answers = head(torch.from_numpy(fresh)[:, :, None, None]).argmax(1).numpy()
    assert (answers == truth).mean() > 0.9


def test_the_strength_is_chosen_for_images_that_were_held_out():
    random = np.random.default_rng(0)
    noise, targets = random.normal(0, 1, (60, 40)).astype(np.float32), np.arange(60) % 2
    nothing = solve_linear_head([noise], targets, 2)
    assert nothing.strength == min(nothing.losses)  # nothing can be learned: hold back as far as possible
    clear, targets = blobs(200, 3)
    assert solve_linear_head([clear], targets, 3).strength > nothing.strength


def test_few_images_or_an_absent_class_are_no_obstacle():
    features, targets = blobs(3, 3)
    assert solve_linear_head([features], targets, 3).losses == {}
    features, targets = blobs(40, 2)
    solution = solve_linear_head([features], targets, 5)
    assert solution.weight.shape == (5, 6)
    head = HEADS["average"](6, 5).eval()
    solution.copy_to(head)
    with torch.inference_mode():
        probabilities = head(torch.from_numpy(features)[:, :, None, None]).softmax(1)
    assert probabilities[:, 2:].max() < 1e-6


def test_feature_batches_cover_all_in_a_new_order_every_epoch():
    features, targets = blobs(20, 2)
    batches = FeatureBatches(features, torch.from_numpy(targets), batch_size=5, shuffle=True)
    first, second = (torch.cat([x for x, _ in batches]) for _ in range(2))
    assert not torch.equal(first, second)
    assert sorted(first[:, 0].tolist()) == sorted(features[:, 0].tolist())
    in_order = FeatureBatches(features, torch.from_numpy(targets), batch_size=7)
    assert torch.equal(torch.cat([x for x, _ in in_order]), torch.from_numpy(features))
    assert len(in_order) == 3
