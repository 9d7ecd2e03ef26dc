"""The command line: help, and what a person is told when something is wrong."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rushlight.app.cli import build_program
from rushlight.app.failures import report_failure
from rushlight.version import __version__

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err


def command_paths() -> list[list[str]]:
    """Every command, as the words that call it."""

    def below(command: object, path: list[str]) -> list[list[str]]:
        children = getattr(command, "commands", None)
        if children is None:
            return [path]
        return [found for name, child in children.items() for found in below(child, [*path, name])]

    return below(build_program(), [])


@pytest.mark.parametrize("path", command_paths(), ids=" ".join)
def test_help_of_every_command_has_an_example_that_calls_it(path: list[str], rushlight: Rushlight) -> None:
    ran = rushlight(*path, "--help")
    assert ran.code == 0
    assert "Example" in ran.out
    assert f"rushlight {' '.join(path)}" in ran.out.partition("Example")[2]
    assert max(map(len, ran.out.splitlines())) <= 80


@pytest.mark.parametrize("words", [[], ["train"], ["lr-find"], ["ablate"], ["tune"], ["data"]])
def test_command_group_alone_lists_its_commands(words: list[str], rushlight: Rushlight) -> None:
    ran = rushlight(*words)
    assert (ran.code, ran.err) == (0, "")
    assert "Commands:" in ran.out


def test_version(rushlight: Rushlight) -> None:
    assert rushlight("--version").out.split() == ["rushlight", __version__]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("train images photos --epoch 3", "did you mean '--epochs'?"),
        ("train images photos --minutse 3", "did you mean '--minutes'?"),
        ("demo --qqq", "known: --minutes"),
        ("trian images photos", "'train'"),
        ("train images", "IMAGES"),
        ("train images photos --minutes", "--minutes"),
        ("train images photos --minutes soon", "--minutes"),
        ("train images photos --minutes 0", "more than 0"),
        ("train images photos --minutes 1 --epochs 2", "--minutes and --epochs"),
        ("train images photos --cycle-length 2", "--cycles"),
        ("train images photos --cycles 2 --schedule cosine", "--schedule"),
        ("train images photos --lr fast", "--lr fast"),
        ("train images photos --lr 0.1,-1", "--lr 0.1,-1"),
        ("train images photos --class-weights equal", "balanced"),
        ("train images photos --fit-all --early-stopping 2", "--fit-all"),
        ("train images photos --label-smoothing 1.5", "between 0 and 1"),
        ("evaluate runs --split tset", "did you mean 'test'?"),
        ("ladder photos --rungs 0-3", "1 to 7"),
        ("ladder photos --rungs first", "1-7"),
        ("ladder photos --lr 0.1", "--equal-epochs"),
        ("ladder nietzsche --rungs 11", "1 to 10"),
        ("ladder nietzsche --equal-epochs 2", "for images"),
        ("summary resnet19", "did you mean 'resnet18'?"),
        ("data get cifra10", "did you mean 'cifar10'?"),
        ("data get cifar10", "RUSHLIGHT_OFFLINE"),
    ],
)
def test_misuse_is_one_line_that_names_the_way_out(words: str, told: str, rushlight: Rushlight) -> None:
    ran = rushlight(*words.split())
    assert ran.code == 2
    assert told in ran.error
    assert ran.out == ""


def test_memory_that_cannot_be_had_exits_4(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert report_failure(caught.value) == 4
    assert "--batch-size" in capsys.readouterr().err


def test_fault_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        report_failure(ZeroDivisionError("ours"))


def test_reader_that_leaves_early_sees_no_traceback() -> None:
    code = "from rushlight.app.cli import main; raise SystemExit(main(['data', 'list']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
        assert process.wait(timeout=60) == 1
    assert errors == b""


def test_data_list_as_json_is_one_object(rushlight: Rushlight) -> None:
    names = [row["name"] for row in json.loads(rushlight("data", "list", "--json").out)["datasets"]]
    assert {"cifar10", "digits"} <= set(names)


def test_embedded_data_needs_no_download(rushlight: Rushlight) -> None:
    ran = rushlight("data", "get", "digits")
    assert ran.code == 0
    assert len(list(Path(ran.out.strip()).rglob("*.png"))) == 1797
