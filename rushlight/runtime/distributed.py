"""Several processes that train one model: who is who, and how they agree.

`torchrun` starts the same command several times and tells each process its number, its rank, by variables of the
environment. Every rank holds the whole model and works on its part of each batch; what one of them knows, the others
learn by the few functions here. With one process they do nothing and cost nothing.

Rank 0 is the writer: it alone writes files and speaks to the person. The first rank of each machine, its leader,
prepares what all of that machine read, such as the cache of decoded images.

PyTorch is loaded where it is first needed, so that asking for the rank costs nothing.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from rushlight.runtime import errors
from rushlight.runtime.errors import InputError, Interrupted, ProcessLostError, RushlightError
from rushlight.runtime.meeting import SECONDS_TO_MEET, word_of_this_start

if TYPE_CHECKING:
    from torch import Tensor
    from torch import device as torch_device

SECONDS_OF_SILENCE = 50.0  # a rank that has not answered for so long is taken for dead
SILENCE_VARIABLE = "RUSHLIGHT_SECONDS_OF_SILENCE"
_BEAT = 2.0  # seconds between signs of life
_SECONDS_TO_LET_GO = 0.3  # for threads that a busy machine keeps waiting; they need microseconds
_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_BROKEN = ("gloo", "NCCL", "Connection closed by peer", "Connection reset", "Broken pipe", "Timed out", "timed out")

Value = TypeVar("Value")


@dataclass(frozen=True)
class Launch:
    """What the environment says about this process.

    Attributes:
        rank: its number among all, from 0.
        ranks: how many there are.
        local_rank: its number among those of this machine.
        restarts: how often the processes were started again after one of them died.
    """

    rank: int
    ranks: int
    local_rank: int
    restarts: int = 0

    @classmethod
    def found(cls) -> Launch | None:
        """What `torchrun` (or anything that sets the same variables) said; None for a process on its own.

        Raises:
            InputError: a variable is missing or makes no sense.
        """
        if os.environ.get("WORLD_SIZE", "1") == "1" or "RANK" not in os.environ:
            return None
        missing = [name for name in _NEEDED if name not in os.environ]
        if missing:
            raise InputError(f"RANK is set but not {', '.join(missing)}: start several processes with torchrun")
        try:
            rank, ranks, local = (int(os.environ[name]) for name in _NEEDED[:3])
            restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        except ValueError:
            rank, ranks, local, restarts = -1, 0, -1, 0
        if not 0 <= rank < ranks or local < 0:
            values = ", ".join(f"{name}={os.environ[name]}" for name in _NEEDED[:3])
            raise InputError(f"{values} name no process: start several processes with torchrun")
        return cls(rank, ranks, local, restarts)


class _Group:
    """What this process knows of the group that it started."""

    def __init__(self, launch: Launch, store: Any) -> None:
        self.launch, self.store = launch, store
        self._turns: dict[str, int] = {}
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._give_signs_of_life, daemon=True)
        self._beating.start()

    def turn(self, what: str) -> int:
        """How often a thing was waited for, with this time."""
        self._turns[what] = self._turns.get(what, 0) + 1
        return self._turns[what]

    def leave(self) -> None:
        """Give no more signs of life."""
        self._over.set()
        self._beating.join()

    def _give_signs_of_life(self) -> None:
        number = 0
        while not self._over.is_set():
            with suppress(RuntimeError):
                self.store.set(f"alive/{self.launch.rank}", str(number))
            number += 1
            self._over.wait(_BEAT)


_group: _Group | None = None


def rank() -> int:
    """The number of this process; 0 where there is one."""
    return _torch_distributed().get_rank() if ranks() > 1 else 0


def ranks() -> int:
    """How many processes train together; 1 where there is one."""
    found = _torch_distributed()
    return int(found.get_world_size()) if found is not None and found.is_initialized() else 1


def local_rank() -> int:
    """The number of this process among those of its machine."""
    return 0 if _group is None else _group.launch.local_rank


def is_writer() -> bool:
    """Whether this process writes files and speaks to the person."""
    return rank() == 0


def require_started() -> None:
    """Refuse to go on where `torchrun` started several processes that do not know each other.

    Raises:
        InputError: the program does not use `started_processes`.
    """
    if ranks() == 1 and Launch.found() is not None:
        raise InputError(
            "torchrun started several processes, and each would train for itself: put what the program does into "
            "`with rl.started_processes():`"
        )


def seconds_of_silence() -> float:
    """How long to wait for another process before it is taken for dead.

    Raises:
        InputError: the variable that sets it is no number above 0.
    """
    text = os.environ.get(SILENCE_VARIABLE, str(SECONDS_OF_SILENCE))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InputError(f"{SILENCE_VARIABLE}={text} is no number of seconds above 0")
    return seconds


@contextmanager
def started_processes() -> Iterator[None]:
    """A context in which the processes that `torchrun` started know each other; nothing for one on its own.

    On CPUs they speak through gloo, on graphics processors through nccl.

    Raises:
        InputError: the environment makes no sense.
        ProcessLostError: another process died or does not answer.
    """
    global _group
    launch = Launch.found()
    if launch is None or ranks() > 1:
        yield
        return
    import torch
    from torch import distributed

    silence = timedelta(seconds=seconds_of_silence())
    patience = timedelta(seconds=SECONDS_TO_MEET)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"
    try:
        store, _, _ = next(distributed.rendezvous("env://", launch.rank, launch.ranks, timeout=patience))
        store.set_timeout(silence)
        meeting = distributed.PrefixStore("rushlight-meeting", store)
        word = word_of_this_start(meeting, launch.rank, launch.ranks)
        distributed.init_process_group(
            backend,
            store=distributed.PrefixStore(f"torch/{word}", store),
            rank=launch.rank,
            world_size=launch.ranks,
            timeout=silence,
        )
    except (RuntimeError, ValueError) as error:  # PyTorch's errors of connection are RuntimeErrors
        raise ProcessLostError(
            f"the {launch.ranks} processes did not find each other at {os.environ['MASTER_ADDR']}:"
            f"{os.environ['MASTER_PORT']}: {_first_line(error)}"
        ) from error
    _group = _Group(launch, distributed.PrefixStore(f"rushlight/{word}", store))
    try:
        with lost_processes_named():
            yield
    except RushlightError as error:
        _tell_failure(error)
        raise
    else:
        distributed.destroy_process_group()
    finally:
        _group.leave()
        _group = None
        # PyTorch's threads may outlive the group and drop their last tensor only now. For that they take Python's lock;
        # one that finds Python already ending aborts the process, and torchrun calls the whole training failed.
        time.sleep(_SECONDS_TO_LET_GO)


def total(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, the same on each; with one, the tensor itself.

    Args:
        tensor: of the same shape and dtype on every rank.
    """
    if ranks() == 1:
        return tensor
    summed = tensor.detach().clone(memory_format=_contiguous())
    with lost_processes_named():
        _torch_distributed().all_reduce(summed)
    return summed


