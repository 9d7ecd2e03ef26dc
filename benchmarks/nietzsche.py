"""The figure for a text in the README: `train text nietzsche` over several seeds, measured on its last fifth.

    python benchmarks/nietzsche.py --minutes 10

Each seed is the two commands that a person would type, in processes of their own:

    rushlight train text nietzsche --lowercase --minimum-frequency 3 --minutes 10 --seed 0
    rushlight evaluate RUN --json

Seeds that are done already (in the folder `runs/benchmarks`) are not run again, so the benchmark can be interrupted.
"""

import argparse

from command_line import FOLDER, over_seeds, trained_and_measured


def main() -> None:
    """Run every seed and print the median, the spread and each value."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()

    def loss(seed: int) -> float:
        result = trained_and_measured(
            FOLDER / f"nietzsche-{arguments.minutes:g}-minutes-seed-{seed}",
            ["text", "nietzsche", "--lowercase", "--minimum-frequency", "3", "--minutes", f"{arguments.minutes:g}",
             "--seed", str(seed)],
            [],
        )  # fmt: skip
        return result["loss"]["value"]

    over_seeds(arguments.seeds, loss, "nats a character", decimals=4)


if __name__ == "__main__":
    main()
