"""The page about a run: whole, safe and readable, whatever the run was and whatever is left of it."""

import json
import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rushlight.app.report.kinds import report_run
from tests.app.report.conftest import Page

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err

IMAGE_SECTIONS = ["next", "curves", "classes", "confusions", "mistakes", "examples", "reliability", "origin"]
TEXT_SECTIONS = ["next", "comparison", "curves", "surprise", "samples", "origin"]


@pytest.fixture(params=["trained", "text_run"])
def run(request: pytest.FixtureRequest) -> Path:
    """A run of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A run that may be changed."""
    return Path(shutil.copytree(run, tmp_path / "copied"))


def sections(page: Page) -> list[str]:
    return [attributes["id"] for attributes in page.all("section")]


def change(run: Path, **facts: Any) -> None:
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


# --- whole -----------------------------------------------------------------------------------------------------------


def test_training_writes_the_report(trained: Path, text_run: Path) -> None:
    assert sections(Page.read(trained / "report.html")) == IMAGE_SECTIONS
    assert sections(Page.read(text_run / "report.html")) == TEXT_SECTIONS


def test_a_report_made_again_tells_the_same(run: Path, tmp_path: Path) -> None:
    first = Page.read(run / "report.html")
    again = Page.read(report_run(run, output=tmp_path / "again.html"))
    assert sections(again) == sections(first)
    assert len(again.all("img")) == len(first.all("img"))
    assert again.all("dd") == first.all("dd")


def test_the_result_stands_at_the_top_in_one_sentence_with_its_interval(trained: Path, text_run: Path) -> None:
    kept = json.loads((trained / "run.json").read_text())["results"]["valid"]["accuracy"]
    lead = Page.read(trained / "report.html").text.replace("\N{NO-BREAK SPACE}", " ")
    assert f"the right answer for {100 * kept['value']:.1f} % of images" in lead
    assert re.search(r"95 % interval \d+\.\d to \d+\.\d %", lead)
    loss = json.loads((text_run / "run.json").read_text())["results"]["valid"]["loss"]
    text = Page.read(text_run / "report.html").text
    told = re.search(r"(\d+\.\d+) nats a character", text)
    assert told is not None
    assert float(told[1]) == pytest.approx(loss["value"], abs=1e-3)
    assert "bits" in text


def test_the_command_versions_data_and_time_are_told(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    text = Page.read(run / "report.html").text
    for told in (facts["data"]["fingerprint"], facts["versions"]["torch"], facts["started"], *facts["command"][1:]):
        assert told in text


def test_no_report_on_request(photos: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    short = ("--steps", "2", "--model", "conv_layers", "--size", "32", "--output", tmp_path / "run")
    ran = rushlight("train", "images", photos, *short, "--no-report", "--json")
    assert json.loads(ran.out)["report"] is None
    assert not (tmp_path / "run" / "report.html").exists()


def test_the_command_names_the_file(trained: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert str(page) in rushlight("report", trained, "--output", page).out
    assert Page.read(page).all("h1")
    assert json.loads(rushlight("report", trained, "--output", page, "--json").out) == {"report": str(page)}


def test_a_run_that_does_not_exist_is_one_line(rushlight: Rushlight) -> None:
    ran = rushlight("report", "runs/nothing")
    assert ran.code == 2
    assert "no run 'runs/nothing'" in ran.error


# --- safe and readable -----------------------------------------------------------------------------------------------


def test_nothing_is_asked_of_the_network(run: Path) -> None:
    page = Page.read(run / "report.html")
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), attributes
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "form", "base", "audio", "video"}
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert "url(" not in page.html
    assert "@import" not in page.html


def test_headings_pictures_and_tables_can_be_read_aloud(run: Path) -> None:
    page = Page.read(run / "report.html")
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(picture["alt"] for picture in page.all("img"))
    assert page.html.count("<table") == page.html.count("<caption")
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    charts = [chart for chart in page.all("svg") if chart.get("class") == "chart"]
    assert charts
    assert all(chart["role"] == "img" for chart in charts)
    assert page.html.count("<title>") == len(charts) + 1
    assert page.html.count("<desc>") == len(charts)
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names))
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= set(names)
    (whole,) = page.all("html")
    assert whole["lang"] == "en"


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * channel for part, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_what_they_are_on(scheme: str, trained: Path) -> None:
    style = Page.read(trained / "report.html").html.partition("<style>")[2].partition("</style>")[0]
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", blocks[0] if scheme == "light" else blocks[1]))
    pairs = [(ink, ground) for ink in ("ink", "quiet", "accent") for ground in ("paper", "sheet")]
    pairs += [("ink", "note"), *((f"p{step}-ink", f"p{step}") for step in range(1, 7))]
    for ink, ground in pairs:
        light, dark = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_the_more_surprising_the_stronger_the_colour_in_grey_print_too(trained: Path) -> None:
    style = Page.read(trained / "report.html").html.partition("<style>")[2]
    for block, sign in zip(re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2], (1, -1), strict=True):
        colours = dict(re.findall(r"--(p[1-6]): (#\w+)", block))
        shades = [sign * _luminance(colours[f"p{step}"]) for step in range(1, 7)]
        assert shades == sorted(shades, reverse=True)


HOSTILE = '<img src=x onerror=alert(1)> & "quoted"'


