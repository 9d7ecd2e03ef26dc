import json
import os
import pickle
import random
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from rushlight.runtime.checkpoint import load_weights, read_checkpoint, save_checkpoint
from rushlight.runtime.errors import InputError, ModelFileError
from rushlight.runtime.measured import proportion

METADATA = {"task": "images", "classes": ["Katze", "chien", "犬", "\udcff"], "size": 32, "mean": [0.1, 1 / 3]}


def some_tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(4, 3, generator=generator),
        "half": torch.randn(5, generator=generator).bfloat16(),
        "count": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 2),
        "nothing": torch.zeros(3, 0),
        "complex": torch.tensor([1 + 2j]),
    }


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, some_tensors(), METADATA)
    return path


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and torch.equal(first[name], second[name]) for name in first
    )


def refusal(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(ModelFileError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def header_of(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_with_header(path: Path, header: dict, body: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def edit_envelope(path: Path, **changes: object) -> None:
    """Change the metadata of a file without touching its checksum."""
    header, body = header_of(path)
    envelope = json.loads(header["__metadata__"]["rushlight"])
    header["__metadata__"]["rushlight"] = json.dumps(envelope | changes)
    write_with_header(path, header, body)


def test_tensors_and_metadata_come_back_exactly(model_file):
    checkpoint = read_checkpoint(model_file)
    assert same(checkpoint.tensors, some_tensors())
    assert checkpoint.metadata == METADATA


def test_metadata_may_hold_measured_quantities(tmp_path):
    save_checkpoint(tmp_path / "m", {}, {"metrics": {"accuracy": proportion(9, 10), "loss": float("nan")}})
    metrics = read_checkpoint(tmp_path / "m").metadata["metrics"]
    assert metrics == {"accuracy": proportion(9, 10).to_json(), "loss": None}


def test_any_safetensors_program_can_read_the_file(model_file):
    assert same(safetensors.torch.load_file(model_file), some_tensors())


def test_tied_sliced_and_channels_last_weights_are_saved(tmp_path):
    base = torch.arange(24.0).reshape(1, 4, 3, 2)
    tensors = {
        "one": base,
        "same": base,
        "slice": base[:, 1:3],
        "turned": base.transpose(2, 3),
        "channels_last": base.contiguous(memory_format=torch.channels_last),
        "parameter": nn.Parameter(base.clone()),
    }
    save_checkpoint(tmp_path / "m", tensors, {})
    assert same(read_checkpoint(tmp_path / "m").tensors, {name: t.detach() for name, t in tensors.items()})


def test_saving_over_the_file_just_loaded_changes_nothing(model_file):
    checkpoint = read_checkpoint(model_file)
    save_checkpoint(model_file, checkpoint.tensors, checkpoint.metadata)
    assert same(checkpoint.tensors, some_tensors())
    assert same(read_checkpoint(model_file).tensors, some_tensors())


def test_the_same_content_gives_the_same_bytes(model_file, tmp_path):
    save_checkpoint(tmp_path / "again", some_tensors(), METADATA)
    assert (tmp_path / "again").read_bytes() == model_file.read_bytes()


def test_metadata_too_long_to_be_read_again_is_not_written(model_file):
    with pytest.raises(InputError, match="too long"):
        save_checkpoint(model_file, {}, {"vocabulary": "x" * 40_000_000})
    assert same(read_checkpoint(model_file).tensors, some_tensors())


class RunsCode:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


@pytest.mark.parametrize("kind", ["torch.save", "torch.save legacy", *(f"pickle {n}" for n in range(6))])
def test_a_pickle_is_refused_and_never_opened(tmp_path, kind):
    path, canary = tmp_path / "model.pt", tmp_path / "canary"
    if kind.startswith("pickle"):
        path.write_bytes(pickle.dumps(RunsCode(canary), protocol=int(kind[-1])))
    else:
        content = {"weight": torch.zeros(2), "code": RunsCode(canary)}
        torch.save(content, path, _use_new_zipfile_serialization=kind == "torch.save")
    message = refusal(path)
    if kind not in ("pickle 0", "pickle 1"):  # those two are plain text without a mark of their own
        assert "may contain code" in message
    assert not canary.exists()


def test_a_safetensors_file_of_someone_else_is_refused(tmp_path):
    safetensors.torch.save_file(some_tensors(), tmp_path / "m")
    assert "does not say which model" in refusal(tmp_path / "m")


@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 8, b"{}", b"GIF89a" * 10, b"\xff" * 64])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "m").write_bytes(content)
    refusal(tmp_path / "m")


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "missing")
    assert "not a file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    assert "not a file" in refusal(tmp_path / "pipe")


def test_a_file_cut_off_anywhere_is_refused(model_file):
    data = model_file.read_bytes()
    for length in range(0, len(data), 7):
        model_file.write_bytes(data[:length])
        refusal(model_file)


def test_a_file_with_something_added_is_refused(model_file):
    model_file.write_bytes(model_file.read_bytes() + b"\0")
    refusal(model_file)


