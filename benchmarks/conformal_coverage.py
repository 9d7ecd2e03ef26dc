"""Whether sets of classes hold the right one as often as was asked for, over random splits.

    python benchmarks/conformal_coverage.py

A small net is trained on 5,000 images of CIFAR-10 and answers the 10,000 test images, which chose nothing. They are
split at random 20 times: on 2,500 of them, as many as a validation part has, the temperature and the threshold are
found, on the others the coverage is measured. Once with sets that are never empty, as `predict --coverage` gives them,
and once with sets that may be, whose coverage is the one asked for also where a model is right more often.
"""

import argparse
from statistics import fmean

import numpy as np
import torch
from command_line import FOLDER, rushlight

from rushlight.data.images import ImageData
from rushlight.inference.calibration import calibrate
from rushlight.inference.conformal import ConformalSets, SetScores, score_sets
from rushlight.inference.predictor import Predictor

CALIBRATION = 2500


def outputs() -> tuple[torch.Tensor, torch.Tensor]:
    """What the net answers to the test images, before any temperature, and their classes."""
    run = FOLDER / "conformal-cifar10"
    if not (run / "run.json").exists():
        words = ["--train-images", "5000", "--epochs", "8", "--model", "fast_16", "--output", str(run)]
        rushlight("train", "images", "cifar10", *words)
    predictor = Predictor.load(run)
    data = ImageData.from_name("cifar10", size=predictor.size, augment=None)
    logits, targets = predictor.logits(data.part("test"))
    return logits * predictor.calibration.temperature, targets


def scores(logits: torch.Tensor, targets: torch.Tensor, rows: torch.Tensor, coverage: float) -> list[SetScores]:
    """Of one split: sets that are never empty, and sets that may be."""
    calibration, measured = rows[:CALIBRATION], rows[CALIBRATION:]
    found = calibrate(logits[calibration], targets[calibration])
    sets = ConformalSets.calibrated(found.losses, coverage)
    probabilities = torch.softmax(logits[measured].double() / found.temperature, dim=1).numpy()
    return [
        score_sets(sets.members(probabilities, allow_empty), targets[measured].numpy(), coverage)
        for allow_empty in (False, True)
    ]


def main() -> None:
    """Print a line for each coverage and kind of set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=20)
    splits = parser.parse_args().splits
    logits, targets = outputs()
    accuracy = float((logits.argmax(dim=1) == targets).float().mean())
    print(f"accuracy on the {len(targets):,} test images: {100 * accuracy:.1f} %")
    for coverage in (0.8, 0.9, 0.95):
        random = [torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed)) for seed in range(splits)]
        found = [scores(logits, targets, rows, coverage) for rows in random]
        for name, of_kind in zip(("never empty", "may be empty"), zip(*found, strict=True), strict=True):
            values = 100 * np.array([one.coverage.value for one in of_kind])
            size = fmean(one.size.value for one in of_kind)
            single = 100 * fmean(one.single.value for one in of_kind)
            print(
                f"asked {100 * coverage:g} %, sets that {name:<12}: mean {values.mean():.2f} %, {values.min():.2f} to "
                f"{values.max():.2f} over {splits} splits; {size:.2f} classes a set, {single:.0f} % of them one class"
            )


if __name__ == "__main__":
    main()
