"""Which files show the same picture: the same bytes, the same picture in others, or what a network sees so.

Near copies are sought in a tree of thumbnails (`thumbnail_search.py`). Where that is no help, and for the features of
up to some thousand images, all pairs are compared, block by block as products of matrices. Of more images both are
sought in cells (`cells.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rushlight.data.audit.cells import IN_CELLS_FROM, pairs_in_cells
from rushlight.data.audit.inspection import InspectedImages
from rushlight.data.audit.thumbnail_search import candidate_pairs

Likeness = Literal["exact", "near", "alike"]

# Measured on 1,802 photographs of dogs and cats (`benchmarks/check_planted_faults.py` draws copies of them): copies
# of half the size, or compressed to a third of the bytes, differ in at most 6 of 64 bits and by some 4 of 255
# in a pixel of their thumbnails; unlike pictures of one hash differ by 30 and more.
MOST_BITS = 12
MOST_DIFFERENCE = 12.0  # root mean square over a thumbnail's pixels, of 255
LEAST_COSINE = 0.75  # of standardised features; the most alike of unlike photographs come to 0.70
_PRODUCTS = 1 << 25  # at once: 128 megabytes
_PAIRS = 2048  # compared at once
_SKETCH, _SLACK = 256, 0.25  # numbers of a sketch of features; cosines of sketches scatter by 1 / 16
_STANDS_OUT = 0.03  # above what is usual
_ASKED = 2000  # images that say what is usual
_SKETCHED_FROM = 5000  # images; fewer are compared as they are
MOST_PAIRS = 2_000_000  # beyond, the images are mostly blank or alike, and single pairs tell nothing


@dataclass(frozen=True)
class DuplicateGroup:
    """Files that show the same picture.

    Attributes:
        rows: two or more, ascending.
        likeness: `exact` for the same bytes, `near` for the same picture (scaled, compressed or mirrored), `alike` for
            what only a network takes for the same, such as another cut of it.
    """

    rows: tuple[int, ...]
    likeness: Likeness


def duplicate_groups(
    images: InspectedImages, features: np.ndarray | None = None, feature_rows: np.ndarray | None = None
) -> list[DuplicateGroup]:
    """Find all groups of files that show the same picture; a file is in one group at most.

    Args:
        images: what was found in the files.
        features: (M, F) of a network, in which two pictures are compared once more; None for none.
        feature_rows: (M,) the file of each.

    Returns:
        Groups by their first file. Where a group has several kinds of likeness, it is called by the weakest.
    """
    exact = np.concatenate([np.zeros((0, 2), np.int64), *_exact_pairs(images)])
    # One of each set of equal files stands for all of them.
    first = np.setdiff1d(images.readable, exact[:, 1])
    near = first[near_pairs(images.thumbnails[first], images.hashes[first], images.mirrored[first])]
    alike = np.zeros((0, 2), np.int64)
    if features is not None and feature_rows is not None:
        kept = np.isin(feature_rows, first)
        rows, chosen = feature_rows[kept], standardised(np.asarray(features)[kept])
        alike = rows[similar_features(chosen, max(LEAST_COSINE, usual_cosine(chosen) + _STANDS_OUT))]
    return _grouped(len(images.digests), {"exact": exact, "near": near, "alike": alike})


def near_pairs(thumbnails: np.ndarray, hashes: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Pairs whose hashes agree in nearly all bits, as they are or mirrored, and whose thumbnails do, too.

    Returns:
        (P, 2) rows, the lesser first.
    """
    found = []
    for other, flip in ((hashes, False), (mirrored, True)):
        pairs = candidate_pairs(thumbnails, MOST_DIFFERENCE, flip)
        if pairs is None:
            pairs = similar_pairs(hashes, other, 64 - 2 * MOST_BITS)
        else:
            pairs = pairs[_products(hashes, other, pairs) >= 64 - 2 * MOST_BITS][:MOST_PAIRS]
        found.append(pairs[_differences(thumbnails, pairs, flip) <= MOST_DIFFERENCE])
    return np.unique(np.concatenate(found), axis=0)


