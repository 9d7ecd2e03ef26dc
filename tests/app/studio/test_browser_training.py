"""From data to a model in a real browser: checked and decided about, trained, watched, left, found again, stopped."""

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.app.studio.browsing import WIDTHS, OpenPage, fits, tab_to
from tests.app.studio.conftest import start_studio

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def faulty_photos(tmp_path: Path, work_folder: Path) -> Path:
    """A working folder whose photographs hold a broken file and a copy under another label."""
    shutil.copytree(work_folder / "photos", tmp_path / "photos")
    (tmp_path / "photos" / "red" / "broken.png").write_bytes(b"no picture")
    shutil.copy(tmp_path / "photos" / "blue" / "0.png", tmp_path / "photos" / "green" / "copy.png")
    return tmp_path


@pytest.mark.parametrize("width", WIDTHS)
def test_data_is_checked_and_what_was_found_is_decided_by_thumbnail(
    width: int, faulty_photos: Path, open_page: OpenPage
) -> None:
    own = start_studio(faulty_photos)
    try:
        page = open_page(width, "/new", of=own)
        page.fill("#place", "photos")
        page.get_by_role("button", name="Open", exact=True).click()
        page.get_by_role("button", name="Look for faults").click()
        page.get_by_role("link", name=re.compile("Decide about")).click()
        assert fits(page)

        def answers_about(file: str) -> Any:
            return page.locator(".fix", has_text=f"{file}:")

        def make_the_table() -> None:
            page.get_by_role("button", name="Make the table, and open it").click()

        answers_about("red/broken.png").get_by_label("Leave it out").check()
        answers_about("blue/0.png").get_by_label("It is blue, as labelled").check()
        answers_about("green/copy.png").get_by_label("Another class", exact=True).fill("rde")
        make_the_table()
        assert "did you mean 'red'?" in page.get_by_role("alert").inner_text()
        assert answers_about("red/broken.png").get_by_label("Leave it out").is_checked()
        answers_about("green/copy.png").get_by_label("Another class", exact=True).fill("red")
        assert fits(page)
        make_the_table()
        page.get_by_role("heading", name=re.compile("pictures of 3 classes")).wait_for()
        (labels,) = (faulty_photos / "runs" / "check").glob("*/labels*.csv")
        with labels.open(newline="") as file:
            told = {Path(row["file"]).name: row["label"] for row in csv.DictReader(file) if "copy" in row["file"]}
        assert told == {"copy.png": "red"}
        assert "broken.png" not in labels.read_text()
        assert fits(page)
        page.close()
    finally:
        own.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_training_is_started_watched_left_found_again_and_stopped(
    width: int, work_folder: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    (tmp_path / "photos").symlink_to(work_folder / "photos")
    own = start_studio(tmp_path)
    try:
        page = open_page(width, "/new", of=own)
        page.fill("#place", "photos")
        page.get_by_role("button", name="Open", exact=True).click()
        data = page.url
        page.fill("#amount", "60")
        page.get_by_role("button", name="Start the training").dblclick()
        page.locator(".state.training").wait_for()
        assert len(list((tmp_path / "runs" / "images").iterdir())) == 1
        address = page.url
        page.locator("#charts svg").first.wait_for()
        page.locator(".samples img").first.wait_for()
        assert fits(page)
        rows = page.locator("#rows tbody tr").count()
        page.goto(data)
        page.get_by_role("button", name="Start the training").click()
        assert "photos-1 is being trained" in page.get_by_role("alert").inner_text()
        assert not page.get_by_label("Train beside").is_checked()
        assert fits(page)
        page.close()

        again = open_page(width, "/", of=own)
        again.get_by_role("link", name="photos-1").click()
        assert again.url == address
        again.locator("#charts svg").first.wait_for()
        assert again.locator("#rows tbody tr").count() >= rows > 0
        again.get_by_role("button", name="Stop here, and save").click()
        again.locator(".state.finished").wait_for(timeout=240_000)
        assert "95 % interval" in again.locator(".result").inner_text()
        again.set_input_files("#pictures", str(work_folder / "photos" / "red" / "0.png"))
        again.get_by_text("1 of 1 answered.").wait_for()
        again.close()
    finally:
        own.close()


def test_from_opening_a_text_to_the_end_of_its_training_by_the_keyboard_alone(
    work_folder: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    shutil.copy(work_folder / "book.txt", tmp_path)
    own = start_studio(tmp_path)
    try:
        page = open_page(390, "/", of=own)
        tab_to(page, "Train a new model")
        page.keyboard.press("Enter")
        page.wait_for_url("**/new")
        tab_to(page, "|place")
        page.keyboard.type("book.txt")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="book", exact=True).wait_for()
        tab_to(page, "|amount")
        page.keyboard.press("Control+A")
        page.keyboard.type("60")
        tab_to(page, "Start the training")
        page.keyboard.press("Enter")
        page.locator(".state.training").wait_for()
        page.locator("#samples .text").wait_for()
        tab_to(page, "Stop here, and save")
        page.keyboard.press("Enter")
        page.locator(".state.finished").wait_for(timeout=240_000)
        tab_to(page, "|count")
        page.keyboard.press("Control+A")
        page.keyboard.type("30")
        page.keyboard.press("Enter")
        page.get_by_text("30 written.").wait_for()
        page.close()
    finally:
        own.close()
