"""Which pictures can be alike to a network, sought in cells of like pictures instead of among all pairs.

Each row of features lives in the cell whose centre is nearest and visits some more; those that live in a cell are
compared with all that are in it (an inverted file, Sivic & Zisserman 2003; Jégou et al. 2011). So the work grows with
the number of rows, not with its square. Two rows are missed where neither visits the cell in which the other lives.
"""

import numpy as np

CELL = 400  # rows that live in a cell on average
_VISITS = 6  # cells that a row is in, the one where it lives among them
_ROUNDS = 4  # of moving the centres
_ASKED = 40  # rows a cell that say where its centre is
_PRODUCTS = 1 << 25  # at once: 128 megabytes


def pairs_in_cells(rows: np.ndarray, least: float, most: int, cell: int = CELL) -> np.ndarray:
    """Nearly all pairs of rows whose cosine is at least so much.

    Args:
        rows: (N, F) of unit length.
        least: cosine.
        most: pairs; the search ends once it has found that many.
        cell: rows that live in a cell on average.

    Returns:
        (P, 2) int64, the lesser first, in order.
    """
    centres = _centres(rows, max(1, len(rows) // cell))
    visited = _nearest(rows, centres, _VISITS)
    by_cell = np.argsort(visited, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(visited.ravel(), minlength=len(centres)))
    found, count = [np.zeros((0, 2), np.int64)], 0
    for members in np.split(by_cell, ends[:-1]):
        all_here, place = np.divmod(members, visited.shape[1])
        living = all_here[place == 0]
        for part in np.array_split(living, max(1, len(living) * len(all_here) // _PRODUCTS)):
            mine, others = np.nonzero(rows[part] @ rows[all_here].T >= least)
            pairs = np.stack([part[mine], all_here[others]], axis=1)
            found.append(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1))
            count += len(found[-1])
        if count > 2 * most:  # each pair is found up to twice
            break
    return np.unique(np.concatenate(found), axis=0)[:most]


def _centres(rows: np.ndarray, count: int) -> np.ndarray:
    """Centres of so many cells, by k-means on the sphere over some of the rows."""
    random = np.random.default_rng(0)
    asked = rows[random.permutation(len(rows))[: count * _ASKED]]
    centres = asked[:count].copy()
    for _ in range(_ROUNDS):
        home = _nearest(asked, centres, 1)[:, 0]
        order, sizes = np.argsort(home, kind="stable"), np.bincount(home, minlength=count)
        lived_in = np.flatnonzero(sizes)
        sums = np.add.reduceat(asked[order], (np.cumsum(sizes) - sizes)[lived_in], axis=0)
        centres[lived_in] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    return centres


def _nearest(rows: np.ndarray, centres: np.ndarray, most: int) -> np.ndarray:
    """The nearest centres of each row, the very nearest first: (N, up to `most`)."""
    most = min(most, len(centres))
    found = []
    for part in np.array_split(rows, max(1, len(rows) * len(centres) // _PRODUCTS)):
        products = part @ centres.T
        chosen = np.argpartition(-products, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(products, chosen, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(chosen, order, axis=1))
    return np.concatenate(found)
