"""What the comparisons share: rounds in turns, every result kept as soon as it is there, medians in a table.

A comparison keeps its results in `runs/benchmarks/NAME-....json`, after every single run, and what is kept is not run
again; results of another machine are kept apart. `benchmarks/results/` has those on which the published tables rest,
and a comparison goes on from them where it runs on the same kind of machine. Beside each result stands how busy the
machine was with other work meanwhile: timings are to be had from a quiet machine only, and `--again-if-busy` runs again
what was disturbed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

FOLDER = Path("runs/benchmarks")
ROOT = Path(__file__).parent.parent
PUBLISHED = Path(__file__).parent / "results"
BUSY = 0.1  # processors that others used, from which on a timing counts as disturbed
TICKS_OF_WORK = (0, 1, 2, 5, 6, 7)  # user, nice, system, interrupts, and what the host took, in /proc/stat

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One thing to measure: who, and on what.

    Attributes:
        way: the library or the script.
        on: the size, time or data, by name; what makes two cases of one way different.
    """

    way: str
    on: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, way: str, **on: Any) -> Case:
        """A case with its settings by name."""
        return cls(way, tuple(on.items()))

    def matches(self, row: Row) -> bool:
        """Whether a kept result is of this case."""
        return bool(row["way"] == self.way and row["on"] == dict(self.on))


class Results:
    """What a comparison has measured so far, in a file.

    Args:
        name: of the comparison.
        settings: what every run has in common; results of other settings, and those of other machines, are kept in
            other files.
        again_if_busy: measure again what was measured while the machine was busy.
        quick: the settings are small ones, and the results are kept apart.
    """

    def __init__(self, name: str, settings: Row, again_if_busy: bool = False, quick: bool = False) -> None:
        name += "-quick" * quick
        facts = machine()
        same = {name: facts[name] for name in ("processor", "cores", "arithmetic", "torch")}
        digest = hashlib.sha256(json.dumps([settings, same], sort_keys=True).encode()).hexdigest()[:6]
        self.path = FOLDER / f"{name}-{digest}.json"
        self.name, self.settings = name, settings
        kept_in = self.path if self.path.is_file() else PUBLISHED / self.path.name
        kept = json.loads(kept_in.read_text()) if kept_in.is_file() else {}
        self.rows: list[Row] = [
            row
            for row in kept.get("rows", [])
            if not (again_if_busy and row["others"] is not None and row["others"] > BUSY)
        ]
        self.missing: dict[str, str] = {}

    def measured(self, case: Case, number: int, run: Callable[[], Row]) -> Row | None:
        """The result of a case in a round: the kept one, or that of a new run, which is then kept.

        Args:
            case: what is measured.
            number: of the round.
            run: measures, and returns figures by name.

        Returns:
            None where the run failed, which is noted in `missing` and tried again the next time.
        """
        for row in self.rows:
            if case.matches(row) and row["round"] == number:
                return row
        words = " ".join([case.way, *(f"{key} {value}" for key, value in case.on)])
        print(f"{self.name}: {words}, round {number + 1}", file=sys.stderr, flush=True)
        watch = OtherWork()
        try:
            figures = run()
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            is_program = isinstance(error, subprocess.CalledProcessError)
            self.missing[case.way] = "its program failed" if is_program else str(error).splitlines()[0]
            print(f"  not measured: {self.missing[case.way]}", file=sys.stderr, flush=True)
            return None
        row = {"way": case.way, "on": dict(case.on), "round": number, **watch.found(), **figures}
        self.rows.append(row)
        self._write()
        return row

    def in_turns(self, cases: Sequence[Case], rounds: int, run: Callable[[Case, int], Row]) -> None:
        """Measure all cases in rounds, every other round backwards, so that no case is always the first.

        Args:
            cases: in their order.
            rounds: how often each.
            run: measures a case, given the number of the round too.
        """
        for number in range(rounds):
            for case in cases if number % 2 == 0 else list(reversed(cases)):
                self.measured(case, number, lambda case=case, number=number: run(case, number))  # type: ignore[misc]

    def values(self, case: Case, figure: str) -> list[float]:
        """One figure of all rounds of a case, in order of size."""
        return sorted(row[figure] for row in self.rows if case.matches(row) and row.get(figure) is not None)

    def busiest(self) -> float:
        """Processors that other programs used, in the most disturbed run."""
        return max((row["others"] or 0.0 for row in self.rows), default=0.0)

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = {"name": self.name, "settings": self.settings, "machine": machine(), "rows": self.rows}
        unfinished = self.path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(text, indent=1))
        unfinished.replace(self.path)

    def write_page(self, table: str) -> None:
        """Keep the table as Markdown beside the results, with how it came about, and print it."""
        busy = self.busiest()
        quiet = (
            "nothing else ran meanwhile"
            if busy <= BUSY
            else f"other programs used up to {busy:.1f} processors meanwhile, so the times are upper bounds"
        )
        lines = [table, "", f"`{shown_command()}`, {machine()['when']}, {machine_in_words()}; {quiet}."]
        lines += [f"Not measured: {way} ({reason})." for way, reason in self.missing.items()]
        page = "\n".join(lines) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.with_suffix(".md").write_text(page)
        print(page)


