"""The pages of the documentation, and the blocks of code in them."""

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
LANGUAGES = ("python", "console", "text")
_FENCE = re.compile(r"^ {0,3}(`{3,}|:{3,})(.*)$")
_NOT_RUN = re.compile(r"^% not run: (.+)$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: what stands behind the fence; "{...}" for a directive.
        code: what is inside.
        line: the line of the page that the code begins on, from 1.
        not_run: why it is not run; None where it is.
    """

    language: str
    code: str
    line: int
    not_run: str | None

    @property
    def commands(self) -> list[str]:
        """The lines behind a dollar sign, of a block of the console; a backslash joins two lines."""
        code = self.code.replace("\\\n", " ")
        return [line[2:] for line in code.splitlines() if line.startswith("$ ")]


def pages() -> list[Path]:
    """Every page that is written by hand."""
    return sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    blocks: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    opened: tuple[str, str, int, str | None] | None = None
    reason: str | None = None
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.match(line)
        if opened is not None:
            if fence and fence[1].startswith(opened[0]) and not fence[2].strip():
                blocks.append(Block(opened[1], "\n".join(lines[opened[2] - 1 : number - 1]), opened[2], opened[3]))
                opened = None
        elif fence:
            opened, reason = (fence[1], fence[2].strip(), number + 1, reason), None
        elif line.strip():
            marked = _NOT_RUN.match(line)
            reason = marked[1] if marked else None
    return blocks