def test_mutations_are_refused_or_change_nothing(model_file):
    """Single bytes, runs, deletions and insertions at seeded random places, half of them in the header."""
    original = model_file.read_bytes()
    header_end = 8 + struct.unpack("<Q", original[:8])[0]
    chance = random.Random(0)
    refused = 0
    for number in range(300):
        data = bytearray(original)
        place = chance.randrange(header_end if number % 2 else len(data))
        match number % 4:
            case 0 | 1:
                data[place] ^= 1 << chance.randrange(8)
            case 2:
                data[place : place + 4] = chance.randbytes(4)
            case _:
                data[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        model_file.write_bytes(data)
        try:
            checkpoint = read_checkpoint(model_file)
        except ModelFileError as error:
            assert "\n" not in str(error)  # noqa: PT017 - both outcomes are right, and only these two
            refused += 1
        else:
            assert same(checkpoint.tensors, some_tensors())
            assert checkpoint.metadata == METADATA
    assert refused > 250


def test_a_changed_label_is_found(model_file):
    data = model_file.read_bytes()
    model_file.write_bytes(data.replace(b"chien", b"chats"))
    assert "checksum" in refusal(model_file)


def test_a_changed_weight_is_found(model_file):
    data = bytearray(model_file.read_bytes())
    data[-1] ^= 1
    model_file.write_bytes(data)
    assert "checksum" in refusal(model_file)


def test_a_newer_format_names_the_version_that_wrote_it(model_file):
    edit_envelope(model_file, format_version=2, rushlight="7.1.0")
    message = refusal(model_file)
    assert "7.1.0" in message
    assert "--upgrade" in message


@pytest.mark.parametrize(
    "changes",
    [{"format_version": 0}, {"format_version": "1"}, {"metadata": []}, {"metadata": None}, {"sha256": 5}],
)
def test_a_damaged_description_is_refused(model_file, changes):
    edit_envelope(model_file, **changes)
    refusal(model_file)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", '{"a": ' * 50_000, "1" * 10_000])
def test_hostile_json_is_refused(tmp_path, text):
    write_with_header(tmp_path / "m", {"__metadata__": {"rushlight": text}}, b"")
    refusal(tmp_path / "m")
    header = text.encode()
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(header)) + header)
    refusal(tmp_path / "m")


@pytest.mark.parametrize(
    ("length", "said"), [(10**15, "1.0 PB"), (2**63, "9.2 EB"), (2**64 - 1, "18.4 EB"), (10**7, "cut off")]
)
def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path, length, said):
    (tmp_path / "m").write_bytes(struct.pack("<Q", length) + b'{"a": 1}')
    assert said in refusal(tmp_path / "m")


@pytest.mark.parametrize("shape", [[2**40, 2**40], [2**62], [0, 2**63], [-1], [1e300], ["a"]])
def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(model_file, shape):
    header, body = header_of(model_file)
    header["weight"]["shape"] = shape
    write_with_header(model_file, header, body)
    refusal(model_file)


def test_claims_of_size_take_no_memory(tmp_path):
    """A sparse file of terabytes, and one whose header claims 100 MB, cost no memory to refuse."""
    with (tmp_path / "terabytes").open("wb") as handle:
        handle.write(struct.pack("<Q", 100) + b"{" + b" " * 98 + b"}")
        handle.truncate(8 * 10**12)
    with (tmp_path / "header").open("wb") as handle:
        handle.write(struct.pack("<Q", 10**8) + b"{")
        handle.truncate(2 * 10**8)
    program = """
        import resource, sys
        from rushlight.runtime.checkpoint import read_checkpoint
        from rushlight.runtime.errors import InputError, ModelFileError

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in sys.argv[1:]:
            try:
                read_checkpoint(path)
                sys.exit("was read")
            except ModelFileError:
                pass
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), tmp_path / "terabytes", tmp_path / "header"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 20_000  # kilobytes


class Net(nn.Module):
    def __init__(self, width: int = 4, layers: int = 1) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(3, width) for _ in range(layers))
        self.norm = nn.BatchNorm1d(width)


def test_weights_load_into_the_module_that_fits():
    source, target = Net(), Net()
    load_weights(target, source.state_dict(), "m")
    assert same(target.state_dict(), source.state_dict())


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        (Net(width=5).state_dict(), "(5, 3), not (4, 3)"),
        (Net(layers=2).state_dict(), "'layers.1.bias' is unknown"),
        ({name: t for name, t in Net().state_dict().items() if "bias" not in name}, "'norm.bias' is missing"),
        ({name: t.long() for name, t in Net().state_dict().items()}, "torch.int64, not torch.float32"),
        ({"line\nbreak\x1b[31m": torch.zeros(1)}, r"line\nbreak\x1b[31m"),
    ],
)
def test_weights_that_do_not_fit_leave_the_module_as_it_was(tensors, named):
    target = Net()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(ModelFileError) as caught:
        load_weights(target, tensors, "my.safetensors")
    assert named in str(caught.value)
    assert "my.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert same(target.state_dict(), before)


def test_of_many_wrong_names_ten_are_told():
    with pytest.raises(ModelFileError, match=r"and 32 more$") as caught:
        load_weights(Net(layers=1), Net(layers=21).state_dict() | {"x": 1, "y": 2}, "m")
    assert str(caught.value).count("is unknown") == 10
