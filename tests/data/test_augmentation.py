"""What every augmentation promises, and what each draws."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from rushlight.data.augmentation import (
    AUGMENTATIONS,
    PRESETS,
    Affine,
    AlternatingFlip,
    Augmentation,
    BrightnessContrast,
    Compose,
    CutMix,
    Cutout,
    Dihedral,
    FlipAndCrop,
    HorizontalFlip,
    Mixup,
    PadAndCrop,
    brightness_contrast,
    cutmix,
    cutout,
    mixup,
    preset,
)
from rushlight.runtime.errors import InputError
from rushlight.runtime.seeds import SampleRandom

CLASSES = 5
MIXING = {"mixup", "cutmix"}
PER_SAMPLE = sorted(set(AUGMENTATIONS) - MIXING)


def build(name: str) -> Augmentation:
    return AUGMENTATIONS[name](CLASSES) if name in MIXING else AUGMENTATIONS[name]()


def batch_of(indices: Tensor, height: int = 16, width: int = 16, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Samples of a data set: the same index is the same image, with the same label."""
    count = int(indices.max()) + 1
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, channels, height, width, generator=generator)
    return images[indices].contiguous(memory_format=torch.channels_last), indices % CLASSES


def augmented(augmentation: Augmentation, indices: Tensor, epoch: int = 0, seed: int = 0) -> tuple[Tensor, Tensor]:
    return augmentation(*batch_of(indices), SampleRandom(seed, epoch, indices), epoch)


# Every augmentation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(16, 16, 3), (12, 20, 3), (7, 9, 1)])
def test_shape_type_and_memory_are_kept(name: str, dtype: torch.dtype, shape: tuple[int, int, int]) -> None:
    augmentation, indices = build(name), torch.arange(6)
    channels_last, targets = batch_of(indices, *shape)
    for images in (channels_last.to(dtype), channels_last.to(dtype).contiguous()):
        before = images.clone()
        answer, labels = augmentation(images, targets, SampleRandom(0, 3, indices), 3)
        assert answer.shape == images.shape
        assert answer.dtype == dtype
        assert answer.stride() == images.stride() or shape[2] == 1
        assert torch.isfinite(answer).all()
        assert torch.equal(images, before), "the batch given was written to"
        assert len(labels) == len(targets)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_one_object_serves_batches_of_any_size(name: str) -> None:
    augmentation = build(name)
    for height, width, count in [(32, 32, 4), (24, 24, 1), (8, 40, 3)]:
        indices = torch.arange(count)
        images, targets = batch_of(indices, height, width)
        answer, _ = augmentation(images, targets, SampleRandom(0, 0, indices), 0)
        assert answer.shape == images.shape


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_batch_comes_again_and_other_epochs_and_seeds_differ(name: str) -> None:
    augmentation, indices = build(name), torch.arange(32)
    first = augmented(augmentation, indices)
    torch.rand(3)  # the global generators do not matter
    again = augmented(build(name), indices)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first[0], augmented(augmentation, indices, epoch=1)[0])
    assert not torch.equal(first[0], augmented(augmentation, indices, seed=1)[0])


@pytest.mark.parametrize("name", PER_SAMPLE)
@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(10)), cut=st.integers(1, 9), epoch=st.integers(0, 5))
def test_a_sample_does_not_depend_on_its_batch(name: str, order: list[int], cut: int, epoch: int) -> None:
    together, _ = augmented(build(name), torch.arange(10), epoch)
    for part in (order[:cut], order[cut:]):
        alone, _ = augmented(build(name), torch.tensor(part), epoch)
        # Vectorised sums of one sample may be added in another order; copies are exact.
        torch.testing.assert_close(alone, together[part], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(MIXING))
def test_mixed_labels_sum_to_one_and_are_not_mixed_again(name: str) -> None:
    indices = torch.arange(64)
    images, targets = augmented(build(name), indices)
    assert targets.shape == (64, CLASSES)
    assert targets.dtype == torch.float32
    assert targets.min() >= 0
    torch.testing.assert_close(targets.sum(1), torch.ones(64))
    again = build(name)(images, targets, SampleRandom(0, 0, indices), 0)
    assert again[0] is images
    assert again[1] is targets


def test_a_description_can_be_read() -> None:
    assert repr(Compose([HorizontalFlip(0.25), Mixup(3)])) == (
        "Compose([HorizontalFlip(probability=0.25), Mixup(classes=3, alpha=0.2)])"
    )


# What each draws -----------------------------------------------------------------------------------------


