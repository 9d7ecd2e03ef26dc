"""Images of coloured squares and discs, whose labels or sizes are quick to learn."""

import numpy as np

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (210, 50, 40)}


def squares(count: int, size: int, seed: int = 0) -> tuple[np.ndarray, list[list[str]]]:
    """Noise with a square of each of some colours: (N, size, size, 3) uint8, and the names of the colours."""
    random = np.random.default_rng(seed)
    images = random.normal(128, 25, (count, size, size, 3))
    side, labels = size // 3, []
    for image in images:
        labels.append([name for name, part in zip(COLOURS, (0.2, 0.35, 0.5), strict=True) if random.random() < part])
        for name in labels[-1]:
            top, left = random.integers(0, size - side, 2)
            image[top : top + side, left : left + side] = random.normal(COLOURS[name], 25, (side, side, 3))
    return np.clip(images, 0, 255).astype(np.uint8), labels


def discs(count: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a red disc: (N, size, size, 3) uint8, and its radius in hundredths of the side."""
    random = np.random.default_rng(seed)
    images = random.normal(128, 25, (count, size, size, 3))
    radii = random.uniform(10, 35, count)
    rows, columns = np.mgrid[:size, :size]
    for image, radius in zip(images, radii, strict=True):
        down, right = random.uniform(0.35, 0.65, 2) * size
        inside = (rows - down) ** 2 + (columns - right) ** 2 < (radius / 100 * size) ** 2
        image[inside] = random.normal(COLOURS["red"], 25, (int(inside.sum()), 3))
    return np.clip(images, 0, 255).astype(np.uint8), radii
