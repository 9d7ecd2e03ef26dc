"""A training that is started in the studio: once, in a process of its own, stopped in good order, never lost."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rushlight.app.studio.trainings import start_facts
from tests.app.studio.conftest import Studio, start_studio


def token_on(studio: Studio, page: str) -> str:
    found = re.search(r"name=\"token\" value=\"(\w+)\"", studio.get(page).text)
    assert found is not None
    return found[1]


def facts(studio: Studio, address: str) -> dict[str, Any]:
    """`run.json` of the run behind an address."""
    for run in (studio.folder / "runs").glob("*/*"):
        if address.endswith(studio.run_id(str(run.relative_to(studio.folder / "runs")))):
            return {"folder": run} | (json.loads((run / "run.json").read_text()) if (run / "run.json").exists() else {})
    raise AssertionError(address)


@pytest.fixture
def own_studio(tmp_path: Path, work_folder: Path) -> Iterator[Studio]:
    """A studio in an empty working folder, with the photographs at hand."""
    (tmp_path / "photos").symlink_to(work_folder / "photos")
    running = start_studio(tmp_path)
    yield running
    running.close()


def open_data(studio: Studio) -> str:
    return studio.form("/data", place=studio.folder / "photos").headers["location"]


@pytest.mark.slow
def test_a_double_click_starts_one_training_and_a_second_one_has_to_be_asked_for(own_studio: Studio) -> None:
    page = open_data(own_studio)
    order = {"amount": 30, "length": "minutes", "token": token_on(own_studio, page)}
    with ThreadPoolExecutor(4) as clicks:
        answers = list(clicks.map(lambda _: own_studio.form(f"{page}/train", **order), range(4)))
    assert [answer.status for answer in answers] == [303] * 4
    (address,) = {answer.headers["location"] for answer in answers}
    assert len(list((own_studio.folder / "runs" / "images").iterdir())) == 1

    another = order | {"token": token_on(own_studio, page)}
    refused = own_studio.form(f"{page}/train", **another)
    assert refused.status == 409
    assert "photos-1 is being trained" in refused.text

    beside = own_studio.form(f"{page}/train", **another, beside="yes")
    assert beside.status == 303
    for started in (address, beside.headers["location"]):
        assert own_studio.form(f"{started}/stop").status == 303
    for started in (address, beside.headers["location"]):
        own_studio.wait_for(started, "finished")


@pytest.mark.slow
def test_stopping_anneals_measures_and_saves(own_studio: Studio) -> None:
    page = open_data(own_studio)
    order = {"amount": 60, "length": "minutes", "token": token_on(own_studio, page)}
    address = own_studio.form(f"{page}/train", **order).headers["location"]
    end = time.monotonic() + 200
    while not own_studio.get(f"{address}/live").json()["rows"]:
        assert time.monotonic() < end
        time.sleep(0.2)
    own_studio.form(f"{address}/stop")
    own_studio.wait_for(address, "finished")
    found = facts(own_studio, address)
    assert found["results"]["valid"]["accuracy"]["n"] > 0
    rows = [json.loads(line) for line in (found["folder"] / "history.jsonl").read_text().splitlines()]
    if len(rows) > 1:  # the head of a pretrained network alone has no rate
        assert rows[-1]["lr"] < 0.2 * max(row["lr"] for row in rows)
    assert not (found["folder"] / "stop").exists()
    assert not (found["folder"] / "live.json").exists()


@pytest.mark.slow
def test_a_training_outlives_the_studio_and_its_history_is_there_again(tmp_path: Path, work_folder: Path) -> None:
    (tmp_path / "photos").symlink_to(work_folder / "photos")
    first = start_studio(tmp_path)
    page = open_data(first)
    order = {"amount": 60, "length": "minutes", "token": token_on(first, page)}
    address = first.form(f"{page}/train", **order).headers["location"]
    end = time.monotonic() + 200
    while not (rows := first.get(f"{address}/live").json()["rows"]):
        assert time.monotonic() < end
        time.sleep(0.2)
    first.close()

    second = start_studio(tmp_path)
    try:
        assert second.state(address) == "training"
        assert second.get(f"{address}/live").json()["rows"][: len(rows)] == rows
        assert json.dumps(rows[0]["epoch"]) in second.get(address).text
        second.form(f"{address}/stop")
        second.wait_for(address, "finished")
    finally:
        second.close()


@pytest.mark.slow
def test_a_training_that_fails_says_why(own_studio: Studio) -> None:
    folder = own_studio.folder / "one"
    (folder / "only").mkdir(parents=True)
    (folder / "only" / "a.png").write_bytes((own_studio.folder / "photos" / "red" / "0.png").read_bytes())
    page = own_studio.form("/data", place=folder).headers["location"]
    if own_studio.get(page).status != 200:  # refused before it is started
        return
    order = {"amount": 1, "length": "epochs", "token": token_on(own_studio, page)}
    address = own_studio.form(f"{page}/train", **order).headers["location"]
    own_studio.wait_for(address, "failed")
    assert "error: " in own_studio.get(address).text


@pytest.mark.parametrize(
    "change", [{"amount": "0"}, {"amount": "soon"}, {"amount": "1e9"}, {"length": "years"}, {"seed": "-1"}], ids=str
)
def test_an_order_that_makes_no_sense_starts_nothing(
    change: dict[str, str], studio: Studio, open_photos: Callable[[], str]
) -> None:
    page = open_photos()
    before = len(list((studio.folder / "runs" / "images").iterdir()))
    answer = studio.form(f"{page}/train", **({"amount": 1, "token": token_on(studio, page)} | change))
    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert len(list((studio.folder / "runs" / "images").iterdir())) == before


def test_a_process_that_has_another_number_now_is_not_taken_for_the_training(tmp_path: Path) -> None:
    run = tmp_path / "photos-1"
    run.mkdir()
    (run / "studio.json").write_text(json.dumps({"process": os.getpid(), "data": "x", "seed": 0}))
    assert start_facts(run)["alive"] is False
