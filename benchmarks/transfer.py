"""Cats and dogs from a folder of photographs: accuracy against wall time, cold start included.

    python benchmarks/transfer.py
    python benchmarks/transfer.py --peers

Every line is a process of its own, which begins with the files on disk and nothing in any cache, and ends with a model
that was measured on the validation photographs. All begin with the same pretrained body, EfficientNet-Lite0:

- Rushlight as a person types it: `train images FOLDER --freeze --minutes 2`, and with 1 minute (features once, a head
  that is solved; where there is time, also those of mirrored photographs);
- fastai in the two ways of its quick start, on the body with fastai's own head: the head for one epoch
  (`fit_one_cycle(1)`), and `fine_tune(1)`, which then trains everything for one more; images at 224 pixels, `Resize`
  per item, two workers;
- a plain script: Pillow, the body in float32, and scikit-learn's logistic regression with its strength chosen by
  cross-validation.
"""

import argparse
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from peer_environments import let_torchvision_load, run_in
from side_by_side import (
    Case,
    Results,
    Row,
    add_arguments,
    chosen,
    let_peers_import_this_project,
    markdown,
    spread,
)

SIZE = 224


def with_rushlight(photos: Path, seed: int, minutes: int) -> float:
    """The command, with an empty cache."""
    from command_line import rushlight

    with tempfile.TemporaryDirectory() as folder:
        os.environ["RUSHLIGHT_CACHE"] = str(Path(folder) / "cache")
        run = Path(folder) / "run"
        words = ("--freeze", "--minutes", str(minutes), "--no-report", "--seed", str(seed), "--output", str(run))
        rushlight("train", "images", str(photos), *words)
        metrics: dict[str, Any] = json.loads((run / "run.json").read_text())["results"]["valid"]
        return float(metrics["accuracy"]["value"])


def pretrained_body() -> Any:
    """EfficientNet-Lite0 with its published weights, from this project."""
    from rushlight.nn.backbones import backbone

    return backbone("efficientnet_lite0")


def with_fastai(photos: Path, seed: int, epochs_of_everything: int) -> float:
    """fastai's quick start; (1,402 photographs)."""
    let_torchvision_load()
    from fastai.vision.all import (
        CrossEntropyLossFlat,
        ImageDataLoaders,
        Learner,
        Normalize,
        Resize,
        accuracy,
        create_head,
        nn,
        params,
        set_seed,
    )

    from rushlight.nn.backbones import preprocessing

    set_seed(seed)
    expected = preprocessing("efficientnet_lite0")
    loaders = ImageDataLoaders.from_folder(
        photos,
        train="train",
        valid="valid",
        item_tfms=Resize(SIZE),
        batch_tfms=Normalize.from_stats(expected.mean, expected.std),
        num_workers=2,
    )
    model = nn.Sequential(pretrained_body(), create_head(1280, loaders.c))
    learner = Learner(
        loaders,
        model,
        loss_func=CrossEntropyLossFlat(),
        metrics=accuracy,
        splitter=lambda whole: [params(whole[0]), params(whole[1])],
    )
    with learner.no_bar(), learner.no_logging():
        if epochs_of_everything:
            learner.fine_tune(epochs_of_everything)
        else:
            learner.freeze()
            learner.fit_one_cycle(1)
        return float(learner.validate()[1])


def with_scikit_learn(photos: Path, seed: int) -> float:
    """A plain script: features, and logistic regression."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from rushlight.nn.backbones import preprocessing

    expected = preprocessing("efficientnet_lite0")
    center, scale = (torch.tensor(part)[:, None, None] for part in (expected.mean, expected.std))
    body = pretrained_body().eval()

    def features_and_labels(part: str) -> tuple[Any, list[str]]:
        files = sorted((photos / part).glob("*/*.jpg"))
        found = []
        for start in range(0, len(files), 32):
            pictures = [
                ImageOps.fit(Image.open(file).convert("RGB"), (SIZE, SIZE), Image.Resampling.BILINEAR)
                for file in files[start : start + 32]
            ]
            pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2)
            with torch.inference_mode():
                found.append(body((pixels / 255 - center) / scale).mean(dim=(2, 3)))
        return torch.cat(found).numpy(), [file.parent.name for file in files]

    classifier = make_pipeline(StandardScaler(), LogisticRegressionCV(scoring="neg_log_loss", max_iter=500))
    classifier.fit(*features_and_labels("train"))
    features, labels = features_and_labels("valid")
    return float(np.mean(classifier.predict(features) == np.array(labels)))


WAYS: dict[str, tuple[str, Callable[[Path, int], float]]] = {
    "Rushlight, 2 minutes": ("rushlight", lambda photos, seed: with_rushlight(photos, seed, 2)),
    "Rushlight, 1 minute": ("rushlight", lambda photos, seed: with_rushlight(photos, seed, 1)),
    "scikit-learn on features": ("rushlight", with_scikit_learn),
    "fastai, head for one epoch": ("fastai", lambda photos, seed: with_fastai(photos, seed, 0)),
    "fastai, fine_tune(1)": ("fastai", lambda photos, seed: with_fastai(photos, seed, 1)),
}
RUSHLIGHT = [way for way in WAYS if way.startswith("Rushlight")]


def table(results: Results, ways: list[str]) -> str:
    """One line a way."""
    here = min(median(results.values(Case.of(way), "wall_seconds") or [math.inf]) for way in RUSHLIGHT)
    lines = []
    for way in ways:
        seconds = results.values(Case.of(way), "wall_seconds")
        accuracies = [100 * value for value in results.values(Case.of(way), "accuracy")]
        times = f"{median(seconds) / here:.1f}" if seconds and here < math.inf else "not measured"
        lines.append([way, spread(seconds, "{:.1f}"), times, f"{spread(accuracies)} %", str(len(seconds))])
    return markdown(["way", "seconds, cold start", "times Rushlight's shortest", "validation accuracy", "runs"], lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--peers", action="store_true", help="measure fastai too, in its own environment")
    parser.add_argument("--here", choices=WAYS, help="measure this one here, once, and print JSON")
    parser.add_argument("--photos", help="a folder with train/ and valid/; dogs and cats if none is given")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.photos is None:
        from rushlight.data import catalog

        arguments.photos = str(catalog.get("dogscats"))
    if arguments.here:
        print(json.dumps({"accuracy": WAYS[arguments.here][1](Path(arguments.photos), arguments.seed)}))
        return
    let_peers_import_this_project()  # the body comes from here, also for peers
    ways = chosen((way for way in WAYS if arguments.peers or WAYS[way][0] == "rushlight"), arguments.only)

    def measured(case: Case, seed: int) -> Row:
        words = ("--here", case.way, "--seed", seed, "--photos", arguments.photos)
        return run_in(WAYS[case.way][0], "transfer.py", *words)

    results = Results("transfer", {"photos": Path(arguments.photos).name}, arguments.again_if_busy, arguments.quick)
    results.in_turns([Case.of(way) for way in ways], 1 if arguments.quick else arguments.rounds, measured)
    results.write_page(table(results, ways))


if __name__ == "__main__":
    main()
