"""Every cell of a study is counted exactly once, whoever is killed and however many work on it."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import optuna
import pytest

from rushlight.runtime.errors import InputError, StorageError
from rushlight.studies.running import work_through
from rushlight.studies.store import CellStore, Outcome
from rushlight.studies.variations import Cell
from tests.studies import toy_study

TOY = Path(toy_study.__file__)
UNINTERRUPTED = 0.01  # seconds a cell


def measured(value: float) -> Outcome:
    return Outcome({"results": {"accuracy": {"value": value, "interval": None, "n": 1, "method": None}}, "seconds": 1})


def start(database: str, log: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, TOY, database, log, str(seconds)], cwd=TOY.parents[2], env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(TOY.parents[2])}


def counted(database: str) -> Counter[str]:
    """How often each cell was counted as done."""
    study = optuna.load_study(study_name="toy", storage=database)
    done = [trial for trial in study.get_trials() if trial.state == optuna.trial.TrialState.COMPLETE]
    return Counter(str(trial.user_attrs["cell"]) for trial in done)


def require_exactly_once(database: str) -> None:
    counts = counted(database)
    assert len(counts) == len(toy_study.CELLS)
    assert set(counts.values()) == {1}


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture
def uninterrupted(tmp_path: Path) -> str:
    """The table of a study that nothing happened to."""
    store = toy_study.open_store(f"sqlite:///{tmp_path / 'uninterrupted.db'}")
    work_through(store, toy_study.CELLS, lambda cell: measured(toy_study.accuracy(cell)))
    return toy_study.table(store)


# --- a single worker -------------------------------------------------------------------------------------------------


def test_cells_are_done_in_order_once_each_and_found_again(database: str) -> None:
    done: list[Cell] = []

    def run(cell: Cell) -> Outcome:
        done.append(cell)
        return measured(toy_study.accuracy(cell))

    for _ in range(2):
        outcomes = work_through(toy_study.open_store(database), toy_study.CELLS, run)
        assert list(outcomes) == toy_study.CELLS
    assert done == toy_study.CELLS
    require_exactly_once(database)


def test_seeds_can_be_added_to_a_study(database: str) -> None:
    first = [cell for cell in toy_study.CELLS if cell.seed < 2]
    work_through(toy_study.open_store(database), first, lambda cell: measured(0.1))
    outcomes = work_through(toy_study.open_store(database), toy_study.CELLS, lambda cell: measured(0.2))
    values = [outcome.result["results"]["accuracy"]["value"] for outcome in outcomes.values() if outcome.result]
    assert values == [0.1] * len(first) + [0.2] * (len(toy_study.CELLS) - len(first))


def test_failed_cell_loses_no_other_and_is_tried_again_only_on_request(database: str) -> None:
    store = toy_study.open_store(database)
    bad = toy_study.CELLS[1]
    tried: list[Cell] = []

    def run(cell: Cell) -> Outcome:
        tried.append(cell)
        return Outcome(failure="the loss became nan") if cell == bad else measured(0.5)

    for _ in range(2):
        outcomes = work_through(store, toy_study.CELLS, run)
    assert outcomes[bad] == Outcome(None, "the loss became nan")
    assert tried == toy_study.CELLS
    assert "failed: the loss became nan" in toy_study.table(store)
    assert store.retry_failed() == [bad]
    assert work_through(store, toy_study.CELLS, lambda cell: measured(0.9))[bad].result
    require_exactly_once(database)


def test_interrupted_cell_is_given_back_at_once(database: str) -> None:
    def interrupted(cell: Cell) -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_through(toy_study.open_store(database), toy_study.CELLS, interrupted)
    store = toy_study.open_store(database)
    taken = store.take(toy_study.CELLS)
    assert taken is not None
    assert taken[0] == toy_study.CELLS[0]


# --- two workers -----------------------------------------------------------------------------------------------------


def test_two_workers_never_hold_the_same_cell(database: str) -> None:
    one, other = toy_study.open_store(database), toy_study.open_store(database)
    taken = [store.take(toy_study.CELLS) for store in [one, other] * 6]
    cells = [found[0] for found in taken if found is not None]
    assert cells == toy_study.CELLS
    assert one.take(toy_study.CELLS) is None


def test_silent_worker_loses_its_cell_and_its_late_result_does_not_count(database: str) -> None:
    sleeper, other = toy_study.open_store(database), toy_study.open_store(database)
    first = sleeper.take(toy_study.CELLS[:1])
    assert first is not None
    assert other.take(toy_study.CELLS[:1]) is None
    time.sleep(5)  # this process is alive, but says nothing: `at_work` would
    second = other.take(toy_study.CELLS[:1])
    assert second is not None
    assert not sleeper.finish(first[1], measured(0.1))
    assert other.finish(second[1], measured(0.2))
    (outcome,) = other.outcomes().values()
    assert outcome == measured(0.2)


def test_worker_that_is_at_work_keeps_its_cell(database: str) -> None:
    worker, other = toy_study.open_store(database), toy_study.open_store(database)
    taken = worker.take(toy_study.CELLS[:1])
    assert taken is not None
    with worker.at_work(taken[1]):
        time.sleep(5)
        assert other.take(toy_study.CELLS[:1]) is None
    assert worker.finish(taken[1], measured(0.1))


# --- what is refused -------------------------------------------------------------------------------------------------


def test_another_study_in_the_place_is_refused(database: str) -> None:
    toy_study.open_store(database)
    with pytest.raises(InputError, match="holds another study \\(kind is toy there, tot here\\)"):
        toy_study.open_store(database, toy_study.SPECIFICATION | {"kind": "tot"})


def test_data_that_changed_since_the_study_began_is_refused(database: str) -> None:
    toy_study.open_store(database)
    with pytest.raises(InputError, match="the data has changed"):
        toy_study.open_store(database, toy_study.SPECIFICATION | {"fingerprint": "2"})


def test_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    file.write_bytes(b"not a database, but a text that is long enough to be taken for one" * 20)
    with pytest.raises(StorageError, match=r"study.db' cannot be used: .*not a database"):
        toy_study.open_store(f"sqlite:///{file}")


def test_password_of_a_database_is_not_shown() -> None:
    with pytest.raises(StorageError) as caught:
        CellStore("postgresql+psycopg://me:secret@127.0.0.1:1/none", "toy", {})
    assert "secret" not in str(caught.value)


# --- processes that are killed ---------------------------------------------------------------------------------------


def test_killed_worker_leaves_a_study_that_goes_on(database: str, uninterrupted: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(database, log, 0.3)
    wait_for(lambda: log.exists() and log.read_text().count("ended") >= 3)
    process.kill()
    process.wait()
    begun = log.read_text().count("begun")
    assert start(database, log, 0.0).wait(timeout=120) == 0
    require_exactly_once(database)
    assert toy_study.table(toy_study.open_store(database)) == uninterrupted
    assert log.read_text().count("begun") <= len(toy_study.CELLS) + 1 + (begun == 3)


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def size_of(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def grew(log: Path, before: int) -> bool:
    return size_of(log) > before


def kill_ten_times_and_finish(database: str, log: Path, workers: int) -> None:
    """Let workers be killed at random moments, ten times, and one at last finish what is left."""
    moments = random.Random(0)
    for _ in range(10):
        before = size_of(log)
        processes = [start(database, log, 0.4) for _ in range(workers)]
        wait_for(partial(grew, log, before))
        time.sleep(moments.uniform(0, 0.6))
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert start(database, log, 0.0).wait(timeout=120) == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_study_killed_ten_times_has_every_cell_once_and_the_same_table(
    workers: int, database: str, uninterrupted: str, tmp_path: Path
) -> None:
    kill_ten_times_and_finish(database, tmp_path / "log", workers)
    require_exactly_once(database)
    assert toy_study.table(toy_study.open_store(database)) == uninterrupted


@pytest.mark.slow
def test_three_processes_share_a_study_without_doing_anything_twice(database: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(database, log, 0.3) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    require_exactly_once(database)
    assert log.read_text().count("begun") == len(toy_study.CELLS)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A server of its own, for this module; `apt-get install postgresql` brings the programs."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'rushlight[postgresql]')")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("there is no PostgreSQL server (apt-get install postgresql)")
    # Not in pytest's folder, which other sessions of pytest clear away, and whose name is long for that of a socket.
    with tempfile.TemporaryDirectory(prefix="rushlight-pg-", ignore_cleanup_errors=True) as folder:
        yield from _server(programs[-1], Path(folder))


def _server(programs: Path, folder: Path) -> Iterator[str]:
    before = []
    if os.geteuid() == 0:  # the server refuses to run as root
        before = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(folder, "postgres")

    def program(name: str, *words: str) -> None:
        subprocess.run([*before, programs / name, *words], check=True, capture_output=True, timeout=200)

    program("initdb", "-D", str(folder / "data"), "-U", "rushlight", "--auth=trust", "--no-sync")
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    program("pg_ctl", "-D", str(folder / "data"), "-o", settings, "-l", str(folder / "log"), "-w", "-t", "180", "start")
    try:
        program("createdb", "-h", str(folder), "-U", "rushlight", "studies")
        yield f"postgresql+psycopg://rushlight@/studies?host={folder}"
    finally:
        program("pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "-t", "180", "stop")


@pytest.mark.slow
def test_two_workers_killed_ten_times_on_postgresql(postgresql: str, uninterrupted: str, tmp_path: Path) -> None:
    kill_ten_times_and_finish(postgresql, tmp_path / "log", 2)
    require_exactly_once(postgresql)
    assert toy_study.table(toy_study.open_store(postgresql)) == uninterrupted
