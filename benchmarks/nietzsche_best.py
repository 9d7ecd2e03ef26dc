"""The best recipe known for Nietzsche: several models of ten minutes each answer together.

    python benchmarks/nietzsche_best.py
    python benchmarks/nietzsche_best.py --lstm

It is the commands that a person would type: `train text` once a seed, `mix`, and `evaluate --dynamic` of the mixture.
Dynamic evaluation goes on learning from the text that it is measured on, so it stands on a line of its own. `--lstm`
trains LSTMs (`train text --model lstm`), which know nothing of an n-gram model, and mixes one in (`mix --ngram`);
`--epochs-each` trains these for so many epochs instead, with more to keep them from learning by heart, which more
epochs need. What is done already (in the folder `runs/benchmarks`) is not done again, so the benchmark can be
interrupted.
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
    parser.add_argument("--lstm", action="store_true", help="LSTMs and an n-gram model instead of guided models")
    parser.add_argument("--epochs-each", type=int, help="of LSTMs")
    arguments = parser.parse_args()
    epochs = arguments.epochs_each
    if epochs is not None and not arguments.lstm:
        parser.error("--epochs-each is for --lstm")
    length = f"{arguments.minutes_each:g}-minutes" if epochs is None else f"{epochs}-epochs"

    runs: list[Path] = []
    for seed in range(arguments.members):
        if not arguments.lstm:  # the runs of `nietzsche.py`
            run = nietzsche.run_folder(arguments.minutes_each, seed)
            found = nietzsche.measured(arguments.minutes_each, seed)
        else:
            run = FOLDER / f"nietzsche-lstm-{length}-seed-{seed}"
            words = ["--minutes", f"{arguments.minutes_each:g}"] if epochs is None else ["--epochs", str(epochs)]
            words += [] if epochs is None else REGULARISERS
            found = trained_and_measured(run, [*LSTM, *words, "--seed", str(seed)], [])
        print(described(f"alone, seed {seed}", found["loss"]), flush=True)
        runs.append(run)
    mixture = FOLDER / f"nietzsche-{'lstm-' if arguments.lstm else ''}{arguments.members}-times-{length}"
    kept = mixture.with_name(f"{mixture.name}.json")
    if not kept.exists():
        if not (mixture / "run.json").exists():
            ngram = ["--ngram"] if arguments.lstm else []
            rushlight("mix", *map(str, runs), *ngram, "--output", str(mixture))
        kept.write_text(rushlight("evaluate", str(mixture), "--dynamic", "--json"))
    together = json.loads(kept.read_text())
    print(described(f"{arguments.members} together", together["loss"]))
    print("Learning from the text on the way:")
    print(described("the same, dynamic evaluation", together["dynamic_evaluation"]["loss"]))

    minutes = sum(json.loads((run / "run.json").read_text())["seconds"] for run in [*runs, mixture]) / 60
    print(f"{minutes:.0f} minutes in all, without the dynamic evaluation")


if __name__ == "__main__":
    main()
