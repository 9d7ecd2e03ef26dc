"""How boldly a model writes: temperature, the likeliest few, the likeliest share."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rushlight.inference.sampling import check_sampling, next_token_probabilities
from rushlight.runtime.errors import InputError

LOGITS = st.lists(st.floats(-20, 20), min_size=1, max_size=30).map(torch.tensor)


@given(logits=LOGITS, temperature=st.floats(0.05, 10), top_k=st.none() | st.integers(1, 40),
       top_p=st.none() | st.floats(0.01, 1))  # fmt: skip
def test_probabilities_sum_to_one_and_keep_their_order(logits, temperature, top_k, top_p):
    found = next_token_probabilities(logits, temperature, top_k, top_p)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert (found >= 0).all()
    # Logits nearer to each other than float32 can tell after the division are as good as equal.
    assert logits[found.argmax()].item() == pytest.approx(logits.max().item(), abs=1e-5)
    order = logits.argsort()
    assert (found[order][found[order] > 0].diff() >= 0).all()


@given(temperature=st.floats(0.5, 2))
def test_of_two_tokens_as_good_as_equal_the_likelier_stays(temperature):
    found = next_token_probabilities(torch.tensor([0.0, 1e-30]), temperature, top_p=0.5)
    assert found.tolist() == [0, 1]


def test_of_equally_likely_tokens_the_first_are_kept():
    found = next_token_probabilities(torch.zeros(17), top_p=0.5)
    assert found.tolist() == pytest.approx([1 / 9] * 9 + [0] * 8)


@given(logits=LOGITS)
def test_without_settings_it_is_the_softmax(logits):
    torch.testing.assert_close(next_token_probabilities(logits), torch.softmax(logits, 0))


def test_a_low_temperature_is_cautious_and_a_high_one_bold():
    logits = torch.tensor([2.0, 1.0, 0.0])
    cold, plain, hot = (next_token_probabilities(logits, t)[0] for t in (0.3, 1.0, 5.0))
    assert cold > plain > hot > 1 / 3


def test_top_k_keeps_the_likeliest_in_proportion():
    logits = torch.tensor([[0.0, 3.0, 1.0, 2.0]])
    found = next_token_probabilities(logits, top_k=2)[0]
    assert found.tolist() == pytest.approx([0, 1 / (1 + 2.718281828**-1), 0, 1 / (1 + 2.718281828)])


def test_top_p_keeps_the_fewest_that_have_the_share():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert next_token_probabilities(logits, top_p=0.5).tolist() == pytest.approx([1, 0, 0, 0])
    assert next_token_probabilities(logits, top_p=0.51).tolist() == pytest.approx([0.625, 0.375, 0, 0])
    assert next_token_probabilities(logits, top_p=0.9).tolist() == pytest.approx([0.5263, 0.3158, 0.1579, 0], abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0.0, None, None), "temperature must be more than 0"),
        ((-1.0, None, None), "temperature must be more than 0"),
        ((float("nan"), None, None), "temperature must be more than 0"),
        ((1.0, 0, None), "top_k"),
        ((1.0, None, 0.0), "top_p"),
        ((1.0, None, 1.1), "top_p"),
    ],
)
def test_settings_that_leave_nothing_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        check_sampling(*settings)
