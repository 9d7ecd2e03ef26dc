"""What kinds of run there are to report on, and the way from a folder to its report."""

from __future__ import annotations

from pathlib import Path

from rushlight.app.image_runs import TrainedRun
from rushlight.app.report import image_sections, target_sections, text_sections
from rushlight.app.report.image_facts import ImageMaterial, image_facts
from rushlight.app.report.page import render_page
from rushlight.app.report.record import RunRecord
from rushlight.app.report.seeds_page import report_seeds
from rushlight.app.report.study_page import holds_study, report_study
from rushlight.app.report.target_sections import target_facts
from rushlight.app.report.text_facts import TextMaterial, text_facts
from rushlight.app.text_runs import TrainedTextRun
from rushlight.inference.model_file import task_of
from rushlight.runtime.files import atomic_write_text
from rushlight.runtime.run_folder import RunFolder, runs_of_seeds

REPORT = "report.html"


def report_folder(folder: Path, *, output: Path | None = None, device: str = "auto", precision: str = "auto") -> Path:
    """Make the report of whatever a folder holds: a run, the runs of several seeds, or a study.

    The arguments, what is returned and what is raised are those of `report_run`.
    """
    if holds_study(folder):
        return report_study(folder, output)
    if runs_of_seeds(folder):
        return report_seeds(folder, output)
    return report_run(folder, output=output, device=device, precision=precision)


def report_run(run: Path, *, output: Path | None = None, device: str = "auto", precision: str = "auto") -> Path:
    """Make the report of a finished run from its folder.

    Args:
        run: a run folder, or its model file.
        output: the file to write; `report.html` in the run folder if None.
        device: where to compute.
        precision: likewise how exactly.

    Returns:
        The file.

    Raises:
        InputError: there is no such run.
        ModelFileError: its model file cannot be used.
        StorageError: the file cannot be written.
    """
    model_file = RunFolder.find(run)
    record = RunRecord.read(model_file.parent)
    task = task_of(model_file)
    if task == "text":
        page = text_page(record, TextMaterial.of_run(model_file, record, device))
    else:
        page = image_page(record, ImageMaterial.of_run(model_file, record, device, precision))
    path = output or record.folder / REPORT
    atomic_write_text(path, page)
    return path


def report_trained(trained: TrainedRun | TrainedTextRun) -> Path:
    """Make the report of a run that has just ended, from what is at hand.

    Returns:
        The file, in the run folder.

    Raises:
        StorageError: it cannot be written.
    """
    record = RunRecord.read(trained.folder)
    if isinstance(trained, TrainedTextRun):
        page = text_page(record, TextMaterial(trained.model.writer(), trained.model.data))
    else:
        classifier = trained.classifier
        network = (classifier.backbone or classifier.model_name, classifier.backbone is not None)
        material = ImageMaterial(classifier.predictor(), network, classifier.data, trained.evaluation)
        page = image_page(record, material)
    path = trained.folder / REPORT
    atomic_write_text(path, page)
    return path


def image_page(record: RunRecord, material: ImageMaterial) -> str:
    """The report of an image classifier, or of a model of several labels or numbers."""
    if material.predictor.answers.kind != "label":
        return target_page(record, material)
    facts = image_facts(record, material)
    sections = [made for section in image_sections.SECTIONS if (made := section(facts)) is not None]
    return render_page(image_sections.headline(facts), sections, "image classifier")


def target_page(record: RunRecord, material: ImageMaterial) -> str:
    """The report of a model of several labels or of numbers."""
    facts = target_facts(record, material)
    sections = [made for section in target_sections.SECTIONS if (made := section(facts)) is not None]
    kind = {"labels": "model of several labels", "number": "model of numbers"}[material.predictor.answers.kind]
    return render_page(target_sections.headline(facts), sections, kind)


def text_page(record: RunRecord, material: TextMaterial) -> str:
    """The report of a language model."""
    facts = text_facts(record, material)
    sections = [made for section in text_sections.SECTIONS if (made := section(facts)) is not None]
    return render_page(text_sections.headline(facts), sections, "language model")
