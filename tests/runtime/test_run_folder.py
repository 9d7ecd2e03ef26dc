import json
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rushlight.runtime.errors import InputError, RunFolderBusyError, StorageError
from rushlight.runtime.run_folder import RunFolder, environment_versions


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    """Runs are made under the working folder; every test has its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_run(name: str = "photos") -> Path:
    with RunFolder.create(name=name) as run:
        run.write_run({"command": ["rushlight"]})
        run.model.write_bytes(b"weights")
    return run.path


def test_runs_are_numbered_and_never_overwritten():
    assert [make_run() for _ in range(3)] == [Path(f"runs/images/photos-{number}") for number in (1, 2, 3)]
    Path("runs/images/photos-2/model.safetensors").unlink()
    assert make_run() == Path("runs/images/photos-4")
    assert make_run("photos-4") == Path("runs/images/photos-4-1")


def test_runs_begun_at_the_same_moment_get_folders_of_their_own():
    with ThreadPoolExecutor(8) as threads:
        runs = list(threads.map(lambda _: RunFolder.create(), range(16)))
    assert len({run.path for run in runs}) == 16
    for run in runs:
        run.close()


@pytest.mark.parametrize(
    ("name", "folder"),
    [("My photos/2024", "My-photos-2024-1"), ("..", "run-1"), ("", "run-1"), ("Äpfel", "Äpfel-1")],
)
def test_a_name_becomes_one_plain_folder(name, folder):
    assert make_run(name) == Path("runs/images") / folder


def test_the_files_of_a_run_lie_where_the_design_says():
    with RunFolder.create() as run:
        run.write_run({"arguments": {"epochs": 2}})
        run.append_history({"epoch": 1, "valid_loss": float("nan")})
        run.append_history({"epoch": 2, "valid_loss": 0.5})
        run.model.write_bytes(b"weights")
    assert sorted(path.name for path in run.path.iterdir()) == [
        "history.jsonl",
        "model.safetensors",
        "run.json",
    ]
    assert json.loads((run.path / "run.json").read_text()) == {"arguments": {"epochs": 2}}
    rows = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    assert rows == [{"epoch": 1, "valid_loss": None}, {"epoch": 2, "valid_loss": 0.5}]


def test_a_run_that_wrote_nothing_leaves_no_folder():
    with RunFolder.create() as run:
        pass
    assert not run.path.exists()


def test_an_output_of_ones_own_is_used_unless_it_holds_a_run(working_folder):
    output = working_folder / "deep" / "mine"
    with RunFolder.create(output) as run:
        run.append_history({"epoch": 1})
    with pytest.raises(InputError, match="holds a run already"):
        RunFolder.create(output)
    assert (output / "history.jsonl").read_text() == '{"epoch": 1}\n'
    assert [path.name for path in output.iterdir()] == ["history.jsonl"]


def test_an_output_that_is_a_file_is_refused(working_folder):
    (working_folder / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        RunFolder.create(working_folder / "file")
    with pytest.raises(StorageError):
        RunFolder.create(working_folder / "file" / "below")


def test_a_folder_that_cannot_be_written_is_refused_before_training(unwritable_folder, monkeypatch):
    with pytest.raises(StorageError, match="Permission denied"):
        RunFolder.create(unwritable_folder)
    with pytest.raises(StorageError, match="Permission denied"):
        RunFolder.create(unwritable_folder / "new")
    monkeypatch.chdir(unwritable_folder)
    with pytest.raises(StorageError, match="Permission denied"):
        RunFolder.create()


def test_a_second_writer_is_told_who_writes(working_folder):
    with (
        RunFolder.create(working_folder / "run"),
        pytest.raises(RunFolderBusyError, match=f"process {os.getpid()}"),
    ):
        RunFolder.create(working_folder / "run")
    with RunFolder.create(working_folder / "run"):  # and afterwards the folder is free
        pass


def test_a_lock_dies_with_its_process(working_folder):
    program = """
        import time
        from rushlight.runtime.run_folder import RunFolder
        run = RunFolder.create("run")
        print("ready", flush=True)
        time.sleep(60)
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, env=environment
    ) as process:
        process.stdout.readline()
        with pytest.raises(RunFolderBusyError, match=f"process {process.pid}"):
            RunFolder.create("run")
        process.send_signal(signal.SIGKILL)
    with RunFolder.create("run") as run:
        run.write_run({})
    assert (working_folder / "run" / "run.json").exists()


def test_a_run_is_found_by_its_folder_or_its_model_file():
    run = make_run()
    assert RunFolder.find(run) == RunFolder.find(str(run / "model.safetensors")) == run / "model.safetensors"


@pytest.mark.parametrize("wrong", ["runs/images/photo-1", "photos-1", "runs/text/photos-1", "runs/images/photos"])
def test_a_missing_run_is_answered_with_the_nearest(wrong):
    make_run()
    with pytest.raises(InputError, match="did you mean 'runs/images/photos-1'"):
        RunFolder.find(wrong)


def test_without_any_run_the_command_that_makes_one_is_told():
    with pytest.raises(InputError, match="rushlight train images"):
        RunFolder.find("runs/images/photos-1")


def test_an_unfinished_run_is_told_as_such():
    with RunFolder.create() as run:
        run.write_run({})
    with pytest.raises(InputError, match="has not finished"):
        RunFolder.find(run.path)


def test_what_a_number_depends_on_is_written_down():
    versions = environment_versions()
    assert {"python", "torch", "rushlight", "platform", "processor", "threads"} <= versions.keys()
    json.dumps(versions)
