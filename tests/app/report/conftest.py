"""Runs to report on, and a reader of pages."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rushlight.app.cli import main

_VOID = {"meta", "link", "img", "br", "hr", "input"}
_SHAPES = {"path", "line", "polyline", "polygon", "circle", "rect"}


@dataclass
class Page(HTMLParser):
    """A page as its tags: pairs of name and attributes, in their order, and its text."""

    html: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _VOID | _SHAPES, tag
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every tag of a name."""
        return [attributes for name, attributes in self.tags if name == tag]

    @classmethod
    def read(cls, path: Path) -> "Page":
        return cls(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small language model; for reading only."""
    folder = tmp_path_factory.mktemp("text")
    story = folder / "story.txt"
    story.write_text("The <b>cat</b> sat on the mat & purred.\nA dog ran to the sea, and it was dark.\n" * 150)
    size = ("--hidden-size", "16", "--layers", "1", "--batch-size", "8", "--window", "20")
    assert main(["train", "text", str(story), "--epochs", "2", *size, "--output", str(folder / "run")]) == 0
    return folder / "run"
