"""Whether a run may go on: with the same data and the same settings, or not without being told what is lost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rushlight.runtime.distributed import Launch
from rushlight.runtime.errors import InputError, ModelFileError
from rushlight.runtime.files import to_json_value
from rushlight.runtime.run_folder import RUNS, environment_versions, is_unfinished, plain_name
from rushlight.runtime.state_file import StateFile
from rushlight.runtime.terminal import note

# What does not change what is learned, and the paths of the data, for which their fingerprint stands.
_OF_NO_CONSEQUENCE = {
    "output",
    "resume",
    "save_every",
    "force",
    "auto_batch",
    "no_report",
    "track",
    "as_json",
    "images",
    "text",
}
_VERSIONS = ("rushlight", "python", "torch", "processor", "threads", "cuda")


def facts_of_run(kind: str, arguments: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    """What a training is begun with, to be kept with its state.

    Args:
        kind: `images` or `text`.
        arguments: what the person chose.
        fingerprint: of the data.
    """
    return {
        "kind": kind,
        "arguments": to_json_value(dict(arguments)),
        "fingerprint": fingerprint,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "launch": this_launch(),
        "versions": environment_versions(),
        "decisions": {},
    }


def this_launch() -> str | None:
    """Which start of `torchrun` this process belongs to, the same after it has started its processes again."""
    launch = os.environ.get("TORCHELASTIC_RUN_ID")
    return None if launch is None else f"{launch}/{os.getppid()}"


def folder_before_restart(kind: str, name: str) -> Path | None:
    """The run folder that the processes had before `torchrun` started them again; None if this is their first start.

    Args:
        kind: `images` or `text`.
        name: what runs of that data are called.
    """
    launch = Launch.found()
    if launch is None or not launch.restarts:
        return None
    for folder in sorted((RUNS / kind).glob(f"{plain_name(name)}-*"), key=lambda path: path.stat().st_mtime):
        with suppress(ModelFileError):
            if is_unfinished(folder) and StateFile(folder).read()[1].get("launch") == this_launch():
                return folder
    return None


def require_facts(facts: Mapping[str, Any], path: Path) -> None:
    """Refuse a state that does not say what it was begun with.

    Raises:
        ModelFileError: something is missing or of another kind.
    """
    kinds = {"kind": str, "arguments": dict, "fingerprint": str, "processes": int, "versions": dict, "decisions": dict,
             "started": str}  # fmt: skip
    wrong = [name for name, kind in kinds.items() if not isinstance(facts.get(name), kind)]
    if wrong:
        raise ModelFileError(f"model file '{path}' refused: its '{wrong[0]}' is missing or makes no sense")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What has changed since a training began, a clause each."""
    found = []
    if before["kind"] != now["kind"]:
        found.append(f"it trained {before['kind']}, not {now['kind']}")
    if before["fingerprint"] != now["fingerprint"]:
        found.append(f"the data has changed (fingerprint {before['fingerprint']:.12}, now {now['fingerprint']:.12})")
    old, new = before["arguments"], now["arguments"]
    found += [
        f"--{name.replace('_', '-')} was {_shown(old.get(name))}, now {_shown(new.get(name))}"
        for name in sorted((old.keys() | new.keys()) - _OF_NO_CONSEQUENCE)
        if old.get(name) != new.get(name)
    ]
    if before["processes"] != now["processes"]:
        found.append(f"it ran in {before['processes']} processes, now in {now['processes']}")
    return found


def with_batches_of(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a training as if it had begun with the batches of another: their size, and how many make a step.

    Args:
        before: facts that were kept with the state.
        now: facts of this process.
    """
    batches = {name: now["arguments"].get(name) for name in ("batch_size", "accumulate")}
    return {**before, "arguments": {**before["arguments"], **batches}}


def require_same(run: Path, before: Mapping[str, Any], now: Mapping[str, Any], force: bool) -> bool:
    """Refuse to go on with other data or settings, unless that is wanted.

    Args:
        run: the run folder.
        before: facts that were kept with the state.
        now: facts of this process.
        force: go on all the same.

    Returns:
        Whether nothing has changed.

    Raises:
        InputError: something has changed; everything that has is listed.
    """
    changed = differences(before, now)
    if changed and not force:
        raise InputError(
            f"run '{run}' cannot go on as it began: {'; '.join(changed)}. Undo that, or add --force: the result is "
            "then not the one that an uninterrupted training would have given"
        )
    if changed:
        note(f"going on all the same (--force): {'; '.join(changed)}. The result is not that of either training alone")
    moved = [
        f"{name} was {_shown(before['versions'].get(name))}, now {_shown(now['versions'].get(name))}"
        for name in _VERSIONS
        if before["versions"].get(name) != now["versions"].get(name)
    ]
    if moved:
        note(f"another machine or version ({'; '.join(moved)}): the last bits may differ from an uninterrupted run")
    return not changed


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)
