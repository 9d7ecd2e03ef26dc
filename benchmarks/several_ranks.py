"""What several processes that train one model cost, and whether they learn what one learns.

    python benchmarks/several_ranks.py --difference --scaling --communication --host
    python benchmarks/several_ranks.py --kills 20

`--difference`: trainings of images and of a text with one process and with two on the same batches, for 20 steps; the
largest difference of any weight. `--kills`: one of two processes of a training under torchrun is killed at a random
moment, and torchrun starts them again; the tensors that then differ from the training that was left alone, and the
longest time from the kill until training went on. `--scaling`: the time of a step of a ResNet-18 with two processes of
one thread and with one process of two threads. `--communication`: the time to add up the gradients of models of several
sizes, and to agree on a number. `--host`: what every process does for itself where there are ten million images.

It prints one JSON object; times are medians with the smallest and largest of all repetitions.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

import rushlight as rl
from rushlight.data.samples import scan_folder
from rushlight.runtime import distributed
from rushlight.runtime.checkpoint import read_checkpoint
from rushlight.runtime.seeds import epoch_order
from rushlight.runtime.state_file import StateFile
from rushlight.training.ranks import StepExchange

TRAINING = {
    "images": ["train", "images", "photos", "--model", "conv_layers", "--size", "32", "--batch-size", "12"],
    "text": ["train", "text", "story.txt", "--hidden-size", "48", "--layers", "1", "--batch-size", "16", "--window",
             "20", "--dropout", "0", "--model-option", "input_dropout=0", "--model-option", "weight_dropout=0"],
}  # fmt: skip
EPOCHS = {"images": 20, "text": 6}
SILENCE = 20  # seconds after which a process that says nothing is taken for dead
FILES = 50_000
PARAMETERS = (10_000, 1_000_000, 11_000_000)


def write_data(folder: Path) -> None:
    """Noisy patches of three colours, and sentences in a random order."""
    draw = np.random.default_rng(0)
    for name, colour in {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (210, 50, 40)}.items():
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(draw.normal(colour, 60, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.png")
    sentences = ["The cat sat on the mat.\n", "A dog ran to the sea.\n", "It was dark at night.\n"]
    (folder / "story.txt").write_text("".join(draw.choice(sentences) for _ in range(1000)))


def command(ranks: int, *words: str, restarts: int = 0) -> list[str]:
    """A program with so many processes: `-m MODULE ...` or `FILE ...`."""
    if ranks == 1:
        return [sys.executable, *words]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return [sys.executable, *launcher, f"--max-restarts={restarts}", *words]


def settings(threads: int = 1) -> dict[str, str]:
    """The environment of a program."""
    project = str(Path(__file__).resolve().parents[1])
    own = {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": project, "RUSHLIGHT_SECONDS_OF_SILENCE": str(SILENCE)}
    return {**os.environ, **own}


def run_well(ranks: int, *words: str, threads: int = 1) -> str:
    """Run a program to its end; what it printed."""
    done = subprocess.run(
        command(ranks, *words), capture_output=True, text=True, env=settings(threads), check=False, timeout=1200
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def difference() -> dict[str, float]:
    """The largest difference of a weight after 20 steps with one process and with two."""
    found = {}
    for kind, words in TRAINING.items():
        runs = [Path(f"{kind}-{ranks}") for ranks in (1, 2)]
        for ranks, run in zip((1, 2), runs, strict=True):
            length = ("--steps", "20", "--precision", "float32", "--no-report", "--output", str(run))
            run_well(ranks, "-m", "rushlight.app.cli", *words, *length)
        alone, together = (read_checkpoint(run / "model.safetensors").tensors for run in runs)
        found[kind] = max(float((alone[name].double() - together[name].double()).abs().max()) for name in alone)
    return found


def kills(count: int, draw: random.Random) -> dict[str, Any]:
    """Kill one of two processes so often, once a training; what differed in the end, and how long nothing went on."""
    differing, waits, exits = 0, [], 0
    wholes = {kind: _whole(kind) for kind in TRAINING}
    for number in range(count):
        kind = list(TRAINING)[number % len(TRAINING)]
        run = Path(f"{kind}-killed-{number}")
        launcher = subprocess.Popen(
            command(2, "-m", "rushlight.app.cli", *_words(kind, run), restarts=3),
            env=settings(), stdout=subprocess.DEVNULL, stderr=run.with_suffix(".log").open("w"),
        )  # fmt: skip
        _await(launcher, lambda: _step(run) > 0)  # noqa: B023
        time.sleep(draw.uniform(0, 2))
        victims = _children(launcher.pid)
        if victims:
            killed, before = time.monotonic(), _step(run)
            os.kill(draw.choice(victims), signal.SIGKILL)
            _await(launcher, lambda: _step(run) > before or (run / "run.json").exists())  # noqa: B023
            waits.append(time.monotonic() - killed)
        exits += launcher.wait(timeout=600) != 0
        tensors, others = (read_checkpoint(each / "model.safetensors").tensors for each in (wholes[kind], run))
        differing += sum(not np.array_equal(tensors[name].numpy(), others[name].numpy()) for name in tensors)
    return {"killed": len(waits), "differing": differing, "failed": exits, "longest_seconds": round(max(waits), 1),
            "median_seconds": round(statistics.median(waits), 1)}  # fmt: skip


def _words(kind: str, run: Path) -> list[str]:
    return [*TRAINING[kind], "--epochs", str(EPOCHS[kind]), "--no-report", "--save-every", "0.3", "--output", str(run)]


def _whole(kind: str) -> Path:
    run = Path(f"{kind}-whole")
    run_well(2, "-m", "rushlight.app.cli", *_words(kind, run))
    return run


def _step(run: Path) -> int:
    file = StateFile(run)
    return int(file.read()[0]["learner"]["step"]) if file.exists() else 0


def _await(process: subprocess.Popen[bytes], is_so: Callable[[], bool]) -> None:
    while process.poll() is None and not is_so():
        time.sleep(0.05)


def _children(parent: int) -> list[int]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def scaling() -> dict[str, Any]:
    """Milliseconds a step of two processes of one thread, and of one of two threads, and their ratio."""
    own = str(Path(__file__).resolve())
    together = json.loads(run_well(2, own, "--part", "steps", threads=1))
    alone = json.loads(run_well(1, own, "--part", "steps", threads=2))
    return {"two_processes_of_one_thread_ms": together, "one_process_of_two_threads_ms": alone,
            "speed_of_two_processes": round(alone["median"] / together["median"], 3)}  # fmt: skip


def steps() -> dict[str, float]:
    """The time of a step of a ResNet-18 on batches of 32 images of 32 pixels."""
    torch.manual_seed(0)
    images, labels = np.zeros((640, 32, 32, 3), np.uint8), np.arange(640) % 10
    data = rl.ImageData.from_arrays(images, labels, batch_size=32, size=32, valid_fraction=0.1)
    learner = rl.ImageClassifier(data, "resnet18", precision="float32").learner
    ends: list[float] = []

    class Clock(rl.Callback):
        def step_end(self, learner: rl.Learner) -> None:
            ends.append(time.perf_counter())

    learner.data = type(learner.data)(learner.data.train)  # nothing is measured in between
    learner.callbacks.append(Clock())
    learner.fit(steps=17, lr=1e-3)
    return spread(np.diff(ends)[3:])


def communication() -> dict[str, Any]:
    """Milliseconds to add up gradients of models of several sizes, and to agree on a number, between two processes."""
    found: dict[str, Any] = {}
    device = torch.device("cpu")
    for count in PARAMETERS:
        model = nn.ParameterList([nn.Parameter(torch.zeros(count // 10)) for _ in range(10)])
        exchange = StepExchange(model, list(model), device)
        for parameter in model:
            parameter.grad = torch.ones_like(parameter)
        found[f"gradients_of_{4 * count / 1e6:g}_MB"] = _timed(
            lambda exchange=exchange: exchange.add_up(torch.zeros(()), 0.5, 0.0)
        )
    found["agreement"] = _timed(lambda: distributed.largest([0], device))
    return found


def _timed(act: Callable[[], object]) -> dict[str, float]:
    seconds = []
    for _ in range(40):
        distributed.largest([0])  # nobody waits for the other
        started = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - started)
    return spread(seconds[5:])


def host() -> dict[str, Any]:
    """What each process does by itself: the order of ten million images, looking for files; in time of a processor."""
    order, scan = [], []
    for epoch in range(3):
        started = time.process_time()
        epoch_order(10_000_000, 0, epoch)
        order.append(time.process_time() - started)
    for number in range(10):
        folder = Path("many") / f"class-{number}"
        folder.mkdir(parents=True)
        for image in range(FILES // 10):
            (folder / f"image-{image:07d}.jpg").touch()
    for _ in range(3):
        started = time.process_time()
        scan_folder(Path("many"), 0.2, 0)
        scan.append((time.process_time() - started) / FILES)
    tracemalloc.start()
    found = scan_folder(Path("many"), 0.2, 0)
    size = tracemalloc.get_traced_memory()[0] / len(found.samples)
    return {"order_of_ten_million_ms": spread(order), "scan_of_a_file_ms": spread(scan), "bytes_a_file": round(size)}


def spread(seconds: Any) -> dict[str, float]:
    """Median, smallest and largest, in milliseconds."""
    found = {"median": np.median(seconds), "smallest": np.min(seconds), "largest": np.max(seconds)}
    return {name: round(1000 * float(value), 4) for name, value in found.items()}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {"steps": steps, "communication": communication}


def main() -> None:
    """Measure what the command line asks for, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("difference", "scaling", "communication", "host"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--kills", type=int, default=0, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # of a measurement, in each of its processes
    asked = parser.parse_args()
    if asked.part:
        with rl.started_processes():
            part = PARTS[asked.part]()
            if distributed.is_writer():
                print(json.dumps(part))
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("RUSHLIGHT_CACHE", str(Path(name) / "cache"))
        write_data(Path(name))
        os.chdir(name)
        if asked.difference:
            found["difference"] = difference()
        if asked.kills:
            found["kills"] = kills(asked.kills, random.Random(asked.seed))
        if asked.scaling:
            found["scaling"] = scaling()
        if asked.communication:
            own = str(Path(__file__).resolve())
            found["communication_ms"] = json.loads(run_well(2, own, "--part", "communication"))
        if asked.host:
            found["host"] = host()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
