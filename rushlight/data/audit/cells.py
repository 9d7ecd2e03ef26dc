"""Which pictures can be alike, sought in cells of like pictures instead of among all pairs.

Each row of numbers lives in the cell whose centre is nearest and visits some more; those that live in a cell are
compared with all that are in it (an inverted file, Sivic & Zisserman 2003; Jégou et al. 2011). So the work grows with
the number of rows, not with its square. Two rows are missed where neither visits the cell in which the other lives.
"""

from __future__ import annotations

import numpy as np

IN_CELLS_FROM = 10_000  # rows; of fewer all pairs are compared, or a tree is asked
CELL = 400  # rows that live in a cell on average
_VISITS = 6  # cells that a row is in, the one where it lives among them
_ROUNDS = 4  # of moving the centres
_ASKED = 40  # rows a cell that say where its centre is
_PRODUCTS = 1 << 25  # at once: 128 megabytes


def pairs_in_cells(
    rows: np.ndarray, radius: float, most: int, others: np.ndarray | None = None, cell: int = CELL
) -> np.ndarray:
    """Nearly all pairs of rows that are no further apart than so much.

    Args:
        rows: (N, F) float32.
        radius: the largest distance.
        most: pairs; the search ends once it has found that many.
        others: (N, F); seek instead rows that are near the others of another row, where each is so to the other, as
            pictures are to mirror images.
        cell: rows that live in a cell on average.

    Returns:
        (P, 2) int64, the lesser first, in order.
    """
    others = rows if others is None else others
    centres = _centres(rows, max(1, len(rows) // cell))
    living = _by_cell(_nearest(rows, centres, 1), len(centres))
    visiting = _by_cell(_nearest(others, centres, _VISITS), len(centres))
    mine_halved, theirs_halved = _half_square(rows), _half_square(others)
    found, count = [np.zeros((0, 2), np.int64)], 0
    for at_home, here in zip(living, visiting, strict=True):
        for part in np.array_split(at_home, max(1, len(at_home) * len(here) // _PRODUCTS)):
            # |x - y| <= r where x y >= (|x|^2 + |y|^2 - r^2) / 2.
            least = mine_halved[part, None] + (theirs_halved[here] - radius**2 / 2)
            mine, theirs = np.nonzero(rows[part] @ others[here].T >= least)
            pairs = np.stack([part[mine], here[theirs]], axis=1)
            found.append(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1))
            count += len(found[-1])
        if count > 2 * most:  # each pair is found up to twice
            break
    return np.unique(np.concatenate(found), axis=0)[:most]


def _centres(rows: np.ndarray, count: int) -> np.ndarray:
    """Centres of so many cells, by k-means over some of the rows."""
    random = np.random.default_rng(0)
    asked = rows[random.permutation(len(rows))[: count * _ASKED]]
    centres = asked[:count].copy()
    for _ in range(_ROUNDS):
        home = _nearest(asked, centres, 1)[:, 0]
        order, sizes = np.argsort(home, kind="stable"), np.bincount(home, minlength=count)
        lived_in = np.flatnonzero(sizes)
        sums = np.add.reduceat(asked[order], (np.cumsum(sizes) - sizes)[lived_in], axis=0)
        centres[lived_in] = sums / sizes[lived_in, None]
    return centres


def _nearest(rows: np.ndarray, centres: np.ndarray, most: int) -> np.ndarray:
    """The nearest centres of each row, the very nearest first: (N, up to `most`)."""
    most = min(most, len(centres))
    found = []
    for part in np.array_split(rows, max(1, len(rows) * len(centres) // _PRODUCTS)):
        nearness = part @ centres.T - _half_square(centres)
        chosen = np.argpartition(-nearness, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(nearness, chosen, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(chosen, order, axis=1))
    return np.concatenate(found)


def _by_cell(cells: np.ndarray, count: int) -> list[np.ndarray]:
    """From the cells of each row (N, cells a row) to the rows of each cell."""
    order = np.argsort(cells, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(cells.ravel(), minlength=count))
    return np.split(order // cells.shape[1], ends[:-1])


def _half_square(rows: np.ndarray) -> np.ndarray:
    """Half the squared length of each row: (N,)."""
    return np.einsum("nf,nf->n", rows, rows) / 2
