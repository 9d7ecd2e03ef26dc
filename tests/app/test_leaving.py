"""Ended from outside while a command runs: by its exit code, whatever is made of the exception on its way."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from rushlight.app.cli import main


@pytest.fixture(autouse=True)
def handlers_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A shell that starts something behind itself lets it ignore Ctrl-C, and this process would then never hear of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("is_changed", [False, True])
def test_a_signal_ends_a_command_with_its_number(
    number: int, code: int, is_changed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted_import(*_: object) -> None:
        try:
            os.kill(os.getpid(), number)
        except BaseException as error:
            if is_changed:  # as pybind11 does where the first lines of a module fail
                raise ImportError("initialization failed") from error
            raise

    monkeypatch.setattr("rushlight.runtime.files.human_bytes", interrupted_import)
    monkeypatch.setattr(sys, "argv", ["rushlight", "data", "list"])
    try:
        ended = main()
    except SystemExit as error:
        ended = error.code
    assert ended == code
    assert "Traceback" not in capsys.readouterr().err