def position_images(count: int, size: int = 16) -> Tensor:
    """Images whose two channels hold each pixel's own row and column."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.stack([rows, columns]).float().expand(count, -1, -1, -1)


def apply(augmentation: Augmentation, images: Tensor, epoch: int = 0) -> Tensor:
    indices = torch.arange(len(images))
    return augmentation(images, indices, SampleRandom(0, epoch, indices), epoch)[0]


def is_mirrored(images: Tensor) -> Tensor:
    return images[:, 1, 8, 8] > images[:, 1, 8, 9]


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 1.0])
def test_horizontal_flip_has_its_probability(probability: float) -> None:
    flipped = int(is_mirrored(apply(HorizontalFlip(probability), position_images(2000))).sum())
    assert stats.binomtest(flipped, 2000, probability).pvalue > 1e-3


@pytest.mark.parametrize("augmentation", [AlternatingFlip(), FlipAndCrop()])
def test_alternating_flips_are_even_and_alternate(augmentation: Augmentation) -> None:
    epochs = [is_mirrored(apply(augmentation, position_images(2000), epoch)) for epoch in range(3)]
    assert stats.binomtest(int(epochs[0].sum()), 2000).pvalue > 1e-3
    assert torch.equal(epochs[1], ~epochs[0])
    assert torch.equal(epochs[2], epochs[0])


@pytest.mark.parametrize("augmentation", [PadAndCrop(), FlipAndCrop()])
def test_every_shift_up_to_the_padding_comes_alike(augmentation: Augmentation) -> None:
    cropped = apply(augmentation, position_images(5000))  # 16 pixels, so 2 of padding
    down = cropped[:, 0, 8, 8].long() - 8
    right = torch.where(is_mirrored(cropped), cropped[:, 1, 8, 7], cropped[:, 1, 8, 8]).long() - 8
    counts = np.histogram2d(down.numpy(), right.numpy(), bins=[np.arange(-2, 4)] * 2)[0]
    assert counts.sum() == 5000
    assert stats.chisquare(counts.flatten()).pvalue > 1e-3


def test_all_eight_symmetries_come_alike() -> None:
    corners = apply(Dihedral(), position_images(4000))[:, :, 0, :2].flatten(1)
    kinds, counts = corners.unique(dim=0, return_counts=True)
    assert len(kinds) == 8
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_affine_changes_its_share_of_the_samples() -> None:
    images = position_images(1000)
    changed = apply(Affine(rotation=20, zoom=(1.0, 1.2), probability=0.3), images) - images
    count = int((changed.abs().amax((1, 2, 3)) > 1e-3).sum())
    assert stats.binomtest(count, 1000, 0.3).pvalue > 1e-3


def test_affine_draws_from_its_ranges() -> None:
    images = position_images(2000) - 7.5  # positions around the centre
    turned = apply(Affine(rotation=30, zoom=(1.0, 1.0), probability=1.0), images)
    angles = torch.rad2deg(
        torch.atan2(turned[:, 0, 8, 9] - turned[:, 0, 8, 8], turned[:, 1, 8, 9] - turned[:, 1, 8, 8])
    )
    assert stats.kstest(angles.numpy(), stats.uniform(-30, 60).cdf).pvalue > 1e-3
    zoomed = apply(Affine(rotation=0, zoom=(1.1, 1.5), probability=1.0), images)
    zooms = 1 / (zoomed[:, 0, 9, 8] - zoomed[:, 0, 8, 8])
    assert stats.kstest(zooms.numpy(), stats.uniform(1.1, 0.4).cdf).pvalue > 1e-3
    shifted = apply(Affine(rotation=0, zoom=(1.0, 1.0), shift=0.25, probability=1.0), images)
    shifts = (0.5 - shifted[:, :, 8, 8]) / 16
    for direction in shifts.T:
        assert stats.kstest(direction.numpy(), stats.uniform(-0.25, 0.5).cdf).pvalue > 1e-3
    assert abs(stats.pearsonr(*shifts.T.numpy()).statistic) < 0.1


def test_brightness_moves_the_mean_and_contrast_the_spread() -> None:
    images, _ = batch_of(torch.arange(4))
    brightness, contrast = torch.tensor([0.0, 0.5, -0.25, 0.1]), torch.tensor([1.0, 1.0, 2.0, 0.5])
    answer = brightness_contrast(images, brightness, contrast)
    torch.testing.assert_close(answer.mean((1, 2, 3)), images.mean((1, 2, 3)) + brightness, atol=1e-5, rtol=0)
    torch.testing.assert_close(answer.std((1, 2, 3)), images.std((1, 2, 3)) * contrast)
    torch.testing.assert_close(answer[0], images[0])
    drawn = apply(BrightnessContrast(0.3, 0.1), images.expand(4, 3, 16, 16).repeat(250, 1, 1, 1))
    moved = drawn.mean((1, 2, 3)) - images.mean((1, 2, 3)).repeat(250)
    assert stats.kstest(moved.numpy(), stats.uniform(-0.3, 0.6).cdf).pvalue > 1e-3


def test_cutout_hides_the_square_and_nothing_else() -> None:
    images = torch.ones(3, 2, 8, 10)
    answer = cutout(images, torch.tensor([[4, 4], [0, 9], [7, 0]]), 4)
    expected = images.clone()
    expected[0, :, 2:6, 2:6] = 0
    expected[1, :, 0:2, 7:10] = 0
    expected[2, :, 5:8, 0:2] = 0
    assert torch.equal(answer, expected)


def test_cutout_centres_lie_anywhere() -> None:
    hidden = apply(Cutout(1 / 16), torch.ones(8000, 1, 16, 16)) == 0  # one pixel: its centre
    assert torch.equal(hidden.sum((1, 2, 3)), torch.ones(8000, dtype=torch.int64))
    assert stats.chisquare(hidden.sum((0, 1)).flatten().numpy()).pvalue > 1e-3


def test_mixup_blends_image_and_label_alike() -> None:
    images, targets = torch.eye(3)[:, :, None, None].expand(3, 3, 2, 2).contiguous(), torch.arange(3)
    blended, labels = mixup(images, targets, torch.tensor([1.0, 0.75, 0.0]), 3)
    torch.testing.assert_close(labels, torch.tensor([[1.0, 0, 0], [0, 0.75, 0.25], [1, 0, 0]]))
    torch.testing.assert_close(blended[:, :, 0, 0], labels)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_weights_follow_the_beta_distribution(alpha: float) -> None:
    indices = torch.arange(4000)
    _, labels = Mixup(4000, alpha)(torch.zeros(4000, 1, 1, 1), indices, SampleRandom(0, 0, indices), 0)
    assert stats.kstest(labels.diagonal().numpy(), stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_cutmix_labels_count_the_pixels() -> None:
    indices = torch.arange(500)
    images = indices.float()[:, None, None, None].expand(500, 1, 16, 24)
    mixed, labels = CutMix(500)(images, indices, SampleRandom(0, 0, indices), 0)
    own = (mixed == images).float().mean((1, 2, 3))
    torch.testing.assert_close(labels.diagonal(), own)
    assert own.min() < 0.2
    assert own.max() > 0.95


def test_cutmix_ignores_what_lies_outside_the_image() -> None:
    images, targets = torch.arange(2.0)[:, None, None, None].expand(2, 1, 4, 4), torch.arange(2)
    mixed, labels = cutmix(images, targets, torch.tensor([[-4, -4, 2, 4], [9, 9, 12, 12]]), 2)
    torch.testing.assert_close(labels, torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
    assert torch.equal(mixed[1], images[1])


@pytest.mark.parametrize("kind", [Mixup, CutMix])
def test_an_alpha_that_is_no_distribution_is_refused(kind: type) -> None:
    with pytest.raises(ValueError, match="alpha"):
        kind(3, alpha=0)


# Presets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [(8, 8), (32, 32), (30, 50)])
def test_presets_serve_any_image(name: str, size: tuple[int, int]) -> None:
    indices = torch.arange(8)
    images, targets = batch_of(indices, *size)
    answer, labels = preset(name, classes=CLASSES)(images, targets, SampleRandom(0, 0, indices), 0)
    assert answer.shape == images.shape
    assert answer.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(answer, images) == (name == "none")
    assert torch.equal(labels, targets) == (name != "strong")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'side_on'"):
        preset("sideon")


def test_a_preset_that_mixes_labels_asks_for_the_classes() -> None:
    with pytest.raises(InputError, match="number of classes"):
        preset("strong")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_gpu_augments_as_the_cpu_does(name: str) -> None:
    indices = torch.arange(32)
    images, targets = batch_of(indices)
    expected, labels = build(name)(images, targets, SampleRandom(0, 1, indices), 1)
    random = SampleRandom(0, 1, indices.cuda())
    answer, answer_labels = build(name)(images.cuda(), targets.cuda(), random, 1)
    assert answer.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(answer.cpu(), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(answer_labels.cpu(), labels)
