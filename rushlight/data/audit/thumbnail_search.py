"""Which pictures can be near copies at all, found in a tree instead of among all pairs.

A few low frequencies of a thumbnail are coordinates in an orthonormal basis, so two thumbnails lie at least as far
apart as these do. What is further apart in them than copies are is no copy, and needs no look: of 20,000 images of
CIFAR-10 some 1,700 pairs remain of 200 million. In the mirror image the odd horizontal frequencies change their sign.

Of many pictures a tree has to go through most, so these are sought in cells, which may lose a pair at the very edge of
what counts as a copy.
"""

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from rushlight.data.audit.cells import IN_CELLS_FROM, pairs_in_cells
from rushlight.data.audit.inspection import THUMBNAIL, cosines

FREQUENCIES = 4  # a side
MOST_CANDIDATES = 5_000_000  # pairs; where nearly all pictures are alike, a tree is no help and takes gigabytes
_ASKED = 1000  # pictures that say how many pairs there will be
_SLACK = 1.001  # for rounding
_BLOCK = 4096  # thumbnails at once


def candidate_pairs(thumbnails: np.ndarray, difference: float, mirrored: bool) -> np.ndarray | None:
    """All pairs whose thumbnails may differ by no more than so much.

    Args:
        thumbnails: (N, 32, 32, 3) uint8.
        difference: root mean square over pixels and channels, of 255.
        mirrored: compare each with the mirror images of the others.

    Returns:
        (P, 2) int64, the lesser first, every pair that near (of very many pictures nearly every one) and some that are
        not; None where they would be too many.
    """
    places, signs = coordinates(thumbnails)
    if len(places) < 2:
        return np.zeros((0, 2), np.int64)
    radius = difference * np.sqrt(thumbnails[0].size) * _SLACK
    other = places * signs if mirrored else places
    asked = other[np.random.default_rng(0).permutation(len(other))[:_ASKED]]
    near_one = [(cdist(part, places, "sqeuclidean") <= radius**2).sum() for part in np.array_split(asked, 10)]
    if np.sum(near_one) / len(asked) * len(places) / 2 > MOST_CANDIDATES:
        return None
    if len(places) >= IN_CELLS_FROM:
        return pairs_in_cells(places, radius, MOST_CANDIDATES, other)
    tree = cKDTree(places)
    if not mirrored:
        return tree.query_pairs(radius, output_type="ndarray").astype(np.int64)
    near = tree.sparse_distance_matrix(cKDTree(other), radius, output_type="ndarray")
    pairs = np.stack([near["i"], near["j"]], axis=1).astype(np.int64)
    return pairs[pairs[:, 0] < pairs[:, 1]]


def coordinates(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails in few numbers, which are never further apart than the thumbnails themselves.

    Returns:
        (N, 18): low frequencies of the brightness, and two of colour; and (18,) the signs that make the mirror image.
    """
    basis = cosines(FREQUENCIES, THUMBNAIL)
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    places = np.zeros((len(thumbnails), FREQUENCIES**2 + 2), np.float32)
    for start in range(0, len(thumbnails), _BLOCK):
        pixels = thumbnails[start : start + _BLOCK].astype(np.float32)
        brightness = basis @ (pixels.sum(axis=3) / np.sqrt(3)) @ basis.T
        red, green, blue = THUMBNAIL * pixels.mean(axis=(1, 2)).T
        colour = [(red - green) / np.sqrt(2), (red + green - 2 * blue) / np.sqrt(6)]
        places[start : start + _BLOCK] = np.column_stack([brightness.reshape(len(pixels), -1), *colour])
    horizontal = np.where(np.arange(FREQUENCIES) % 2, -1, 1)
    return places, np.concatenate([np.tile(horizontal, FREQUENCIES), [1, 1]]).astype(np.float32)
