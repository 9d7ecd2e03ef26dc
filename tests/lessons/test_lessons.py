"""The lessons run from top to bottom, and what is committed of them is fit to be read."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

PROJECT = Path(__file__).resolve().parents[2]
LESSONS = sorted((PROJECT / "lessons").glob("*.ipynb"))
LARGEST = 300_000  # bytes
PATHS = re.compile(r"(/home|/root|/tmp|/work|/Users|[A-Z]:\\)[/\\]")

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


@each_lesson
def test_a_committed_lesson_has_been_run_from_top_to_bottom_without_an_error(lesson: Path) -> None:
    notebook = nbformat.read(lesson, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(output.output_type == "display_data" for cell in code for output in cell.outputs), "it shows no picture"
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text


@each_lesson
def test_a_committed_lesson_is_small_and_names_no_place_of_the_machine_it_ran_on(lesson: Path) -> None:
    assert lesson.stat().st_size <= LARGEST
    notebook = nbformat.read(lesson, as_version=4)
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        shown = output.get("text", "") + output.get("data", {}).get("text/plain", "")
        assert not PATHS.search(shown), shown


@each_lesson
def test_a_lesson_ends_with_what_to_try_next(lesson: Path) -> None:
    last = nbformat.read(lesson, as_version=4).cells[-1]
    assert last.cell_type == "markdown"
    assert "## What to try next" in last.source


@pytest.mark.slow
@pytest.mark.timeout(900)
@each_lesson
def test_a_lesson_runs_on_short_settings(lesson: Path) -> None:
    settings = {"RUSHLIGHT_LESSON_SHORT": "1", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--nbmake",
        "--nbmake-timeout=600",
        "--timeout=840",  # of this test, not that of the project
        lesson,
    ]
    done = subprocess.run(command, env=os.environ | settings, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
