"""Kill trainings at random moments, go on with them, and compare what comes out with trainings that were left alone.

    python benchmarks/interruptions.py --kills 200 --terms 20 --timed 20

Every training is a process of its own, forked from this one so that nothing is imported twice. It is begun, killed
(SIGKILL) after a random time, and begun again with the same command until so many kills are done; then it may end. Its
model is compared tensor by tensor, and its history row by row, with that of the same command left alone. `with_a_state`
counts the kills after the first state was written; the others met the reading of the data.

`--terms` sends SIGTERM instead and takes the time until the process has ended. `--timed` trains under a time limit: a
share is the time that the processes spent training, all together and less what a kill threw away, over the limit. What
a kill threw away is the time since the newest state had been written.

`--ranks 2` trains with two processes that share every batch. SIGKILL then goes to one, whereupon the others are ended
as torchrun does, or to all; SIGTERM goes to all. The time is taken until the last has ended.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from rushlight.app.cli import main
from rushlight.runtime.checkpoint import read_checkpoint
from rushlight.runtime.errors import ProcessLostError
from rushlight.runtime.state_file import StateFile

INTERVAL = 0.3  # seconds between two states, so that many of the kills meet one that is being written
KILLS_A_TRAINING = 4
LIMIT = 12.0  # seconds, of trainings under a time limit

COMMANDS = {
    "images": ["train", "images", "photos", "--model", "conv_layers", "--size", "32", "--batch-size", "8",
               "--epochs", "30", "--average-weights", "0.9", "--early-stopping", "25"],
    "text": ["train", "text", "story.txt", "--epochs", "6", "--hidden-size", "48", "--layers", "2", "--batch-size",
             "16", "--window", "20", "--lr", "0.01"],
}  # fmt: skip
TIMED = ["train", "images", "photos", "--model", "conv_layers", "--size", "32", "--batch-size", "8",
         "--minutes", str(LIMIT / 60)]  # fmt: skip


def write_data(folder: Path) -> None:
    """Noisy patches of three colours, and sentences in a random order."""
    draw = np.random.default_rng(0)
    for name, colour in {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (210, 50, 40)}.items():
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(draw.normal(colour, 60, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.png")
    sentences = ["The cat sat on the mat.\n", "A dog ran to the sea.\n", "It was dark at night.\n"]
    (folder / "story.txt").write_text("".join(draw.choice(sentences) for _ in range(1500)))


def start(words: list[str], folder: Path, ranks: int) -> list[int]:
    """Begin or go on with a training in so many processes of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [_process(words, folder, rank, ranks, port) for rank in range(ranks)]


def _process(words: list[str], folder: Path, rank: int, ranks: int, port: int) -> int:
    process = os.fork()
    if process:
        return process
    if ranks > 1:  # what torchrun says to each
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks),
                       "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
    silent = os.open(os.devnull, os.O_WRONLY)
    log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(silent, 1)
    os.dup2(log, 2)
    sys.argv = ["rushlight", *words, "--save-every", str(INTERVAL), "--output", str(folder)]
    code = 1
    try:
        code = main()
    except SystemExit as error:
        code = int(str(error.code))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def await_training(process: int, folder: Path) -> None:
    """Wait until the process has reached its training, which `live.json` tells of, or has ended."""
    while (
        not (folder / "live.json").exists()
        and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    ):
        time.sleep(0.01)


def end_the_others(processes: list[int]) -> None:
    """What torchrun does where one process has died: SIGTERM to the others, and SIGKILL after half a minute."""
    time.sleep(0.1)
    for number, patience in ((signal.SIGTERM, 30.0), (signal.SIGKILL, 0.0)):
        for process in processes:
            os.kill(process, number)
        until = time.monotonic() + patience
        while time.monotonic() < until and not all(
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) for process in processes
        ):
            time.sleep(0.02)


def end(processes: list[int]) -> list[int]:
    """Wait for processes; their exit codes, or the negative numbers of the signals that killed them."""
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]


def whole(words: list[str], folder: Path, ranks: int) -> float:
    """Train without an interruption; how many seconds it took."""
    started = time.monotonic()
    codes = end(start(words, folder, ranks))
    if any(codes):
        raise SystemExit(f"{' '.join(words)} ended with {codes}: {folder.with_suffix('.log').read_text()[-2000:]}")
    return time.monotonic() - started


def differing(first: Path, second: Path) -> int:
    """How many tensors of two models differ, plus how many rows of their histories."""
    tensors, others = (read_checkpoint(folder / "model.safetensors").tensors for folder in (first, second))
    differing = sum(not np.array_equal(tensors[name].numpy(), others[name].numpy()) for name in tensors)
    rows, other_rows = (_rows(folder) for folder in (first, second))
    return differing + (tensors.keys() != others.keys()) + sum(a != b for a, b in zip(rows, other_rows, strict=True))