def largest(numbers: Sequence[int], device: torch_device | str = "cpu") -> list[int]:
    """The largest that any rank has, for each of a few numbers.

    Args:
        numbers: as many on every rank.
        device: decides the way they travel; graphics processors tell each other faster, where there are many.
    """
    import torch

    if ranks() == 1:
        return list(numbers)
    told = torch.tensor(numbers, dtype=torch.int64, device=device)
    with lost_processes_named():
        _torch_distributed().all_reduce(told, op=_torch_distributed().ReduceOp.MAX)
    return [int(number) for number in told.tolist()]


def gathered(tensor: Tensor) -> list[Tensor]:
    """The tensors of all ranks, in their order.

    Args:
        tensor: (N, ...); N may differ from rank to rank, the rest of the shape and the dtype may not.
    """
    import torch

    if ranks() == 1:
        return [tensor]
    counts = torch.zeros(ranks(), dtype=torch.int64)
    counts[rank()] = len(tensor)
    counts = total(counts)
    longest = int(counts.max())
    padded = tensor.detach().new_zeros(longest, *tensor.shape[1:])
    padded[: len(tensor)] = tensor.detach()
    found = [torch.empty_like(padded) for _ in range(ranks())]
    with lost_processes_named():
        _torch_distributed().all_gather(found, padded)
    return [part[:count] for part, count in zip(found, counts.tolist(), strict=True)]


def bytes_of_writer(data: bytes | None) -> bytes:
    """The bytes that the writer has, on every rank.

    Args:
        data: on the writer what to send; elsewhere anything.
    """
    import torch

    if ranks() == 1:
        return data or b""
    size = total(torch.tensor(len(data or b"") if is_writer() else 0))
    buffer = torch.zeros(int(size), dtype=torch.uint8)
    if is_writer() and data:
        buffer.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    with lost_processes_named():
        _torch_distributed().broadcast(buffer, 0)
    return buffer.numpy().tobytes()


def from_writer(make: Callable[[], Value]) -> Value:
    """What a function returns on the writer, the same on every rank; it is called there alone.

    Args:
        make: returns something with a JSON form (tuples come back as lists). It may take seconds, not minutes.

    Raises:
        RushlightError: what the function raised, on every rank; only the writer tells the person.
    """
    if ranks() == 1:
        return make()
    if not is_writer():
        outcome = json.loads(bytes_of_writer(None))
        if "error" in outcome:
            raise _made_again(**outcome["error"])
        value: Value = outcome["value"]
        return value
    try:
        value = make()
    except RushlightError as error:
        bytes_of_writer(json.dumps({"error": _described(error)}).encode())
        error.is_known_to_all = True
        raise
    bytes_of_writer(json.dumps({"value": value}).encode())
    return value


