"""Work through the cells of a study, alone or beside other processes that share its database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rushlight.studies.store import CellStore, Outcome
from rushlight.studies.variations import Cell

POLL_SECONDS = 2.0  # between looks at what other workers are doing


def work_through(
    store: CellStore,
    cells: Sequence[Cell],
    run: Callable[[Cell], Outcome],
    *,
    report: Callable[[str], None] = lambda line: None,
    done: Callable[[], None] = lambda: None,
    poll_seconds: float = POLL_SECONDS,
) -> dict[Cell, Outcome]:
    """Run every cell that nobody has run, until all are done.

    Args:
        store: where they are kept.
        cells: of the study, in the order in which they are wanted.
        run: trains a cell; whatever it raises ends the work and gives the cell back.
        report: is told what is going on, a line at a time.
        done: called after each cell that was done here.
        poll_seconds: how often to look whether the last cells of other workers are done.

    Returns:
        What became of each cell.
    """
    is_waiting = False
    while True:
        taken = store.take(cells)
        if taken is None:
            outcomes = store.outcomes()
            if all(cell in outcomes for cell in cells):
                return {cell: outcomes[cell] for cell in cells}
            if not is_waiting:
                report("other processes are working on the last cells")
            is_waiting = True
            time.sleep(poll_seconds)
            continue
        cell, ticket = taken
        is_waiting = False
        with store.at_work(ticket):
            outcome = run(cell)
        if not store.finish(ticket, outcome):
            report(f"{cell.label}: another process has done it meanwhile; this result is not counted")
        done()
