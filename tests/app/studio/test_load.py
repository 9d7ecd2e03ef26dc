"""Visitors ask for predictions while a training runs: none is lost, and the training is what it is without them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "studio_load.py"


@pytest.mark.slow
def test_no_visitor_is_lost_and_the_trained_weights_are_the_same() -> None:
    pytest.importorskip("uvicorn")
    words = [sys.executable, str(SCRIPT), "--visitors", "10", "--seconds", "6", "--epochs", "3"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["requests"] >= 10
    assert set(found["statuses"]) == {"200"}
    assert found["weights_are_the_same"]
