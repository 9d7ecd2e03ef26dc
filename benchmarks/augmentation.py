"""Augmentation of a whole batch against the same changes one image at a time.

    python benchmarks/augmentation.py --batch 1000 --size 32 --runs 21

Both sides flip and crop the same images with the same numbers, and their answers are compared before any
time is taken. The baseline is the usual transform of one sample, as a data set's `__getitem__` would call it.
Runs alternate between the sides, so that another load on the machine falls on both; the figures are medians.
Other augmentations are timed alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from rushlight.data.augmentation import AUGMENTATIONS, PRESETS, flip_and_crop, preset
from rushlight.runtime.seeds import SampleRandom

CLASSES = 10
WARM_UP_RUNS = 3


def one_image_at_a_time(images: Tensor, flip: Tensor, offsets: Tensor, padding: int) -> Tensor:
    """Pad, cut and mirror each image by itself, then stack the batch."""
    height, width = images.shape[-2:]
    changed = []
    for image, mirrored, (top, left) in zip(images, flip.tolist(), offsets.tolist(), strict=True):
        padded = F.pad(image, (padding,) * 4, mode="reflect")
        window = padded[:, top : top + height, left : left + width]
        changed.append(window.flip(-1) if mirrored else window)
    return torch.stack(changed).contiguous(memory_format=torch.channels_last)


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def medians(calls: dict[str, Callable[[], object]], runs: int, device: torch.device) -> dict[str, float]:
    """The median seconds of each call, the calls taking turns."""
    for call in calls.values():
        for _ in range(WARM_UP_RUNS):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            times[name].append(seconds_of(call, device))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)

    generator = torch.Generator().manual_seed(0)
    images = torch.randn(arguments.batch, 3, arguments.size, arguments.size, generator=generator)
    images = images.to(device, memory_format=torch.channels_last)
    targets = torch.arange(arguments.batch, device=device) % CLASSES
    random = SampleRandom(0, 0, torch.arange(arguments.batch, device=device))
    padding = arguments.size // 8
    flip = random.uniform("horizontal flip")[:, 0] < 0.5
    offsets = random.integers("crop", 2 * padding + 1, 2)

    together = flip_and_crop(images, flip, offsets, padding)
    if not torch.equal(together, one_image_at_a_time(images, flip, offsets, padding)):
        raise SystemExit("the two sides do not agree, so their times mean nothing")

    print(
        f"{arguments.batch} images of {arguments.size} x {arguments.size}, {device}, "
        f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}, median of {arguments.runs} runs"
    )
    sides = medians(
        {
            "batch": lambda: flip_and_crop(images, flip, offsets, padding),
            "loop": lambda: one_image_at_a_time(images, flip, offsets, padding),
        },
        arguments.runs,
        device,
    )
    print(f"flip and crop, whole batch      {sides['batch'] * 1e3:8.2f} ms")
    print(f"flip and crop, image by image   {sides['loop'] * 1e3:8.2f} ms")
    print(f"ratio                           {sides['loop'] / sides['batch']:8.1f}")

    named = {name: kind(CLASSES) if name in {"mixup", "cutmix"} else kind() for name, kind in AUGMENTATIONS.items()} | {
        f"preset {name}": preset(name, CLASSES) for name in PRESETS
    }
    calls = {
        name: lambda augmentation=augmentation: augmentation(images, targets, random, 0)
        for name, augmentation in named.items()
    }
    for name, seconds in medians(calls, arguments.runs, device).items():
        print(f"{name:<31} {seconds * 1e3:8.2f} ms")


if __name__ == "__main__":
    main()
