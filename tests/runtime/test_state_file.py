"""The state of a training on disk: exact, never half written, and data and nothing else."""

import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from rushlight.runtime.checkpoint import save_checkpoint
from rushlight.runtime.errors import ModelFileError
from rushlight.runtime.state_file import StateFile

STATE: dict[str, Any] = {
    "weights": {"a": torch.randn(3, 4), "half": torch.randn(2).bfloat16(), "none": torch.empty(0)},
    "scalar": torch.tensor(3.0),
    "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "optimizer": {0: {"step": torch.tensor(1.0), "betas": (0.9, 0.99)}, 7: {}},
    "limits": [math.inf, -math.inf, 1e-300, 0.1 + 0.2, 2**60],
    "words": {"$tensor": "no tensor", "line": "a\nb"},
    "nothing": [None, True, False, [], {}],
    "memory": [(torch.ones(2), torch.zeros(2))],
}


def assert_equal(first: Any, second: Any) -> None:
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype
        assert first.stride() == second.stride()
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_equal(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for parts in zip(first, second, strict=True):
            assert_equal(*parts)
    else:
        assert first == second


def test_everything_comes_back_exactly_in_its_kind_and_its_order_in_memory(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.write(STATE, {"kind": "images"})
    state, facts = file.read()
    assert_equal(state, STATE)
    assert facts == {"kind": "images"}


def test_what_cannot_be_told_as_data_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"'callbacks\.0' is a function"):
        StateFile(tmp_path).write({"callbacks": [lambda: None]}, {})
    assert list(tmp_path.iterdir()) == []


def test_the_last_two_are_kept_and_a_torn_newest_one_falls_back_to_the_one_before(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    for step in range(3):
        file.write({"step": step}, {})
    assert file.read()[0] == {"step": 2}
    assert file.set_damaged_aside() is None
    file.newest.write_bytes(file.newest.read_bytes()[:-3])
    assert file.read()[0] == {"step": 1}
    said = file.set_damaged_aside()
    assert said is not None
    assert "resume.damaged.safetensors" in said
    file.write({"step": 3}, {})  # the one that was whole is still there
    file.newest.unlink()
    assert file.read()[0] == {"step": 1}
    file.previous.write_bytes(b"")
    with pytest.raises(ModelFileError, match="empty"):
        file.read()
    file.remove()
    assert not file.exists()


@pytest.mark.parametrize(
    "state",
    [
        {"a": {"$tensor": "b"}},
        {"a": {"$tensor": ["a"]}},
        {"a": {"$tensor": "a", "strides": [2**40]}},
        {"a": {"$tensor": "a", "strides": [0]}},
        {"a": {"$tensor": "a", "strides": "x"}},
        {"a": {"$items": [1, 2]}},
        {"a": {"$items": [[[], 2]]}},
        {"a": {"$tuple": 5}},
        {"a": {"$float": "five"}},
    ],
)
def test_a_state_that_is_not_as_we_write_it_is_refused(tmp_path: Path, state: dict[str, Any]) -> None:
    file = StateFile(tmp_path)
    save_checkpoint(file.newest, {"a": torch.ones(3)}, {"task": "resume", "facts": {}, "state": state})
    with pytest.raises(ModelFileError, match="refused"):
        file.read()


def test_a_model_file_is_no_state(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "resume.safetensors", {}, {"task": "image_classification"})
    with pytest.raises(ModelFileError, match="no state to go on from"):
        StateFile(tmp_path).read()


KILLED_AT_EVERY_CALL = """
    import os, pathlib, sys
    import torch
    from rushlight.runtime.state_file import StateFile

    folder = sys.argv[1]
    file = StateFile(folder)
    calls = []

    def ticking(name, function):
        def call(*arguments, **options):
            tick(name + " before")
            result = function(*arguments, **options)
            tick(name + " after")
            return result
        return call

    def tick(what):
        calls.append(what)
        if len(calls) == deadly:
            os.write(1, f"{what}\\n".encode())
            os._exit(9)

    class Torn:
        '''A file of which half of what is written may be all that arrives.'''
        def __init__(self, handle):
            self.handle = handle
        def __enter__(self):
            return self
        def __exit__(self, *error):
            self.handle.close()
        def write(self, data):
            self.handle.write(data[: len(data) // 2])
            self.handle.flush()
            tick("write half")
            self.handle.write(data[len(data) // 2 :])
        def __getattr__(self, name):
            return getattr(self.handle, name)

    file.write({"step": 0, "weights": torch.full((1000,), 0.0)}, {})
    file.write({"step": 1, "weights": torch.full((1000,), 1.0)}, {})
    step, deadly = 1, 0
    while True:
        deadly += 1
        child = os.fork()
        if not child:
            open_path = pathlib.Path.open
            pathlib.Path.open = lambda path, mode="r", *rest: (
                Torn(open_path(path, mode, *rest)) if "x" in mode else open_path(path, mode, *rest)
            )
            for name in ("open", "fsync", "replace", "close"):
                setattr(os, name, ticking(name, getattr(os, name)))
            file.write({"step": step + 1, "weights": torch.full((1000,), float(step + 1))}, {})
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = file.read()[0]
        assert found["step"] in (step, step + 1), found
        assert bool((found["weights"] == found["step"]).all())
        step = found["step"]
        if code == 0:
            break
        assert code == 9, code
    print(deadly - 1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_writer_killed_at_any_open_write_fsync_or_rename_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED_AT_EVERY_CALL), str(tmp_path)],
        capture_output=True, text=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *deaths, count = done.stdout.split("\n")[:-1]
    assert len(deaths) == int(count) >= 10
    assert {"write half", "fsync before", "replace before", "replace after", "open before"} <= set(deaths)
