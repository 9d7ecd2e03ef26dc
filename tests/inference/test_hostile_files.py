"""Model files from a stranger who knows the format, checksum included: refused, nothing run, nothing taken."""

import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rushlight.data.tokenizers import tokenizer_class
from rushlight.inference.classifier_file import load_classifier, save_classifier
from rushlight.inference.model_file import task_of
from rushlight.inference.text_file import load_language_model, save_language_model
from rushlight.nn.language_models import build_language_model
from rushlight.nn.models import build_model
from rushlight.runtime.checkpoint import read_checkpoint, save_checkpoint
from rushlight.runtime.errors import ModelFileError

ARGUMENTS = {"classes": 2, "channels": 3, "size": 32}
TEXT_ARGUMENTS = {"hidden_size": 8, "layers": 1, "embedding_size": 8}


@pytest.fixture(scope="module")
def classifier_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    model = build_model("conv_layers", **ARGUMENTS)
    save_classifier(path, model, "conv_layers", {}, ["cat", "dog"], 32, [0.5] * 3, [0.25] * 3)
    return path


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    tokenizer = tokenizer_class("character").from_json(sorted(set("the cat sat on the mat")))
    model = build_language_model("lstm", tokenizer.size, **TEXT_ARGUMENTS)
    save_language_model(path, model, "lstm", TEXT_ARGUMENTS, tokenizer, "character")
    return path


def changed(source: Path, target: Path, **fields: Any) -> Path:
    """The same file with other metadata and a checksum that is right."""
    found = read_checkpoint(source)
    save_checkpoint(target, found.tensors, found.metadata | fields)
    return target


