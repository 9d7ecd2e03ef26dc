"""What a step of training costs above the same training written as a plain PyTorch script, here and in peers.

    python benchmarks/loop_overhead.py                      Rushlight alone
    python benchmarks/loop_overhead.py --peers              and fastai, Lightning, skorch, Keras

All train the same small net on the same batches with AdamW, in float32; the batch size is chosen so that a plain step
takes about 5 ms. Each sets rates by a schedule, keeps the training loss and measures loss and accuracy of the
validation part after every epoch; the learner also checks loss and gradients for NaN and has two callbacks with hooks
a step. Progress bars, loggers and checkpoints of peers are off, which is their fastest. The plain script sets the rate,
checks the loss for NaN, keeps its sum and measures the validation part: what a careful person writes.

A peer and the plain script take turns in one process, in an environment of the peer's own, five times a process; the
median of all ratios counts.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from peer_environments import let_torchvision_load, run_in, versions
from side_by_side import Case, Results, Row, add_arguments, chosen, markdown, spread
from torch import nn

PEERS = {"fastai": "fastai", "lightning": "lightning", "skorch": "skorch", "keras": "keras"}
LR, WEIGHT_DECAY = 1e-3, 0.01
BatchList = list[tuple[torch.Tensor, torch.Tensor]]


def make_model() -> nn.Module:
    """A small convolutional net, 20,000 parameters."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(48, 10),
    ).to(memory_format=torch.channels_last)  # fmt: skip


def make_batches(count: int, batch_size: int) -> BatchList:
    """Noise with labels, in the memory layout that all use."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, batch_size, 3, 16, 16, generator=generator)
    targets = torch.randint(10, (count, batch_size), generator=generator)
    return [(x.contiguous(memory_format=torch.channels_last), y) for x, y in zip(images, targets, strict=True)]


def with_plain(train: BatchList, valid: BatchList, epochs: int) -> Callable[[], Any]:
    """The plain script, ready to be timed."""
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
    total = epochs * len(train)

    def run() -> None:
        step = 0
        for _ in range(epochs):
            model.train()
            loss_sum = torch.zeros(())
            for inputs, targets in train:
                for group in optimizer.param_groups:
                    group["lr"] = LR * 0.5 * (1 + math.cos(math.pi * step / total))
                loss = nn.functional.cross_entropy(model(inputs), targets)
                if not math.isfinite(loss.item()):
                    raise RuntimeError("loss is not finite")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                loss_sum += loss.detach() * len(targets)
                step += 1
            model.eval()
            with torch.inference_mode():
                outputs = [(model(inputs), targets) for inputs, targets in valid]
                sum(nn.functional.cross_entropy(o, t) for o, t in outputs)
                sum((o.argmax(-1) == t).sum() for o, t in outputs)

    return run


def with_rushlight(train: BatchList, valid: BatchList, epochs: int) -> Callable[[], Any]:
    """`Learner` with two callbacks."""
    from rushlight.training.callbacks import Callback
    from rushlight.training.learner import Learner
    from rushlight.training.metrics import Accuracy

    class CountSteps(Callback):
        """A callback that does something at every step."""

        def fit_start(self, learner: Learner) -> None:
            self.steps = 0

        def step_done(self, learner: Learner) -> None:
            self.steps += 1

    learner = Learner(
        make_model(),
        (train, valid),
        loss=nn.functional.cross_entropy,
        optimizer="adamw",
        metrics=[Accuracy()],
        callbacks=[CountSteps(), CountSteps()],
        device="cpu",
        precision="float32",
    )
    return lambda: learner.fit(epochs, lr=LR, weight_decay=WEIGHT_DECAY, schedule="cosine")


def with_fastai(train: BatchList, valid: BatchList, epochs: int) -> Callable[[], Any]:
    """fastai's `Learner` with PyTorch's fused optimizer, without bars and printing."""
    let_torchvision_load()
    import fastai.callback.all  # noqa: F401 - adds `no_bar` and `fit_one_cycle` to the learner
    from fastai.basics import DataLoader, DataLoaders, Learner, OptimWrapper, accuracy, noop

    loaders = DataLoaders(*(DataLoader(part, bs=None, num_workers=0, after_iter=noop) for part in (train, valid)))
    learner = Learner(
        loaders,
        make_model(),
        loss_func=nn.CrossEntropyLoss(),
        opt_func=partial(OptimWrapper, opt=torch.optim.AdamW, fused=True),
        metrics=accuracy,
        wd=WEIGHT_DECAY,
    )

    def run() -> None:
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(epochs, LR)

    return run


def with_lightning(train: BatchList, valid: BatchList, epochs: int) -> Callable[[], Any]:
    """Lightning's `Trainer` without bars, loggers, checkpoints and sanity checks."""
    import logging

    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        """The net as a LightningModule."""

        def __init__(self) -> None:
            super().__init__()
            self.net = make_model()

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[1]))
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            outputs = self.net(batch[0])
            self.log("loss", nn.functional.cross_entropy(outputs, batch[1]), batch_size=len(batch[1]))
            self.log("accuracy", (outputs.argmax(-1) == batch[1]).float().mean(), batch_size=len(batch[1]))

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(train))
            return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    loaders = [torch.utils.data.DataLoader(part, batch_size=None) for part in (train, valid)]  # type: ignore[arg-type]
    module = Module()
    return lambda: trainer.fit(module, *loaders)


