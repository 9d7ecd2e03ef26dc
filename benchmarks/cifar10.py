"""The figures for CIFAR-10 in the README: `train images cifar10` over several seeds, the test part looked at once.

    python benchmarks/cifar10.py --minutes 3
    python benchmarks/cifar10.py --minutes 20 --tta

Each seed is the two commands that a person would type, in processes of their own:

    rushlight train images cifar10 --minutes 3 --seed 0
    rushlight evaluate RUN --split test --json

Seeds that are done already (in the folder `runs/benchmarks`) are not run again, so the benchmark can be interrupted.
"""

import argparse

from command_line import FOLDER, over_seeds, trained_and_measured


def main() -> None:
    """Run every seed and print the median, the spread and each value."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tta", action="store_true", help="evaluate with test-time augmentation")
    arguments = parser.parse_args()

    def accuracy(seed: int) -> float:
        result = trained_and_measured(
            FOLDER / f"cifar10-{arguments.minutes:g}-minutes-seed-{seed}",
            ["images", "cifar10", "--minutes", f"{arguments.minutes:g}", "--seed", str(seed)],
            ["--split", "test", *["--tta"] * arguments.tta],
            "-tta" if arguments.tta else "",
        )
        return result["accuracy"]["value"]

    over_seeds(arguments.seeds, accuracy, "% of the test images", factor=100)


if __name__ == "__main__":
    main()
