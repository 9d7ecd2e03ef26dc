"""The published speed run for CIFAR-10 as a plain PyTorch script for a processor: a baseline of `time_to_accuracy.py`.

Written from the description in Jordan 2024 ("94 % on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498) and
the public settings of its later form with Muon (Jordan et al. 2024): a fixed whitening layer, partial identities, large
rates for the biases of normalisation, alternating mirroring, label smoothing, Muon for the filters, and six views of
each image in the end.
"""

from __future__ import annotations

import torch
from image_recipes import Batches, fast_arithmetic
from torch import Tensor, nn
from torch.nn import functional

BATCH, SMOOTHING = 2000, 0.2
FILTER_RATE, FILTER_MOMENTUM = 0.24, 0.6
BIAS_RATE, HEAD_RATE, MOMENTUM = 0.053, 0.67, 0.85
DECAY = 2e-6 * BATCH
WHITENING_EPOCHS = 3  # for which the bias of the first layer is trained, of the eight that the recipe has


class Norm(nn.BatchNorm2d):
    """Batch norm without a scale."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=0.4)
        self.weight.requires_grad_(False)


class Group(nn.Module):
    """Convolution, pooling, norm, activation, convolution, norm, activation."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([Norm(after), Norm(after)])
        for convolution in (self.first, self.second):
            nn.init.dirac_(convolution.weight.data[: convolution.in_channels])

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.norms[0](functional.max_pool2d(self.first(x), 2)))
        return functional.gelu(self.norms[1](self.second(x)))


class SpeedNet(nn.Module):
    """The net of the speed run.

    Args:
        images: (N, 3, 32, 32), normalised, from which the first layer is made.
        widths: channels of the three groups.
    """

    def __init__(self, images: Tensor, widths: tuple[int, int, int] = (64, 256, 256)) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad_(False)
        patches = functional.unfold(images, 2, stride=1).transpose(1, 2).flatten(0, 1)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / torch.sqrt(values + 5e-4)).T.flip(0).reshape(-1, 3, 2, 2)
        self.whiten.weight.data.copy_(torch.cat([filters, -filters]))
        self.groups = nn.Sequential(*(Group(a, b) for a, b in zip((24, *widths[:2]), widths, strict=True)))
        self.head = nn.Linear(widths[-1], 10, bias=False)
        self.head.weight.data /= self.head.weight.data.std()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.groups(functional.gelu(self.whiten(x))), 3).flatten(1)
        outputs: Tensor = self.head(x) / x.shape[1]
        return outputs


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are made orthogonal, for convolutions; their weights keep their norm."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        super().__init__(parameters, {"lr": FILTER_RATE})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                momentum = state.setdefault("momentum", torch.zeros_like(weight))
                momentum.mul_(FILTER_MOMENTUM).add_(weight.grad)
                step = weight.grad.add(momentum, alpha=FILTER_MOMENTUM)
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                weight.add_(orthogonal(step.flatten(1)).reshape(step.shape), alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix with equal singular values, by three steps of Newton and Schulz."""
    x = matrix / (matrix.norm() + 1e-7)
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    for _ in range(3):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if is_tall else x


class SixViews(nn.Module):
    """The answer to an image and its mirror image, as they are and moved by a pixel to either corner."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        side = x.shape[-1]
        padded = functional.pad(x, (1, 1, 1, 1), "reflect")
        views = {x: 0.5, padded[..., :side, :side]: 0.25, padded[..., 2:, 2:]: 0.25}
        return sum(weight * (self.model(view) + self.model(view.flip(3))) for view, weight in views.items())  # type: ignore[return-value]


def train(images: Tensor, targets: Tensor, epochs: int, widths: tuple[int, int, int], seed: int) -> SpeedNet:
    """The recipe over so many epochs."""
    torch.manual_seed(seed)
    model = SpeedNet(images[:5000], widths).to(memory_format=torch.channels_last)
    batches = Batches(images, targets, min(BATCH, len(targets)), shift=2, alternate=True, seed=seed)
    filters = [p for p in model.groups.parameters() if p.ndim == 4]
    biases = [p for p in model.groups.parameters() if p.ndim == 1 and p.requires_grad]
    groups = [
        {"params": [model.whiten.bias], "lr": BIAS_RATE, "weight_decay": DECAY / BIAS_RATE},
        {"params": biases, "lr": BIAS_RATE, "weight_decay": DECAY / BIAS_RATE},
        {"params": [model.head.weight], "lr": HEAD_RATE, "weight_decay": DECAY / HEAD_RATE},
    ]
    optimizers = [torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True), Muon(filters)]
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    step, steps = 0, epochs * len(batches)
    whitening_steps = max(1, round(steps * WHITENING_EPOCHS / 8))
    model.train()
    for _ in range(epochs):
        for inputs, truth in batches:
            for optimizer, usual in zip(optimizers, rates, strict=True):
                for group, rate in zip(optimizer.param_groups, usual, strict=True):
                    group["lr"] = rate * (1 - step / steps)
            optimizers[0].param_groups[0]["lr"] = BIAS_RATE * max(0.0, 1 - step / whitening_steps)
            model.whiten.bias.requires_grad_(step < whitening_steps)
            with fast_arithmetic():
                outputs = model(inputs)
            loss = functional.cross_entropy(outputs.float(), truth, label_smoothing=SMOOTHING, reduction="sum")
            model.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            step += 1
    return model
