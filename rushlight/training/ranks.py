"""What several processes that train one model tell each other at every step.

Each rank differentiates its part of the batch, weighed by the share that it is of the whole; so the sum of all
gradients is that of one process with the whole batch. They are added up once a step, when the last batch of the step
is done, however many were accumulated.

This is no wrapper around the model, as PyTorch's `DistributedDataParallel` is: layers may be frozen and thawed between
steps, several fits follow on each other, and a forward step may call any method of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rushlight.runtime import distributed
from rushlight.runtime.buckets import Buckets, make_as_on_writer
from rushlight.training.groups import normalisation_layers
from rushlight.training.synchronised_norm import is_synchronised


class StepExchange:
    """The messages of one fit.

    Args:
        model: what is trained.
        parameters: its parameters, and those that the optimizer has beside them.
        device: where training goes on.

    Attributes:
        is_stopping: some rank has asked for the end of training, and all know it.
    """

    def __init__(self, model: nn.Module, parameters: Sequence[nn.Parameter], device: torch.device) -> None:
        self._model, self._parameters, self._device = model, parameters, device
        self._trained: list[nn.Parameter] = []
        self._statistics: list[Tensor] = []
        self._buckets: Buckets | None = None
        self.is_stopping = False
        make_as_on_writer([*parameters, *model.buffers()])

    def begin_epoch(self) -> None:
        """Find the normalisation layers whose statistics follow the batches."""
        layers: list[Any] = [
            layer for layer in normalisation_layers(self._model) if layer.training and not is_synchronised(layer)
        ]
        self._statistics = [value for layer in layers for value in (layer.running_mean, layer.running_var)]
        self._buckets = None

    @torch.no_grad()
    def add_up(self, loss: Tensor, share: float, progress: float) -> tuple[Tensor, float]:
        """Add up the gradients of all ranks, and what else is to be the same on each.

        A parameter that no rank has a gradient of keeps none; one that some have gets theirs on every rank. The
        statistics of normalisation are averaged.

        Args:
            loss: of this rank's part of the last batch.
            share: which part of the batch it is.
            progress: of training by the clock, of which the writer's counts.

        Returns:
            The mean loss over the whole batch, and the writer's progress.
        """
        trained = [parameter for parameter in self._parameters if parameter.requires_grad]
        if self._buckets is None or list(map(id, trained)) != list(map(id, self._trained)):
            words = torch.zeros(len(trained) + 2, device=self._device)
            self._trained = trained
            self._buckets = Buckets([*trained, *self._statistics, words])
        gradients, statistics, words = self._parts(self._buckets.views)
        own = [1.0] * len(trained)
        for index, (view, parameter) in enumerate(zip(gradients, trained, strict=True)):
            if parameter.grad is None:
                view.zero_()
                own[index] = 0.0
            else:
                view.copy_(parameter.grad)
        for view, value in zip(statistics, self._statistics, strict=True):
            torch.mul(value, share, out=view)
        words.copy_(torch.tensor([*own, 0.0, progress if distributed.is_writer() else 0.0]))
        words[-2] = loss * share
        self._buckets.add_up()
        for value, view in zip(self._statistics, statistics, strict=True):
            value.copy_(view)
        told = words.tolist()
        for holders, parameter, view in zip(told, trained, gradients, strict=False):
            if parameter.grad is not None:
                parameter.grad.copy_(view)
            elif holders:
                parameter.grad = view.clone()
        return words[-2].to(loss.dtype).clone(), told[-1]

    def agree_to_stop(self, stop: bool) -> bool:
        """Whether any rank asks for the end of training."""
        self.is_stopping = distributed.largest([int(stop)], self._device)[0] > 0
        return self.is_stopping

    def _parts(self, views: list[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        count = len(self._trained)
        return views[:count], views[count:-1], views[-1]
