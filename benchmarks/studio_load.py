"""Many visitors ask the studio for predictions while a training runs: is any request lost, is the training disturbed?

    python benchmarks/studio_load.py --visitors 50 --seconds 60

Trains twice on the embedded digits, from the same seed and in the studio both times: first alone, then while the
visitors ask. Prints how many requests were answered, with which status and how soon, and whether the weights of the two
trainings are the same to the bit.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlencode

import torch

from rushlight.data.catalog import get
from rushlight.runtime.checkpoint import read_checkpoint

PLANNED = {200, 503}  # 503: the line of visitors was too long, with a header that says when to come again


def ask(
    port: int, method: str, path: str, body: bytes | None = None, kind: str = ""
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, path, body, {"content-type": kind} if kind else {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def post_form(port: int, path: str, **fields: object) -> str:
    """Send a form; the address that it leads to."""
    body = urlencode(fields).encode()
    status, headers, text = ask(port, "POST", path, body, "application/x-www-form-urlencoded")
    if status != 303:
        raise RuntimeError(f"{path} answered {status}: {text.decode(errors='replace')[:500]}")
    return headers["location"]


def start_training(port: int, epochs: float) -> str:
    """Start a training on the digits; the address of its run."""
    page = post_form(port, "/data", place="digits")
    _, _, text = ask(port, "GET", page)
    found = re.search(rb'name="token" value="(\w+)"', text)
    assert found is not None
    return post_form(port, f"{page}/train", token=found[1].decode(), amount=epochs, length="epochs", seed=0)


def state_of(port: int, run: str) -> str:
    """How far a training is."""
    return str(json.loads(ask(port, "GET", f"{run}/live")[2])["state"])


def wait_for(port: int, run: str) -> None:
    """Wait until a training has finished."""
    while (state := state_of(port, run)) in ("training", "ending"):
        time.sleep(1)
    if state != "finished":
        raise RuntimeError(f"the training ended as '{state}'")


def visit(port: int, address: str, picture: bytes, end: float) -> list[tuple[int, float]]:
    """Ask again and again; status (0 where none came) and seconds of every request."""
    answers = []
    while time.monotonic() < end:
        started = time.monotonic()
        try:
            status, _, body = ask(port, "POST", address, picture, "image/png")
            if status == 200 and "label" not in json.loads(body):
                status = 0
        except (OSError, HTTPException, ValueError):
            status = 0
        answers.append((status, time.monotonic() - started))
        if status == 503:
            time.sleep(1)
    return answers


def measure(folder: Path, visitors: int, seconds: float, epochs: float) -> dict[str, object]:
    """Everything, in an empty working folder."""
    command = [sys.executable, "-m", "rushlight.app.cli", "studio", "--port", "0", "--no-browser"]
    studio = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert studio.stdout is not None
        port = int(studio.stdout.readline().split()[-1].rstrip("/").rsplit(":", 1)[1])
        alone = start_training(port, epochs)
        wait_for(port, alone)
        crowded = start_training(port, epochs)
        pictures = [path.read_bytes() for path in sorted(get("digits").rglob("*.png"))[::36][:visitors]]
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(visitors) as crowd:
            visits = [
                crowd.submit(visit, port, f"{alone}/answer", pictures[number % len(pictures)], end)
                for number in range(visitors)
            ]
            answers = [answer for one in visits for answer in one.result()]
        was_still_training = state_of(port, crowded) == "training"
        wait_for(port, crowded)
    finally:
        studio.send_signal(signal.SIGINT)
        studio.wait(timeout=60)
    first, second = (
        read_checkpoint(folder / "runs" / "images" / name / "model.safetensors") for name in ("digits-1", "digits-2")
    )
    same = first.tensors.keys() == second.tensors.keys() and all(
        torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items()
    )
    statuses = Counter(status for status, _ in answers)
    waited = sorted(taken for _, taken in answers)
    return {
        "visitors": visitors,
        "requests": len(answers),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "lost": statuses[0],
        "unplanned": sum(count for status, count in statuses.items() if status not in PLANNED),
        "median_seconds": round(median(waited), 3),
        "slowest_twentieth_seconds": round(quantiles(waited, n=20)[-1], 3),
        "training_outlasted_the_visitors": was_still_training,
        "weights_are_the_same": same,
    }


def main() -> None:
    """Print what was measured as one JSON object; the exit code is 1 where something was lost or disturbed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--epochs", type=float, default=40)
    options = parser.parse_args()
    os.environ.setdefault("RUSHLIGHT_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.visitors, options.seconds, options.epochs)
    print(json.dumps(found, indent=2))
    sys.exit(0 if not found["unplanned"] and found["weights_are_the_same"] else 1)


if __name__ == "__main__":
    main()
