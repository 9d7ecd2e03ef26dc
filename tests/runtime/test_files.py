import errno
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from rushlight.runtime.errors import StorageError
from rushlight.runtime.files import (
    append_json_line,
    atomic_write_bytes,
    atomic_write_text,
    human_bytes,
    storage_error,
    user_cache_folder,
    write_json,
)
from rushlight.runtime.measured import proportion


def run_python(program: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a program in a process of its own, which may be killed."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    atomic_write_bytes(path, b"one")
    atomic_write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_text_is_utf_8_with_its_line_ends(tmp_path):
    atomic_write_text(tmp_path / "text", "Käse\r\nfromage\n")
    assert (tmp_path / "text").read_bytes() == "Käse\r\nfromage\n".encode()


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    atomic_write_bytes(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"content"


KILLED_WRITER = """
    import os, signal, sys
    from rushlight.runtime.files import atomic_write_bytes

    path, call, stage, when, how = sys.argv[1:]
    stage = int(stage)
    original, calls = getattr(os, call), 0

    def die():
        os.kill(os.getpid(), signal.SIGKILL) if how == "kill" else os._exit(9)

    def deadly(*arguments, **options):
        global calls
        calls += 1
        if when == "before" and calls == stage:
            die()
        result = original(*arguments, **options)
        if when == "after" and calls == stage:
            die()
        return result

    setattr(os, call, deadly)
    atomic_write_bytes(path, b"new" * 1000)
"""


@pytest.mark.parametrize("how", ["kill", "exit"])
@pytest.mark.parametrize(
    ("call", "stage", "when", "expected"),
    [
        ("fsync", 1, "before", b"old"),
        ("fsync", 1, "after", b"old"),
        ("replace", 1, "before", b"old"),
        ("replace", 1, "after", b"new"),
        ("fsync", 2, "before", b"new"),
        ("fsync", 2, "after", b"new"),
    ],
)
def test_a_writer_killed_at_any_stage_leaves_the_old_file_or_the_new(tmp_path, how, call, stage, when, expected):
    path = tmp_path / "file"
    path.write_bytes(b"old" * 1000)
    died = run_python(KILLED_WRITER, path, call, stage, when, how)
    assert died.returncode == (-signal.SIGKILL if how == "kill" else 9), died.stderr
    assert path.read_bytes() == expected * 1000

    atomic_write_bytes(path, b"later")  # and nothing is in the way of the next write
    assert path.read_bytes() == b"later"


@pytest.mark.slow
def test_a_writer_killed_at_random_moments_never_leaves_half_a_file(tmp_path):
    path = tmp_path / "file"
    sizes = (300_000, 500_000)
    path.write_bytes(b"0" * sizes[0])
    program = f"""
        import sys
        from rushlight.runtime.files import atomic_write_bytes
        print("ready", flush=True)
        while True:
            for digit, size in zip("01", {sizes}):
                atomic_write_bytes(sys.argv[1], digit.encode() * size)
    """
    rng = np.random.default_rng(0)
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(path)], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.02))
            process.kill()
        assert path.read_bytes() in [b"0" * sizes[0], b"1" * sizes[1]]


def test_what_a_killed_writer_left_behind_is_removed_later(tmp_path):
    path = tmp_path / "file"
    leftover, recent, other = (tmp_path / name for name in (".file.1-a.tmp", ".file.2-b.tmp", ".file2.1-a.tmp"))
    for temporary in (leftover, recent, other):
        temporary.write_bytes(b"half")
    for temporary in (leftover, other):
        os.utime(temporary, (0, 0))
    atomic_write_bytes(path, b"whole")
    assert not leftover.exists()
    assert recent.exists()  # its writer may be at work
    assert other.exists()  # belongs to another file


def test_a_full_disk_leaves_the_old_file_and_says_how_much_was_needed(tmp_path):
    """RLIMIT_FSIZE makes the system refuse to write on, as a full disk does."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = """
        import resource, signal, sys
        from rushlight.runtime.errors import StorageError
        from rushlight.runtime.files import atomic_write_bytes

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            atomic_write_bytes(sys.argv[1], b"x" * 1_000_000)
        except StorageError as error:
            print(error)
            sys.exit(error.exit_code)
    """
    result = run_python(program, path)
    assert result.returncode == StorageError.exit_code, result.stderr
    assert str(path) in result.stdout
    assert "1.0 MB needed" in result.stdout
    assert " free" in result.stdout
    assert result.stdout.count("\n") == 1
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_told_with_the_bytes_that_are_free(tmp_path, number):
    error = storage_error(tmp_path / "new" / "file", OSError(number, os.strerror(number)), needed=10)
    assert "10 bytes needed" in str(error)
    assert "free;" in str(error)


def test_a_folder_without_permission_is_a_storage_error_and_keeps_its_file(unwritable_folder):
    with pytest.raises(StorageError, match="Permission denied"):
        atomic_write_bytes(unwritable_folder / "old", b"new")
    assert (unwritable_folder / "old").read_bytes() == b"old"


def test_a_file_in_place_of_a_folder_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot write"):
        atomic_write_bytes(tmp_path / "file" / "below", b"")


def test_json_is_strict_and_takes_what_measurements_are_made_of(tmp_path):
    path = tmp_path / "a.json"
    write_json(
        path,
        {
            "accuracy": proportion(1, 2),
            "loss": math.nan,
            "counts": np.arange(3),
            "scalar": np.float32(0.5),
            "weights": torch.ones(2),
            "where": Path("a/b"),
            "pair": (1, None),
            7: True,
        },
    )
    written = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert written == {
        "accuracy": proportion(1, 2).to_json(),
        "loss": None,
        "counts": [0, 1, 2],
        "scalar": 0.5,
        "weights": [1.0, 1.0],
        "where": str(Path("a/b")),
        "pair": [1, None],
        "7": True,
    }


def test_what_has_no_json_form_is_named(tmp_path):
    with pytest.raises(TypeError, match="object"):
        write_json(tmp_path / "a.json", {"thing": object()})
    assert not (tmp_path / "a.json").exists()


def test_rows_are_appended_and_a_torn_one_stays_apart(tmp_path):
    path = tmp_path / "history.jsonl"
    append_json_line(path, {"epoch": 1})
    append_json_line(path, {"epoch": 2})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"epoch": 1}, {"epoch": 2}]

    path.write_text(path.read_text() + '{"epoch": 3, "lo')  # as a program without our care would leave it
    append_json_line(path, {"epoch": 4})
    assert json.loads(path.read_text().splitlines()[-1]) == {"epoch": 4}


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_310_000, "1.3 MB"), (2**62, "4.6 EB")],
)
def test_sizes_are_told_in_decimal_units(count, text):
    assert human_bytes(count) == text


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
def test_the_cache_is_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("RUSHLIGHT_CACHE", raising=False)
    assert user_cache_folder() == Path("/home/someone/.cache/rushlight")
    monkeypatch.setenv("XDG_CACHE_HOME", "/big/cache")
    assert user_cache_folder() == Path("/big/cache/rushlight")
    monkeypatch.setenv("RUSHLIGHT_CACHE", "~/here")
    assert user_cache_folder() == Path("/home/someone/here")
