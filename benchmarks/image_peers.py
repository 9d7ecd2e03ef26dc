"""The trainings of the peers for `time_to_accuracy.py`: each takes normalised images and returns a trained module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from image_recipes import DEVIATION, MEAN, Batches, FastArithmetic, fast_arithmetic, small_resnet
from peer_environments import let_torchvision_load
from torch import Tensor, nn
from torch.nn import functional

# The recipe for the small residual net, the same in every library: one cycle of Nesterov's momentum.
BATCH, LR, MOMENTUM, DECAY, SMOOTHING, WARM_UP = 256, 0.2, 0.9, 5e-4, 0.1, 0.25
FASTAI_BATCH, KEPT_ASIDE = 128, 0.05
FEWEST_STEPS = 10  # of a cycle; a warm-up takes fewer, and PyTorch's schedule then divides by zero

Train = Callable[[Tensor, Tensor, int, int], nn.Module]


def with_plain(images: Tensor, targets: Tensor, epochs: int, seed: int) -> nn.Module:
    """A plain PyTorch script, as `examples/plain_torch.py`, with the recipe."""
    torch.manual_seed(seed)
    model = small_resnet().to(memory_format=torch.channels_last)
    batches = Batches(images, targets, BATCH, seed=seed)
    optimizer, scheduler = _one_cycle(model, epochs * len(batches))
    model.train()
    for _ in range(epochs):
        for inputs, truth in batches:
            with fast_arithmetic():
                outputs = model(inputs)
            loss = functional.cross_entropy(outputs.float(), truth, label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    return model


def _one_cycle(model: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    optimizer = torch.optim.SGD(
        model.parameters(), LR, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY, fused=True
    )
    steps = max(steps + 1, FEWEST_STEPS)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, pct_start=WARM_UP)


def with_lightning(images: Tensor, targets: Tensor, epochs: int, seed: int) -> nn.Module:
    """The same net and recipe in a `Trainer`, with its own bfloat16, without bars, loggers and checkpoints."""
    import logging

    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(seed, verbose=False)
    batches = Batches(images, targets, BATCH, seed=seed)

    class Module(lightning.LightningModule):
        """The net with its recipe."""

        def __init__(self) -> None:
            super().__init__()
            self.net = small_resnet().to(memory_format=torch.channels_last)

        def training_step(self, batch: Any, index: int) -> Tensor:
            return functional.cross_entropy(self.net(batch[0]), batch[1], label_smoothing=SMOOTHING)

        def configure_optimizers(self) -> Any:
            optimizer, scheduler = _one_cycle(self.net, epochs * len(batches))
            return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    has_bfloat16 = bool(torch.cpu._is_avx512_bf16_supported())
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        precision="bf16-mixed" if has_bfloat16 else "32-true",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    module = Module()
    trainer.fit(module, batches)
    return module.net


def with_keras(images: Tensor, targets: Tensor, epochs: int, seed: int) -> nn.Module:
    """The same net inside Keras's wrapper for modules on its PyTorch backend, with a schedule of one cycle."""
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    keras.utils.set_random_seed(seed)
    batches = Batches(images, targets, BATCH, seed=seed)

    class Ready(keras.utils.PyDataset):
        """The batches in their order, whatever number is asked for."""

        def __init__(self) -> None:
            super().__init__()
            self.next = iter(batches)

        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, number: int) -> Any:
            return next(self.next)

        def on_epoch_end(self) -> None:
            self.next = iter(batches)

    module = FastArithmetic(small_resnet())
    inputs = keras.Input(tuple(images.shape[1:]))
    model = keras.Model(inputs, keras.layers.TorchModuleWrapper(module, output_shape=(None, 10))(inputs))
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        0.04 * LR, max(1, steps - round(WARM_UP * steps)), warmup_target=LR, warmup_steps=round(WARM_UP * steps)
    )
    # Its decay does not pass through the momentum, which multiplies what does by 1 / (1 - momentum).
    model.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY / (1 - MOMENTUM)),
        loss=_smoothed_loss(keras),
        jit_compile=False,
    )
    model.fit(Ready(), epochs=epochs, verbose=0, shuffle=False)
    return module


def _smoothed_loss(keras: Any) -> Any:
    smooth = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)

    def loss(targets: Any, outputs: Any) -> Any:
        return smooth(keras.ops.one_hot(keras.ops.reshape(targets, (-1,)), 10), outputs)

    return loss


def with_fastai(make_model: Callable[[], nn.Module], lr: float) -> Train:
    """fastai's `fit_one_cycle` with its own optimizer and loss on one of its nets."""

    def train(images: Tensor, targets: Tensor, epochs: int, seed: int) -> nn.Module:
        let_torchvision_load()
        import fastai.callback.all  # noqa: F401 - adds `no_bar` and `fit_one_cycle` to the learner
        from fastai.basics import DataLoaders, Learner
        from fastai.losses import LabelSmoothingCrossEntropyFlat

        torch.manual_seed(seed)
        batches = Batches(images, targets, FASTAI_BATCH, seed=seed)
        loaders = DataLoaders(batches, [(images[:2], targets[:2])])
        learner = Learner(loaders, FastArithmetic(make_model()), loss_func=LabelSmoothingCrossEntropyFlat())
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(epochs, lr)
        return learner.model

    return train


def with_fastai_from_files(make_model: Callable[[], nn.Module], lr: float) -> Callable[..., nn.Module]:
    """fastai as its tutorials have it: files read by workers, its own changes of images, float32, channels-last.

    Its mixed precision needs a GPU. As Rushlight does, it keeps a twentieth of the images aside, to look at after each
    epoch.
    """

    def train(files: Sequence[Path], epochs: int, seed: int) -> nn.Module:
        let_torchvision_load()
        from fastai.data.transforms import Normalize, parent_label
        from fastai.losses import LabelSmoothingCrossEntropyFlat
        from fastai.vision.all import ImageDataLoaders, Learner, accuracy, aug_transforms

        torch.manual_seed(seed)
        loaders = ImageDataLoaders.from_path_func(
            files[0].parent.parent,
            list(files),
            parent_label,
            valid_pct=KEPT_ASIDE,
            seed=seed,
            bs=FASTAI_BATCH,
            batch_tfms=[*aug_transforms(), Normalize.from_stats(MEAN, DEVIATION)],
        )
        learner = Learner(loaders, make_model(), loss_func=LabelSmoothingCrossEntropyFlat(), metrics=accuracy)
        learner.to_channelslast(use_amp=False)
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(epochs, lr)
        return learner.model

    return train


def xresnet18() -> nn.Module:
    """fastai's own."""
    let_torchvision_load()
    from fastai.vision.all import xresnet18 as make

    model: nn.Module = make(n_out=10)
    return model


def widest_of_the_lecture() -> nn.Module:
    """The residual net of widths 16 to 256 at the end of the lecture on CIFAR-10 (fast.ai 2018, lesson 7)."""
    from rushlight.nn.models import build_model

    return build_model("wide_residual_net", classes=10)
