"""Progress: a bar in a terminal, lines in a file, nothing for short work, and never a word on stdout."""

import subprocess
import sys
import types

import pytest

from rushlight.runtime import terminal
from tests.terminals import on_terminal

WORK = """
import time
from rushlight.runtime import terminal
with terminal.progress("Reading images", 20, "images") as bar:
    for _ in range(20):
        time.sleep({seconds})
        bar.advance()
terminal.note("that was all")
print("result")
"""


def run_piped(seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WORK.format(seconds=seconds)], capture_output=True, text=True, check=True
    )


def run_in_terminal(seconds: float, **environment: str) -> tuple[str, str]:
    """Standard output and what a real terminal on stderr received."""
    return on_terminal(["-c", WORK.format(seconds=seconds)], **environment)


def test_piped_work_ends_with_one_line_on_stderr():
    finished = run_piped(0.03)
    assert finished.stdout == "result\n"
    lines = finished.stderr.splitlines()
    assert lines[0].startswith("Reading images: 20 of 20 images (100 %)")
    assert lines[1:] == ["that was all"]
    assert "\r" not in finished.stderr


def test_short_work_shows_nothing():
    assert run_piped(0.001).stderr == "that was all\n"
    assert run_in_terminal(0.001)[1] == "that was all\r\n"


def test_a_terminal_gets_a_moving_bar():
    output, shown = run_in_terminal(0.05)
    assert output == "result\n"
    assert "\x1b[" in shown
    assert "20/20" in shown
    assert "left" in shown


def test_a_dumb_terminal_gets_plain_lines():
    _, shown = run_in_terminal(0.03, TERM="dumb")
    assert "\x1b[" not in shown
    assert "20 of 20 images" in shown


def test_long_piped_work_speaks_up_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_LINES", 0.0)
    with terminal.progress("Reading", 3) as bar:
        for _ in range(3):
            bar.advance()
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "Reading: 1 of 3 (33 %)",
        "Reading: 2 of 3 (67 %)",
        "Reading: 3 of 3 (100 %)",
    ]


def test_a_notebook_gets_one_line_that_rewrites_itself(monkeypatch, capsys):
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.0)
    with terminal.progress("Reading", 2) as bar:
        bar.advance()
        bar.advance()
    written = capsys.readouterr()
    assert written.err == ""
    assert written.out.count("\n") == 1
    assert written.out.split("\r")[-1].startswith("Reading: 2 of 2 (100 %)")


def test_an_error_in_the_work_passes_through(capsys):
    with pytest.raises(ZeroDivisionError), terminal.progress("Reading", 2):
        _ = 1 / 0
    assert capsys.readouterr().err == ""
