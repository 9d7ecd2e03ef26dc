"""The figures for photographs in the README, on 1,402 training and 400 validation photographs of dogs and cats.

    python benchmarks/dogscats.py

Each line is measured by the commands that a person would type, in processes of their own; the validation part chooses
nothing but whether training everything made the model better than its head alone. What is done already (in the folder
`runs/benchmarks`) is not run again, so the benchmark can be interrupted.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from command_line import FOLDER, over_seeds, rushlight, trained_and_measured

from rushlight.data.images import ImageData
from rushlight.runtime.files import user_cache_folder
from rushlight.runtime.measured import mean_of_runs

EXPLAINED = 100  # validation photographs


def accuracy(name: str, words: list[str], seed: int) -> float:
    """Of one run on the validation part; features that an earlier run kept are not used."""
    run = FOLDER / f"dogscats-{name}-seed-{seed}"
    if not run.exists():
        shutil.rmtree(user_cache_folder() / "features", ignore_errors=True)
    found = trained_and_measured(run, ["images", "dogscats", *words, "--seed", str(seed)], [])
    return found["accuracy"]["value"]


def seconds(name: str, seed: int) -> float:
    """That the training of a run took, as it says itself."""
    facts = json.loads((FOLDER / f"dogscats-{name}-seed-{seed}" / "run.json").read_text())
    return facts["seconds"]


def in_time(seeds: int, minutes: float) -> None:
    """With nothing but a time limit."""
    print(f"train images dogscats --minutes {minutes:g}")
    over_seeds(seeds, lambda seed: accuracy(f"{minutes:g}-minutes", ["--minutes", f"{minutes:g}"], seed), "%", 100)


def features_once(seeds: int) -> None:
    """The same head, 5 epochs: the body run once, or in every epoch."""
    ways = {"once": [], "every-epoch": ["--no-features-once", "--augment", "none"]}
    for way, words in ways.items():
        print(f"train images dogscats --epochs 5 {' '.join(words)}")
        over_seeds(
            seeds, lambda seed, way=way, words=words: accuracy(f"5-{way}", ["--epochs", "5", *words], seed), "%", 100
        )
    ratios = [seconds("5-every-epoch", seed) / seconds("5-once", seed) for seed in range(seeds)]
    print(f"once is {mean_of_runs(ratios).value:.1f} times as fast ({', '.join(f'{ratio:.1f}' for ratio in ratios)})")


def few_images(seeds: int, count: int) -> None:
    """With so many training images, others for every seed."""
    print(f"train images dogscats --train-images {count} --freeze --minutes 1")
    words = ["--train-images", str(count), "--freeze", "--minutes", "1"]
    over_seeds(seeds, lambda seed: accuracy(f"{count}-images", words, seed), "%", 100)


def statistics(seeds: int) -> None:
    """Everything trained with a rate a layer group: the statistics of batch norm frozen, or not; paired by seed."""
    found: dict[str, list[float]] = {}
    for way, words in {"frozen": [], "moving": ["--moving-statistics"]}.items():
        words = ["--unfreeze-epochs", "3", "--minutes", "60", *words]
        print(f"train images dogscats {' '.join(words)}")
        found[way] = [accuracy(f"statistics-{way}", words, seed) for seed in range(seeds)]
        print("  " + ", ".join(f"{100 * value:.2f} %" for value in found[way]))
    differences = [100 * (a - b) for a, b in zip(found["frozen"], found["moving"], strict=True)]
    mean = mean_of_runs(differences)
    print(f"frozen less moving: {mean.value:+.2f} points, 95 % interval {mean.interval}")


def explanations(run: Path) -> None:
    """Heat maps of validation photographs: what blurring does, and what a closer look says."""
    data = ImageData.from_name("dogscats", size=32)
    files = data.files("valid") or []
    chosen = files[:: max(1, len(files) // EXPLAINED)][:EXPLAINED]
    with tempfile.TemporaryDirectory() as folder:
        found = json.loads(rushlight("explain", str(run), *map(str, chosen), "--check", "--json", "--output", folder))
        shutil.rmtree(folder, ignore_errors=True)
    checks = found["checks"]
    ratio = checks["hottest"] / checks["random"] if checks["random"] > 0 else float("inf")
    print(
        f"blurring the hottest fifth of {len(chosen)} photographs costs {100 * checks['hottest']:.3f} points (median),"
    )
    print(f"another fifth {100 * checks['random']:.3f} points: {ratio:.1f} times")
    truths = [Path(image["source"]).parent.name for image in found["images"]]
    first = sum(image["prediction"]["label"] == truth for image, truth in zip(found["images"], truths, strict=True))
    second = sum(image["closer"][0]["label"] == truth for image, truth in zip(found["images"], truths, strict=True))
    agree = sum(image["agrees"] for image in found["images"])
    print(f"a closer look agrees on {agree} of {len(chosen)}; right at first {first}, at the second look {second}")


def main() -> None:
    """Run every part and print its lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    in_time(arguments.seeds, 2)
    features_once(arguments.seeds)
    few_images(arguments.seeds, 100)
    few_images(arguments.seeds, 20)
    statistics(arguments.seeds)
    explanations(FOLDER / "dogscats-2-minutes-seed-0")


if __name__ == "__main__":
    main()
