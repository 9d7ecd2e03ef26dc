"""The report of a study: which variation is better, the picture, every value, and how it was made."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Drawing

from rushlight.app.report.page import render_page
from rushlight.app.report.pictures import figure_uri
from rushlight.app.report.sections import Figure, Headline, Section
from rushlight.app.report.words import plural
from rushlight.app.study_picture import picture
from rushlight.runtime.errors import InputError
from rushlight.runtime.files import atomic_write_text
from rushlight.studies.ablation import AblationResult, Row

REPORT = "report.html"
RESULTS = "results.json"


def holds_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / "study.json").is_file()


def report_study(folder: Path, output: Path | None = None) -> Path:
    """Make the report of a study from its folder.

    Args:
        folder: that of the study.
        output: the file to write; `report.html` in the folder if None.

    Returns:
        The file.

    Raises:
        InputError: none of its trainings has finished, or its results are damaged.
        StorageError: the file cannot be written.
    """
    try:
        result = AblationResult.from_json(json.loads((folder / RESULTS).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"study '{folder}' has no results yet: the command that began it goes on with it") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{folder / RESULTS}' is damaged ({error}): the command that began the study writes it anew"
        ) from None
    path = output or folder / REPORT
    atomic_write_text(path, study_page(result, picture(result), folder))
    return path


def study_page(result: AblationResult, drawing: Drawing, folder: Path) -> str:
    """The whole page.

    Args:
        result: of the study.
        drawing: its picture.
        folder: of the study, whose `study.json` says how it was made.
    """
    sections = [
        Section(
            "verdicts",
            "Which is better",
            "study_verdicts.html",
            {"columns": result.columns, "rows": result.cells(), "note": result.note()},
        ),
        Section(
            "picture",
            "Every seed",
            "study_picture.html",
            {"picture": figure_uri(drawing), "described": f"The table above as a picture: {headline(result).sentence}"},
        ),
        Section("made", "How it was made", "origin.html", _origin(folder)),
    ]
    return render_page(headline(result), sections, "study")


def headline(result: AblationResult) -> Headline:
    """The verdicts in one sentence, and what was compared."""
    told = [row for row in result.rows[1:] if row.comparison and row.comparison.outcome in ("better", "worse")]
    baseline = result.rows[0].variation.label
    if told:
        sentence = f"Compared with {baseline}: {'; '.join(_verdict(row, result) for row in told)}."
    else:
        sentence = f"Nothing that was tried can be told from {baseline} with {len(result.seeds)} seeds."
    failed = sum(len(row.failures) for row in result.rows)
    notes = [f"{plural(failed, 'training')} failed; the table says of which."] if failed else []
    figures = [
        Figure("variations", str(len(result.rows))),
        Figure("seeds each", str(len(result.seeds)), "the same for all"),
        Figure("measured on", result.measured_on, "none of them trained on"),
    ]
    return Headline(f"{result.data}: what matters", sentence, figures, notes)


def _verdict(row: Row, result: AblationResult) -> str:
    assert row.comparison is not None
    return f"{row.variation.label} is {row.comparison.verdict(result.quantity)}"


def _origin(folder: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    versions = [(str(name), str(value)) for name, value in kept.get("versions", {}).items() if value is not None]
    data = [("fingerprint", str(kept.get("specification", {}).get("fingerprint", "")))]
    command = shlex.join(map(str, kept.get("command", [])))
    return {"command": command, "groups": [("Versions", versions), ("Data", data)], "folder": folder}
