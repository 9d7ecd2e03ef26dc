"""What the benchmarks of whole commands share: a command line in a process of its own, and a line a seed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rushlight.runtime.measured import mean_of_runs

FOLDER = Path("runs/benchmarks")


def rushlight(*words: str) -> str:
    """Run one command line and return what it prints."""
    command = [sys.executable, "-m", "rushlight.app.cli", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def trained_and_measured(run: Path, train: list[str], evaluate: list[str], suffix: str = "") -> dict[str, Any]:
    """Train into a run folder, then evaluate; or read what an earlier call of this found.

    Args:
        run: the run folder.
        train: the words of the training, without `--output`.
        evaluate: the words after `evaluate RUN`.
        suffix: of the file that keeps the result, where one run is evaluated in several ways.
    """
    kept = run.with_name(f"{run.name}{suffix}.json")
    if not kept.exists():
        run.parent.mkdir(parents=True, exist_ok=True)
        if not (run / "run.json").exists():
            rushlight("train", *train, "--output", str(run))
        kept.write_text(rushlight("evaluate", str(run), *evaluate, "--json"))
    return json.loads(kept.read_text())


def over_seeds(seeds: int, measure: Callable[[int], float], unit: str, factor: float = 1.0, decimals: int = 2) -> None:
    """Measure each seed, print it, and at the end the median and the mean with its interval."""
    values = []
    for seed in range(seeds):
        values.append(measure(seed))
        print(f"seed {seed}: {factor * values[-1]:.{decimals}f} {unit}", flush=True)
    mean = mean_of_runs([factor * value for value in values])
    spread = (
        ""
        if mean.interval is None
        else f" (95 % interval {mean.interval[0]:.{decimals}f} to {mean.interval[1]:.{decimals}f})"
    )
    print(f"median {factor * median(values):.{decimals}f}; mean {mean.value:.{decimals}f}{spread}, n = {seeds}")
