"""Validation loss on Nietzsche after 2, 5, 10 and 30 minutes, tokens a second, and speed of writing: here and in peers.

    python benchmarks/language_model_peers.py
    python benchmarks/language_model_peers.py --minutes 2 --rounds 1 --only rushlight plain

All read the same characters (in lower case, those that occur at least three times), train on the first 80 % of the
lines and are measured on the rest, once, at the end of a training whose rates end with its time:

- Rushlight as a person types it: `train text nietzsche --lowercase --minimum-frequency 3 --minutes M`, `evaluate RUN`;
- a plain PyTorch script with `nn.LSTM` of 512 units, AdamW and a cosine;
- fastai's AWD-LSTM, of its own size and of a smaller one, with its one cycle and penalties;
- a small GPT of the usual educational form, with the settings it is given for a processor.

Models that keep a state carry it through the validation text; the GPT judges each character with at least half of its
context before it. Writing is character by character, with the state kept where there is one.
"""

import argparse
import json
import shutil
import time
from typing import Any

from peer_environments import run_in
from side_by_side import (
    FOLDER,
    Case,
    Results,
    Row,
    add_arguments,
    chosen,
    let_peers_import_this_project,
    markdown,
    spread,
)
from text_arrays import numbered
from text_peers import TRAININGS

RUSHLIGHT = "Rushlight"
MINUTES = (2.0, 5.0, 10.0, 30.0)
TEXT = ("nietzsche", "--lowercase", "--minimum-frequency", "3")
PROMPT = "for thos"
WRITTEN, WARM_UP = 2_000, 5.0  # characters; seconds
QUICK = 0.1  # minutes


def here(way: str, minutes: float, seed: int) -> Row:
    """Train a peer in this process, measure it and let it write."""
    data = numbered("nietzsche")
    vocabulary = int(data["vocabulary"])
    train = TRAININGS[way][1]
    train(data["train"], vocabulary, min(WARM_UP, 60 * minutes), seed)
    trained = train(data["train"], vocabulary, 60 * minutes, seed)
    prompt = data["valid"][: len(PROMPT)].tolist()
    trained.write(prompt, 50)
    started = time.perf_counter()
    trained.write(prompt, WRITTEN)
    writing = WRITTEN / (time.perf_counter() - started)
    return {
        "loss": trained.loss(data["valid"]),
        "seconds": trained.seconds,
        "tokens_a_second": trained.tokens / trained.seconds,
        "written_a_second": writing,
    }


def writing_speed(run: str) -> Row:
    """Characters a second of a finished run, in this process."""
    from rushlight.inference.writer import Writer

    writer = Writer.load(run, device="cpu")
    writer.write(PROMPT, 50, seed=0)
    started = time.perf_counter()
    writer.write(PROMPT, WRITTEN, seed=0)
    return {"written_a_second": WRITTEN / (time.perf_counter() - started)}


def with_rushlight(minutes: float, seed: int) -> Row:
    """The commands of a person."""
    from command_line import rushlight

    run = FOLDER / "language-model-peers" / f"{minutes:g}-minutes-seed-{seed}"
    shutil.rmtree(run, ignore_errors=True)  # of an earlier, disturbed measurement
    words = ["--minutes", f"{minutes:g}", "--seed", str(seed), "--no-report", "--output", str(run)]
    rushlight("train", "text", *TEXT, *words)
    found = json.loads(rushlight("evaluate", str(run), "--json"))
    epochs = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    seconds = sum(epoch["seconds"] for epoch in epochs)
    tokens = sum(epoch["train_loss"]["n"] for epoch in epochs)
    return {
        "loss": found["loss"]["value"],
        "seconds": json.loads((run / "run.json").read_text())["seconds"],
        "tokens_a_second": tokens / seconds,
        **run_in("rushlight", "language_model_peers.py", "--write", run),
    }


def measured(case: Case, seed: int) -> Row:
    """One training, in its environment."""
    minutes: Any = dict(case.on)["minutes"]
    if case.way == RUSHLIGHT:
        return with_rushlight(minutes, seed)
    words = ("--here", case.way, "--minutes", minutes, "--seed", seed)
    return run_in(TRAININGS[case.way][0], "language_model_peers.py", *words)


def table(results: Results, ways: list[str], lengths: list[float]) -> str:
    """One line a way: losses by time, and speeds in the longest; also what was measured before."""
    ways = [way for way in (RUSHLIGHT, *TRAININGS) if way in ways or any(row["way"] == way for row in results.rows)]
    lengths = sorted({*lengths, *(row["on"]["minutes"] for row in results.rows)})
    head = [
        "way",
        *(f"nats after {length:g} minutes" for length in lengths),
        "trained on, a second",
        "written a second",
    ]
    lines = []
    for way in ways:
        cases = [Case.of(way, minutes=length) for length in lengths]
        longest = max((case for case in cases if results.values(case, "loss")), key=cases.index, default=cases[-1])
        speeds = [spread(results.values(longest, f), "{:,.0f}") for f in ("tokens_a_second", "written_a_second")]
        lines.append([way, *(spread(results.values(case, "loss"), "{:.3f}") for case in cases), *speeds])
    return markdown(head, lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--minutes", type=float, nargs="+", default=list(MINUTES))
    parser.add_argument("--here", choices=TRAININGS, help="measure this one here and print JSON")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--write", help="let this run write and print JSON")
    arguments = parser.parse_args()
    if arguments.write:
        print(json.dumps(writing_speed(arguments.write)))
        return
    if arguments.here:
        print(json.dumps(here(arguments.here, arguments.minutes[0], arguments.seed)))
        return
    let_peers_import_this_project()
    lengths = [QUICK] if arguments.quick else arguments.minutes
    ways = chosen([RUSHLIGHT, *TRAININGS], arguments.only)
    results = Results("language-model-peers", {}, arguments.again_if_busy, arguments.quick)
    numbered("nietzsche")  # for all of them, here and once
    cases = [Case.of(way, minutes=length) for length in lengths for way in ways]
    results.in_turns(cases, 1 if arguments.quick else arguments.rounds, measured)
    results.write_page(table(results, ways, lengths))


if __name__ == "__main__":
    main()
