"""The cells of a study, kept in a database so that a study can be interrupted, continued and shared.

Each cell is a trial of optuna's in a SQLite file, or in a PostgreSQL database that several machines reach. What this
adds to optuna is that each cell is counted exactly once, whoever dies at whatever moment:

- A cell's trial is the first of its trials that has not failed. Trials are numbered in the order in which they become
  visible, so all workers agree on it, even where two of them wrote the same list at the same moment.
- Taking a trial up is one transaction that finds it waiting and marks it running. SQLite begins such a transaction only
  when it has the lock for writing (by itself it would let two readers in, and then both write).
- A worker that is at work says so every few seconds. One that has fallen silent, or whose process is gone, has its
  trial declared failed, and a new one is written for the cell. Should it wake up again, its result is refused, because
  a trial that has ended stays as it is.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from rushlight.runtime.errors import InputError, StorageError
from rushlight.studies.variations import Cell, Variation

HEARTBEAT_SECONDS, SILENT_SECONDS = 10, 60
_BUSY_SECONDS = 60.0  # how long a transaction waits for another worker's
_UNUSED = -1.0  # optuna wants a value of each complete trial; that of a cell lies in its attributes
_CELL, _RESULT, _FAILURE, _WORKER, _RETRY = "cell", "result", "failure", "worker", "retry"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        result: what training it returned, as JSON can hold it; None where it failed.
        failure: why it failed, in one line.
    """

    result: dict[str, Any] | None = None
    failure: str | None = None


class CellStore:
    """The cells of one study in a database.

    Args:
        url: of the database, `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`.
        name: of the study in it.
        specification: what the study is; another one under that name is refused. Seeds may be added.

    Raises:
        InputError: the database holds another study of that name, or the data has changed since it began.
        StorageError: the database cannot be used.
    """

    def __init__(
        self,
        url: str,
        name: str,
        specification: Mapping[str, Any],
        *,
        heartbeat_seconds: int = HEARTBEAT_SECONDS,
        silent_seconds: int = SILENT_SECONDS,
    ) -> None:
        self.url, self.name = url, name
        self._worker = f"{this_machine()} {os.getpid()} {_started(os.getpid())} {uuid.uuid4().hex[:8]}"
        with _one_line_errors(url):
            self._storage = open_storage(url, heartbeat_seconds, silent_seconds)
            self._study = optuna.create_study(storage=self._storage, study_name=name, load_if_exists=True)
        self._heartbeat_seconds = heartbeat_seconds
        self._agree_on(dict(specification))

    # --- which cells there are ---------------------------------------------------------------------------------------

    def _agree_on(self, specification: dict[str, Any]) -> None:
        """Keep the specification of a new study, and hold that of an old one against it."""
        with _one_line_errors(self.url):
            kept = self._study.user_attrs.get("specification")
            if kept is None:
                self._study.set_user_attr("specification", specification)
                return
        refuse_another_study(kept, specification, self.url)

    def add(self, cells: Sequence[Cell]) -> None:
        """Write down those cells that are not in the store yet; calling it again changes nothing."""
        with _one_line_errors(self.url):
            known = set(self._trials())
            for cell in cells:
                if cell not in known:
                    self._enqueue(cell)

    def retry_failed(self) -> list[Cell]:
        """Write those cells down again whose training failed; which these are is returned."""
        with _one_line_errors(self.url):
            failed = [cell for cell, trial in self._trials().items() if trial.state == TrialState.FAIL]
            for cell in failed:
                self._enqueue(cell, again=True)
        return failed

    def _enqueue(self, cell: Cell, again: bool = False) -> None:
        # As attributes, not as parameters: of those optuna wants to know every value from the start, and seeds may be
        # added later.
        settings = [list(pair) for pair in cell.variation.settings]
        attributes = {_CELL: [settings, cell.seed], _RETRY: again}
        self._study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=attributes))

    def _trials(self) -> dict[Cell, FrozenTrial]:
        """The trial that stands for each cell: the first that was not abandoned, or one that repeats what failed."""
        found: dict[Cell, FrozenTrial] = {}
        for trial in sorted(self._study.get_trials(deepcopy=False), key=lambda trial: trial.number):
            if _CELL in trial.user_attrs and not _is_abandoned(trial):
                settings, seed = trial.user_attrs[_CELL]
                cell = Cell(Variation(tuple((k, v) for k, v in settings)), seed)
                first = found.setdefault(cell, trial)
                if first.state == TrialState.FAIL and trial.user_attrs.get(_RETRY):
                    found[cell] = trial
        return found

    def outcomes(self) -> dict[Cell, Outcome]:
        """The cells that are done, with what became of them."""
        with _one_line_errors(self.url):
            return {cell: _outcome(trial) for cell, trial in self._trials().items() if trial.state.is_finished()}

    # --- working on them ---------------------------------------------------------------------------------------------

    def take(self, cells: Sequence[Cell]) -> tuple[Cell, int] | None:
        """Take up the first of these cells that nobody is working on.

        Returns:
            The cell and a ticket for `finish`; None where every cell is done or being worked on.
        """
        with _one_line_errors(self.url):
            self._declare_the_dead()
            self.add(cells)
            trials = self._trials()
            for cell in cells:
                trial = trials[cell]
                if trial.state == TrialState.WAITING and self._claim(trial):
                    return cell, trial._trial_id
        return None

    def _claim(self, trial: FrozenTrial) -> bool:
        # A sign of life first: a trial that runs without one would never be taken for silent.
        self._storage.record_heartbeat(trial._trial_id)
        try:
            if not self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                return False
        except optuna.exceptions.UpdateFinishedTrialError:  # another worker was faster still, and has ended it
            return False
        self._storage.set_trial_user_attr(trial._trial_id, _WORKER, self._worker)
        return True

    @contextmanager
    def at_work(self, ticket: int) -> Iterator[None]:
        """A context in which others are told, every few seconds, that a cell is being worked on.

        Leaving it by Ctrl-C or SIGTERM gives the cell back at once.
        """
        done = threading.Event()

        def tell() -> None:
            while not done.wait(self._heartbeat_seconds):
                with suppress(optuna.exceptions.StorageInternalError):  # the next one may come through
                    self._storage.record_heartbeat(ticket)

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            with suppress(Exception):
                self._end(ticket, TrialState.FAIL)
            raise
        finally:
            done.set()
            thread.join()

    def finish(self, ticket: int, outcome: Outcome) -> bool:
        """Write down what became of a cell.

        Returns:
            Whether it counts: not where this worker was thought dead, and the cell was given to another.
        """
        with _one_line_errors(self.url):
            try:
                if outcome.failure is not None:
                    self._storage.set_trial_user_attr(ticket, _FAILURE, outcome.failure)
                    return self._end(ticket, TrialState.FAIL)
                self._storage.set_trial_user_attr(ticket, _RESULT, outcome.result)
                return self._end(ticket, TrialState.COMPLETE)
            except optuna.exceptions.UpdateFinishedTrialError:
                return False

    def _end(self, ticket: int, state: TrialState) -> bool:
        try:
            values = [_UNUSED] if state == TrialState.COMPLETE else None
            return self._storage.set_trial_state_values(ticket, state, values)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _declare_the_dead(self) -> None:
        """End the trials of workers that have fallen silent, or whose process on this machine is gone."""
        silent = set(self._storage._get_stale_trial_ids(self._study._study_id))
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial._trial_id in silent or _is_gone(trial.user_attrs.get(_WORKER, "")):
                self._end(trial._trial_id, TrialState.FAIL)


