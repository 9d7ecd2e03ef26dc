"""Programs on a real terminal."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest


def on_terminal(words: Sequence[str], both: bool = False, **environment: str) -> tuple[str, str]:
    """Run Python on a terminal.

    Args:
        words: what follows `python`.
        both: whether the terminal gets standard output, too; else it gets stderr alone.
        **environment: variables to set.

    Returns:
        Standard output where the terminal does not get it, and what the terminal received.
    """
    pty = pytest.importorskip("pty")
    reading, writing = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=writing if both else subprocess.PIPE,
        stderr=writing,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment},
    )
    os.close(writing)
    shown = b""
    while True:
        try:
            received = os.read(reading, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not received:
            break
        shown += received
    output, _ = process.communicate()
    os.close(reading)
    return (output or b"").decode(), shown.decode()