@contextmanager
def leader_first(what: str) -> Iterator[None]:
    """A context that the first rank of each machine goes through before the others of that machine begin with it.

    For work whose result is kept in files: the leader does it, the others find it done. Waiting for it may take as long
    as it takes, and ends where the leader gives no sign of life.

    Args:
        what: names the work, the same on every rank of the machine.

    Raises:
        ProcessLostError: the leader died.
    """
    if _group is None:
        yield
        return
    leader = _group.launch.rank - _group.launch.local_rank
    key = f"{what}/{_group.turn(what)}/{leader}"
    if _group.launch.local_rank:
        _wait_for([key], [leader], _group)
        yield
        return
    try:
        yield
    finally:
        _group.store.set(key, "done")  # also where it failed: the others fail then by themselves, and say why


def all_here() -> None:
    """Wait for every rank, as long as it takes: machines read their data at different speeds.

    All other functions here, and every step, wait for no longer than a time of silence.

    Raises:
        ProcessLostError: one of them died.
        RushlightError: one of them ended with this error.
    """
    if _group is None:
        return
    launch, turn = _group.launch, _group.turn("here")
    _group.store.set(f"here/{turn}/{launch.rank}", "")
    # The first watches all, the others the first: everybody watching everybody would be many questions.
    watched = [0] if launch.rank else list(range(1, launch.ranks))
    _wait_for([f"here/{turn}/{other}" for other in range(launch.ranks)], watched, _group)


@contextmanager
def lost_processes_named() -> Iterator[None]:
    """A context in which a broken connection becomes the one line that says what happened.

    Raises:
        ProcessLostError: another process died or does not answer.
        RushlightError: another process ended with this error.
    """
    try:
        yield
    except RuntimeError as error:
        if ranks() == 1 or not _is_broken_connection(error):
            raise
        reason = _failure_of_another()
        if reason is not None:
            raise reason from error
        raise ProcessLostError(
            f"another of the {ranks()} processes died or did not answer for {seconds_of_silence():g} s "
            f"(noticed by process {rank()}); what was saved last is in the run folder: go on with the same command"
        ) from error


def _torch_distributed() -> Any:
    """PyTorch's module if it is loaded: a process that has not loaded it has no group."""
    torch = sys.modules.get("torch")
    found = getattr(torch, "distributed", None)
    return found if found is not None and found.is_available() else None


def _is_broken_connection(error: RuntimeError) -> bool:
    found = _torch_distributed()
    return isinstance(error, found.DistError) or any(word in str(error) for word in _BROKEN)


def _contiguous() -> Any:
    import torch

    return torch.contiguous_format


def _wait_for(keys: list[str], watched: list[int], group: _Group) -> None:
    """Wait until all keys are there, as long as the watched ranks give signs of life."""
    beats = {rank: (b"", time.monotonic()) for rank in watched}
    looked = time.monotonic()
    while True:
        with lost_processes_named():
            if group.store.check(keys):
                return
        if time.monotonic() - looked > _BEAT / 2:
            looked = time.monotonic()
            reason = _failure_of_another()
            if reason is not None:
                raise reason
            for rank, (last, since) in beats.items():
                beat = _beat_of(rank, group)
                beats[rank] = (last, since) if beat == last else (beat, looked)
                if looked - beats[rank][1] > seconds_of_silence():
                    raise ProcessLostError(f"process {rank} gave no sign of life for {seconds_of_silence():g} s")
        time.sleep(0.05)


def _beat_of(rank: int, group: _Group) -> bytes:
    with lost_processes_named():
        return bytes(group.store.get(f"alive/{rank}")) if group.store.check([f"alive/{rank}"]) else b""


def _described(error: RushlightError) -> dict[str, Any]:
    return {"kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}


def _made_again(kind: str, message: str, exit_code: int) -> RushlightError:
    """An error of another process, of the same class and with the same exit code."""
    found = getattr(errors, kind, RushlightError)
    error: RushlightError = found.__new__(found, message)
    error.args = (message,)
    error.exit_code = exit_code
    if isinstance(error, Interrupted):
        error.number = exit_code - 128
    error.is_known_to_all = True
    return error


def _tell_failure(error: RushlightError) -> None:
    """Leave word of what this process ends with, for those who notice that it is gone."""
    if _group is None or error.is_known_to_all or isinstance(error, ProcessLostError):
        return
    with suppress(RuntimeError):
        _group.store.set("failure", json.dumps(_described(error)))


def _failure_of_another() -> RushlightError | None:
    if _group is None:
        return None
    with suppress(RuntimeError, ValueError):  # left before the connection broke, so there is no need to wait for it
        if _group.store.check(["failure"]):
            return _made_again(**json.loads(_group.store.get("failure")))
    return None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
