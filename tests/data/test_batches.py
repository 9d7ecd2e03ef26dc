"""Batches: scaled as asked, in an order that belongs to seed and epoch, resized on the way."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from rushlight.data import ImageBatches
from rushlight.data.augmentation import CutMix, FlipAndCrop, preset
from rushlight.runtime.sharing import share_of

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def numbered(count: int, height: int = 6, width: int = 6) -> np.ndarray:
    """Images of random pixels, whose first pixel tells the index."""
    images = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return images


def make_batches(count: int = 50, **options) -> ImageBatches:
    options = {"batch_size": 8, **options}
    return ImageBatches(numbered(count), np.arange(count), MEAN, STD, **options)


def targets_of(batches) -> list[int]:
    return torch.cat([targets for _, targets in batches]).tolist()


def test_images_are_scaled_by_mean_and_deviation_in_channels_last_memory():
    batches = make_batches()
    images, targets = next(iter(batches))
    pixels = torch.from_numpy(numbered(50)[:8]).permute(0, 3, 1, 2) / 255
    expected = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(images, expected)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert targets.dtype == torch.int64
    torch.testing.assert_close(batches.inputs(range(8)), images)


def test_without_shuffling_every_image_comes_once_in_order():
    batches = make_batches()
    assert targets_of(batches) == list(range(50))
    assert len(list(batches)) == len(batches) == 7


def test_shuffling_drops_only_an_incomplete_last_batch_and_forgets_no_image():
    batches = make_batches(shuffle=True)
    seen: set[int] = set()
    for _ in range(10):
        epoch = targets_of(batches)
        assert len(epoch) == len(set(epoch)) == 48
        seen |= set(epoch)
    assert len(batches) == 6
    assert seen == set(range(50))
    assert targets_of(make_batches(5, shuffle=True)) != []


def test_images_and_targets_stay_together():
    for images, targets in make_batches(shuffle=True):
        index = images[:, 0, 0, 0] * STD[0] + MEAN[0]
        assert (index * 255).round().long().tolist() == targets.tolist()


def test_a_plain_loop_gets_a_new_order_every_epoch_and_set_epoch_brings_one_back():
    batches = make_batches(shuffle=True, seed=3)
    first, second = targets_of(batches), targets_of(batches)
    assert first != second
    batches.set_epoch(0)
    assert targets_of(batches) == first
    assert targets_of(make_batches(shuffle=True, seed=3)) == first
    assert targets_of(make_batches(shuffle=True, seed=4)) != first


class AddNoise:
    """Noise on every sample, so that a wrong random number shows."""

    def __call__(self, images, targets, random, epoch):
        return images + random.uniform("noise").view(-1, 1, 1, 1), targets


def test_an_epoch_can_be_entered_at_any_batch():
    batches = make_batches(shuffle=True, augmentation=AddNoise())
    batches.set_epoch(5)
    whole = list(batches)
    batches.set_epoch(5)
    rest = list(batches.iterate_from(4))
    assert len(rest) == 2
    for (images, targets), (expected, expected_targets) in zip(rest, whole[4:], strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(targets, expected_targets)


def test_random_numbers_belong_to_the_sample_and_not_to_its_batch():
    def noisy(batch_size: int) -> dict[int, torch.Tensor]:
        batches = make_batches(48, shuffle=True, augmentation=AddNoise(), batch_size=batch_size)
        return {
            int(target): image for images, targets in batches for image, target in zip(images, targets, strict=True)
        }

    one, other = noisy(8), noisy(16)
    assert all(torch.equal(one[index], other[index]) for index in range(48))


@pytest.mark.parametrize("augmentation", [None, FlipAndCrop(), preset("strong", 50), CutMix(50)], ids=str)
@pytest.mark.parametrize("ranks", [2, 3])
def test_the_ranks_together_have_the_batches_of_one_pixel_for_pixel(augmentation, ranks):
    whole = make_batches(30, batch_size=7, shuffle=True, seed=4, augmentation=augmentation)
    parts = [whole.for_rank(rank, ranks) for rank in range(ranks)]
    for batches in (whole, *parts):
        batches.set_epoch(2)
    for (images, targets), *shares in zip(whole, *parts, strict=True):
        assert torch.equal(images, torch.cat([x for x, _ in shares]))
        assert torch.equal(targets, torch.cat([y for _, y in shares]))


def test_a_rank_to_which_nothing_of_a_batch_falls_takes_part_with_a_sample_that_does_not_count():
    parts = [list(make_batches(5, batch_size=4).for_rank(rank, 3)) for rank in range(3)]
    assert [[share_of(batch) for batch in part] for part in parts] == [[0.25, 0], [0.25, 0], [0.5, 1]]
    counted = [y for part in parts for batch in part if share_of(batch) for y in batch[1].tolist()]
    assert sorted(counted) == [0, 1, 2, 3, 4]


def test_a_subset_shares_pixels_and_keeps_its_samples_numbers():
    batches = make_batches(augmentation=AddNoise())
    part = batches.subset([40, 3, 7]).subset([0, 2])
    ((images, targets),) = part
    assert targets.tolist() == part.targets.tolist() == [40, 7]
    assert part.samples == 2
    everything = torch.cat([images for images, _ in make_batches(augmentation=AddNoise())])
    torch.testing.assert_close(images, everything[[40, 7]])
    assert np.array_equal(part.pixels([1]), numbered(50)[[7]])


def test_the_image_size_may_change_between_batches():
    images = np.random.default_rng(1).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    batches = ImageBatches(images, np.zeros(24), MEAN, STD, batch_size=8)
    sizes = []
    for size, (batch, _) in zip((24, 40, 32), batches, strict=True):
        sizes.append(batch.shape[-1])
        assert batch.is_contiguous(memory_format=torch.channels_last)
        batches.image_size = size
    assert sizes == [32, 24, 40]
    batches.image_size = 24
    (small, _), (full, _) = next(iter(batches)), next(iter(ImageBatches(images, np.zeros(24), MEAN, STD, batch_size=8)))
    exact = interpolate(full, (24, 24), mode="bilinear", antialias=True)
    assert (small - exact).abs().max() < 1.5 / 255 / min(STD)  # bytes are resized, so half a level is lost twice


def test_images_need_not_be_square_when_resized():
    batches = ImageBatches(numbered(4, 8, 12), np.zeros(4), MEAN, STD, batch_size=4)
    batches.image_size = 16
    assert next(iter(batches))[0].shape == (4, 3, 16, 24)


def test_the_pixels_are_never_written_to(tmp_path):
    np.save(tmp_path / "pixels.npy", numbered(20))
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="c")
    before = mapped.copy()

    def zero(images, targets, random, epoch):
        return images.zero_(), targets

    for size in (6, 4):
        batches = ImageBatches(mapped, np.zeros(20), MEAN, STD, batch_size=20, augmentation=zero)
        batches.image_size = size
        assert all((images == 0).all() for images, _ in batches)
    assert np.array_equal(mapped, before)


def test_the_batch_size_may_change_between_epochs():
    batches = make_batches(shuffle=True)
    batches.batch_size = 20
    assert [len(targets) for _, targets in batches] == [20, 20]
    assert len(batches) == 2


@pytest.mark.parametrize(
    "images", [np.zeros((3, 4, 4, 3)), np.zeros((3, 4, 4), np.uint8), np.zeros((2, 4, 4, 3), np.uint8)]
)
def test_arrays_that_do_not_fit_are_refused(images):
    with pytest.raises(ValueError, match="images"):
        ImageBatches(images, np.zeros(3), MEAN, STD, batch_size=2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_made_on_the_device():
    on_cpu, on_gpu = (make_batches(shuffle=True, augmentation=AddNoise(), device=name) for name in ("cpu", "cuda"))
    for size in (6, 4):
        on_cpu.image_size = on_gpu.image_size = size
        for (images, targets), (expected, expected_targets) in zip(on_gpu, on_cpu, strict=True):
            assert images.device.type == targets.device.type == "cuda"
            assert (images.cpu() - expected).abs().max() < 2 / 255 / min(STD)
            assert torch.equal(targets.cpu(), expected_targets)
