"""The parts that need no server."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from rushlight.app.cli import main
from rushlight.app.studio import worker as worker_module
from rushlight.app.studio.checks import Check
from rushlight.app.studio.compare import groups_of
from rushlight.app.studio.library import Library
from rushlight.app.studio.server import hosts_of
from rushlight.app.studio.worker import LineTooLong, Worker
from rushlight.data.audit.fixes import Fix, write_fixes
from rushlight.runtime.errors import InputError


def test_work_is_done_in_the_order_in_which_it_was_asked_for() -> None:
    async def ask() -> list[int]:
        worker, done = Worker(), []
        await asyncio.gather(*(worker.do(lambda number=number: done.append(number)) for number in range(50)))
        worker.close()
        return done

    assert asyncio.run(ask()) == list(range(50))


def test_a_ticket_tells_how_many_come_first() -> None:
    async def ask() -> None:
        worker, gate = Worker(), threading.Event()
        waiting = [asyncio.ensure_future(worker.do(gate.wait, ticket)) for ticket in ("a", "b", "", "c")]
        await asyncio.sleep(0)
        assert [worker.before(ticket) for ticket in ("a", "b", "c", "d")] == [0, 1, 3, None]
        waiting[1].cancel()  # a visitor who leaves
        await asyncio.sleep(0)
        assert worker.before("c") == 2
        gate.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert worker.before("c") is None
        worker.close()

    asyncio.run(ask())


def test_a_line_that_is_too_long_turns_visitors_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LONGEST_LINE", 2)

    async def ask() -> None:
        worker, gate = Worker(), threading.Event()
        waiting = [asyncio.ensure_future(worker.do(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(LineTooLong):
            await worker.do(lambda: None)
        gate.set()
        await asyncio.gather(*waiting)
        assert worker.waiting == 0
        worker.close()

    asyncio.run(ask())


def test_a_model_is_loaded_again_when_its_file_changes(tmp_path: Path) -> None:
    worker, file, loads = Worker(), tmp_path / "model", []

    def load() -> int:
        loads.append(file.read_text())
        return len(loads)

    file.write_text("a")
    assert [worker.loaded("x", file, load) for _ in range(3)] == [1, 1, 1]
    file.write_text("b")
    import os

    os.utime(file, ns=(1, 1))
    assert worker.loaded("x", file, load) == 2
    worker.close()


def make_run(name: str, accuracy: float, interval: list[float], fingerprint: str = "f") -> None:
    run = Path("runs/images") / name
    run.mkdir(parents=True)
    (run / "model.safetensors").touch()
    measured = {"value": accuracy, "interval": interval, "n": 100, "method": "wilson"}
    facts = {
        "data": {"name_or_path": "/x/photos", "fingerprint": fingerprint, "seed": 0},
        "results": {"valid": {"accuracy": measured}},
        "arguments": {"model": "auto"},
    }
    (run / "run.json").write_text(json.dumps(facts))


def test_runs_are_compared_only_where_they_were_measured_on_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run("a", 0.80, [0.75, 0.85])
    make_run("b", 0.90, [0.86, 0.94])
    make_run("c", 0.88, [0.84, 0.92])
    make_run("d", 0.99, [0.98, 1.0], fingerprint="other")
    first, second = groups_of(Library([]).runs())
    assert [row["run"].name for row in first.rows] == ["b", "c", "a"]
    assert "b and c cannot be told apart" in first.verdict
    assert second.verdict == "There is nothing to compare it with yet."
    for row in first.rows:
        assert 0 <= row["start"] <= row["point"] <= row["end"] <= 100
    assert (first.low, first.high) == ("74.1 %", "94.9 %")
    make_run("e", 0.99, [0.97, 1.0])
    assert "e is better than b" in groups_of(Library([]).runs())[0].verdict


def test_the_studio_answers_to_names_of_this_machine_alone() -> None:
    assert hosts_of("127.0.0.1", 80) == {"127.0.0.1:80", "localhost:80", "[::1]:80"}
    assert hosts_of("192.0.2.1", 80) == {"192.0.2.1:80"}


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["studio", "--port", str(port), "--no-browser"]) == 2
    error = capsys.readouterr().err
    assert "choose another --port" in error
    assert "Traceback" not in error


def test_a_run_that_does_not_exist_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studio", "nowhere", "--no-browser"]) == 2
    assert "there is no run 'nowhere'" in capsys.readouterr().err


def test_what_can_be_decided_is_kept_also_beside_what_cannot(tmp_path: Path) -> None:
    proposed = [Fix("a.png", "relabel", "red", "looks like red"), Fix("b.png", "drop"), Fix("c.png", "keep", "blue")]
    write_fixes(tmp_path / "fixes.csv", proposed)
    check, classes = Check(tmp_path), ["blue", "green", "red"]
    decided = {0: ("keep", ""), 1: ("other", "gren"), 2: ("relabel", ""), 7: ("drop", "")}
    with pytest.raises(InputError, match=r"b\.png: there is no class 'gren'; did you mean 'green'\?"):
        check.decide(decided, classes)
    assert [fix.action for fix in check.fixes()] == ["keep", "drop", "relabel"]
    with pytest.raises(InputError, match=r"b\.png: choose a class"):
        check.decide({1: ("other", "")}, classes)
    check.decide({0: ("relabel", ""), 1: ("other", "green"), 2: ("keep", "red")}, classes)
    assert [(fix.action, fix.label) for fix in check.fixes()] == [
        ("relabel", "red"),
        ("relabel", "green"),
        ("keep", "blue"),
    ]
