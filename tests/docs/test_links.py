"""Links from one file of the project to another lead somewhere, also in what Sphinx does not read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PROJECT, pages

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def linking() -> list[Path]:
    """Pages at the project's root, pages of the documentation, notebooks."""
    return [*sorted(PROJECT.glob("*.md")), *pages(), *sorted((PROJECT / "lessons").glob("*.ipynb"))]


def links_of(path: Path) -> Iterator[str]:
    """What a page links to within the project, without the place on the page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")
        text = "\n".join("".join(cell["source"]) for cell in cells)
    for link in _LINK.findall(_CODE.sub("", text)):
        place = link.partition("#")[0]
        if place and "://" not in place and not place.startswith(("mailto:", "data:")):
            yield place


@pytest.mark.parametrize("path", linking(), ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_what_a_page_links_to_is_there(path: Path) -> None:
    assert [link for link in links_of(path) if not (path.parent / link).exists()] == []
