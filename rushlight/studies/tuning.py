"""Search for better settings under a time limit: which values to try next, and which trainings to give up early.

The search itself is optuna's: the tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for
hyper-parameter optimization") proposes values, and a training that does worse halfway than the median of those before
it is given up. What a search finds looks better than it is, because it is the best of many; so the winner is trained
again with new seeds, beside the settings as they were.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured
from rushlight.studies.comparison import Quantity
from rushlight.studies.store import open_storage
from rushlight.studies.variations import Variation, parse_choice
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rushlight.training.learner import Learner

STUDY = "search"
FIRST_TRIALS = 4  # with fewer to compare with, nothing is given up
STEPS = 10  # a training is looked at so often, at equal shares of its length
_GIVEN_UP, _SECONDS = "given up", "seconds"
_LOGARITHMIC_FROM = 10  # a range whose ends are so many times apart is searched by factors, not by differences


@dataclass(frozen=True)
class Range:
    """A setting and the values it may have.

    Attributes:
        name: of the setting.
        values: as optuna understands them.
    """

    name: str
    values: BaseDistribution

    def written(self, value: Any) -> str:
        """A value as a person would type it."""
        return f"{value:.4g}" if isinstance(value, float) else str(value)


def parse_range(text: str) -> Range:
    """`lr=1e-4..1e-1` or `dropout=0,0.2,0.5` as a setting with its values.

    Whole numbers at both ends are searched as whole numbers; a range over a factor of ten or more by its logarithm.

    Raises:
        InputError: it is written otherwise.
    """
    name, separator, values = text.partition("=")
    if ".." not in values:
        name, choices = parse_choice(text, "--over")
        if len(choices) < 2:
            raise InputError(f"--over {text}: there is one value, and nothing to search")
        return Range(name, CategoricalDistribution(choices))
    low, _, high = values.partition("..")
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = (math.nan, math.nan)
    if not name.strip() or not separator or not (math.isfinite(ends[0]) and ends[0] < ends[1] < math.inf):
        raise InputError(f"--over {text}: write a range as NAME=LOW..HIGH, such as lr=1e-4..1e-1")
    by_factors = ends[0] > 0 and ends[1] / ends[0] >= _LOGARITHMIC_FROM
    key = name.strip().replace("-", "_")
    if low.strip().lstrip("-").isdigit() and high.strip().lstrip("-").isdigit():
        return Range(key, IntDistribution(int(low), int(high), log=by_factors))
    return Range(key, FloatDistribution(*ends, log=by_factors))


@dataclass(frozen=True)
class Tried:
    """One training of a search.

    Attributes:
        settings: what it was trained with.
        value: what it reached, in the quantity's own unit; None where it failed or was given up.
        given_up: whether it was ended early.
    """

    settings: dict[str, str]
    value: float | None
    given_up: bool

    def to_json(self) -> dict[str, Any]:
        """As `search.json` keeps it."""
        return {"settings": self.settings, "value": self.value, "given_up": self.given_up}


class Search:
    """A search, kept in a database.

    Args:
        url: of the database.
        ranges: what is searched.
        quantity: what trainings are compared by.
        seed: of the proposals.
    """

    def __init__(self, url: str, ranges: Sequence[Range], quantity: Quantity, seed: int) -> None:
        self.url, self.ranges, self.quantity = url, list(ranges), quantity
        self._study = load_search(url, quantity, seed)

    def run(
        self,
        train: Callable[[Variation, int], float | None],
        *,
        seconds: float,
        reserve: Callable[[float], float],
        most: int | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Try one set of values after another, until the time is up.

        Args:
            train: trains with given values, and is told the number of the trial, to which `ReportToTrial` reports;
                returns what it reached, None where it failed.
            seconds: the limit, in which the time of an earlier part of the same search counts.
            reserve: of that what has to be left in the end, given the seconds that a whole training takes.
            most: how many trainings at most; None for as many as there is time for.
            report: is told what is going on, a line at a time.
        """
        while most is None or len(self.tried()) < most:
            each = self._seconds_of_whole_trainings()
            if self.seconds_spent + each + reserve(each) > seconds and self.tried():
                break
            trial = self._study.ask({r.name: r.values for r in self.ranges})
            variation = Variation.of({r.name: r.written(trial.params[r.name]) for r in self.ranges})
            started = time.monotonic()
            try:
                value = train(variation, trial._trial_id)
            except BaseException:
                self._study.tell(trial, state=TrialState.FAIL)
                raise
            trial.set_user_attr(_SECONDS, time.monotonic() - started)
            given_up = bool(self._study._storage.get_trial(trial._trial_id).user_attrs.get(_GIVEN_UP))
            report(f"{variation.label}: {self._in_words(value, given_up)}")
            if given_up:
                self._study.tell(trial, state=TrialState.PRUNED)
            elif value is None or not math.isfinite(value):
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, value)

    @property
    def seconds_spent(self) -> float:
        """By all trainings so far."""
        return sum(trial.user_attrs.get(_SECONDS, 0.0) for trial in self._study.get_trials(deepcopy=False))

    def _seconds_of_whole_trainings(self) -> float:
        whole = [t.user_attrs.get(_SECONDS, 0.0) for t in self._study.get_trials(states=(TrialState.COMPLETE,))]
        return sum(whole) / len(whole) if whole else 0.0

    def tried(self) -> list[Tried]:
        """All trainings that have ended, in order."""
        return [
            Tried(
                {r.name: r.written(trial.params[r.name]) for r in self.ranges if r.name in trial.params},
                trial.value if trial.state == TrialState.COMPLETE else None,
                trial.state == TrialState.PRUNED,
            )
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state.is_finished()
        ]

    def winner(self) -> Tried:
        """The best training.

        Raises:
            InputError: none came to its end.
        """
        whole = [tried for tried in self.tried() if tried.value is not None]
        if not whole:
            raise InputError("no training of the search came to its end: give it more --minutes, or safer ranges")

        def goodness(tried: Tried) -> float:
            value = tried.value or 0.0
            return value if self.quantity.higher_is_better else -value

        return max(whole, key=goodness)

    def _in_words(self, value: float | None, given_up: bool) -> str:
        if value is None:
            return "failed"
        shown = f"{self.quantity.name} {value * self.quantity.scale:.{self.quantity.decimals}f}"
        return f"{shown}, given up early" if given_up else shown


def load_search(url: str, quantity: Quantity, seed: int = 0) -> optuna.Study:
    """The search in a database, begun where there is none."""
    return optuna.create_study(
        storage=open_storage(url),
        study_name=STUDY,
        load_if_exists=True,
        direction="maximize" if quantity.higher_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=FIRST_TRIALS),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS, n_warmup_steps=1),
    )


class ReportToTrial(Callback):
    """Tells a search how a training is doing, and ends it where the search gives it up.

    Trainings are compared at equal shares of their length, so that a time limit serves as well as a number of epochs.

    Args:
        trial: of optuna's.
        name: of the quantity in the history.
    """

    def __init__(self, trial: Trial, name: str) -> None:
        self.trial, self.name = trial, name
        self._reported = 0

    def validation_done(self, learner: Learner) -> None:
        step = int(STEPS * learner.progress)
        measured = learner.row.get(self.name)
        if step <= self._reported or not isinstance(measured, Measured) or not math.isfinite(measured.value):
            return
        self._reported = step
        self.trial.report(measured.value, step)
        if learner.progress < 1 and self.trial.should_prune():
            self.trial.set_user_attr(_GIVEN_UP, True)
            learner.stop = True
