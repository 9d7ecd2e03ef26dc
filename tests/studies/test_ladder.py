"""The ladder: the lecture's recipes, shortened or made equal, and its table."""

import numpy as np
import pytest

from rushlight.data.images import ImageData
from rushlight.nn.models import MODELS
from rushlight.runtime.errors import InputError
from rushlight.studies.ladder import BATCH_SIZE, RUNGS, run_ladder


def tiny_data(seed: int) -> ImageData:
    """Two classes, dark and bright."""
    generator = np.random.default_rng(seed)
    labels = np.arange(120) % 2
    images = (generator.integers(0, 100, (120, 32, 32, 3)) + 100 * labels[:, None, None, None]).astype(np.uint8)
    test = (images[100:], labels[100:])
    return ImageData.from_arrays(images[:100], labels[:100], test=test, batch_size=50, fit_all=True, seed=seed)


def test_recipes_are_as_long_as_the_lecture_says():
    assert [rung.epochs for rung in RUNGS] == [4, 6, 4, 6, 4, 41, 41]
    assert all(rung.model in MODELS for rung in RUNGS)
    assert BATCH_SIZE == 256


def test_a_shortened_ladder_gives_a_row_a_rung_measured_on_the_test_part():
    result = run_ladder(tiny_data, [1, 4], [0, 1], epochs_scale=0.5, device="cpu", precision="float32")
    assert result.split == "test"
    assert [row.rung.number for row in result.rows] == [1, 4]
    assert [row.epochs for row in result.rows] == [2, 3]
    for row in result.rows:
        assert len(row.accuracies) == 2
        assert row.accuracy.method == "t"
    table = result.table()
    assert "123,330"[:3] in table or str(result.rows[0].parameters)[:2] in table
    assert f"{100 * RUNGS[0].lecture:.1f} %" in table
    assert result.to_json()["rungs"][1]["model"] == "batch_norm_net"


def test_equal_epochs_train_every_rung_alike():
    result = run_ladder(tiny_data, [3, 5], [0], equal_epochs=2, device="cpu", precision="float32")
    assert [row.epochs for row in result.rows] == [2, 2]
    assert result.rows[0].accuracy.method == "wilson"


def test_a_long_recipe_keeps_its_shape_when_shortened():
    result = run_ladder(tiny_data, [6], [0], epochs_scale=0.1, device="cpu", precision="float32")
    assert result.rows[0].epochs < 20


@pytest.mark.parametrize("options", [{"rungs": [8]}, {"rungs": [0]}, {"epochs_scale": 0}, {"equal_epochs": 0}])
def test_what_makes_no_sense_is_refused(options):
    with pytest.raises(InputError):
        run_ladder(tiny_data, **options)
