"""Folders of images that are quick to learn, and the command line run within the test."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rushlight.app.cli import main

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (210, 50, 40)}


def write_photos(folder: Path, each: int = 10, classes: tuple[str, ...] = tuple(COLOURS)) -> Path:
    """Noisy patches of a colour, which is their class."""
    random = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            pixels = np.clip(random.normal(COLOURS[name], 30, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@dataclass(frozen=True)
class Ran:
    """What a command line left: exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of the error."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert self.err.splitlines()[-1] == lines[0]
        assert "Traceback" not in self.err
        return lines[0]


Rushlight = Callable[..., Ran]


@pytest.fixture
def rushlight(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rushlight:
    """Runs a command line in an empty working folder, with no data sets at hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUSHLIGHT_DATA", raising=False)

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run


@pytest.fixture
def make_photos(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of images of its own: `make_photos(each=10, classes=("blue", "red"))`."""
    return partial(write_photos, tmp_path / "photos")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes with ten images each; for reading only."""
    return write_photos(tmp_path_factory.mktemp("images") / "photos")


@pytest.fixture(scope="session")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small network trained on `photos`; for reading only."""
    run = tmp_path_factory.mktemp("runs") / "trained"
    length = ("--epochs", "20", "--lr", "0.01", "--model", "conv_layers", "--size", "32")
    assert main(["train", "images", str(photos), *length, "--output", str(run)]) == 0
    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium.

    Of a module and not of the session: while it is there its event loop runs, beside which no test can run another.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()