class OtherWork:
    """How much of the machine others use from now on, where the system tells (Linux)."""

    def __init__(self) -> None:
        self._started, self._busy, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def found(self) -> Row:
        """The date, the load average, and the processors that other programs used on average (None if unknown)."""
        elapsed = time.perf_counter() - self._started
        busy = _busy_seconds()
        others = None
        if busy is not None and self._busy is not None and elapsed > 0:
            others = max(0.0, round((busy - self._busy - (_own_seconds() - self._own)) / elapsed, 3))
        load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
        return {"date": time.strftime("%Y-%m-%dT%H:%M:%S"), "load_average": load, "others": others}


def _busy_seconds() -> float | None:
    """Seconds for which processors worked since the system began, over all of them."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    return sum(int(fields[place]) for place in TICKS_OF_WORK) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Those that this process and the ended ones among its children worked."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def machine() -> Row:
    """What the figures were measured on."""
    model, flags = platform.processor() or platform.machine(), ""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            name, _, value = line.partition(":")
            model = value.strip() if name.strip() == "model name" else model
            flags = value if name.strip() == "flags" else flags
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "arithmetic": [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {name} " in f"{flags} "],
        "memory_gib": round(memory),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": _version("torch"),
        "when": time.strftime("%Y-%m-%d"),
    }


def machine_in_words() -> str:
    """The same in a line."""
    facts = machine()
    arithmetic = ", ".join(facts["arithmetic"]) or "no vector arithmetic that matters here"
    return (
        f"{facts['processor']} with {facts['cores']} cores ({arithmetic}) and {facts['memory_gib']} GiB, "
        f"{facts['system']}, Python {facts['python']}, PyTorch {facts['torch']}"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def shown_command() -> str:
    """The command line as a person would type it in the project's folder."""
    script = Path(sys.argv[0])
    return " ".join(["python", f"benchmarks/{script.name}", *sys.argv[1:]])


def spread(values: Sequence[float], form: str = "{:.2f}") -> str:
    """The median, and in brackets the least and the greatest; a dash where there is nothing."""
    if not values:
        return "not measured"
    middle = form.format(median(values))
    if len(values) == 1:
        return f"{middle} (n = 1)"
    return f"{middle} ({form.format(min(values))} to {form.format(max(values))})"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def add_arguments(parser: argparse.ArgumentParser, rounds: int = 3) -> None:
    """The flags that every comparison has."""
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each is measured")
    parser.add_argument("--quick", action="store_true", help="small settings, to see that everything runs")
    parser.add_argument("--again-if-busy", action="store_true", help="measure again what other programs disturbed")
    parser.add_argument("--only", nargs="*", help="only ways whose name contains one of these words")


def chosen(ways: Iterable[str], only: Sequence[str] | None) -> list[str]:
    """The ways that `--only` leaves."""
    return [way for way in ways if not only or any(word.lower() in way.lower() for word in only)]


def peak_memory() -> float:
    """Megabytes that this process had in memory at most, and the largest of its ended children for each of them.

    Memory-mapped files count as far as they are in memory.
    """
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def let_peers_import_this_project() -> None:
    """Peers' environments borrow packages, and the project itself from here."""
    os.environ["PYTHONPATH"] = str(ROOT)
