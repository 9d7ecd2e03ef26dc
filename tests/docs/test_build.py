"""The documentation is built without a warning, and asks nothing of the network when it is read."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS

pytestmark = pytest.mark.slow

# What a browser fetches by itself: not a link that a person follows.
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["'](?:https?:)?//|<link\b[^>]*\bhref=["'](?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages; every warning (a link that leads nowhere, a name that is not there) is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", DOCS, folder]
    done = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


def test_every_page_is_built_and_reached_from_the_first(site: Path) -> None:
    assert (site / "index.html").is_file()
    # An orphan would be a warning; what is left to see is that the reference is not empty.
    assert "rushlight.training.learner.Learner" in (site / "reference" / "training.html").read_text(encoding="utf-8")
    assert "--minutes NUMBER" in (site / "reference" / "command_line.html").read_text(encoding="utf-8")


def test_no_page_fetches_anything_from_another_place(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not _FETCHED.search(page.read_text(encoding="utf-8")), page.name
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8"), style.name
