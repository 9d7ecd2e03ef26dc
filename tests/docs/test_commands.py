"""The commands that the front page and the lessons name are commands, with flags that there are."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from rushlight.app.cli import build_program
from tests.docs.pages import PROJECT

_INDENTED = re.compile(r"^    (?:\.venv/bin/)?rushlight (.+)$", re.MULTILINE)
_INLINE = re.compile(r"`rushlight ([^`]+)`")


def commands_of(path: Path) -> list[str]:
    """What stands behind `rushlight` on a page, in a block or within a line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return [*_INDENTED.findall(text), *(command.replace("\n", " ") for command in _INLINE.findall(text))]


PAGES = [PROJECT / "README.md", PROJECT / "SECURITY.md", *sorted((PROJECT / "lessons").glob("*.ipynb"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_command_that_is_named_exists_with_its_flags(path: Path) -> None:
    for line in commands_of(path):
        words = shlex.split(line, comments=True)
        command: Any = build_program()
        while words and hasattr(command, "commands"):
            if words[0].startswith("-"):
                break
            assert words[0] in command.commands, f"rushlight {line}"
            command = command.commands[words.pop(0)]
        known = {flag for part in command.params for flag in part.opts} | {"--help"}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, f"rushlight {line}"


def test_the_front_page_names_the_commands_that_a_newcomer_needs() -> None:
    named = " ".join(commands_of(PROJECT / "README.md"))
    for command in ("demo", "check", "train images", "train text", "predict", "explain", "report", "studio"):
        assert command in named