class Canary:
    """A pickle that would leave a file behind if anybody opened it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def archive(path: Path, canary: Path) -> None:
    torch.save({"weights": Canary(canary)}, path)


def pickled(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(Canary(canary)))


def polyglot(path: Path, canary: Path) -> None:
    """A safetensors file with a torch archive behind it: both formats would read it."""
    content = io.BytesIO()
    torch.save({"weights": Canary(canary)}, content)
    path.write_bytes(path.read_bytes() + content.getvalue())


def zip_bomb(path: Path, canary: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("data.pkl", b"\0" * 50_000_000)


def header(path: Path, fields: Any, data: bytes = b"") -> None:
    text = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


HOSTILE: dict[str, Callable[[Path, Path], object]] = {
    "an archive of torch.save": archive,
    "a pickle": pickled,
    "a polyglot": polyglot,
    "a zip bomb": zip_bomb,
    "a header of petabytes": lambda path, _: path.write_bytes(struct.pack("<Q", 2**60) + b"{" + b" " * 100),
    "a tensor of petabytes": lambda path, _: header(
        path, {"a": {"dtype": "F32", "shape": [2**50], "data_offsets": [0, 2**52]}}, b"\0" * 8
    ),
    "tensors that overlap": lambda path, _: header(
        path, {n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in "ab"}, b"\0" * 8
    ),
    "deep nesting": lambda path, _: header(path, b'{"__metadata__":' + b"[" * 200_000),
    "code as the name of a model": lambda path, canary: changed(path, path, model=f"os.mkdir('{canary}')"),
    "an import path": lambda path, _: changed(path, path, model="rushlight.nn.models.build_model"),
    "code as an argument": lambda path, canary: changed(
        path, path, model_arguments={"__class__": f"__import__('os').mkdir('{canary}')"}
    ),
    "a network of petabytes": lambda path, _: changed(path, path, model="resnet", model_arguments={"width": 60_000}),
    "a network of endless layers": lambda path, _: changed(
        path, path, model="resnet", model_arguments={"blocks": [60_000] * 4}
    ),
    "classes without end": lambda path, _: changed(path, path, classes=[str(n) for n in range(70_000)]),
    "an image of endless size": lambda path, _: changed(path, path, size=2**40),
    "another task": lambda path, _: changed(path, path, task="text"),
    "a task of its own": lambda path, _: changed(path, path, task={"run": "me"}),
    "weights of another shape": lambda path, _: save_checkpoint(
        path, {"layers.0.weight": torch.zeros(3)}, read_checkpoint(path).metadata
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_by_one_line_and_nothing_of_it_is_run(
    kind: str, classifier_file: Path, tmp_path: Path
) -> None:
    path, canary = tmp_path / "model.safetensors", tmp_path / "canary"
    path.write_bytes(classifier_file.read_bytes())
    HOSTILE[kind](path, canary)
    with pytest.raises(ModelFileError) as raised:
        load_classifier(path)
    assert raised.value.exit_code == 7
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 3000
    assert not canary.exists()


def test_texts_that_would_speak_to_the_terminal_are_told_as_they_are(classifier_file: Path, tmp_path: Path) -> None:
    path = changed(classifier_file, tmp_path / "model.safetensors", model="\x1b]0;title\x07\nerror: all is well")
    with pytest.raises(ModelFileError) as raised:
        load_classifier(path)
    assert "\x1b" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_reading_a_hostile_file_takes_no_memory(classifier_file: Path, tmp_path: Path) -> None:
    """In a process that may have little more than it has: who asks for petabytes would end by a MemoryError."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(classifier_file.read_bytes())
    HOSTILE["a network of petabytes"](path, tmp_path)
    program = """
        import resource, sys
        from rushlight.inference.classifier_file import load_classifier
        from rushlight.runtime.errors import ModelFileError
        import rushlight.nn.models
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            load_classifier(sys.argv[1])
        except ModelFileError:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert int(done.stdout) < 200_000  # kilobytes


# --- mutations with a checksum that is right ----------------------------------------------------------------------

STRANGE: list[Any] = [
    None, True, -1, 0, 1e308, 2**63, "", "x" * 10_000, "../../etc/passwd", "\0", "\ud800", [], {}, [[]], {"": None},
    "__import__('os').system('true')", "torch.nn.Linear", ["a", "a"], float("1e-320"), 65_536, "lstm", "resnet18",
]  # fmt: skip


def mutated(value: Any, chance: random.Random) -> Any:
    """A JSON value with one thing in it changed, left out, repeated or nested."""
    if chance.random() < 0.3 or not isinstance(value, dict | list) or not value:
        return chance.choice(STRANGE) if chance.random() < 0.8 else [value, value]
    if isinstance(value, dict):
        key = chance.choice(list(value))
        rest = {name: part for name, part in value.items() if name != key}
        match chance.randrange(4):
            case 0:
                return rest
            case 1:
                return rest | {str(chance.choice(STRANGE))[:20]: value[key]}
            case _:
                return value | {key: mutated(value[key], chance)}
    place = chance.randrange(len(value))
    return [*value[:place], mutated(value[place], chance), *value[place + chance.randrange(2) :]]


def try_mutations(source: Path, load: Callable[[Path], Any], target: Path, count: int) -> int:
    original, chance, refused = read_checkpoint(source), random.Random(0), 0
    for _ in range(count):
        metadata, tensors = original.metadata, dict(original.tensors)
        for _ in range(chance.randrange(1, 3)):
            metadata = mutated(metadata, chance) if isinstance(metadata, dict) else metadata
        if chance.random() < 0.2:
            name = chance.choice(list(tensors))
            tensors[name] = tensors[name].reshape(-1)[: chance.randrange(3)]
        if not isinstance(metadata, dict):
            continue
        try:
            save_checkpoint(target, tensors, metadata)
        except (ValueError, TypeError):  # what JSON cannot say cannot be in a file
            continue
        try:
            load(target)
        except ModelFileError as error:
            assert "\n" not in str(error)  # noqa: PT017 - both outcomes are right, and only these two
            refused += 1
    return refused


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
@pytest.mark.parametrize("task", ["images", "text"])
def test_whatever_the_description_says_the_file_is_loaded_or_refused(
    task: str, count: int, classifier_file: Path, text_file: Path, tmp_path: Path
) -> None:
    source, load = (classifier_file, load_classifier) if task == "images" else (text_file, load_language_model)

    def everything(path: Path) -> None:
        task_of(path)
        load(path)

    assert try_mutations(source, everything, tmp_path / "model.safetensors", count) > count // 4
