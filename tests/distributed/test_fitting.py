"""Several processes learn what one with the same batches learns."""

from pathlib import Path
from typing import Any

import pytest

from rushlight.runtime.checkpoint import Checkpoint, read_checkpoint
from tests.distributed.launching import run_well

pytestmark = pytest.mark.distributed
WHAT = ("without_norm", "batch_norm", "fast", "two_fits", "found_rate", "text")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of the same fits, by the number of processes."""
    folders = {ranks: tmp_path_factory.mktemp(f"ranks-{ranks}") for ranks in (1, 2)}
    for ranks, folder in folders.items():
        run_well("fitting", folder, *WHAT, *(["unequal"] if ranks == 2 else []), ranks=ranks)
    return folders


def both(fitted: dict[int, Path], what: str) -> tuple[Checkpoint, Checkpoint]:
    alone, together = (read_checkpoint(fitted[ranks] / f"{what}.safetensors") for ranks in (1, 2))
    return alone, together


def figures(rows: list[dict[str, Any]]) -> list[float]:
    """Every number of a history but for the times and the intervals."""
    values = [value for row in rows for name, value in row.items() if name != "seconds"]
    return [float(value["value"] if isinstance(value, dict) else value) for value in values]


@pytest.mark.parametrize("what", [what for what in WHAT if what != "fast"])
def test_two_processes_learn_what_one_with_the_whole_batch_learns(fitted: dict[int, Path], what: str) -> None:
    alone, together = both(fitted, what)
    assert alone.tensors.keys() == together.tensors.keys()
    for name, tensor in alone.tensors.items():
        assert (tensor.double() - together.tensors[name].double()).abs().max() <= 1e-5, name
    assert figures(alone.metadata["rows"]) == pytest.approx(figures(together.metadata["rows"]), rel=1e-4)


def test_the_recipe_of_small_images_gives_nearly_the_same(fitted: dict[int, Path]) -> None:
    alone, together = both(fitted, "fast")  # its steps are computed in bfloat16 where the processor has it
    rows, others = alone.metadata["rows"], together.metadata["rows"]
    assert [row["accuracy"] for row in rows] == [row["accuracy"] for row in others]
    assert figures(rows) == pytest.approx(figures(others), rel=0.01)


def test_processes_that_disagree_begin_alike_and_end_in_the_same_step(fitted: dict[int, Path]) -> None:
    rows = read_checkpoint(fitted[2] / "unequal.safetensors").metadata["rows"]
    assert [row["step"] for row in rows] == [3]
