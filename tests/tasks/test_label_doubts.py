"""Labels that were changed are doubted first, right ones mostly not, and copies of a picture do not vouch for it."""

import numpy as np
import pytest

from rushlight.tasks.label_doubts import label_doubts, out_of_fold_probabilities


def clusters(count: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    centres = 2.5 * random.normal(size=(classes, 12))
    targets = np.arange(count) % classes
    return (centres[targets] + random.normal(size=(count, 12))).astype(np.float32), targets


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_changed_labels_come_first(classes: int) -> None:
    features, truth = clusters(300, classes)
    given = truth.copy()
    changed = np.random.default_rng(1).permutation(300)[:20]
    given[changed] = (given[changed] + 1) % classes
    doubts = label_doubts(out_of_fold_probabilities(features, given, classes), given)
    assert len({doubt.row for doubt in doubts[:20]} & set(changed.tolist())) > 15
    assert sum(doubt.confident for doubt in doubts) < 40
    right = [doubt for doubt in doubts if doubt.row in set(changed.tolist())]
    assert np.mean([doubt.suggested == truth[doubt.row] for doubt in right]) > 0.9


def test_good_labels_are_hardly_doubted() -> None:
    features, truth = clusters(300)
    assert len(label_doubts(out_of_fold_probabilities(features, truth, 3), truth)) <= 12


def test_copies_of_a_picture_do_not_vouch_for_its_label() -> None:
    features, truth = clusters(240)
    # Ten copies of one image, all with the same wrong label.
    copies = np.repeat(features[:1], 10, axis=0)
    wrong = np.full(10, (truth[0] + 1) % 3)
    stacked, given = np.concatenate([features, copies]), np.concatenate([truth, wrong])
    groups = np.concatenate([np.arange(240), np.zeros(10, np.int64)])
    apart = out_of_fold_probabilities(stacked, given, 3)[240:, wrong[0]].mean()
    together = out_of_fold_probabilities(stacked, given, 3, groups=groups)[240:, wrong[0]].mean()
    assert together < 0.1 < apart


def test_a_class_of_one_image_is_no_obstacle() -> None:
    features, truth = clusters(60)
    truth[0] = 3
    probabilities = out_of_fold_probabilities(features, truth, 4)
    assert np.allclose(probabilities.sum(axis=1), 1)
