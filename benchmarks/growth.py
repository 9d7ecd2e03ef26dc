"""How cost grows: seconds and memory against images, classes, tokens and width, as fitted exponents.

    python benchmarks/growth.py
    python benchmarks/growth.py --most-tokens 100000000 --only text images

Each figure is one process on generated data: the work is done once at the smallest size to warm up, then timed at the
size asked for; memory is what the process then had at most beyond what it had before. The exponent is the slope of a
line through the logarithms of the three largest sizes: 1 is in proportion, 2 with the square. Where the width of a
network grows, its operations and weights grow with the square, so 2 is in proportion there.
"""

import argparse
import json
import math
import time
from statistics import linear_regression, median

from growth_rows import GROWTH
from peer_environments import run_in
from side_by_side import (
    Case,
    Results,
    Row,
    add_arguments,
    chosen,
    let_peers_import_this_project,
    markdown,
    peak_memory,
    spread,
)

QUICK_SIZES = 2  # of each row
FITTED = 3  # the largest sizes
LEAST_MEGABYTES = 20.0  # less is noise of the allocator, and no growth
IN_PROPORTION = {"width": 2.0}  # exponent of work that need not be more, where it is not 1


def here(row: str, size: int) -> Row:
    """Time the work of a row at a size in this process."""
    growth = GROWTH[row]
    growth.prepare(growth.sizes[0])()
    work = growth.prepare(size)
    before, started = peak_memory(), time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - started, "megabytes": peak_memory() - before}


def exponent(sizes: list[int], costs: list[float]) -> float:
    """The slope of log cost over log size at the largest sizes; NaN where there are fewer than two."""
    points = [(math.log(size), math.log(cost)) for size, cost in zip(sizes, costs, strict=True) if cost > 0][-FITTED:]
    return linear_regression(*zip(*points, strict=True)).slope if len(points) > 1 else math.nan


def table(results: Results, rows: dict[str, list[int]]) -> str:
    """One line a row: costs at the largest size, and how they grow."""
    lines = []
    for row, sizes in rows.items():
        seconds = [results.values(Case.of(row, size=size), "seconds") for size in sizes]
        memory = [results.values(Case.of(row, size=size), "megabytes") for size in sizes]
        if not all(seconds):
            continue
        largest, peak = seconds[-1], median(memory[-1])
        unit = GROWTH[row].unit
        grows = exponent(sizes, [median(found) for found in seconds])
        memory_grows = exponent(sizes, [median(found) for found in memory]) if peak > LEAST_MEGABYTES else 0.0
        lines.append(
            [
                row,
                f"{sizes[0]:,} to {sizes[-1]:,} {unit}",
                spread(largest, "{:.3g}"),
                f"{grows:.2f}" + (" (2 is in proportion)" if unit in IN_PROPORTION else ""),
                f"{peak:,.0f}",
                f"{memory_grows:.2f}" if memory_grows else "none",
            ]
        )
    head = ["what", "sizes", "seconds at the largest", "exponent", "megabytes at the largest", "exponent of memory"]
    return markdown(head, lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--most-images", type=int, default=100_000)
    parser.add_argument("--most-tokens", type=int, default=1_000_000_000, help="of the generated texts; a byte each")
    parser.add_argument("--here", nargs=2, metavar=("ROW", "SIZE"), help="measure this here and print JSON")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(here(arguments.here[0], int(arguments.here[1]))))
        return
    let_peers_import_this_project()
    most = {"images": arguments.most_images, "tokens": arguments.most_tokens}
    rows = {
        row: [size for size in GROWTH[row].sizes if size <= most.get(GROWTH[row].unit, size)]
        for row in chosen(GROWTH, arguments.only)
    }
    if arguments.quick:
        rows = {row: sizes[:QUICK_SIZES] for row, sizes in rows.items()}
    results = Results("growth", {}, arguments.again_if_busy, arguments.quick)
    cases = [Case.of(row, size=size) for row, sizes in rows.items() for size in sizes]
    rounds = 1 if arguments.quick else arguments.rounds
    results.in_turns(
        cases, rounds, lambda case, _: run_in("rushlight", "growth.py", "--here", case.way, dict(case.on)["size"])
    )
    results.write_page(table(results, rows))


if __name__ == "__main__":
    main()