def test_hostile_classes_and_file_names_are_text(rushlight: Rushlight, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, colour in ((HOSTILE, 40), ("'plain' </title><script>".replace("/", "|"), 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.clip(random.normal(colour, 90, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f'"><svg onload=alert(2)>{number}.png')
    short = ("--steps", "2", "--model", "conv_layers", "--size", "32", "--output", tmp_path / "run")
    assert rushlight("train", "images", tmp_path / "photos", *short).code == 0
    page = Page.read(tmp_path / "run" / "report.html")
    assert HOSTILE[:10] in page.text
    assert all("onerror" not in attributes and "onload" not in attributes for _, attributes in page.tags)
    assert not page.all("script")
    assert all(picture["src"].startswith("data:image/") for picture in page.all("img"))


def test_hostile_words_in_run_json_are_text(copied: Path) -> None:
    evil = '"><script>alert(1)</script>'
    facts = json.loads((copied / "run.json").read_text())
    facts["data"]["name_or_path"] = facts["started"] = facts["versions"]["torch"] = evil
    change(copied, **(facts | {"command": ["rushlight", evil]}))
    page = Page.read(report_run(copied))
    assert "<script>alert(1)</script>" in page.text
    assert not page.all("script")


def test_the_text_itself_is_shown_and_not_obeyed(text_run: Path) -> None:
    page = Page.read(text_run / "report.html")
    assert "The <b>cat</b> sat on the mat & purred." in page.text.replace("\r", "")
    tokens = [attributes for tag, attributes in page.tags if tag == "i"]
    assert len(tokens) > 500
    assert all(attributes["title"].endswith("%") for attributes in tokens)


# --- what is left of a run -------------------------------------------------------------------------------------------


def test_data_that_has_gone_leaves_a_note_and_everything_else(copied: Path) -> None:
    facts = json.loads((copied / "run.json").read_text())
    change(copied, data=facts["data"] | {"name_or_path": str(copied / "gone")})
    page = Page.read(report_run(copied))
    assert "gone" in page.text
    assert not page.all("img")
    whole = TEXT_SECTIONS if "samples" in sections(page) else [name for name in IMAGE_SECTIONS if name != "examples"]
    assert sections(page) == whole


def test_data_that_has_changed_is_told(copied: Path) -> None:
    facts = json.loads((copied / "run.json").read_text())
    change(copied, data=facts["data"] | {"fingerprint": "0" * 64})
    assert "changed since the training" in Page.read(report_run(copied)).text


@pytest.mark.parametrize("lost", [("run.json",), ("history.jsonl",), ("run.json", "history.jsonl")])
def test_a_run_that_lost_a_file_still_has_a_report(copied: Path, lost: tuple[str, ...]) -> None:
    for name in lost:
        (copied / name).unlink()
    page = Page.read(report_run(copied))
    assert {"next", "origin"} <= set(sections(page))
    assert ("curves" in sections(page)) == ("history.jsonl" not in lost)


@pytest.mark.parametrize("nonsense", ["not json", "[]", '{"results": 3, "data": [], "versions": "x", "command": 1}'])
def test_a_run_json_that_makes_no_sense_is_left_out(copied: Path, nonsense: str) -> None:
    (copied / "run.json").write_text(nonsense)
    (copied / "history.jsonl").write_text('{"epoch": "one"}\n{"epoch": 1, "lr": NaN}\nnot json\n')
    assert "origin" in sections(Page.read(report_run(copied)))


def test_results_of_an_older_version_are_measured_again(copied: Path) -> None:
    facts = json.loads((copied / "run.json").read_text())
    change(copied, results={})
    page = Page.read(report_run(copied))
    kept = facts["results"]["valid"]
    told = f"{kept['loss']['value']:.3f}" if "bits_per_token" in kept else f"{100 * kept['accuracy']['value']:.1f}"
    assert told in page.text


def test_a_model_trained_on_everything_says_that_nothing_was_measured(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    short = ("--steps", "2", "--model", "conv_layers", "--size", "32", "--output", tmp_path / "run")
    assert rushlight("train", "images", photos, *short, "--fit-all").code == 0
    page = Page.read(tmp_path / "run" / "report.html")
    assert "was not measured" in page.text
    assert {"next", "mistakes", "origin"} <= set(sections(page))


def test_a_network_without_places_is_explained_by_covering_them(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    short = ("--steps", "2", "--model", "fully_connected", "--size", "32", "--output", tmp_path / "run")
    assert rushlight("train", "images", photos, *short).code == 0
    page = Page.read(tmp_path / "run" / "report.html")
    assert [picture for picture in page.all("img") if "heat map" in picture["alt"]]
    assert "occlusion" in page.text


def test_many_classes_are_told_in_pairs_and_the_file_stays_small(rushlight: Rushlight, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in range(30):
        folder = tmp_path / "photos" / f"a rather long name for class number {label:02}"
        folder.mkdir(parents=True)
        for number in range(5):
            pixels = random.integers(0, 255, (24, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    short = ("--steps", "2", "--model", "conv_layers", "--size", "32", "--output", tmp_path / "run")
    assert rushlight("train", "images", tmp_path / "photos", *short).code == 0
    page = Page.read(tmp_path / "run" / "report.html")
    assert "matrix" not in [table.get("class") for table in page.all("table")]
    assert "most often mistaken" in page.text
    assert (tmp_path / "run" / "report.html").stat().st_size < 1_000_000
