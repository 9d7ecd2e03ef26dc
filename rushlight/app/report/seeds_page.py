"""The report of a training with several seeds: their mean with its interval, and every run."""

from __future__ import annotations

from pathlib import Path

from rushlight.app.report.page import render_page
from rushlight.app.report.record import RunRecord
from rushlight.app.report.sections import Figure, Headline, Section, origin_section
from rushlight.app.report.words import plural
from rushlight.app.several_runs import SeveralRuns
from rushlight.runtime.files import atomic_write_text
from rushlight.runtime.run_folder import runs_of_seeds

REPORT = "report.html"


def report_seeds(folder: Path, output: Path | None = None) -> Path:
    """Make the report of a folder that `--seeds` made.

    Args:
        folder: it holds a finished run for each seed.
        output: the file to write; `report.html` in the folder if None.

    Returns:
        The file.

    Raises:
        StorageError: it cannot be written.
    """
    path = output or folder / REPORT
    atomic_write_text(path, seeds_page(SeveralRuns.of_runs(runs_of_seeds(folder)), RunRecord.read(folder)))
    return path


def seeds_page(found: SeveralRuns, record: RunRecord) -> str:
    """The whole page.

    Args:
        found: what the runs measured.
        record: of the folder that holds them.
    """
    names = found.shown
    rows = [
        [run.name, *(found.value_in_words(name, number) for name in names)] for number, run in enumerate(found.runs)
    ]
    note = (
        "What the seeds change: the first weights, the order of the samples, and their random changes. All were "
        "measured on the same validation part, so the intervals say how far another seed may lie, not how far other "
        "data may; that the report of each run says, in its own folder."
    )
    values = {
        "columns": ["run", *(_heading(name) for name in names)],
        "rows": rows,
        "last": ["mean", *(found.mean_in_words(name) for name in names)],
        "note": note,
    }
    sections = [Section("runs", "Every run", "seeds.html", values), origin_section(record, [])]
    return render_page(_headline(found, record), sections, "training with several seeds")


def _headline(found: SeveralRuns, record: RunRecord) -> Headline:
    name = found.shown[0]
    values = [measured.value for measured in found.values[name]]
    ends = sorted(range(len(values)), key=values.__getitem__)
    title = record.words("data", "name_or_path") or record.folder.name
    return Headline(
        f"{Path(title).name}: {plural(len(found.runs), 'seed')}",
        f"{_heading(name).capitalize()} on the validation part: {found.mean_in_words(name)}.",
        [
            Figure("lowest", found.value_in_words(name, ends[0]), found.runs[ends[0]].name),
            Figure("highest", found.value_in_words(name, ends[-1]), found.runs[ends[-1]].name),
        ],
        aside="A difference between two trainings that is not much larger than that between these runs may be chance.",
    )


def _heading(name: str) -> str:
    return name.replace("_", " ")
