"""The best recipe known for Nietzsche: several LSTMs of ten minutes each and an n-gram model answer together.

    python benchmarks/nietzsche_best.py

It is the commands that a person would type: `train text --model lstm` once a seed, `mix --ngram`, and
`evaluate --dynamic` of the mixture. Dynamic evaluation goes on learning from the text that it is measured on, so it
stands on a line of its own. What is done already (in the folder `runs/benchmarks`) is not done again, so the benchmark
can be interrupted. `--epochs-each` trains for so many epochs instead, with more to keep the models from learning by
heart, which more epochs need.
"""

import argparse
import json
from pathlib import Path

import nietzsche
from command_line import FOLDER, rushlight, trained_and_measured

LSTM = (*nietzsche.TEXT, "--model", "lstm")
REGULARISERS = ("--dropout", "0.5", "--model-option", "input_dropout=0.2", "--model-option", "weight_dropout=0.45")


def described(name: str, loss: dict) -> str:
    """A line: what it is, its loss, and the interval over stretches of the text."""
    low, high = loss["interval"]
    return f"{name:<38} {loss['value']:.4f} nats a character (95 % interval {low:.4f} to {high:.4f})"


def main() -> None:
    """Train, mix, measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--minutes-each", type=float, default=10)
    parser.add_argument("--epochs-each", type=int)
    arguments = parser.parse_args()
    epochs = arguments.epochs_each
    length = f"{arguments.minutes_each:g}-minutes" if epochs is None else f"{epochs}-epochs"

    runs: list[Path] = []
    for seed in range(arguments.members):
        run = FOLDER / f"nietzsche-best-{length}-seed-{seed}"
        if epochs is None:
            words = [*LSTM, "--minutes", f"{arguments.minutes_each:g}"]
        else:
            words = [*LSTM, "--epochs", str(epochs), *REGULARISERS]
        found = trained_and_measured(run, [*words, "--seed", str(seed)], [])
        print(described(f"one LSTM, seed {seed}", found["loss"]), flush=True)
        runs.append(run)
    mixture = FOLDER / f"nietzsche-best-{arguments.members}-times-{length}"
    kept = mixture.with_name(f"{mixture.name}.json")
    if not kept.exists():
        if not (mixture / "run.json").exists():
            rushlight("mix", *map(str, runs), "--ngram", "--output", str(mixture))
        kept.write_text(rushlight("evaluate", str(mixture), "--dynamic", "--json"))
    together = json.loads(kept.read_text())
    print(described(f"{arguments.members} and an n-gram model", together["loss"]))
    print("Learning from the text on the way:")
    print(described("the same, dynamic evaluation", together["dynamic_evaluation"]["loss"]))

    minutes = sum(json.loads((run / "run.json").read_text())["seconds"] for run in [*runs, mixture]) / 60
    print(f"{minutes:.0f} minutes in all, without the dynamic evaluation")


if __name__ == "__main__":
    main()
