"""Search for better settings into a study folder, and train the winner again with new seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rushlight.app import runs
from rushlight.app.study_runs import FinishedStudy, compare_cells, specification_of, study_folder, training_of
from rushlight.runtime.errors import InputError
from rushlight.runtime.files import write_json
from rushlight.runtime.terminal import note
from rushlight.studies.comparison import Quantity
from rushlight.studies.store import CellStore
from rushlight.studies.tuning import ReportToTrial, Search, Tried, load_search, parse_range
from rushlight.studies.variations import Cell, Variation

SHARE_OF_ONE = 20  # where nothing says how long a training takes, it gets this part of the time


@dataclass(frozen=True)
class TuneRequest:
    """What a person asks a search for.

    Attributes:
        kind: `images` or `text`.
        data: a path or a name of the catalog.
        fixed: options that hold for every training, by name.
        over: each `NAME=LOW..HIGH` or `NAME=VALUE,VALUE`.
        minutes: for all of it.
        trials: how many trainings to try at most.
        seeds: how often the winner is trained again.
        seed: of the search; the new seeds follow it.
        output: the study folder; found or made if None.
    """

    kind: str
    data: str
    fixed: Mapping[str, Any]
    over: Sequence[str]
    minutes: float
    trials: int | None = None
    seeds: int = 3
    seed: int = 0
    output: Path | None = None


@dataclass(frozen=True)
class FinishedSearch:
    """What a search left.

    Attributes:
        winner: the best training of the search.
        tried: how many there were.
        given_up: how many of them were ended early.
        study: the winner beside the settings as they were, over new seeds.
    """

    winner: Tried
    tried: int
    given_up: int
    study: FinishedStudy

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "study": str(self.study.folder),
            "winner": self.winner.to_json(),
            "tried": self.tried,
            "given_up": self.given_up,
            "results": self.study.result.to_json(),
        }


def run_search(request: TuneRequest) -> FinishedSearch:
    """Search until the time is up, then train the winner and the settings as they were with new seeds.

    Raises:
        InputError: the request cannot be carried out, or no training came to its end.
        StorageError: a file or the database cannot be written.
    """
    if not request.over:
        raise InputError("nothing is searched: give --over NAME=LOW..HIGH, such as lr=1e-4..1e-1")
    ranges = [parse_range(text) for text in request.over]
    fixed = dict(request.fixed)
    if not any(name in fixed for name in ("minutes", "epochs", "steps", "cycles")):
        fixed["minutes"] = request.minutes / SHARE_OF_ONE
    training, subject = training_of(request.kind, request.data, fixed, request.seed)
    # The ends of every range, so that a name or a value that cannot be is refused before anything is trained.
    ends = [Variation.of({r.name: r.written(value)}) for r in ranges for value in _ends(r.values)]
    training.check(ends)
    specification = specification_of(f"search {request.kind}", fixed, subject, request.over, request.seed)
    folder = study_folder(request.output, subject.name, specification)
    training = replace(training, folder=folder / "cells")
    url = f"sqlite:///{(folder / 'study.db').absolute()}"
    quantity = subject.quantity
    search = Search(url, ranges, quantity, request.seed)

    def train(variation: Variation, trial: int) -> float | None:
        outcome = training.run(Cell(variation, request.seed), before=partial(report_to, url, quantity, trial))
        if outcome.result is None:
            note(f"{variation.label}: {outcome.failure}")
            return None
        value = outcome.result["results"][quantity.name]["value"]
        return None if value is None else float(value)

    search.run(
        train,
        seconds=60 * request.minutes,
        reserve=lambda each: 2 * request.seeds * each,
        most=request.trials,
        report=note,
    )
    tried, winner = search.tried(), search.winner()
    write_json(folder / "search.json", {"tried": tried, "winner": winner})
    variations = [Variation(), Variation.of(winner.settings)]
    seeds = range(request.seed + 1, request.seed + 1 + request.seeds)  # the search has seen the one before them
    store = CellStore(url, f"winner: {variations[1].label}", specification)
    note(f"training the winner, {variations[1].label}, and the settings as they were with {len(seeds)} new seeds")
    result = compare_cells(store, training, subject, variations, list(seeds), folder)
    return FinishedSearch(winner, len(tried), sum(t.given_up for t in tried), FinishedStudy(folder, result))


def report_to(url: str, quantity: Quantity, trial: int) -> None:
    """Have the trainings of this process report to a trial of a search."""
    from optuna.trial import Trial

    study = load_search(url, quantity)
    name = quantity.in_history or quantity.name
    runs.CALLBACKS_OF_THIS_PROCESS.append(ReportToTrial(Trial(study, trial), name))


def _ends(values: Any) -> list[Any]:
    return list(values.choices) if hasattr(values, "choices") else [values.low, values.high]
