"""The page of a check in a real browser without a network: what a person chooses there is what is applied."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.audit.pictures import write_parts

pytestmark = pytest.mark.browser
Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err


@pytest.mark.parametrize("width", [1280, 390])
def test_choices_made_on_the_page_are_saved_and_applied(
    width: int, browser: Any, rushlight: Rushlight, tmp_path: Path
) -> None:
    root = write_parts(tmp_path / "data", train=40, valid=20)
    for number in range(15):  # more than are shown at once
        (root / "train" / "cats" / f"broken {number}.jpg").write_bytes(b"")
    copy = root / "valid" / "cats" / 'copy, of "c3".jpg'
    copy.write_bytes((root / "train" / "cats" / "c3.jpg").read_bytes())
    assert rushlight("check", root, "--no-features", "--output", tmp_path / "check").code == 0

    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, accept_downloads=True)
    page = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto((tmp_path / "check" / "check.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("img:not([alt]), select:not([aria-label])").count() == 0
    assert page.locator("details").count() == 1
    page.locator('select[data-file="train/cats/c3.jpg"]').select_option("keep")
    page.locator("select[data-file^='valid/cats/copy']").select_option("relabel:dogs")
    assert "2 decisions differ" in page.locator("#told").inner_text()
    with page.expect_download() as download:
        page.locator("#save").click()
    download.value.save_as(tmp_path / "fixes.csv")
    context.close()

    assert faults == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    rows = {row["file"]: (row["action"], row["label"]) for row in csv.DictReader((tmp_path / "fixes.csv").open())}
    assert rows["train/cats/c3.jpg"] == ("keep", "")
    assert rows['valid/cats/copy, of "c3".jpg'] == ("relabel", "dogs")
    assert sum(action == "drop" for action, _ in rows.values()) == 15
    ran = rushlight("check", root, "--apply", tmp_path / "fixes.csv")
    assert "15 images dropped, 1 relabelled" in ran.out
