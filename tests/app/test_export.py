"""`rushlight export`, and the programs in `examples/` that use what it writes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rushlight.app.cli import main
from rushlight.inference.predictor import Predictor

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run_example(name: str, *arguments: object) -> str:
    """What an example prints, in a process that can import neither Rushlight nor PyTorch."""
    forbid = "import sys; sys.modules['rushlight'] = sys.modules['torch'] = None; sys.argv = sys.argv[1:]; "
    code = forbid + "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    words = [sys.executable, "-c", code, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, encoding="utf-8", check=True, timeout=120).stdout


def test_an_exported_classifier_answers_in_plain_onnxruntime(
    trained: Path, photos: Path, tmp_path: Path, rushlight: Rushlight
) -> None:
    file = tmp_path / "model.onnx"
    ran = rushlight("export", trained, "--to", "onnx", "--output", file, "--json")
    assert ran.code == 0
    told = json.loads(ran.out)
    assert (told["file"], told["predictions"], told["same"]) == (str(file), 100, 100)
    images = [photos / name / "0.png" for name in ("blue", "green", "red")]
    expected = Predictor.load(trained, device="cpu", precision="float32").predict(images)
    answers = [line.split("  ") for line in run_example("onnx_classifier.py", file, *images).splitlines()]
    assert [answer[1] for answer in answers] == [prediction.label for prediction in expected]
    for answer, prediction in zip(answers, expected, strict=True):
        assert float(answer[2].removesuffix(" %")) == pytest.approx(100 * prediction.probability, abs=0.2)


def test_an_exported_language_model_writes_in_plain_onnxruntime(tmp_path: Path, rushlight: Rushlight) -> None:
    book = tmp_path / "book.txt"
    book.write_text("the cat sat on the mat and the dog sat on the cat\n" * 60)
    run = tmp_path / "book-1"
    small = (
        "--model",
        "lstm",
        "--hidden-size",
        "16",
        "--layers",
        "1",
        "--steps",
        "3",
        "--batch-size",
        "4",
        "--window",
        "16",
    )
    assert main(["train", "text", str(book), *small, "--output", str(run)]) == 0
    ran = rushlight("export", run)
    assert ran.code == 0
    assert "100 of 100 answers" in ran.out
    assert "largest difference" in ran.out
    written = run_example("onnx_language_model.py", run / "model.onnx", "The cat", 50, 0.5)
    assert written.startswith("The cat")
    assert len(written) >= len("The cat") + 50
    assert set(written.removeprefix("The cat")) <= set(book.read_text())


@pytest.mark.parametrize(
    ("words", "told"),
    [(("nowhere",), "there is no run 'nowhere'"), (("nowhere", "--to", "onyx"), "did you mean 'onnx'?")],
)
def test_misuse_of_export_is_one_line(words: tuple[str, ...], told: str, rushlight: Rushlight) -> None:
    ran = rushlight("export", *words)
    assert ran.code == 2
    assert told in ran.error
