"""Cross-entropy against PyTorch's, class weights against scikit-learn's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from rushlight.runtime.errors import InputError
from rushlight.training.losses import CrossEntropy, balanced_class_weights

WEIGHTS = [0.5, 1.0, 2.0, 4.0]


def logits_and_targets(soft: bool) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(12, 4, generator=generator)
    if soft:
        return logits, torch.rand(12, 4, generator=generator).softmax(1)
    return logits, torch.randint(0, 4, (12,), generator=generator)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
def test_equals_pytorch(soft, label_smoothing, class_weights):
    logits, targets = logits_and_targets(soft)
    weight = None if class_weights is None else torch.tensor(class_weights)
    reference = nn.CrossEntropyLoss(weight=weight, label_smoothing=label_smoothing)
    loss = CrossEntropy(label_smoothing, class_weights)
    torch.testing.assert_close(loss(logits, targets), reference(logits, targets))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("soft", [False, True])
def test_computes_in_float32_or_wider(dtype, soft):
    logits, targets = logits_and_targets(soft)
    logits = logits.to(dtype)
    loss = CrossEntropy(0.1, WEIGHTS)(logits, targets)
    exact = CrossEntropy(0.1, WEIGHTS)(logits.double(), targets)
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-6)


def test_class_numbers_and_the_same_as_probabilities_agree():
    logits, targets = logits_and_targets(soft=False)
    loss = CrossEntropy(0.1)
    torch.testing.assert_close(loss(logits, targets), loss(logits, nn.functional.one_hot(targets, 4).float()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1.0, None), "label_smoothing"),
        ((0.0, [1.0, -1.0]), "class_weights"),
        ((0.0, [0.0, 0.0]), "class_weights"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        CrossEntropy(*arguments)


def test_too_few_class_weights_are_refused():
    logits, targets = logits_and_targets(soft=False)
    with pytest.raises(InputError, match="2 class weights were given for 4 classes"):
        CrossEntropy(class_weights=[1.0, 2.0])(logits, targets)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_balanced_weights_are_those_of_scikit_learn(targets):
    targets = [*targets, 0, 1, 2, 3, 4]
    expected = compute_class_weight("balanced", classes=np.arange(5), y=np.array(targets))
    np.testing.assert_allclose(balanced_class_weights(targets, 5), expected, rtol=1e-6)


@pytest.mark.parametrize(("targets", "said"), [([0, 2], "class 1"), ([0, 3], "0 to 2"), ([], "0 to 2")])
def test_a_class_without_samples_cannot_be_balanced(targets, said):
    with pytest.raises(InputError, match=said):
        balanced_class_weights(targets, 3)
