"""Every block of code in the documentation runs, page by page and in order, in a folder of small data."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rushlight.app.cli import build_program, main
from tests.docs.pages import DOCS, LANGUAGES, blocks_of, pages

MINUTES = "0.03"  # what every time limit on a page becomes here
PHOTOS = 25  # of each kind
_LIMIT = re.compile(r"(--minutes |minutes=)[0-9.]+")
_SENTENCES = ("The cat sat on the mat.\n", "A dog ran to the sea.\n", "It was dark at night.\n", "Once upon a time.\n")

WITH_CODE = [page for page in pages() if any(block.language in ("python", "console") for block in blocks_of(page))]


def _draw(path: Path, kind: str, random: np.random.Generator, size: int = 100) -> None:
    """A bright round thing is a cat, a dark square one a dog."""
    image = Image.fromarray(random.integers(90, 160, (size, size, 3), dtype=np.uint8))
    left, top = random.integers(5, size // 2, 2).tolist()
    box = (left, top, left + size // 3, top + size // 3)
    draw = ImageDraw.Draw(image)
    draw.ellipse(box, fill="orange") if kind == "cat" else draw.rectangle(box, fill="navy")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the pages speak of: photographs, a table, a text."""
    folder = tmp_path_factory.mktemp("documentation")
    random = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        for number in range(PHOTOS):
            _draw(folder / "photos" / kind / f"{number}.jpg", kind, random)
            _draw(folder / "small" / kind / f"{number}.png", kind, random, size=32)
        _draw(folder / f"{kind}.jpg", kind, random)
    rows = [f"photos/{kind}/{number}.jpg,{kind}" for kind in ("cat", "dog") for number in range(PHOTOS)]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n", encoding="utf-8")
    tags = [
        f"photos/{kind}/{n}.jpg,{kind}{';indoors' if n % 3 else ''}" for kind in ("cat", "dog") for n in range(PHOTOS)
    ]
    (folder / "tags.csv").write_text("\n".join(["file,labels", *tags]) + "\n", encoding="utf-8")
    weights = [f"photos/cat/{number}.jpg,{3 + number / 10:.2f}" for number in range(PHOTOS)]
    (folder / "weights.csv").write_text("\n".join(["file,weight", *weights]) + "\n", encoding="utf-8")
    text = "".join(random.choice(_SENTENCES) for _ in range(600))
    (folder / "book.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_block_has_a_known_language_and_a_command_begins_with_the_program(page: Path) -> None:
    for block in blocks_of(page):
        place = f"{page.name}, line {block.line}"
        assert block.language.startswith("{") or block.language in LANGUAGES, f"{place}: '{block.language}'"
        if block.language == "console":
            assert block.commands, f"{place}: a command begins with '$ '"
            assert block.not_run or all(line.startswith("rushlight ") for line in block.commands), place


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_code_of_a_page_runs(
    page: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for entry in small_data.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUSHLIGHT_DATA", raising=False)
    names = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.not_run:
            continue
        if block.language == "python":
            code = "\n" * (block.line - 1) + _LIMIT.sub(rf"\g<1>{MINUTES}", block.code)
            exec(compile(code, page, "exec"), names)
        elif block.language == "console":
            for command in block.commands:
                words = shlex.split(_LIMIT.sub(rf"\g<1>{MINUTES}", command), comments=True)
                assert main(words[1:]) == 0, f"line {block.line}: {command}\n{capsys.readouterr().err}"


def test_every_command_stands_in_the_reference() -> None:
    shown = {block.language for block in blocks_of(DOCS / "reference" / "command_line.md")}
    program: Any = build_program()
    for name, command in program.commands.items():
        for part in getattr(command, "commands", [""]):
            assert f"{{command-help}} {name} {part}".rstrip() in shown, f"rushlight {name} {part}"
