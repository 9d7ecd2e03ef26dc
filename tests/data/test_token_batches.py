"""Streams are contiguous, windows follow on each other, targets are one on, and nothing is lost or doubled."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rushlight.data.token_batches import TokenBatches
from rushlight.runtime.errors import InputError
from rushlight.runtime.sharing import share_of

SIZES = {"count": st.integers(2, 3000), "streams": st.integers(1, 40), "window": st.integers(1, 200)}


def joined(batches: TokenBatches) -> tuple[torch.Tensor, torch.Tensor]:
    """All windows of the regular streams, one after the other: (L, B)."""
    pairs = [pair for pair in batches if pair[0].shape[1] == batches.batch_size // batches.ranks]
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


@given(**SIZES, vary=st.booleans(), shift=st.booleans(), epoch=st.integers(0, 5))
def test_windows_follow_on_each_other_and_targets_are_one_on(count, streams, window, vary, shift, epoch):
    if count <= streams:
        return
    tokens = np.arange(count)
    batches = TokenBatches(tokens, streams, window, vary=vary, shift=shift)
    batches.set_epoch(epoch)
    found = list(batches)
    batches.set_epoch(epoch)
    inputs, targets = joined(batches)
    assert all(len(x) > 0 for x, _ in found)
    assert (targets == inputs + 1).all()
    assert (inputs[1:] == inputs[:-1] + 1).all()  # a stream goes on where its last window ended
    assert (inputs[0, 1:] == inputs[-1, :-1] + 1).all()  # and ends where the next stream begins


@given(**SIZES)
def test_measured_in_equal_windows_every_token_but_the_first_is_predicted_once(count, streams, window):
    if count <= streams:
        return
    batches = TokenBatches(np.arange(count), streams, window).as_they_are()
    found = list(batches)
    assert sorted(torch.cat([y.flatten() for _, y in found]).tolist()) == list(range(1, count))
    assert len(found) == len(batches)


@given(**SIZES, vary=st.booleans(), shift=st.booleans())
def test_every_epoch_has_the_number_of_batches_that_was_told(count, streams, window, vary, shift):
    if count <= streams:
        return
    batches = TokenBatches(np.arange(count), streams, window, vary=vary, shift=shift)
    assert [sum(1 for _ in batches) for _ in range(3)] == [len(batches)] * 3


def test_lengths_vary_around_the_window_and_around_half_of_it():
    batches = TokenBatches(np.zeros(400_000, np.uint8), 8, 50)
    lengths = np.array([len(x) for x, _ in batches])
    assert 0.03 < (lengths < 35).mean() < 0.08
    full = lengths[lengths >= 35]
    assert abs(full.mean() - 50) < 1
    assert 2 < full.std() < 5


def test_lengths_and_shifts_are_those_of_the_seed_and_the_epoch():
    def inputs(seed: int, epoch: int) -> list[torch.Tensor]:
        batches = TokenBatches(np.arange(5000), 4, 30, shift=True, seed=seed)
        batches.set_epoch(epoch)
        return [x for x, _ in batches]

    def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
        return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))

    assert same(inputs(1, 3), inputs(1, 3))
    assert not same(inputs(1, 3), inputs(1, 4))
    assert not same(inputs(1, 3), inputs(2, 3))


def test_an_epoch_goes_on_from_any_batch_as_it_would_have_come():
    batches = TokenBatches(np.arange(4000), 4, 25, shift=True, seed=5)
    whole = list(batches)
    batches.set_epoch(0)
    rest = list(batches.iterate_from(7))
    assert len(rest) == len(whole) - 7
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[7:], rest, strict=True))


@pytest.mark.parametrize("vary", [False, True])
@pytest.mark.parametrize("ranks", [3, 4, 8])
def test_the_ranks_together_have_the_streams_of_one(vary, ranks):
    whole = TokenBatches(np.arange(3000), 6, 40, vary=vary, shift=True)
    parts = [whole.for_rank(rank, ranks) for rank in range(ranks)]
    for (inputs, _), *shares in zip(whole, *parts, strict=True):
        assert torch.equal(inputs, torch.cat([x for x, _ in map(counted, shares)], dim=1))


def counted(batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """What counts of a batch."""
    return batch if share_of(batch) else (batch[0][:, :0], batch[1][:, :0])


@pytest.mark.parametrize("ranks", [1, 3, 8])
def test_places_say_which_token_each_input_is(ranks):
    tokens = np.random.default_rng(0).integers(0, 50, 1003)
    plain = TokenBatches(tokens, 6, 40, shift=True, keep_all=True)
    for rank in range(ranks):
        placed = plain.with_places().for_rank(rank, ranks)
        for (inputs, targets, places), pair in zip(placed, plain.for_rank(rank, ranks), strict=True):
            assert torch.equal(torch.from_numpy(tokens)[places], inputs)
            assert torch.equal(torch.from_numpy(tokens)[places + 1], targets)
            assert torch.equal(inputs, pair[0])
            assert torch.equal(targets, pair[1])
    assert all(len(batch) == 2 for batch in plain.with_places().as_they_are())


@pytest.mark.parametrize("ranks", [2, 5])
def test_measured_by_several_ranks_every_token_is_predicted_once(ranks):
    parts = [TokenBatches(np.arange(103), 4, 10, rank=rank, ranks=ranks).as_they_are() for rank in range(ranks)]
    targets = [y.flatten() for part in parts for _, y in map(counted, part)]
    assert sorted(torch.cat(targets).tolist()) == list(range(1, 103))


def test_tokens_of_any_kind_are_served_as_int64_and_stay_as_they_are():
    tokens = np.arange(200, dtype=np.uint8)
    tokens.flags.writeable = False
    inputs, targets = next(iter(TokenBatches(tokens, 4, 10)))
    assert inputs.dtype == targets.dtype == torch.int64


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (5, {"batch_size": 5}, "too few for 5 streams"),
        (50, {"batch_size": 0}, "at least one stream"),
        (50, {"batch_size": 5, "window": 0}, "at least one stream"),
    ],
)
def test_what_cannot_be_served_is_refused(count, options, message):
    with pytest.raises(InputError, match=message):
        TokenBatches(np.arange(count), **options)
