"""Whole runs of the program, as its own process: the demo, and a training that is interrupted."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rushlight.inference.predictor import Predictor
from rushlight.runtime.measured import Measured
from rushlight.runtime.run_folder import RunFolder

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "rushlight.app.cli"]


@pytest.fixture
def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


def test_demo_ends_in_commands_that_work(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "demo"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=200, check=True,
    )  # fmt: skip
    (test,) = re.findall(r"test +([\d.]+) %", done.stdout)
    assert float(test) > 95
    run = tmp_path / "runs" / "images" / "digits-1"
    assert {"curves.png", "confusion.png", "most_wrong.png"} <= {path.name for path in run.iterdir()}
    lines = [line for line in done.stdout.splitlines() if " evaluate " in line or " predict " in line]
    assert len(lines) == 2
    for line in lines:
        _, *arguments = shlex.split(line)
        again = subprocess.run(
            [*PROGRAM, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
            check=True,
        )  # fmt: skip
        assert again.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_training_leaves_a_model_and_frees_its_folder(
    number: int, code: int, photos: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["train", "images", str(photos), "--minutes", "5", "--model", "conv_layers", "--output", str(run)]
    with subprocess.Popen(
        [*PROGRAM, *words], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not (run / "model.safetensors").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(number)
        assert process.stderr is not None
        errors = process.stderr.read()
        assert process.wait(timeout=60) == code
    assert "Traceback" not in errors
    assert str(run) in errors
    assert Predictor.load(run).classes == ["blue", "green", "red"]
    RunFolder(run).close()  # would be refused while another process held it


@pytest.mark.data
def test_photographs_of_any_size(data_folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    if not any(data_folder.glob("dogscats*")):
        pytest.skip(f"there is no dogscats in '{data_folder}'")
    words = ["train", "images", "dogscats", "--epochs", "3", "--model", "batch_norm_net", "--size", "64"]
    done = subprocess.run(
        [*PROGRAM, *words, "--lr", "0.01", "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=250,
        env=environment | {"RUSHLIGHT_DATA": str(data_folder)}, check=True,
    )  # fmt: skip
    accuracy = Measured.from_json(json.loads(done.stdout)["results"]["valid"]["accuracy"])
    assert accuracy.n == 400
    assert accuracy.interval is not None
    assert accuracy.interval[0] > 0.5  # better than a coin


@pytest.mark.data
def test_a_book_is_learned_and_written_on(data_folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    if not (data_folder / "nietzsche.txt").is_file():
        pytest.skip(f"there is no nietzsche.txt in '{data_folder}'")
    environment = environment | {"RUSHLIGHT_DATA": str(data_folder)}
    words = [
        "train",
        "text",
        "nietzsche",
        "--lowercase",
        "--minimum-frequency",
        "3",
        "--epochs",
        "3",
        "--output",
        "run",
    ]
    small = ["--hidden-size", "160", "--layers", "1", "--dropout", "0.1", "--window", "50"]
    done = subprocess.run(
        [*PROGRAM, *words, *small, "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=250,
        env=environment, check=True,
    )  # fmt: skip
    loss = Measured.from_json(json.loads(done.stdout)["results"]["valid"]["loss"])
    assert loss.interval is not None
    assert loss.interval[1] < 2.0  # all characters alike: 4.0
    cautious = ["--length", "400", "--seed", "0", "--temperature", "0.5"]
    written = subprocess.run(
        [*PROGRAM, "generate", "run", "for thos", *cautious], cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    words_written = written.split()
    assert len(words_written) > 40
    text = (data_folder / "nietzsche.txt").read_text(encoding="latin-1").lower().split()
    known = sum(word in set(text) for word in words_written)
    assert known > 0.35 * len(words_written)  # letters at random make a word once in a while
