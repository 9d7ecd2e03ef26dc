"""The demonstration: a classifier of handwritten digits, from nothing, in about a minute."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rushlight.app.image_runs import ImageSource, TrainedRun, train_into_run_folder
from rushlight.app.report.kinds import report_trained
from rushlight.app.runs import Keeping, add_result
from rushlight.inference.evaluation import Evaluation
from rushlight.runtime.files import atomic_write_bytes
from rushlight.tasks.image_classifier import ImageClassifier

DATASET = "digits"


@dataclass(frozen=True)
class DemoRun:
    """What the demonstration left behind.

    Attributes:
        trained: the run.
        test: on the test images, which played no part before.
        report: the page about it.
    """

    trained: TrainedRun
    test: Evaluation
    report: Path

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        result = self.trained.to_json()
        result["results"]["test"] = self.test.to_json()
        return result | {"report": str(self.report)}


def run_demo(minutes: float, seed: int, device: str, precision: str, output: Path | None) -> DemoRun:
    """Train on scikit-learn's 1,797 handwritten digits, which need no download.

    Args:
        minutes: time to train.
        seed: of the split, the first weights and the order of the images.
        device: `auto` or a device name of PyTorch.
        precision: `auto`, `float32` or `bfloat16`.
        output: the run folder; the next free one if None.
    """
    source = ImageSource(DATASET, seed=seed)
    data = source.load(device=device)
    classifier = ImageClassifier(data, seed=seed, device=device, precision=precision)
    trained = train_into_run_folder(
        source,
        data,
        classifier,
        lambda _, callbacks: classifier.fit(minutes=minutes, callbacks=callbacks),
        output=output,
        keeping=Keeping(("demo", "--output")),
        arguments={"minutes": minutes, "seed": seed, "device": device, "precision": precision},
    )
    assert trained is not None  # the demonstration runs in one process
    _write_samples(trained)
    test = classifier.evaluate("test")
    add_result(trained.folder, "test", test)
    return DemoRun(trained, test, report_trained(trained))


def sample_files(trained: TrainedRun) -> list[Path]:
    """The files `_write_samples` left in the run folder."""
    return sorted((trained.folder / "samples").glob("*.png"))


def _write_samples(trained: TrainedRun, count: int = 5) -> None:
    """Put a few validation images beside the model as files, for the next command to read."""
    from io import BytesIO

    from PIL import Image

    valid = trained.classifier.data.valid
    if valid is None:
        return
    folder = trained.folder / "samples"
    folder.mkdir(exist_ok=True)
    indices = range(min(count, valid.samples))
    for index, pixels in zip(indices, valid.pixels(indices), strict=True):
        picture = BytesIO()
        Image.fromarray(pixels).save(picture, format="PNG")
        name = trained.classifier.data.classes[int(valid.targets[index])]
        atomic_write_bytes(folder / f"{index + 1}-is-{name}.png", picture.getvalue())
