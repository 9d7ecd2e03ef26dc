"""The figure for a text in the README: `train text nietzsche` over several seeds, measured on its last fifth.

    python benchmarks/nietzsche.py --minutes 10

Each seed is the two commands that a person would type, in processes of their own:

    rushlight train text nietzsche --lowercase --minimum-frequency 3 --minutes 10 --seed 0
    rushlight evaluate RUN --json

Seeds that are done already (in the folder `runs/benchmarks`) are not run again, so the benchmark can be interrupted.
"""

import argparse
from pathlib import Path
from typing import Any

from command_line import FOLDER, over_seeds, trained_and_measured

TEXT = ["text", "nietzsche", "--lowercase", "--minimum-frequency", "3"]


def run_folder(minutes: float, seed: int) -> Path:
    """Where the run of a seed is."""
    return FOLDER / f"nietzsche-{minutes:g}-minutes-seed-{seed}"


def measured(minutes: float, seed: int) -> dict[str, Any]:
    """What a run of a seed is worth; it is trained if it is not there yet."""
    words = [*TEXT, "--minutes", f"{minutes:g}", "--seed", str(seed)]
    return trained_and_measured(run_folder(minutes, seed), words, [])


def main() -> None:
    """Run every seed and print the median, the spread and each value."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()

    over_seeds(
        arguments.seeds, lambda seed: measured(arguments.minutes, seed)["loss"]["value"], "nats a character", decimals=4
    )


if __name__ == "__main__":
    main()
