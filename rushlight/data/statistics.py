"""The mean and deviation of each colour channel, which batches are scaled by."""

import numpy as np

_MOST_PIXELS = 20_000_000  # 20,000 images of 32 x 32; more take seconds and change no digit that matters
_IMAGES_AT_ONCE = 256
_SMALLEST_STD = 1 / 255  # images of one colour have none, and are divided by it


def channel_statistics(images: np.ndarray, rows: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels.

    Args:
        images: (N, H, W, C) uint8.
        rows: which of them to count; of many, an even sample is taken.

    Returns:
        Two tuples of C numbers, in units of 0 to 1.
    """
    _, height, width, channels = images.shape
    step = max(1, len(rows) * height * width // _MOST_PIXELS)
    sample = np.asarray(rows)[::step]
    # Counting each of the 256 values is exact, and sums of squares in floating point are not.
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(sample), _IMAGES_AT_ONCE):
        chosen = images[sample[start : start + _IMAGES_AT_ONCE]]
        for channel in range(channels):
            counts[channel] += np.bincount(chosen[..., channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    weights = counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ values
    std = np.sqrt((weights * (values - mean[:, None]) ** 2).sum(axis=1))
    return tuple(mean.tolist()), tuple(np.maximum(std, _SMALLEST_STD).tolist())
