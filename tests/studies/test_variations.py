"""What is varied: how it is written, and what is made of it."""

import pytest

from rushlight.runtime.errors import InputError
from rushlight.studies.variations import Variation, baseline_first, grid, leave_one_out, parse_choice, together


def labels(variations: list[Variation]) -> list[str]:
    return [variation.label for variation in variations]


def test_grid_holds_every_combination_in_the_order_of_writing() -> None:
    assert labels(grid(["norm=after,none", "residual=on,off"])) == [
        "norm=after, residual=on",
        "norm=after, residual=off",
        "norm=none, residual=on",
        "norm=none, residual=off",
    ]


def test_name_may_be_written_like_a_flag() -> None:
    assert parse_choice("weight-decay=0, 0.1") == ("weight_decay", ["0", "0.1"])


def test_settings_that_belong_together_are_one_variation() -> None:
    assert together("model=residual_net,residual=off").label == "model=residual_net, residual=off"


def test_leave_one_out_begins_with_the_whole() -> None:
    assert labels(leave_one_out(["muon", "shifts"])) == ["baseline", "muon=off", "shifts=off"]


@pytest.mark.parametrize(
    ("chosen", "first"),
    [([], "lr=1, wd=1"), (["lr=2"], "lr=2, wd=1"), (["wd=2"], "lr=1, wd=2"), (["lr=2", "wd=2"], "lr=2, wd=2")],
)
def test_baseline_is_the_first_that_has_what_was_chosen(chosen: list[str], first: str) -> None:
    variations = grid(["lr=1,2", "wd=1,2"])
    ordered = baseline_first([*variations, variations[0]], chosen)
    assert ordered[0].label == first
    assert sorted(labels(ordered)) == sorted(labels(variations))


@pytest.mark.parametrize(
    ("text", "told"),
    [("norm", "write it as"), ("=a,b", "write it as"), ("norm=", "write it as"), ("norm=a,a", "stands there twice")],
)
def test_choice_that_cannot_be_read_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_choice(text)


def test_baseline_that_is_not_varied_is_refused() -> None:
    with pytest.raises(InputError, match="--baseline lr=3"):
        baseline_first(grid(["lr=1,2"]), ["lr=3"])