def with_skorch(train: BatchList, valid: BatchList, epochs: int) -> Callable[[], Any]:
    """skorch's `NeuralNetClassifier`, given ready batches by an iterator of one's own."""
    from skorch import NeuralNetClassifier
    from skorch.callbacks import LRScheduler
    from skorch.helper import predefined_split

    class Ready(torch.utils.data.Dataset):
        """The batches as they are."""

        def __init__(self, batches: BatchList) -> None:
            self.batches = batches

        def __len__(self) -> int:
            return len(self.batches)

        def __getitem__(self, row: int) -> Any:
            return self.batches[row]

    def iterate(dataset: Ready, **unused: Any) -> BatchList:
        return dataset.batches

    net = NeuralNetClassifier(
        make_model(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=WEIGHT_DECAY,
        optimizer__fused=True,
        lr=LR,
        max_epochs=epochs,
        iterator_train=iterate,
        iterator_valid=iterate,
        train_split=predefined_split(Ready(valid)),
        classes=list(range(10)),
        callbacks=[
            (
                "rate",
                LRScheduler(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=epochs * len(train), step_every="batch"),
            )
        ],
        callbacks__print_log=None,
    )
    return lambda: net.fit(Ready(train), None)


def with_keras(train: BatchList, valid: BatchList, epochs: int) -> Callable[[], Any]:
    """Keras on its PyTorch backend, with the same module inside its wrapper for modules."""
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    class Ready(keras.utils.PyDataset):
        """The batches as they are."""

        def __init__(self, batches: BatchList) -> None:
            super().__init__()
            self.batches = batches

        def __len__(self) -> int:
            return len(self.batches)

        def __getitem__(self, row: int) -> Any:
            return self.batches[row]

    inputs = keras.Input(tuple(train[0][0].shape[1:]))
    model = keras.Model(inputs, keras.layers.TorchModuleWrapper(make_model(), output_shape=(None, 10))(inputs))
    rate = keras.optimizers.schedules.CosineDecay(LR, epochs * len(train))
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return lambda: model.fit(Ready(train), validation_data=Ready(valid), epochs=epochs, verbose=0, shuffle=False)


LIBRARIES = {
    "rushlight": with_rushlight,
    "fastai": with_fastai,
    "lightning": with_lightning,
    "skorch": with_skorch,
    "keras": with_keras,
}


def here(library: str, turns: int, batch_size: int, epochs: int) -> Row:
    """Ratios of one library to the plain script, measured in this process."""
    train, valid = make_batches(100, batch_size), make_batches(10, batch_size)
    prepare = LIBRARIES[library]
    for make in (with_plain, prepare):  # warm-up
        make(train, valid, 1)()
    ratios, plain_times = [], []
    for number in range(turns):
        # Whoever goes second has the warmer caches, so the order changes from turn to turn.
        seconds = {}
        for make in (with_plain, prepare) if number % 2 else (prepare, with_plain):
            run = make(train, valid, epochs)
            started = time.perf_counter()
            run()
            seconds[make] = (time.perf_counter() - started) / (epochs * len(train))
        ratios.append(seconds[prepare] / seconds[with_plain])
        plain_times.append(seconds[with_plain])
    return {"ratios": ratios, "plain_ms": 1000 * median(plain_times), "threads": torch.get_num_threads()}


def table(results: Results, libraries: list[str]) -> str:
    """One line a library."""
    lines = []
    for library in libraries:
        rows = [row for row in results.rows if row["way"] == library]
        ratios = [ratio for row in rows for ratio in row["ratios"]]
        version = f" {versions(library, PEERS[library])[PEERS[library]]}" if library in PEERS else ""
        plain = spread([row["plain_ms"] for row in rows])
        lines.append([library + version, spread(ratios, "{:.3f}"), plain, str(len(ratios))])
    return markdown(["library", "a step, in plain steps", "a plain step, ms", "n"], lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--turns", type=int, default=5, help="of a peer and the plain script in each process")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--peers", action="store_true", help="measure the peers too, each in its own environment")
    parser.add_argument("--here", choices=LIBRARIES, help="measure this one here and print JSON")
    arguments = parser.parse_args()
    settings = {"turns": arguments.turns, "batch_size": arguments.batch_size, "epochs": arguments.epochs}
    if arguments.quick:
        settings |= {"turns": 1, "epochs": 1}
    if arguments.here:
        print(json.dumps(here(arguments.here, **settings)))
        return
    words = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
    libraries = chosen(["rushlight", *(PEERS if arguments.peers else [])], arguments.only)
    results = Results("loop-overhead", settings, arguments.again_if_busy, arguments.quick)
    results.in_turns(
        [Case.of(library) for library in libraries],
        1 if arguments.quick else arguments.rounds,
        lambda case, _: run_in(case.way, "loop_overhead.py", "--here", case.way, *words),
    )
    results.write_page(table(results, libraries))


if __name__ == "__main__":
    main()
