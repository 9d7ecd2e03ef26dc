"""Threads sleep while they wait on a busy machine, spin on a quiet one, and a person's own setting stands."""

import os
import subprocess
import sys
import time

import pytest

from rushlight.runtime.waiting import threads_of_others

CODE = """
import os
from rushlight.runtime import waiting
waiting.threads_of_others = lambda: {others}
print(waiting.let_threads_sleep_if_busy(), os.environ.get("OMP_WAIT_POLICY"))
import torch
print(waiting.let_threads_sleep_if_busy())
"""


@pytest.mark.parametrize(
    ("others", "own", "expected"),
    [
        (100, {}, ["True", "passive", "False"]),
        (0, {}, ["False", "None", "False"]),
        (100, {"OMP_WAIT_POLICY": "active"}, ["False", "active", "False"]),
    ],
)
def test_the_load_decides_before_pytorch_is_loaded(others, own, expected):
    environment = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    ran = subprocess.run(
        [sys.executable, "-c", CODE.format(others=others)],
        env=environment | own,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells how many threads run")
def test_busy_programs_are_seen():
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        time.sleep(0.5)
        assert threads_of_others() >= 2
    finally:
        for process in busy:
            process.kill()
            process.wait()
