"""How long one optimizer step takes: PyTorch's three forms, ours by hand, and Muon batched or one by one.

    python benchmarks/optimizers.py [--device cpu] [--threads 2] [--runs 7]

The net has the shapes of a small ResNet of about a million parameters. Every run is the mean of 50 steps
after 10 to warm up; the forms take turns, so that whatever else the machine does falls on all of them.
Printed: the median over runs, the fastest run, and the median as a ratio to the default form of `OPTIMIZERS`.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rushlight.training import optimizers
from rushlight.training.muon import Muon, orthogonalised

WARM_UP, STEPS = 10, 50


def parameters(device: str) -> list[nn.Parameter]:
    """The tensors of a net of widths 32, 64, 128: 19 convolutions with batch norms, and a linear layer."""
    generator = torch.Generator().manual_seed(0)
    shapes: list[tuple[int, ...]] = [(32, 3, 3, 3), (32,), (32,)]
    channels = 32
    for width in (32, 64, 128):
        for _ in range(6):
            shapes += [(width, channels, 3, 3), (width,), (width,)]
            channels = width
    shapes += [(10, channels), (10,)]
    result = []
    for shape in shapes:
        parameter = nn.Parameter(torch.randn(shape, generator=generator).to(device))
        parameter.grad = torch.randn(shape, generator=generator).to(device)
        result.append(parameter)
    return result


def candidates(device: str) -> dict[str, list[tuple[str, Callable[[list[nn.Parameter]], Optimizer]]]]:
    """For each rule its forms, the default first."""
    classes = {
        "sgd": (torch.optim.SGD, optimizers.SGD, {}),
        "nesterov": (torch.optim.SGD, optimizers.Nesterov, {"momentum": 0.9, "nesterov": True}),
        "adagrad": (torch.optim.Adagrad, optimizers.Adagrad, {}),
        "rmsprop": (torch.optim.RMSprop, optimizers.RMSProp, {}),
        "adam": (torch.optim.Adam, optimizers.Adam, {}),
        "adamw": (torch.optim.AdamW, optimizers.AdamW, {}),
    }
    table: dict[str, list[tuple[str, Callable[[list[nn.Parameter]], Optimizer]]]] = {}
    for name, (theirs, ours, settings) in classes.items():
        rows = [("default", optimizers.OPTIMIZERS[name])]
        for form in ("fused", "foreach", "one by one"):
            if form == "fused" and (name == "rmsprop" or (name == "adagrad" and device != "cpu")):
                continue
            choice = {"foreach": False} if form == "one by one" else {form: True}
            rows.append((form, lambda p, t=theirs, s=settings, c=choice: t(p, lr=1e-3, **s, **c)))
        rows.append(("by hand", lambda p, o=ours: o(p, lr=1e-3)))
        table[name] = rows
    return table


def seconds_per_call(call: Callable[[], object], device: str) -> float:
    """The mean over STEPS calls."""
    for _ in range(WARM_UP):
        call()
    _synchronise(device)
    start = time.perf_counter()
    for _ in range(STEPS):
        call()
    _synchronise(device)
    return (time.perf_counter() - start) / STEPS


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def compare(calls: dict[str, Callable[[], object]], runs: int, device: str) -> dict[str, list[float]]:
    """Seconds of every run of every call, in turns."""
    results: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            results[name].append(seconds_per_call(call, device))
    return results


def show(rule: str, results: dict[str, list[float]]) -> None:
    """One line a form; the first is the measure of the others."""
    base = statistics.median(next(iter(results.values())))
    for form, seconds in results.items():
        median = statistics.median(seconds)
        times = f"{1e3 * median:8.3f} ms  (best {1e3 * min(seconds):8.3f})"
        print(f"{rule:13} {form:10} {times}  x {median / base:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    device = arguments.device
    torch.set_num_threads(arguments.threads)
    count = sum(p.numel() for p in parameters(device))
    print(f"torch {torch.__version__}, {device}, {arguments.threads} threads, {count:,} parameters")
    for rule, rows in candidates(device).items():
        calls = {form: factory(parameters(device)).step for form, factory in rows}
        show(rule, compare(calls, arguments.runs, device))
    matrices = [p for p in parameters(device) if p.ndim >= 2][:-1]
    gradients: list[Tensor] = [p.grad for p in matrices if p.grad is not None]
    for dtype in (torch.float32, torch.bfloat16):
        calls = {
            "batched": lambda dtype=dtype: orthogonalised(gradients, 3, dtype),
            "one by one": lambda dtype=dtype: [orthogonalised([g], 3, dtype) for g in gradients],
        }
        show(f"muon {str(dtype).removeprefix('torch.')}", compare(calls, arguments.runs, device))
    show("muon step", compare({"default": Muon(matrices, lr=1e-3).step}, arguments.runs, device))


if __name__ == "__main__":
    main()
