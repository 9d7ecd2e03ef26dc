"""Fit with as many processes as torchrun started, or one: `fitting.py FOLDER WHAT ...`.

Weights and history of each fit are left in the folder.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import rushlight as rl
from rushlight.data.augmentation import CutMix
from rushlight.runtime.checkpoint import save_checkpoint
from rushlight.runtime.distributed import gathered, is_writer, leader_first, rank
from rushlight.training.history import row_to_json

EXACT: dict[str, Any] = {"seed": 1, "precision": "float32"}


def pictures(**options: Any) -> rl.ImageData:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 90)
    images = draw.integers(0, 120, (90, 16, 16, 3)) + 60 * (labels[:, None, None, None] == np.arange(3))
    return rl.ImageData.from_arrays(images.astype(np.uint8), labels, batch_size=12, size=16, **options)


def without_norm() -> rl.Learner:
    """Random changes of the images, several of a batch put together, clipping, averaging, two batches a step."""
    data = pictures()
    data.train.augmentation = CutMix(3)
    classifier = rl.ImageClassifier(data, "conv_layers", **EXACT)
    callbacks = [rl.GradientClipping(0.5), rl.AverageWeights(0.9), rl.EarlyStopping(50)]
    classifier.fit(steps=20, lr=3e-3, accumulate=2, callbacks=callbacks)
    return classifier.learner


def batch_norm() -> rl.Learner:
    """Every batch norm takes its statistics over the whole batch."""
    data = pictures(augment="none")
    classifier = rl.ImageClassifier(data, "batch_norm_net", optimizer="momentum", synchronise_batch_norm=True, **EXACT)
    classifier.fit(steps=20, lr=1e-3)
    return classifier.learner


def fast() -> rl.Learner:
    """Muon, a first layer that is frozen on the way, images that grow, batch norm over all processes."""
    classifier = rl.ImageClassifier(pictures(), "fast_16", synchronise_batch_norm=True, **EXACT)
    classifier.fit(steps=20)
    return classifier.learner


def two_fits() -> rl.Learner:
    """A module of one's own on a DataLoader: its head, then all of it; batches of 10 and at last of 5."""
    torch.manual_seed(3)
    inputs, targets = torch.randn(75, 6), torch.randint(0, 4, (75,))
    layers = nn.Sequential(nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 4))
    train = DataLoader(TensorDataset(inputs, targets), batch_size=10, shuffle=True)
    valid = DataLoader(TensorDataset(inputs[:13], targets[:13]), batch_size=6)
    learner = rl.Learner(layers, (train, valid), metrics=[rl.Accuracy()], precision="float32")
    learner.synchronise_batch_norm().freeze_to(-1).fit(1, lr=1e-2)
    learner.unfreeze().fit(2, lr=1e-2)
    return learner


def found_rate() -> rl.Learner:
    """Nothing is fitted, but the losses of a sweep stand in the history."""
    classifier = rl.ImageClassifier(pictures(), "conv_layers", **EXACT)
    before = [value.clone() for value in classifier.learner.model.state_dict().values()]
    losses = classifier.find_lr(steps=20).losses
    assert all(map(torch.equal, before, classifier.learner.model.state_dict().values()))
    classifier.learner.history.append({"epoch": 1, **{f"loss {i}": loss for i, loss in enumerate(losses)}})
    return classifier.learner


def text() -> rl.Learner:
    """Recurrent, five streams over the processes; a last window of what is left over when it is measured."""
    file = folder / "story.txt"
    words = np.random.default_rng(0).choice(["the cat sat. ", "a dog ran. ", "it was dark.\n"], 903)
    with leader_first("story"):
        if is_writer():
            file.write_text("".join(words))
    data = rl.TextData.from_files(file, batch_size=5, window=20)
    chosen = {"hidden_size": 24, "layers": 1, "dropout": 0.0, "input_dropout": 0.0, "weight_dropout": 0.0}
    model = rl.LanguageModel(data, "gru", model_options=chosen, **EXACT)
    model.fit(steps=20)
    return model.learner


def unequal() -> rl.Learner:
    """Each process for itself would begin with other weights, and have another idea of when to end."""
    torch.manual_seed(rank())
    model = nn.Linear(6, 4)
    torch.manual_seed(0)
    inputs, targets = torch.randn(40, 6), torch.randint(0, 4, (40,))

    class Impatient(rl.Callback):
        def step_done(self, learner: rl.Learner) -> None:
            learner.stop = rank() == 1 and learner.step == 3

    batches = DataLoader(TensorDataset(inputs, targets), batch_size=4)
    learner = rl.Learner(model, (batches,), callbacks=[Impatient()]).fit(2, lr=1e-2)
    for parameter in learner.model.parameters():
        assert all(torch.equal(parameter, other) for other in gathered(parameter))
    return learner


PROGRAMS: dict[str, Callable[[], rl.Learner]] = {
    made.__name__: made for made in (without_norm, batch_norm, fast, two_fits, found_rate, text, unequal)
}

folder = Path(sys.argv[1])
with rl.started_processes():
    for what in sys.argv[2:]:
        learner = PROGRAMS[what]()
        if is_writer():
            rows = [row_to_json(row) for row in learner.history.rows]
            save_checkpoint(folder / f"{what}.safetensors", learner.model.state_dict(), {"rows": rows})
