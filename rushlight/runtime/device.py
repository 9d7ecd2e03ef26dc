"""Which device computes, and in which precision.

Precision `auto` uses bfloat16 autocast only where the processor multiplies it natively: on a CPU without
AVX512-BF16 or AMX, emulated bfloat16 is slower by orders of magnitude.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from rushlight.runtime import distributed
from rushlight.runtime.errors import InputError, nearest_name

PRECISIONS = ("auto", "float32", "bfloat16")

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def select_device(name: str | torch.device = "auto") -> torch.device:
    """The device to compute on; of several processes each gets a graphics processor of its own.

    Args:
        name: `auto` (CUDA where there is one, then Apple's MPS, then the CPU) or any device name of PyTorch.

    Raises:
        InputError: the name is unknown, or this machine has no such device.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        if torch.cuda.is_available():
            return _own_cuda()
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"unknown device '{name}': {nearest_name(name, ['auto', 'cpu', 'cuda', 'mps'])}") from None
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, True):
        raise InputError(f"device '{name}' was asked for, but this machine has none; use --device cpu or auto")
    return _own_cuda() if device == torch.device("cuda") else device


def _own_cuda() -> torch.device:
    """The graphics processor of this process."""
    if distributed.ranks() == 1:
        return torch.device("cuda")
    number, count = distributed.local_rank(), torch.cuda.device_count()
    if number >= count:
        raise InputError(
            f"process {number + 1} of this machine has no graphics processor of its own, there are {count}: "
            f"use --nproc-per-node {count}, or --device cpu"
        )
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)
    return device


@cache
def _processor_flags() -> frozenset[str]:
    """The instruction sets of the processor, as Linux names them; empty elsewhere."""
    try:
        description = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    lines = (line.partition(":")[2] for line in description.splitlines() if line.startswith("flags"))
    return frozenset(next(lines, "").split())


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and not _BFLOAT16_FLAGS.isdisjoint(_processor_flags())


@dataclass(frozen=True)
class Precision:
    """The number format of the forward pass.

    Attributes:
        name: `float32` or `bfloat16`.
        device: where it holds.
    """

    name: str
    device: torch.device

    def autocast(self) -> AbstractContextManager:
        """A context in which matrix products and convolutions run in this precision."""
        if self.name == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def select_precision(name: str, device: torch.device) -> Precision:
    """The precision to compute in.

    Args:
        name: `auto`, `float32` or `bfloat16`.
        device: where to compute.

    Raises:
        InputError: the name is unknown.
    """
    if name not in PRECISIONS:
        raise InputError(f"unknown precision '{name}': {nearest_name(name, PRECISIONS)}")
    if name == "auto":
        name = "bfloat16" if has_native_bfloat16(device) else "float32"
    return Precision(name, device)