def refuse_another_study(kept: Mapping[str, Any], wanted: Mapping[str, Any], place: str) -> None:
    """Refuse to go on with a study that was begun as another one.

    Args:
        kept: the specification it was begun with.
        wanted: what is asked for now.
        place: where it is kept, for the message.

    Raises:
        InputError: they differ; the first difference is named.
    """
    for name in dict.fromkeys([*wanted, *kept]):
        before, now = kept.get(name), wanted.get(name)
        if before == now:
            continue
        if name == "fingerprint":
            raise InputError(
                f"the data has changed since the study in '{place}' began, so new runs would not compare with those "
                "that are there: put the data back, or begin another study (--output)"
            )
        raise InputError(
            f"'{place}' holds another study ({name} is {_shown(before)} there, {_shown(now)} here): name another "
            "--output, or give the same settings to go on with it"
        )


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def open_storage(url: str, heartbeat_seconds: int | None = None, silent_seconds: int | None = None) -> RDBStorage:
    """Optuna's storage, whose transactions exclude each other in SQLite too."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    sqlite = url.startswith("sqlite")
    if sqlite:
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for attempt in range(10):
            try:
                storage = RDBStorage(
                    url,
                    engine_kwargs={"connect_args": {"timeout": _BUSY_SECONDS}} if sqlite else {"pool_pre_ping": True},
                    heartbeat_interval=heartbeat_seconds,
                    grace_period=silent_seconds,
                )
                break
            except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
                # Two workers that begin at the same moment make the same tables; the slower one finds them made.
                if attempt == 9:
                    raise
                time.sleep(0.2 * (attempt + 1))
    if sqlite:
        _exclude_each_other(storage)
    return storage


def _exclude_each_other(storage: RDBStorage) -> None:
    """Begin every transaction by taking SQLite's lock for writing, so that what was read still holds when it writes."""

    @event.listens_for(storage.engine, "connect")
    def leave_transactions_to_us(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(storage.engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    storage.engine.dispose()  # connections that were made before know nothing of this


@contextmanager
def _one_line_errors(url: str) -> Iterator[None]:
    """What a database says, in one line of our own."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        reason = str(getattr(cause, "orig", None) or cause or error).strip().splitlines()[0]
        if isinstance(error, ImportError):
            reason = "its driver is not installed (pip install 'rushlight[postgresql]')"
        raise StorageError(f"the study's database '{_without_password(url)}' cannot be used: {reason}") from error


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{place}"


def _is_abandoned(trial: FrozenTrial) -> bool:
    """Whether a trial ended because its worker did, and not because of what it tried."""
    return trial.state == TrialState.FAIL and _FAILURE not in trial.user_attrs


def _outcome(trial: FrozenTrial) -> Outcome:
    return Outcome(trial.user_attrs.get(_RESULT), trial.user_attrs.get(_FAILURE))


def this_machine() -> str:
    """A name for this machine since it was started, and for the container on it."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8])
        parts.append(str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]"))
    return "/".join(parts).replace(" ", "_")


def _started(process: int) -> str:
    """When a process began, by the system's own clock; '' where there is no such process, or no /proc."""
    with suppress(OSError):
        # The name of the program, in parentheses, may hold anything; the times come after it.
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        if stat[0] not in "ZX":  # a zombie does not work any more
            return stat[19]
    return ""


def _is_gone(worker: str) -> bool:
    """Whether a worker was a process of this machine that is not there any more; False where one cannot know."""
    machine, _, rest = worker.partition(" ")
    if machine != this_machine() or len(rest.split()) != 3:
        return False
    process, started, _ = rest.split()
    return _started(int(process)) != started
