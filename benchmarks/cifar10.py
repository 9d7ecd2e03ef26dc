"""The figures for CIFAR-10 in the README: `train images cifar10` over several seeds, the test part looked at once.

    python benchmarks/cifar10.py --minutes 3
    python benchmarks/cifar10.py --minutes 20 --tta

Each seed is the two commands that a person would type, in processes of their own:

    rushlight train images cifar10 --minutes 3 --seed 0
    rushlight evaluate RUN --split test --json

Seeds that are done already (in the folder `runs/benchmarks`) are not run again, so the benchmark can be interrupted.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from rushlight.runtime.measured import mean_of_runs


def rushlight(*words: str) -> str:
    """Run one command line and return what it prints."""
    command = [sys.executable, "-m", "rushlight.app.cli", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def one_seed(minutes: float, seed: int, tta: bool, folder: Path) -> dict[str, Any]:
    """Train, then evaluate on the test part; or read what an earlier run of this found."""
    run = folder / f"cifar10-{minutes:g}-minutes-seed-{seed}"
    kept = folder / f"{run.name}{'-tta' if tta else ''}.json"
    if not kept.exists():
        if not (run / "run.json").exists():
            rushlight("train", "images", "cifar10", "--minutes", f"{minutes:g}", "--seed", str(seed),
                      "--output", str(run))  # fmt: skip
        kept.write_text(rushlight("evaluate", str(run), "--split", "test", "--json", *["--tta"] * tta))
    return json.loads(kept.read_text())


def main() -> None:
    """Run every seed and print the median, the spread and each value."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tta", action="store_true", help="evaluate with test-time augmentation")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    accuracies = []
    for seed in range(arguments.seeds):
        result = one_seed(arguments.minutes, seed, arguments.tta, arguments.folder)
        accuracies.append(result["accuracy"]["value"])
        low, high = result["accuracy"]["interval"]
        print(f"seed {seed}: {100 * accuracies[-1]:.2f} % of the test images (95 % interval {100 * low:.2f} to "
              f"{100 * high:.2f})", flush=True)  # fmt: skip
    print(f"median {100 * median(accuracies):.2f} %; mean {mean_of_runs(accuracies).percent()}")


if __name__ == "__main__":
    main()
