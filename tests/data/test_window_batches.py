"""Windows of a text by themselves: which there are, what follows them, and in which order they come."""

import numpy as np
import pytest
import torch

from rushlight.data.window_batches import WindowBatches
from rushlight.runtime.errors import InputError
from rushlight.runtime.sharing import share_of


@pytest.mark.parametrize(("window", "stride", "expected"), [(3, 3, [0, 3, 6]), (4, 1, [0, 1, 2, 3, 4, 5, 6])])
def test_windows_begin_every_stride_and_have_a_token_after_them(window, stride, expected):
    ((inputs, targets),) = list(WindowBatches(np.arange(11), window, stride))
    assert inputs[0].tolist() == expected
    assert (inputs == inputs[0] + torch.arange(window)[:, None]).all()
    assert torch.equal(targets, inputs[-1] + 1)


def test_many_targets_follow_every_token():
    for inputs, targets in WindowBatches(np.arange(50, dtype=np.uint8), 8, 8, many=True, batch_size=2):
        assert torch.equal(targets, inputs + 1)
        assert inputs.dtype == targets.dtype == torch.int64


def test_an_epoch_shuffles_and_has_every_window_once():
    batches = WindowBatches(np.arange(100), 4, 1, batch_size=7, shuffle=True, seed=3)
    firsts = [torch.cat([inputs[0] for inputs, _ in batches]).tolist() for _ in range(2)]
    assert sorted(firsts[0]) == sorted(firsts[1]) == list(range(96))
    assert firsts[0] != firsts[1]
    batches.set_epoch(0)
    assert torch.cat([inputs[0] for inputs, _ in batches]).tolist() == firsts[0]
    assert len(batches) == 14


def test_the_ranks_together_have_the_windows_of_one():
    whole = WindowBatches(np.arange(30), 4, 1, batch_size=5, shuffle=True)
    parts = [whole.for_rank(rank, 3) for rank in range(3)]
    for (inputs, _), *shares in zip(whole, *parts, strict=True):
        counted = [share for share in shares if share_of(share)]
        assert torch.equal(inputs, torch.cat([x for x, _ in counted], dim=1))
        assert sum(map(share_of, shares)) == pytest.approx(1)


def test_a_text_without_a_window_is_refused():
    with pytest.raises(InputError, match="no window of 8"):
        WindowBatches(np.arange(8), 8, 1)
