"""Processes that know each other: what they agree on, and what happens when one is lost."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rushlight.runtime import distributed
from rushlight.runtime.errors import InputError
from tests.distributed.launching import run_program, run_well


def test_a_process_on_its_own_agrees_with_itself_at_once():
    tensor = torch.ones(2)
    with distributed.started_processes(), distributed.leader_first("work"):
        assert (distributed.rank(), distributed.ranks(), distributed.local_rank()) == (0, 1, 0)
        assert distributed.is_writer()
        assert distributed.total(tensor) is tensor
        assert distributed.gathered(tensor)[0] is tensor
        assert distributed.bytes_of_writer(b"x") == b"x"
        assert distributed.from_writer(lambda: (1, 2)) == (1, 2)


def test_asking_for_the_rank_does_not_load_pytorch():
    program = "import sys; from rushlight.runtime import distributed as d; d.rank(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, "RANK is set but not LOCAL_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "RANK=2, WORLD_SIZE=2, LOCAL_RANK=0 name no process"),
        ({"RANK": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "RANK=x"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(monkeypatch, variables, message):
    if "LOCAL_RANK" in variables:
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        distributed.Launch.found()


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf"])
def test_a_time_of_silence_that_is_none_is_refused(monkeypatch, seconds):
    monkeypatch.setenv("RUSHLIGHT_SECONDS_OF_SILENCE", seconds)
    with pytest.raises(InputError, match="no number of seconds above 0"):
        distributed.seconds_of_silence()


@pytest.mark.distributed
def test_three_processes_agree(tmp_path: Path):
    assert "agreed" in run_well("agreeing", tmp_path, 0.1, ranks=3)


@pytest.mark.distributed
@pytest.mark.slow
def test_who_needs_longer_to_come_is_waited_for(tmp_path: Path):
    assert "agreed" in run_well("agreeing", tmp_path, 12, ranks=3, RUSHLIGHT_SECONDS_OF_SILENCE="8")


@pytest.mark.distributed
@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("killed", "exit 8: another of the 2 processes died or did not answer for 5 s (noticed by process 0)"),
        pytest.param("failed", "exit 4: out of memory on cuda:1", marks=pytest.mark.slow),
        pytest.param(
            "silent",
            "exit 8: another of the 2 processes died or did not answer for 5 s (noticed by process 0)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_who_is_left_says_in_one_line_why_it_ends(tmp_path: Path, how: str, line: str):
    started = time.monotonic()
    done = run_program("failing", how, tmp_path, RUSHLIGHT_SECONDS_OF_SILENCE="5")
    assert done.returncode == 1  # of torchrun
    assert time.monotonic() - started < 60
    assert line in (tmp_path / "0").read_text()
