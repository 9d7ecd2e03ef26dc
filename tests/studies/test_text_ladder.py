"""The ladder of texts: the lecture's recipes, shortened, and its table."""

import pytest

from rushlight.data.text import TextData
from rushlight.runtime.errors import InputError
from rushlight.studies.text_ladder import STREAMS, TEXT_RUNGS, WINDOW, run_text_ladder


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "story.txt"
    path.write_text("the cat sat on the mat.\na dog ran to the sea.\n" * 120)
    return lambda seed=0: TextData.from_files(path, batch_size=16, window=WINDOW, shift=False, seed=seed, device="cpu")


def test_recipes_are_as_long_as_the_lecture_says():
    epochs = [sum(stage.total_epochs for stage in rung.stages) for rung in TEXT_RUNGS]
    assert epochs == [2, 2, 2, 6, 4, 8, 8, 4, 9, 17]
    assert [rung.number for rung in TEXT_RUNGS] == list(range(1, 11))
    assert (STREAMS, WINDOW) == (64, 8)


def test_every_rung_learns_and_has_its_row(text):
    result = run_text_ladder(text, text, range(1, 10), (0,), epochs_scale=0.3, device="cpu")
    assert [row.rung.number for row in result.rows] == list(range(1, 10))
    for row in result.rows:
        assert row.loss.value < 2.9  # 19 characters, all alike: 2.94
    table = result.table()
    assert len(table.splitlines()) == 11
    assert "1.846 (training)" in table


def test_several_seeds_give_an_interval(text):
    (row,) = run_text_ladder(text, text, [5], (0, 1), epochs_scale=0.25, device="cpu").rows
    assert row.loss.method == "t"
    assert len(row.to_json()["losses"]) == 2


def test_what_makes_no_sense_is_refused(text):
    for options in ({"rungs": [11]}, {"rungs": [0]}, {"epochs_scale": 0}):
        with pytest.raises(InputError):
            run_text_ladder(text, text, **options)


def test_the_written_out_cell_trains_as_the_librarys_does(text):
    """The same weights and the same batches: the same losses."""
    from rushlight.studies.text_ladder import StatefulByHand, _learner

    by_hand = _learner(TEXT_RUNGS[7], text(), 0, "cpu", [])
    library = _learner(TEXT_RUNGS[6], text(), 0, "cpu", [])
    assert isinstance(by_hand.model, StatefulByHand)
    names = {name: name.replace("recurrent.cell.", "recurrent.") for name in by_hand.model.state_dict()}
    weights = library.model.state_dict()
    by_hand.model.load_state_dict(
        {name: weights[f"{other}_l0" if "recurrent" in other else other] for name, other in names.items()}
    )
    losses = [learner.fit(steps=20, lr=1e-3).history[-1]["train_loss"].value for learner in (library, by_hand)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
