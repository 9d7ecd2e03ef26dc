"""How long it takes to decode a folder of images, by threads and by processes.

    python benchmarks/image_decoding.py photos/ --size 128 --count 2000

This is why `rushlight.data.cache` decodes in threads. Each line is the median of three passes over files that the
system has in memory; starting the processes is part of their time, as it would be part of the first run.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rushlight.data.decode import decode_first_frame, read_bytes
from rushlight.data.samples import scan_folder

IMAGES_A_TASK = 64
PASSES = 3


def decode(paths: list[Path], size: int) -> list[bytes]:
    """One task: decode some files, and hand the pixels back."""
    return [decode_first_frame(read_bytes(path), size).pixels.tobytes() for path in paths]


def seconds_for(make_executor: Callable[[], Executor], paths: list[Path], size: int) -> float:
    """Median time of one pass."""
    tasks = [paths[start : start + IMAGES_A_TASK] for start in range(0, len(paths), IMAGES_A_TASK)]
    times = []
    for _ in range(PASSES):
        started = time.perf_counter()
        with make_executor() as executor:
            for _ in executor.map(decode, tasks, [size] * len(tasks)):
                pass
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of images by class")
    parser.add_argument("--size", type=int, default=128, help="side of the decoded images in pixels")
    parser.add_argument("--count", type=int, default=10_000, help="images to decode at most")
    arguments = parser.parse_args()
    samples = scan_folder(arguments.folder, valid_fraction=0).samples
    paths = [sample.path for sample in samples[:: max(1, len(samples) // arguments.count)]][: arguments.count]
    decode(paths, arguments.size)  # brings the files into memory

    print(f"{len(paths):,} images to {arguments.size} x {arguments.size}")
    ways: dict[str, Callable[[], Executor]] = {
        f"{count} thread{'s' * (count > 1)}": lambda count=count: ThreadPoolExecutor(count) for count in (1, 2, 4)
    }
    ways["2 processes"] = lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    for name, make_executor in ways.items():
        seconds = seconds_for(make_executor, paths, arguments.size)
        print(f"{name:12} {seconds:6.2f} s  {len(paths) / seconds:8,.0f} images a second")


if __name__ == "__main__":
    main()
