"""A study whose trainings take no time to speak of, run as a process that can be killed.

python toy_study.py DATABASE LOG SECONDS
"""

import sys
import time
from pathlib import Path

from rushlight.studies.ablation import AblationResult
from rushlight.studies.comparison import ACCURACY
from rushlight.studies.running import work_through
from rushlight.studies.store import CellStore, Outcome
from rushlight.studies.variations import Cell, grid

VARIATIONS = grid(["norm=after,before,none"])
SEEDS = [0, 1, 2, 3]
CELLS = [Cell(variation, seed) for seed in SEEDS for variation in VARIATIONS]
SPECIFICATION = {"kind": "toy", "fingerprint": "1"}


def accuracy(cell: Cell) -> float:
    """What a training of that cell reaches, always the same."""
    return 0.5 + 0.1 * VARIATIONS.index(cell.variation) + 0.01 * (cell.seed % 3)


def open_store(database: str, specification: dict[str, str] | None = None) -> CellStore:
    """The study in a database, with silences that are short enough for a test."""
    return CellStore(database, "toy", specification or SPECIFICATION, heartbeat_seconds=1, silent_seconds=3)


def table(store: CellStore) -> str:
    """What the study says."""
    return AblationResult.of("toy", "a toy", ACCURACY, VARIATIONS, SEEDS, store.outcomes()).markdown()


def main(database: str, log: Path, seconds: float) -> None:
    """Work on the study until it is done, and write down every training that was begun and ended."""

    def run(cell: Cell) -> Outcome:
        with log.open("a") as stream:
            stream.write(f"begun {cell.label}\n")
        time.sleep(seconds)
        with log.open("a") as stream:
            stream.write(f"ended {cell.label}\n")
        measured = {"value": accuracy(cell), "interval": None, "n": 100, "method": None}
        return Outcome({"results": {"accuracy": measured}, "seconds": seconds})

    work_through(open_store(database), CELLS, run, poll_seconds=0.1)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
