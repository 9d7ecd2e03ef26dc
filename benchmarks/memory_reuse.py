"""What `reuse_freed_memory` gains in training steps of a fast net, each setting in processes of its own.

python benchmarks/memory_reuse.py
"""

import argparse
import subprocess
import sys
import time
from statistics import median

WIDTHS = (32, 64)


def steps(reuse: bool, width: int, count: int) -> float:
    """Seconds a training step, the median of `count` after two of warm-up."""
    from rushlight.runtime.memory import reuse_freed_memory

    if reuse:
        reuse_freed_memory()
    import torch

    from rushlight.nn.fast import fast_net
    from rushlight.runtime.device import select_precision
    from rushlight.training.batches import in_channels_last

    precision = select_precision("auto", torch.device("cpu"))
    model = in_channels_last(fast_net(10, width=width))
    images = torch.randn(500, 3, 32, 32).to(memory_format=torch.channels_last)
    seconds = []
    for _ in range(count + 2):
        started = time.perf_counter()
        with precision.autocast():
            loss = model(images).float().square().mean()
        loss.backward()
        model.zero_grad()
        seconds.append(time.perf_counter() - started)
    return median(seconds[2:])


def main() -> None:
    """Measure in turns and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--one", nargs=2, metavar=("REUSE", "WIDTH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(steps(arguments.one[0] == "1", int(arguments.one[1]), arguments.steps))
        return
    for width in WIDTHS:
        ratios = []
        for _ in range(arguments.rounds):
            without, with_reuse = (
                float(
                    subprocess.run(
                        [sys.executable, __file__, "--steps", str(arguments.steps), "--one", reuse, str(width)],
                        capture_output=True, text=True, check=True,
                    ).stdout
                )
                for reuse in ("0", "1")
            )  # fmt: skip
            ratios.append(without / with_reuse)
        print(
            f"width {width}: {median(ratios):.2f} times as fast with reused memory "
            f"(median of {len(ratios)}; {min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
