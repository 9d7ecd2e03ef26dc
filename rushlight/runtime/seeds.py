"""Random numbers that can be asked for again: by seed, epoch and sample, never by position in a stream.

A stateful generator gives a sample whatever number comes next, so its augmentation depends on the batch it
lands in, on the worker that reads it, and on where an interrupted run went on. Here a number is a function
of (seed, epoch, sample index, name of the draw) alone: a counter goes through a 64-bit mixing function, as
in Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011). The mixing function is the finaliser
of splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
"""

import hashlib
import math
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor

_GOLDEN_RATIO = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, made odd: the step between counters
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_WORD = (1 << 64) - 1
_TWO_TO_THE_31 = 1 << 31


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and PyTorch (all devices).

    They serve what draws by itself: initial weights, dropout, other people's code. Our data path does not
    use them.

    Args:
        seed: any integer; NumPy, which takes 32 bits, gets the lowest 32.
    """
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002 - the legacy generator is what other libraries draw from
    torch.manual_seed(_signed(seed))


def separate_stream(rank: int) -> None:
    """Give one of several processes its own numbers for dropout and its like, derived from (seed, rank).

    Rank 0 goes on with the stream that a process on its own would have. Only PyTorch's generators change; call it once
    the initial weights are drawn, which all ranks share.

    Args:
        rank: the number of this process, from 0.
    """
    if rank:
        torch.manual_seed(int(_words(_signed(torch.initial_seed()), torch.tensor([rank]))))


def random_state() -> dict[str, Any]:
    """The state of every global random generator, for `set_random_state`: tensors, numbers and words."""
    version, words, gauss = random.getstate()
    name, keys, *position = np.random.get_state()  # noqa: NPY002 - other people's code may draw from it
    state: dict[str, Any] = {
        "python": [version, torch.tensor(words), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys, np.int64)), *position],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put every global random generator back to where `random_state` found it."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    name, keys, *position = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *position))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch visits its samples: a permutation that (seed, epoch) alone decides.

    It sorts one hash per sample, so it is the same on every platform and version of PyTorch, which
    `torch.randperm` does not promise.

    Args:
        count: how many samples there are.
        seed: the seed of the run.
        epoch: the number of the epoch, from 0.

    Returns:
        A permutation of 0 .. count - 1, (count,) int64 on the CPU.
    """
    words = _words(_key(seed, epoch, "order"), torch.arange(count))
    return torch.argsort(words, stable=True)


class SampleRandom:
    """Random numbers that belong to the sample: each depends only on (seed, epoch, sample index, name).

    The same call gives the same numbers again; another `name` gives independent ones. Asking for more
    (`count`) leaves the first ones as they were.

    Args:
        seed: the seed of the run.
        epoch: the number of the epoch, from 0.
        indices: which samples of the data set the batch holds, (B,) int64 on any device; the numbers are
            computed there.
    """

    def __init__(self, seed: int, epoch: int, indices: Tensor) -> None:
        self.seed = seed
        self.epoch = epoch
        self.indices = indices

    def at_epoch(self, epoch: int) -> "SampleRandom":
        """The same samples in another epoch; epoch 0 serves a draw that has to last over epochs."""
        return SampleRandom(self.seed, epoch, self.indices)

    def uniform(self, name: str, count: int = 1) -> Tensor:
        """Uniform numbers in [0, 1), multiples of 2**-24, (B, count) float32."""
        return _shift_right(self._draw(name, count), 40).float() * 2.0**-24

    def normal(self, name: str, count: int = 1) -> Tensor:
        """Standard normal numbers, (B, count) float32, none further out than 5.8 (Box and Muller, 1958)."""
        words = self._draw(name, count)
        # The radius takes the upper 24 bits, moved into (0, 1] where the logarithm is finite; the angle
        # takes the lower 24, which no other number uses.
        radius = (_shift_right(words, 40) + 1).float().mul(2.0**-24).log().mul(-2).sqrt()
        angle = (words & 0xFFFFFF).float() * (2 * math.pi * 2.0**-24)
        return radius * angle.cos()

    def integers(self, name: str, high: int, count: int = 1) -> Tensor:
        """Integers in [0, high), (B, count) int64; `high` is at most 2**31.

        Raises:
            ValueError: `high` lies outside 1 .. 2**31.
        """
        if not 1 <= high <= _TWO_TO_THE_31:
            raise ValueError(f"high must lie in 1 .. 2**31, not {high}")
        # Multiply and shift instead of a remainder: the high bits are used, the bias is below high / 2**31.
        return (_shift_right(self._draw(name, count), 33) * high) >> 31

    def _draw(self, name: str, count: int) -> Tensor:
        """Uniform 64-bit words, (B, count) int64."""
        per_sample = _words(_key(self.seed, self.epoch, name), self.indices)
        return _words(per_sample[:, None], torch.arange(count, device=self.indices.device))


def _key(seed: int, epoch: int, name: str) -> int:
    """One 64-bit word for (seed, epoch, name); Python's own `hash` of a string differs in each process."""
    text = f"{seed}/{epoch}/{name}".encode()
    return _signed(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))


def _words(key: int | Tensor, counters: Tensor) -> Tensor:
    """splitmix64: mixed words of the counters under a key, in int64 arithmetic that wraps around."""
    words = (counters + 1) * _signed(_GOLDEN_RATIO) + key
    for shift, factor in _MIX:
        words = (words ^ _shift_right(words, shift)) * _signed(factor)
    return words ^ _shift_right(words, _LAST_SHIFT)


def _shift_right(words: Tensor, bits: int) -> Tensor:
    """A logical shift: PyTorch's own copies the sign bit in from the left."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    """The 64-bit pattern of `value` as the signed integer PyTorch stores."""
    return ((value + (1 << 63)) & _WORD) - (1 << 63)
