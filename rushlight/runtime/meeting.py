"""How processes that were started together find each other, also after some of them were started again.

They share a store of keys, which `torchrun` keeps while it starts processes anew. So there may be keys of processes
that are gone, and nobody may take them for those of a process that lives: every process makes up a word of its own, the
first collects them and answers each, and what all then write stands under the word of the first.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from rushlight.runtime.errors import ProcessLostError

SECONDS_TO_MEET = 300.0  # machines may be busy, and load PyTorch slowly
_PAUSE = 0.02


def word_of_this_start(store: Any, rank: int, ranks: int, seconds: float = SECONDS_TO_MEET) -> str:
    """A word that all processes of this start have, and none of another start.

    Args:
        store: of keys, which all of them see.
        rank: of this process.
        ranks: how many there are.
        seconds: to wait for the others.

    Raises:
        ProcessLostError: not all came.
    """
    own = secrets.token_hex(8)
    end = time.monotonic() + seconds
    if rank:
        store.set(f"hello/{rank}", own)
        while not store.check([f"answer/{own}"]):
            _pause(end, "the first process did not answer")
        word = str(store.get(f"answer/{own}"), "ascii")
        store.set(f"here/{word}/{rank}", "")
        return word
    missing = set(range(1, ranks))
    while missing:
        for other in sorted(missing):
            if store.check([f"here/{own}/{other}"]):
                missing.discard(other)
            elif store.check([f"hello/{other}"]):
                store.set(f"answer/{str(store.get(f'hello/{other}'), 'ascii')}", own)
        if missing:
            _pause(end, f"process {min(missing)} did not come")
    return own


def _pause(end: float, what: str) -> None:
    if time.monotonic() > end:
        raise ProcessLostError(f"the processes that were started together did not find each other: {what}")
    time.sleep(_PAUSE)
