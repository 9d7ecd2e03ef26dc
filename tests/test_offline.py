"""What needs no network makes no connection: tried in a process that ends where one is asked for."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.app.conftest import write_photos

PROJECT = Path(__file__).resolve().parents[1]

NO_NETWORK = """
    import os, sys

    def refuse(event, arguments):
        if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"):
            os.write(2, f"{event} {arguments!r}".encode())
            os._exit(99)

    sys.addaudithook(refuse)
    from rushlight.app.cli import main

    sys.exit(main(sys.argv[1:]))
"""

COMMANDS = {
    "the embedded digits": ("train", "images", "digits", "--steps", "2"),
    "the default pretrained network": ("train", "images", "photos", "--size", "72", "--freeze", "--epochs", "1"),
    "the embedded prose": ("train", "text", "--steps", "2", "--hidden-size", "8", "--layers", "1"),
    "the list of data sets": ("data", "list"),
}


def without_network(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "RUSHLIGHT_OFFLINE"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(NO_NETWORK), *words],
        cwd=folder, capture_output=True, text=True, timeout=280, check=False,
        env=variables | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip


@pytest.mark.parametrize("what", COMMANDS)
def test_no_connection_is_made(what: str, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", each=5)
    done = without_network(tmp_path, *COMMANDS[what])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [("data", "get", "imagenette"), ("train", "images", "imagenette", "--steps", "1")])
def test_what_would_be_fetched_is_refused_while_offline(words: tuple[str, ...], tmp_path: Path) -> None:
    done = without_network(
        tmp_path, *words, RUSHLIGHT_OFFLINE="1", RUSHLIGHT_CACHE=str(tmp_path / "cache"), RUSHLIGHT_DATA=str(tmp_path)
    )
    assert done.returncode == 2
    assert "RUSHLIGHT_OFFLINE" in done.stderr
