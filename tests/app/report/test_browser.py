"""The report in a real browser without a network: nothing is asked for, and it fits the screen and the page."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("kind", ["trained", "text_run"])
@pytest.mark.parametrize("width", [1280, 768, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_asks_for_nothing_and_complains_of_nothing(
    kind: str, width: int, scheme: str, browser: Any, request: pytest.FixtureRequest
) -> None:
    file: Path = request.getfixturevalue(kind) / "report.html"
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda asking: asked.append(asking.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert complaints == []
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    context.close()


def test_a_hostile_page_of_a_run_runs_nothing(browser: Any, tmp_path: Path, trained: Path) -> None:
    """Were something to slip through the escaping, the policy of the page would stop it."""
    html = (trained / "report.html").read_text(encoding="utf-8")
    planted = "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x.png' alt=''>"
    (tmp_path / "page.html").write_text(html.replace("</main>", f"{planted}</main>"), encoding="utf-8")
    page = browser.new_page()
    sent = []
    page.on("requestfinished", lambda asking: sent.append(asking.url))
    page.goto((tmp_path / "page.html").as_uri())
    assert page.title() != "run"
    assert [url for url in sent if url.startswith("http")] == []


def test_it_prints(browser: Any, text_run: Path) -> None:
    page = browser.new_page()
    page.goto((text_run / "report.html").as_uri())
    assert page.pdf(format="A4", print_background=True).startswith(b"%PDF")
