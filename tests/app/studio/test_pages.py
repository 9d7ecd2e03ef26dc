"""The pages, and what they ask for: answers as the commands give them, ids and no paths, nothing from elsewhere."""

import base64
import io
import json
import re

import pytest
from PIL import Image

from rushlight.inference.predictor import Predictor
from rushlight.inference.writer import Writer
from tests.app.studio.conftest import Studio

ADDRESS = re.compile(r"https?://[^\s\"'<>)]+")


def pages_of(studio: Studio) -> list[str]:
    photos = studio.form("/data", place=studio.folder / "photos").headers["location"]
    book = studio.form("/data", place=studio.folder / "book.txt").headers["location"]
    runs = [f"/runs/{studio.run_id(run)}" for run in ("images/photos-1", "text/book-1")]
    return ["/", "/new", "/compare", photos, book, *runs]


def test_every_page_is_there_asks_nobody_else_and_allows_nothing_else(studio: Studio) -> None:
    for path in pages_of(studio):
        page = studio.get(path, accept="text/html")
        assert page.status == 200, path
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        links = set(re.findall(r"(?:src|href|action)=\"([^\"]*)\"", page.text))
        assert all(link.startswith(("/", "data:,", "#")) for link in links), path
    for name in ("studio.js", "studio.css"):
        outside = set(ADDRESS.findall(studio.get(f"/static/{name}").text)) - {"http://www.w3.org/2000/svg"}
        assert not outside


def test_addresses_hold_ids_and_no_paths(studio: Studio) -> None:
    home = studio.get("/").text
    assert set(re.findall(r"/runs/([^/\"]+)\"", home)) >= {
        studio.run_id("images/photos-1"),
        studio.run_id("text/book-1"),
    }
    assert str(studio.folder) not in home


def test_an_answer_is_that_of_the_predictor(studio: Studio) -> None:
    file = studio.folder / "photos" / "red" / "3.png"
    address = f"/runs/{studio.run_id('images/photos-1')}/answer"
    answer = studio.ask("POST", address, file.read_bytes(), {"content-type": "image/png"})
    assert answer.status == 200
    (expected,) = Predictor.load(studio.folder / "runs/images/photos-1", device="cpu").predict(file)
    assert answer.json()["label"] == expected.label
    told = {each["label"]: each["probability"] for each in answer.json()["answers"]}
    assert told == pytest.approx(expected.probabilities, abs=1e-5)


def test_an_explanation_has_pictures_that_were_drawn_anew(studio: Studio) -> None:
    file = studio.folder / "photos" / "blue" / "3.png"
    address = f"/runs/{studio.run_id('images/photos-1')}/explanation"
    told = studio.ask("POST", address, file.read_bytes(), {"content-type": "image/png"}).json()
    assert told["agrees"] == (told["closer"]["label"] == told["label"])
    for address in (told["heat"], told["closer"]["heat"]):
        kind, data = address.split(",", 1)
        assert kind == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).format == "JPEG"


def test_writing_streams_what_the_writer_writes_with_its_surprise(studio: Studio) -> None:
    wish = {"prompt": "the cat", "length": 50, "temperature": 0.7, "seed": 3}
    answer = studio.ask("POST", f"/runs/{studio.run_id('text/book-1')}/writing", json.dumps(wish).encode())
    lines = [json.loads(line) for line in answer.text.splitlines()]
    writer = Writer.load(studio.folder / "runs/text/book-1", device="cpu")
    assert "".join(piece for piece, _ in lines[0]) == "the cat"
    written = [pair for line in lines[1:] for pair in line]
    assert "".join(piece for piece, _ in written) == "".join(writer.generate("the cat", 50, temperature=0.7, seed=3))
    scores = writer.score("the cat" + "".join(piece for piece, _ in written))
    # What is never written, unknown and padding, has a share of the probability when a text is scored.
    assert [loss for _, loss in written] == pytest.approx(list(scores.losses[7:]), abs=0.1)
    assert len(lines) > 3  # it came in parts


@pytest.mark.parametrize(
    "wish",
    [{"length": 10**9}, {"temperature": 0}, {"temperature": "nan"}, {"seed": "x"}, {"prompt": "a" * 5000}, [], "{"],
    ids=str,
)
def test_a_wish_that_cannot_be_fulfilled_is_told_why(wish: object, studio: Studio) -> None:
    body = wish if isinstance(wish, str) else json.dumps(wish)
    answer = studio.ask("POST", f"/runs/{studio.run_id('text/book-1')}/writing", body.encode())
    assert answer.status == 400
    assert answer.json()["error"]


def test_thumbnails_of_opened_data_are_small_jpegs(studio: Studio) -> None:
    page = studio.form("/data", place=studio.folder / "photos").headers["location"]
    addresses = re.findall(r"src=\"(/data/[^\"]+)\"", studio.get(page).text)
    assert len(addresses) == 36
    picture = studio.get(addresses[0])
    assert (picture.status, picture.headers["content-type"]) == (200, "image/jpeg")
    assert studio.get(f"{page}/pictures/100000").status == 404


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere", "there is no"),
        ("", "name a folder"),
        ("cifar10", "to be downloaded first"),
        ("a\0b", "name a folder"),
    ],
)
def test_data_that_cannot_be_opened_is_told_why(place: str, told: str, studio: Studio) -> None:
    answer = studio.form("/data", place=place)
    assert answer.status == 400
    assert told in answer.text


def test_comparison_shows_runs_with_their_intervals(studio: Studio) -> None:
    page = studio.get("/compare").text
    assert "photos-1" in page
    assert "book-1" in page
    assert re.search(r"\d+\.\d % \(\d+\.\d to \d+\.\d\)", page)


def test_the_report_may_do_nothing_but_be_looked_at(studio: Studio) -> None:
    run = studio.folder / "runs/images/photos-1"
    answer = studio.get(f"/runs/{studio.run_id('images/photos-1')}/report")
    assert (run / "report.html").is_file() == (answer.status == 200)
    if answer.status == 200:
        assert "sandbox" in answer.headers["content-security-policy"]
        assert "script-src" not in answer.headers["content-security-policy"]
