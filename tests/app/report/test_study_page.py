"""The report of a study says the verdicts in a sentence, and asks for nothing outside itself."""

import json
import re
from pathlib import Path

import pytest

from rushlight.app.cli import main
from rushlight.app.report.study_page import study_page
from rushlight.app.study_picture import picture
from rushlight.runtime.measured import Measured
from rushlight.studies.ablation import AblationResult
from rushlight.studies.comparison import ACCURACY
from rushlight.studies.store import Outcome
from rushlight.studies.variations import Cell, Variation
from tests.app.report.conftest import Page


def page(folder: Path, values: dict[str, tuple[float, ...]], failed: int = 0) -> str:
    (folder / "study.json").write_text(
        json.dumps({"command": ["rushlight", "ablate"], "versions": {"torch": "2"}, "specification": {}})
    )
    variations = [Variation.of({"norm": name}) for name in values]
    outcomes = {
        Cell(variation, seed): Outcome({"results": {"accuracy": Measured(v, None, 9, None).to_json()}, "seconds": 1})
        for variation, found in zip(variations, values.values(), strict=True)
        for seed, v in enumerate(found)
    }
    for seed in range(failed):
        outcomes[Cell(variations[-1], seed)] = Outcome(failure="the loss became nan")
    result = AblationResult.of("photos", "40 validation images", ACCURACY, variations, range(3), outcomes)
    return study_page(result, picture(result), folder)


def test_page_tells_the_verdicts_and_holds_its_picture(tmp_path: Path) -> None:
    made = page(tmp_path, {"after": (0.70, 0.71, 0.69), "before": (0.80, 0.811, 0.789)})
    assert "Compared with norm=after: norm=before is better by" in made
    assert "rushlight ablate" in Page(made).text
    assert re.findall(r'(?:src|href)="(?!data:|#)', made) == []
    assert 'alt="The table above as a picture' in made


def test_page_says_where_nothing_can_be_told_and_what_failed(tmp_path: Path) -> None:
    made = page(tmp_path, {"after": (0.70, 0.71, 0.69), "before": (0.71, 0.70, 0.69)}, failed=1)
    assert "Nothing that was tried can be told from norm=after with 3 seeds." in made
    assert "1 training failed" in made


def test_what_a_person_typed_is_escaped(tmp_path: Path) -> None:
    assert "<script>" not in page(tmp_path, {"<script>": (0.7, 0.7, 0.7), "b": (0.7, 0.6, 0.8)})


@pytest.mark.parametrize("name", ["study_verdicts.html", "study_picture.html"])
def test_templates_are_shipped(name: str) -> None:
    from importlib.resources import files

    assert files("rushlight.app.report").joinpath("templates", name).is_file()


def test_report_of_a_study_is_made_again_from_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = page(tmp_path, {"after": (0.70, 0.71, 0.69), "before": (0.80, 0.811, 0.789)})
    assert main(["report", str(tmp_path)]) == 2
    assert "has no results yet" in capsys.readouterr().err
    variations = [Variation.of({"norm": "after"}), Variation.of({"norm": "before"})]
    measured = {Cell(variations[0], 0): 0.70, Cell(variations[0], 1): 0.71, Cell(variations[1], 0): 0.80}
    outcomes = {
        cell: Outcome({"results": {"accuracy": Measured(value, None, 9, None).to_json()}, "seconds": 1})
        for cell, value in measured.items()
    }
    outcomes[Cell(variations[1], 1)] = Outcome(failure="the loss became nan")
    result = AblationResult.of("photos", "40 validation images", ACCURACY, variations, range(2), outcomes)
    assert AblationResult.from_json(json.loads(json.dumps(result.to_json()))).to_json() == result.to_json()
    (tmp_path / "results.json").write_text(json.dumps(result.to_json()))
    assert main(["report", str(tmp_path)]) == 0
    again = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "the loss became nan" not in made
    assert "1 training failed" in again
    (tmp_path / "results.json").write_text('{"quantity": "beauty"}')
    assert main(["report", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err
