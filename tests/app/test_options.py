"""What a person may write for a learning rate or a range of rungs."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rushlight.app.commands.ladder import parse_rungs
from rushlight.app.options import parse_learning_rates
from rushlight.runtime.errors import InputError


@given(st.lists(st.floats(min_value=1e-12, max_value=1e6), min_size=1, max_size=5))
def test_rates_are_read_as_they_were_written(rates: list[float]) -> None:
    read = parse_learning_rates(",".join(map(repr, rates)))
    assert read == (rates[0] if len(rates) == 1 else tuple(rates))


@given(st.text(max_size=12))
def test_any_text_is_positive_rates_or_an_input_error(text: str) -> None:
    with contextlib.suppress(InputError):
        rates = parse_learning_rates(text)
        assert all(rate > 0 for rate in (rates if isinstance(rates, tuple) else (rates,)))


@given(st.sets(st.integers(1, 7), min_size=1))
def test_rungs_may_be_listed_one_by_one(rungs: set[int]) -> None:
    assert parse_rungs(",".join(map(str, rungs)), 7) == sorted(rungs)


@given(st.integers(1, 7), st.integers(1, 7))
def test_rungs_may_be_a_range(first: int, last: int) -> None:
    if first <= last:
        assert parse_rungs(f"{first}-{last}", 7) == list(range(first, last + 1))
    else:
        with pytest.raises(InputError, match="lower number first"):
            parse_rungs(f"{first}-{last}", 7)