def _rows(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def interrupted(
    words: list[str], folder: Path, ranks: int, waits: list[float], number: int, after: Callable[[Path, float], None]
) -> None:
    """Begin, interrupt after each of these times, and go on to the end.

    Args:
        words: the command.
        folder: its run.
        ranks: processes that train together.
        waits: seconds until each signal; until SIGTERM from the moment that training begins.
        number: of the signal.
        after: is told of the run and when the signal was sent, once all processes have ended.
    """
    for turn, wait in enumerate(waits):
        processes = start(words, folder, ranks)
        if number == signal.SIGTERM:
            await_training(processes[0], folder)
        time.sleep(wait)
        sent = time.time()
        only = turn % (ranks + 1) if number == signal.SIGKILL else ranks  # one after the other, then all
        for process in processes if only == ranks else [processes[only]]:
            os.kill(process, number)
        if only < ranks:
            end_the_others(processes)
        codes = end(processes)
        if not any(codes):
            return
        lost = {-signal.SIGKILL, 128 + signal.SIGTERM, ProcessLostError.exit_code} if ranks > 1 else set()
        if not set(codes) <= {0, -number, 128 + number, *lost}:
            raise SystemExit(f"ended with {codes}: {folder.with_suffix('.log').read_text()[-2000:]}")
        after(folder, sent)
        if (folder / "run.json").exists():  # finished just before
            return
    if not (folder / "run.json").exists():
        whole(words, folder, ranks)


def kills(count: int, work: Path, draw: random.Random, ranks: int) -> dict[str, Any]:
    """Kill until so many kills have met a training; how many tensors differed in the end."""
    found: dict[str, Any] = {"kills": 0, "with_a_state": 0, "trainings": 0, "differing": 0, "longest_seconds": 0.0}

    def after(folder: Path, sent: float) -> None:
        found["kills"] += 1
        found["longest_seconds"] = max(found["longest_seconds"], round(time.time() - sent, 2))
        found["with_a_state"] += StateFile(folder).exists()

    references = {name: work / f"{name}-whole" for name in COMMANDS}
    seconds = {name: whole(words, references[name], ranks) for name, words in COMMANDS.items()}
    while found["kills"] < count:
        name = list(COMMANDS)[found["trainings"] % len(COMMANDS)]
        folder = work / f"{name}-{found['trainings']}"
        left = min(KILLS_A_TRAINING, -(-count // 2), count - found["kills"])
        waits = [draw.uniform(0, seconds[name]) for _ in range(left)]
        interrupted(COMMANDS[name], folder, ranks, waits, signal.SIGKILL, after)
        found["trainings"] += 1
        found["differing"] += differing(references[name], folder)
        shutil.rmtree(folder)
        print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def terms(count: int, work: Path, draw: random.Random, ranks: int) -> dict[str, Any]:
    """Send SIGTERM until so many have met a training; the longest time until a process had ended."""
    waited: list[float] = []
    states: list[bool] = []
    references = {name: work / f"{name}-unterminated" for name in COMMANDS}
    seconds = {name: whole(words, references[name], ranks) for name, words in COMMANDS.items()}
    differ = 0
    for trial in range(10 * count):
        name = list(COMMANDS)[trial % len(COMMANDS)]
        folder = work / f"{name}-terminated-{trial}"

        def after(folder: Path, sent: float) -> None:
            waited.append(time.time() - sent)
            states.append(StateFile(folder).exists())

        waits = [draw.uniform(0, 0.3) * seconds[name] for _ in range(min(2, count - len(waited)))]
        interrupted(COMMANDS[name], folder, ranks, waits, signal.SIGTERM, after)
        differ += differing(references[name], folder)
        shutil.rmtree(folder)
        if len(waited) >= count:
            break
    return {"terms": len(waited), "longest_seconds": round(max(waited), 2), "without_state": states.count(False),
            "differing": differ}  # fmt: skip


def timed(count: int, work: Path, draw: random.Random, ranks: int) -> dict[str, Any]:
    """Kill trainings under a time limit; how far from it they ended, and how much was lost with a kill."""
    shares: list[float] = []
    lost: list[float] = []
    rates: list[float] = []

    def after(folder: Path, sent: float) -> None:
        state = folder / "resume.safetensors"
        if state.exists():
            lost.append(sent - state.stat().st_mtime)

    while len(lost) < count:
        folder = work / f"timed-{len(shares)}"
        interrupted(TIMED, folder, ranks, [draw.uniform(0.3, 0.8) * LIMIT], signal.SIGKILL, after)
        rows = _rows(folder)
        shares.append(json.loads((folder / "run.json").read_text())["seconds_training"] / LIMIT)
        rates.append(rows[-1]["lr"] / max(row["lr"] for row in rows))
        print(json.dumps({"share": round(shares[-1], 3), "last_rate": rates[-1]}), file=sys.stderr, flush=True)
        shutil.rmtree(folder)
    return {"timed_kills": len(lost), "least_share": round(min(shares), 3), "median_share": round(median(shares), 3),
            "largest_share": round(max(shares), 3), "within_a_twentieth": sum(s <= 1.05 for s in shares),
            "most_lost_seconds": round(max(lost), 2), "interval_seconds": INTERVAL,
            "largest_last_rate": round(max(rates), 4)}  # fmt: skip


def run() -> None:
    """Do what the command line asks for, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=0, help="how many SIGKILLs")
    parser.add_argument("--terms", type=int, default=0, help="how many SIGTERMs")
    parser.add_argument("--timed", type=int, default=0, help="how many SIGKILLs under a time limit")
    parser.add_argument("--ranks", type=int, default=1, help="processes that train together")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ.setdefault("RUSHLIGHT_CACHE", str(work / "cache"))
        write_data(work)
        os.chdir(work)
        for wanted, measure in ((asked.kills, kills), (asked.terms, terms), (asked.timed, timed)):
            if wanted:
                found |= measure(wanted, work, draw, asked.ranks)
    print(json.dumps(found))


if __name__ == "__main__":
    run()
