"""Run an ablation into a study folder: its cells, the table for people and programs, and the picture."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rushlight.app import options, plots
from rushlight.app.report.study_page import REPORT, RESULTS, study_page
from rushlight.app.study_picture import picture
from rushlight.app.study_training import StudiedTraining
from rushlight.runtime.errors import InputError
from rushlight.runtime.files import atomic_write_text, write_json
from rushlight.runtime.run_folder import RUNS, environment_versions, holds_run, numbered_folder
from rushlight.runtime.terminal import note
from rushlight.studies.ablation import AblationResult
from rushlight.studies.comparison import ACCURACY, EXPLAINED_VARIANCE, LOSS, MEAN_AVERAGE_PRECISION, Quantity
from rushlight.studies.running import work_through
from rushlight.studies.store import CellStore, Outcome, refuse_another_study
from rushlight.studies.variations import Cell, Variation, baseline_first, grid, leave_one_out, together

KIND = "studies"
# What each kind of target is compared by; a text is by its loss.
COMPARED_BY = {"label": ACCURACY, "labels": MEAN_AVERAGE_PRECISION, "number": EXPLAINED_VARIANCE}
_ONE_STUDY = "study"  # the name in a SQLite file, which holds one study only


@dataclass(frozen=True)
class Subject:
    """What a study is about: the data as it is now, and the recipe that suits it.

    Attributes:
        name: of the data.
        fingerprint: of its content.
        measured_on: the part that runs are measured on, in words.
        quantity: what they are compared by.
        ingredients: of the default recipe.
        default_model: what is trained where no model is named.
    """

    name: str
    fingerprint: str
    measured_on: str
    quantity: Quantity
    ingredients: Mapping[str, str]
    default_model: str


@dataclass(frozen=True)
class StudyRequest:
    """What a person asks a study for.

    Attributes:
        kind: `images` or `text`.
        data: a path or a name of the catalog.
        fixed: options that hold for every cell, by name.
        vary: each `NAME=VALUE,VALUE`; all combinations are trained.
        also: each `NAME=VALUE,NAME=VALUE`, one variation more.
        leave_one_out: train the recipe as it is, and without each of its ingredients.
        baseline: `NAME=VALUE` that the baseline has.
        seeds: how many.
        seed: the first of them, and that of the split.
        output: the study folder; found or made if None.
        storage: the address of a database; a file in the study folder if None.
        retry_failed: train those cells again that failed before.
    """

    kind: str
    data: str
    fixed: Mapping[str, Any]
    vary: Sequence[str] = ()
    also: Sequence[str] = ()
    leave_one_out: bool = False
    baseline: Sequence[str] = ()
    seeds: int = 5
    seed: int = 0
    output: Path | None = None
    storage: str | None = None
    retry_failed: bool = False

    def variations(self, subject: Subject) -> list[Variation]:
        """What is compared, the baseline first.

        Raises:
            InputError: nothing is varied, or something is written in a way that cannot be read.
        """
        if not (self.vary or self.also or self.leave_one_out):
            raise InputError("nothing is varied: give --vary NAME=VALUE,VALUE or --leave-one-out")
        chosen = leave_one_out(list(subject.ingredients)) if self.leave_one_out else []
        chosen += grid(self.vary) if self.vary else [Variation()] * (not chosen)
        chosen += [together(text) for text in self.also]
        variations = baseline_first(chosen, self.baseline)
        if len(variations) < 2:
            raise InputError(f"there is only one variation, {variations[0].label}, and nothing to compare it with")
        return variations


@dataclass(frozen=True)
class FinishedStudy:
    """What a study left.

    Attributes:
        folder: its folder.
        result: the comparison.
    """

    folder: Path
    result: AblationResult


def run_study(request: StudyRequest) -> FinishedStudy:
    """Train what has not been trained yet, compare, and write table, results and picture.

    Raises:
        InputError: the request cannot be carried out, another study is there, or the data has changed since it began.
        StorageError: a file or the database cannot be written.
    """
    training, subject = training_of(request.kind, request.data, request.fixed, request.seed)
    variations = request.variations(subject)
    model = training.model_with_parts(variations)
    if model is not None:
        note(f"training {model}, which has the parts that are varied; --model names another network")
        request = replace(request, fixed={**request.fixed, "model": model})
        training, subject = training_of(request.kind, request.data, request.fixed, request.seed)
    training.check(variations)
    labels = [variation.label for variation in variations]
    specification = specification_of(request.kind, request.fixed, subject, labels, request.seed)
    folder = study_folder(request.output, subject.name, specification)
    url, name = _place(request.storage, folder, specification)
    store = CellStore(url, name, specification)
    if request.retry_failed:
        note(f"training {len(store.retry_failed())} cells again that failed")
    seeds = list(range(request.seed, request.seed + request.seeds))
    training = replace(training, folder=folder / "cells")
    return FinishedStudy(folder, compare_cells(store, training, subject, variations, seeds, folder))


def compare_cells(
    store: CellStore,
    training: StudiedTraining,
    subject: Subject,
    variations: Sequence[Variation],
    seeds: Sequence[int],
    folder: Path,
) -> AblationResult:
    """Train every variation with every seed, as far as it has not been done, and write down the comparison.

    Args:
        store: where the cells are kept.
        training: how a cell is trained.
        subject: what the study is about.
        variations: the baseline first.
        seeds: of each variation.
        folder: for table, values and picture.
    """
    # Seed by seed, so that a study that is not finished yet already compares.
    cells = [Cell(variation, seed) for seed in seeds for variation in variations]
    store.add(cells)
    _tell_what_is_to_come(cells, store.outcomes(), folder)

    def result() -> AblationResult:
        return AblationResult.of(
            subject.name, subject.measured_on, subject.quantity, variations, seeds, store.outcomes()
        )

    def run(cell: Cell) -> Outcome:
        outcome = training.run(cell)
        note(f"{cell.label}: {_in_words(outcome, subject.quantity)}")
        return outcome

    work_through(store, cells, run, report=note, done=lambda: write_tables(result(), folder))
    found = result()
    write_tables(found, folder)
    drawing = picture(found)
    plots.save(drawing, folder / "comparison.png")
    atomic_write_text(folder / REPORT, study_page(found, drawing, folder))
    return found


def training_of(kind: str, data: str, fixed: Mapping[str, Any], seed: int) -> tuple[StudiedTraining, Subject]:
    """How the cells of a study are trained, and what it is about; the arguments are those of `subject_of`."""
    subject = subject_of(kind, data, fixed, seed)
    return StudiedTraining(kind, data, fixed, seed, subject.ingredients, subject.default_model), subject


def subject_of(kind: str, data: str, fixed: Mapping[str, Any], seed: int) -> Subject:
    """Read the data, and ask the task which recipe suits it.

    Args:
        kind: `images` or `text`.
        data: a path or a name of the catalog.
        fixed: options that hold for every cell, by name.
        seed: of the split.

    Raises:
        InputError: the data cannot be used, or has no validation part.
    """
    if kind == "text":
        from rushlight.app.text_runs import TextSource
        from rushlight.tasks.language_model import LanguageModel

        names = ("tokens", "lowercase", "minimum_frequency", "encoding", "replace_invalid", "valid_fraction")
        text = TextSource.of(data, **{name: fixed[name] for name in names if name in fixed}).load()
        measured_on = f"{text.valid.samples:,} validation {text.tokenizer.unit}s"
        model = fixed.get("model", "auto")
        language_model = LanguageModel(text, model, optimizer=fixed.get("optimizer"), device="cpu")
        return Subject(text.name, text.fingerprint, measured_on, LOSS, language_model.ingredients, model)
    from rushlight.app.image_runs import ImageSource
    from rushlight.tasks.image_classifier import ImageClassifier

    image_names = ("size", "valid_fraction", "train_images", "target")
    settings = {name: fixed[name] for name in image_names if name in fixed}
    if "columns" in fixed:
        settings["columns"] = options.parse_columns(fixed["columns"])
    images = ImageSource.of(data, seed=seed, **settings).load(device="cpu")
    if fixed.get("fit_all") or images.valid is None:
        raise InputError(f"'{images.name}' leaves no validation images to compare by: give --valid-fraction 0.2")
    chosen = {name: fixed[name] for name in ("model", "backbone", "optimizer") if name in fixed}
    classifier = ImageClassifier(images, device="cpu", **chosen)
    measured_on = f"{images.valid.samples:,} validation images"
    model = "fast_64" if classifier.model_name == "auto" else classifier.model_name
    return Subject(
        images.name, images.fingerprint, measured_on, COMPARED_BY[images.target], classifier.ingredients, model
    )


def specification_of(
    kind: str, fixed: Mapping[str, Any], subject: Subject, varied: Sequence[str], seed: int
) -> dict[str, Any]:
    """What makes a study this one and no other; the number of its seeds may grow.

    Args:
        kind: of the study.
        fixed: options that hold for every cell, by name.
        subject: what it is about.
        varied: what is varied, in words.
        seed: the first.
    """
    return {
        "kind": kind,
        "data": subject.name,
        "settings": {name: json.loads(json.dumps(value, default=str)) for name, value in fixed.items()},
        "variations": list(varied),
        "first seed": seed,
        "fingerprint": subject.fingerprint,
    }


def study_folder(output: Path | None, name: str, specification: Mapping[str, Any]) -> Path:
    """The folder to work in: the one that was asked for, that of the same study begun before, or a new one.

    Raises:
        InputError: the folder holds something else.
        StorageError: it cannot be made.
    """
    if output is None:
        for file in sorted((RUNS / KIND).glob("*/study.json")):
            if _kept(file) == specification:
                note(f"going on with the study in {file.parent}; --output NAME begins another")
                return file.parent
        output = numbered_folder(RUNS / KIND, name)
    elif holds_run(output):
        raise InputError(f"output '{output}' holds a run, and a study needs a folder of its own; name another one")
    file = output / "study.json"
    if file.exists():
        refuse_another_study(_kept(file) or {}, specification, str(output))
    else:
        write_json(
            file, {"specification": dict(specification), "command": sys.argv, "versions": environment_versions()}
        )
    return output


def _kept(file: Path) -> dict[str, Any] | None:
    try:
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["specification"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept


def _place(storage: str | None, folder: Path, specification: Mapping[str, Any]) -> tuple[str, str]:
    """The database, and the name of the study in it: machines that share one agree on it without a word."""
    if storage is None:
        return f"sqlite:///{(folder / 'study.db').absolute()}", _ONE_STUDY
    url = storage if "://" in storage else f"sqlite:///{Path(storage).absolute()}"
    if url.startswith("sqlite"):
        return url, _ONE_STUDY
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    about = {name: value for name, value in specification.items() if name != "fingerprint"}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
    return url, f"rushlight-{specification['kind']}-{specification['data']}-{digest}"


def write_tables(result: AblationResult, folder: Path) -> None:
    """Write `table.md` and `results.json`.

    Raises:
        StorageError: one cannot be written.
    """
    atomic_write_text(folder / "table.md", result.markdown())
    write_json(folder / RESULTS, result.to_json())


def _tell_what_is_to_come(cells: Sequence[Cell], done: Mapping[Cell, Outcome], folder: Path) -> None:
    ready = sum(cell in done for cell in cells)
    what = f"{len(cells)} trainings" if not ready else f"{len(cells)} trainings, {ready} of them done before"
    note(f"{what}, in {folder}; interrupted, the same command goes on where it was")


def _in_words(outcome: Outcome, quantity: Quantity) -> str:
    if outcome.result is None:
        return f"failed: {outcome.failure}"
    value = outcome.result["results"][quantity.name]["value"]
    unit = "%" if quantity.scale == 100 else quantity.unit
    shown = "no number" if value is None else f"{value * quantity.scale:.{quantity.decimals}f} {unit}"
    return f"{quantity.name.replace('_', ' ')} {shown}, {outcome.result['seconds']:.0f} s"
