"""A studio in a process of its own, in a working folder with two finished runs, and a plain client for it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from rushlight.app.cli import main
from rushlight.app.studio.library import id_of
from tests.app.conftest import write_photos
from tests.app.studio.browsing import OpenPage

TEXT = "the cat sat on the mat and the dog sat on the cat\n" * 80


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Studio:
    """A running studio."""

    process: subprocess.Popen[str]
    folder: Path
    address: str
    stopped: bool = field(default=False)

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 120,
    ) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def form(self, path: str, **fields: object) -> Answer:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(fields).encode(), kind)

    def memory(self) -> int:
        """The most memory that the process has ever held, in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
        pytest.skip("the system does not tell how much memory a process has held")

    def run_id(self, run: str) -> str:
        return id_of(self.folder / "runs" / run)

    def before(self, ticket: str) -> int | None:
        """How many questions are answered before that with a ticket."""
        told: int | None = self.get(f"/line/{ticket}").json()["before"]
        return told

    def state(self, address: str) -> str:
        return str(self.get(f"{address}/live").json()["state"])

    def wait_for(self, address: str, *states: str, seconds: float = 240) -> None:
        """Wait until a run is in one of some states."""
        end = time.monotonic() + seconds
        while (now := self.state(address)) not in states:
            assert time.monotonic() < end, f"still '{now}'"
            time.sleep(0.3)

    def close(self) -> None:
        if not self.stopped:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)
            self.stopped = True


def start_studio(folder: Path) -> Studio:
    """Start one in a working folder."""
    environment = os.environ | {"RUSHLIGHT_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "rushlight.app.cli", "studio", "--port", "0", "--no-browser"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("The studio: "), line
    return Studio(process, folder, line.split()[-1].rstrip("/"))


@pytest.fixture(scope="session")
def work_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with photographs, a text, and a finished run of each."""
    folder = tmp_path_factory.mktemp("studio")
    write_photos(folder / "photos", each=30)
    (folder / "book.txt").write_text(TEXT)
    before = Path.cwd()
    os.chdir(folder)
    try:
        images = ("--epochs", "12", "--lr", "0.01", "--model", "conv_layers", "--size", "32")
        assert main(["train", "images", "photos", *images]) == 0
        text = ("--hidden-size", "32", "--layers", "1", "--epochs", "3", "--batch-size", "8", "--window", "16")
        assert main(["train", "text", "book.txt", *text]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(scope="session")
def studio(work_folder: Path) -> Iterator[Studio]:
    """One studio for all tests that leave nothing running."""
    for package in ("starlette", "uvicorn"):
        pytest.importorskip(package)
    running = start_studio(work_folder)
    yield running
    running.close()


@pytest.fixture
def open_photos(studio: Studio) -> Callable[[], str]:
    """Opens the photographs, and gives the address of their page."""

    def opened() -> str:
        answer = studio.form("/data", place=studio.folder / "photos")
        assert answer.status == 303
        return answer.headers["location"]

    return opened


@pytest.fixture
def open_page(browser: Any, studio: Studio) -> Iterator[OpenPage]:
    """Opens a page; in the end none of them has asked another host for anything, or complained of anything."""
    asked: list[str] = []
    complaints: list[str] = []
    contexts = []

    def opened(width: int, path: str = "/", scheme: str = "light", of: Studio = studio) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "status of 4" not in said.text else None)
        page.goto(of.address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))] == []
    assert complaints == []