def similar_pairs(left: np.ndarray, right: np.ndarray, least: float) -> np.ndarray:
    """All pairs i < j for which `left[i] @ right[j]` is at least so much; at most `MOST_PAIRS`.

    Returns:
        (P, 2) int64.
    """
    found, count = [np.zeros((0, 2), np.int64)], 0
    block = max(64, _PRODUCTS // max(1, len(left)))
    for start in range(0, len(left), block):
        products = left[start : start + block] @ right[start:].T
        rows, columns = np.nonzero(np.triu(products >= least, k=1))
        found.append(np.stack([rows, columns], axis=1) + start)
        count += len(rows)
        if count > MOST_PAIRS:
            break
    return np.concatenate(found)[:MOST_PAIRS]


def similar_features(features: np.ndarray, least: float) -> np.ndarray:
    """All pairs of rows of unit length whose cosine is at least so much; of very many rows nearly all.

    Many rows are first compared by sketches, projections on a few random directions, which keep cosines up to some
    noise (Johnson and Lindenstrauss, 1984), and very many only with those in the same cells; the pairs that come near
    are then compared as they are.

    Returns:
        (P, 2) int64, the lesser first.
    """
    if len(features) < _SKETCHED_FROM or features.shape[1] <= _SKETCH:
        return similar_pairs(features, features, least)
    directions = np.random.default_rng(0).normal(size=(features.shape[1], _SKETCH)).astype(np.float32)
    sketches = features @ directions
    sketches /= np.maximum(np.linalg.norm(sketches, axis=1, keepdims=True), 1e-6)
    near = least - _SLACK
    if len(features) >= IN_CELLS_FROM:
        pairs = pairs_in_cells(sketches, np.sqrt(2 - 2 * near), MOST_PAIRS)
    else:
        pairs = similar_pairs(sketches, sketches, near)
    return pairs[_products(features, features, pairs) >= least]


def usual_cosine(features: np.ndarray) -> float:
    """How alike images get that are no copies: digits are all alike, photographs are not.

    Args:
        features: (N, F) rows of unit length.

    Returns:
        What 99.5 % of the images do not reach with their third neighbour, so that a copy or two count for nothing.
    """
    if len(features) < 5:
        return 1.0
    chosen = np.random.default_rng(0).permutation(len(features))[:_ASKED]
    third = [
        np.partition(features[rows] @ features.T, -4, axis=1)[:, -4]  # the image itself is its own nearest
        for rows in np.array_split(chosen, -(-len(chosen) * len(features) // _PRODUCTS))
    ]
    return float(np.quantile(np.concatenate(third), 0.995))


def standardised(features: np.ndarray) -> np.ndarray:
    """Features of zero mean and unit deviation over the images, each image's scaled to unit length."""
    values = np.asarray(features, np.float32)
    if not len(values):
        return values
    values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-3)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(lengths, 1e-6)


def _exact_pairs(images: InspectedImages) -> Iterator[np.ndarray]:
    """The first file of each content with each of the others."""
    rows_of: dict[str, list[int]] = {}
    for row in images.readable.tolist():
        rows_of.setdefault(images.digests[row], []).append(row)
    for rows in rows_of.values():
        if len(rows) > 1:
            yield np.array([(rows[0], other) for other in rows[1:]], np.int64)


def _products(left: np.ndarray, right: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """`left[i] @ right[j]` of each pair."""
    products = [(left[one] * right[other]).sum(axis=1) for one, other in _in_pieces(pairs)]
    return np.concatenate([np.zeros(0, left.dtype), *products])


def _differences(thumbnails: np.ndarray, pairs: np.ndarray, flip: bool) -> np.ndarray:
    """Root mean square difference of the thumbnails of each pair, of 255."""
    found = [np.zeros(0, np.float32)]
    for one, other in _in_pieces(pairs):
        second = thumbnails[other][:, :, ::-1] if flip else thumbnails[other]
        difference = thumbnails[one].astype(np.float32) - second
        found.append(np.sqrt((difference**2).mean(axis=(1, 2, 3))))
    return np.concatenate(found)


def _in_pieces(pairs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(pairs), _PAIRS):
        one, other = pairs[start : start + _PAIRS].T
        yield one, other


def _grouped(count: int, pairs: dict[Likeness, np.ndarray]) -> list[DuplicateGroup]:
    """Connected files, with the weakest likeness that a group needs to hold together."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.zeros((0, 2), np.int64)
    likeness_of: dict[tuple[int, ...], Likeness] = {}
    for likeness, more in pairs.items():
        edges = np.concatenate([edges, more])
        graph = coo_matrix((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
        _, component = connected_components(graph, directed=False)
        joined = np.unique(edges)
        order = joined[np.argsort(component[joined], kind="stable")]
        cuts = np.flatnonzero(np.diff(component[order])) + 1
        groups: Sequence[np.ndarray] = np.split(order, cuts) if len(order) else []
        known = likeness_of
        likeness_of = {}
        for rows in groups:
            members = tuple(rows.tolist())
            likeness_of[members] = known.get(members, likeness)
    return [DuplicateGroup(rows, likeness) for rows, likeness in sorted(likeness_of.items())]
