"""The studio as a person uses it, in a real browser, at a desk and on a phone, by mouse and by keyboard alone."""

import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from tests.app.studio.browsing import WIDTHS, OpenPage, fits, tab_to
from tests.app.studio.conftest import Studio
from tests.app.studio.test_pages import pages_of

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_its_pictures_are_there(
    width: int, scheme: str, studio: Studio, open_page: OpenPage
) -> None:
    for path in [*pages_of(studio), "/runs/nothing"]:
        page = open_page(width, path, scheme)
        assert fits(page), path
        page.evaluate("[...document.images].forEach(image => { image.loading = 'eager'; })")
        page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
        small = page.evaluate(
            "[...document.querySelectorAll('button, .button, nav a, select')].filter(e => e.offsetHeight && "
            "e.offsetHeight < 40).map(e => e.textContent)"
        )
        assert small == [], path
        page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_pictures_are_dropped_and_answered_with_the_reason(
    width: int, studio: Studio, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(width, f"/runs/{studio.run_id('images/photos-1')}")
    files = [str(studio.folder / "photos" / name / "1.png") for name in ("blue", "red")]
    (tmp_path / "no.png").write_text("<svg onload='document.title = \"run\"'>")
    page.set_input_files("#pictures", [*files, str(tmp_path / "no.png")])
    page.get_by_text("2 of 3 answered.").wait_for()
    assert page.locator(".answer h3").all_inner_texts() == ["blue", "red"]
    assert page.locator(".answer .looks img").count() == 4
    assert page.get_by_text(re.compile(r"A closer look (dis)?agrees")).count() == 2
    assert "not an image" in page.locator(".answer .error").inner_text()
    assert fits(page)
    assert page.title() != "run"

    # And by dropping one.
    page.evaluate(
        """async () => {
            const blob = await new Promise(done => {
                const canvas = document.createElement('canvas');
                canvas.width = canvas.height = 32;
                const pen = canvas.getContext('2d');
                pen.fillStyle = 'rgb(50, 180, 60)';
                pen.fillRect(0, 0, 32, 32);
                canvas.toBlob(done, 'image/png');
            });
            const data = new DataTransfer();
            data.items.add(new File([blob], 'leaf.png', { type: 'image/png' }));
            document.querySelector('.drop').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
        }"""
    )
    page.get_by_text("1 of 1 answered.").wait_for()
    assert page.locator(".answer").get_attribute("aria-label") == "leaf.png"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_model_writes_letter_by_letter_in_colours(width: int, studio: Studio, open_page: OpenPage) -> None:
    page = open_page(width, f"/runs/{studio.run_id('text/book-1')}")

    def written(seed: str, temperature: str = "0.8") -> str:
        page.fill("#prompt", "the cat")
        page.fill("#count", "120")
        page.fill("#temperature", temperature)
        page.fill("#write-seed", seed)
        page.get_by_role("button", name="Write").click()
        page.get_by_text("120 written.").wait_for()
        return str(page.locator("#written").text_content())

    first = written("1")
    assert first.startswith("the cat")
    assert len(first) == len("the cat") + 120
    assert written("1") == first
    assert written("2") != first
    levels = page.locator("#written span").evaluate_all("spans => spans.map(span => span.className)")
    assert len({level.split()[0] for level in levels}) > 1
    assert page.locator("#written .prompt").count() == 7
    assert "nats" in page.locator("#written span").last.get_attribute("title")
    assert fits(page)

    page.fill("#count", "5000")
    page.get_by_role("button", name="Write").click()
    page.locator("#written span").nth(20).wait_for()
    page.get_by_role("button", name="Enough").click()
    page.get_by_text("Stopped.").wait_for()
    assert len(str(page.locator("#written").text_content())) < 5000


def test_everything_can_be_reached_by_the_keyboard_alone(studio: Studio, open_page: OpenPage) -> None:
    page = open_page(1200)

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    tab_to(page, "Train a new model")
    page.keyboard.press("Enter")
    page.wait_for_url("**/new")
    tab_to(page, "|place")
    page.keyboard.type(str(studio.folder / "photos"))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="photos", exact=True).wait_for()
    for label in ("How long", "Counted in", "Seed"):
        assert page.get_by_label(label).count() == 1
    tab_to(page, "Start the training")

    page.goto(f"{studio.address}/runs/{studio.run_id('text/book-1')}")
    tab_to(page, "|prompt")
    page.keyboard.press("Control+A")
    page.keyboard.type("the dog")
    tab_to(page, "|count")
    page.keyboard.press("Control+A")
    page.keyboard.type("20")
    page.keyboard.press("Enter")
    page.get_by_text("20 written.").wait_for()

    page.goto(f"{studio.address}/runs/{studio.run_id('images/photos-1')}")
    tab_to(page, "|pictures")


@pytest.mark.parametrize("width", WIDTHS)
def test_runs_are_compared_and_the_report_is_opened(width: int, studio: Studio, open_page: OpenPage) -> None:
    page = open_page(width)
    page.get_by_role("link", name="Compare").click()
    page.get_by_role("link", name="photos-1").click()
    page.get_by_role("heading", name="photos-1").wait_for()
    page.locator("#charts svg").first.wait_for()
    page.get_by_role("link", name="Open the report").click()
    page.wait_for_url("**/report")
    page.get_by_text("photos-1").first.wait_for()
    assert fits(page)


def test_a_second_visitor_is_answered_while_the_first_one_writes(studio: Studio, open_page: OpenPage) -> None:
    first = open_page(1200, f"/runs/{studio.run_id('text/book-1')}")
    first.fill("#count", "5000")
    first.get_by_role("button", name="Write").click()
    second = open_page(390, f"/runs/{studio.run_id('images/photos-1')}")
    second.set_input_files("#pictures", str(studio.folder / "photos" / "green" / "2.png"))
    second.get_by_text("1 of 1 answered.").wait_for()
    first.get_by_text("5000 written.").wait_for()


def test_whoever_waits_sees_how_many_come_first(studio: Studio, open_page: OpenPage) -> None:
    """Others ask about pictures that take long: 16 million pixels each, of one colour."""
    large = io.BytesIO()
    Image.new("L", (4000, 4000)).save(large, "PNG")
    address = f"/runs/{studio.run_id('images/photos-1')}"
    page = open_page(390, address)
    with ThreadPoolExecutor(4) as others:
        kinds = [{"content-type": "image/png", "x-ticket": f"other{number}"} for number in range(4)]
        answers = [others.submit(studio.ask, "POST", f"{address}/answer", large.getvalue(), kind) for kind in kinds]
        while not any(studio.before(kind["x-ticket"]) for kind in kinds):  # none waits for another yet
            time.sleep(0.05)
        page.set_input_files("#pictures", str(studio.folder / "photos" / "green" / "2.png"))
        page.get_by_text(re.compile(r"Waiting: (one question comes|\d questions come) before this one")).wait_for()
        assert fits(page)
        page.get_by_text("1 of 1 answered.").wait_for()
        assert [answer.result().status for answer in answers] == [200] * 4


def test_a_picture_of_a_photograph_may_be_of_any_common_format(
    studio: Studio, open_page: OpenPage, tmp_path: Path
) -> None:
    picture = Image.new("RGB", (60, 40), (40, 60, 200))
    files = [tmp_path / f"a.{ending}" for ending in ("jpg", "png", "webp", "bmp", "gif")]
    for file in files:
        picture.save(file)
    page = open_page(1200, f"/runs/{studio.run_id('images/photos-1')}")
    page.set_input_files("#pictures", [str(file) for file in files])
    page.get_by_text("5 of 5 answered.").wait_for()
