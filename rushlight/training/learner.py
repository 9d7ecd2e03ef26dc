"""The training loop, the only one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rushlight.runtime.checkpoint import load_weights, read_checkpoint, save_checkpoint
from rushlight.runtime.device import select_device, select_precision
from rushlight.runtime.errors import InputError, MemoryLimitError, NonFiniteError
from rushlight.runtime.measured import Measured
from rushlight.training import groups
from rushlight.training.batches import Batches, BatchSource, in_channels_last, move_to_device
from rushlight.training.callbacks import Callback, overridden_hooks
from rushlight.training.history import History
from rushlight.training.lr_finder import LRSweep, sweep_learning_rates
from rushlight.training.metrics import BatchMeans, Metric, samples_in
from rushlight.training.plan import Plan
from rushlight.training.rates import OptimizerChoice, Rated
from rushlight.training.schedules import Schedule, cycle_ends, make_schedule, warm_restarts
from rushlight.training.summary import Summary, summarize

MOST_TIME_MEASURING = 0.1  # the share of a time limit that measuring the validation part may take

Loss = Callable[[Any, Tensor], Tensor]


class ForwardStep(Protocol):
    """What one batch means: `forward_step(model, batch) -> (outputs, loss)`.

    A step that keeps state between batches (a recurrent one) also has `reset()`, called before every pass over data.
    """

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Any, Tensor]: ...


class Learner:
    """Trains any module on any batches.

    This is the whole of `fit`, with every hook of a callback in its place:

        fit_start
        for each epoch:
            epoch_start
            for each batch:
                set the rate of every parameter group: its own rate x schedule(progress)
                batch_start
                outputs, loss = forward_step(model, batch)
                loss_ready
                differentiate the loss
                (after every `accumulate` batches)
                    gradients_ready
                    stop with NonFiniteError unless loss and gradients are finite
                    optimizer step
                    step_done
                    cycle_end                   where a cycle of the schedule is over
            validation_start
            measure the validation part
            validation_done
            append the row to the history
            epoch_end
        fit_end

    Args:
        model: any module; it is moved to the device.
        data: where batches come from: an object with `train` and, if it has one, `valid` (each re-iterable, each
            batch a tuple whose last entry holds the targets), or a tuple `(train, valid)`.
        loss: `loss(outputs, targets) -> scalar`; cross-entropy if none is given. Not used with a `forward_step`.
        optimizer: a name of `OPTIMIZERS`, a factory that is given parameter groups, or a finished optimizer.
        metrics: what to measure on the validation part beside the loss.
        callbacks: called at each hook, in this order.
        forward_step: replaces `model(inputs)` and `loss(outputs, targets)`.
        device: `auto` or a device name of PyTorch.
        precision: `auto`, `float32` or `bfloat16`.

    Attributes:
        epoch, step: completed epochs and optimizer steps over all fits, from 0.
        progress: of the running fit, from 0 to 1.
        batch, outputs, loss: of the running step.
        row: of the running epoch.
        history: rows of all epochs.
        stop: set it to end training after the running step.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        loss: Loss | None = None,
        optimizer: OptimizerChoice = "adamw",
        metrics: Sequence[Metric] = (),
        callbacks: Sequence[Callback] = (),
        forward_step: ForwardStep | None = None,
        device: str | torch.device = "auto",
        precision: str = "auto",
    ) -> None:
        self.device = select_device(device)
        self.precision = select_precision(precision, self.device)
        self.model = in_channels_last(model.to(self.device))
        self.data = Batches.of(data)
        self.forward_step = forward_step or _supervised_step(loss or nn.functional.cross_entropy)
        self.metrics = list(metrics)
        self.callbacks = list(callbacks)
        self.history = History()
        self.batch_norm_frozen = False
        self.epoch = self.step = 0
        self.progress = 0.0
        self.stop = False
        self.row: dict[str, Any] = {}
        self.batch: Any = None
        self.outputs: Any = None
        self.loss = torch.zeros(())
        self.accumulate = 1
        self._optimizer_choice = optimizer
        self._rated: Rated | None = None
        self._evaluation_seconds = 0.0

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer, which all fits share; made at the first fit, or now."""
        return self._rated_now.optimizer

    @property
    def _rated_now(self) -> Rated:
        if self._rated is None:
            self._rated = Rated(self.model, self._optimizer_choice)
        return self._rated

    # --- fitting -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        epochs: float | None = None,
        *,
        steps: int | None = None,
        minutes: float | None = None,
        lr: float | Sequence[float] | None = None,
        schedule: str | Schedule = "one_cycle",
        weight_decay: float | Sequence[float] | None = None,
        accumulate: int = 1,
    ) -> Learner:
        """Train for a number of epochs, of optimizer steps or of minutes; of several, whichever ends first.

        Args:
            epochs: passes over the training part; may be a fraction.
            steps: optimizer steps.
            minutes: time for training and validation together, from the moment of this call.
            lr: one rate, or one a layer group from input to output. With a finished optimizer, its rates are scaled
                in proportion so that the largest is `lr`. Default: the optimizer's own.
            schedule: a name of `SCHEDULES` or a function from progress (0 to 1) to a factor of the rates.
            weight_decay: one strength, or one a layer group.
            accumulate: how many batches make an optimizer step.

        Raises:
            InputError: no length was given, or one that is not positive.
            NonFiniteError: loss or gradients became NaN or infinite; the weights are those of the last good step.
            MemoryLimitError: the device ran out of memory.
        """
        plan = self._plan(epochs, steps, minutes, accumulate)
        return self._fit(plan, make_schedule(schedule), [], lr, weight_decay, accumulate)

    def fit_cycles(
        self,
        cycles: int,
        *,
        cycle_length: int = 1,
        cycle_multiplier: int = 1,
        lr: float | Sequence[float] | None = None,
        weight_decay: float | Sequence[float] | None = None,
        accumulate: int = 1,
    ) -> Learner:
        """Cosine annealing with warm restarts (Loshchilov & Hutter 2017); callbacks get `cycle_end` after each cycle.

        Args:
            cycles: number of cycles.
            cycle_length: epochs of the first.
            cycle_multiplier: each cycle is this many times as long as the one before.
            lr: as in `fit`.
            weight_decay: as in `fit`.
            accumulate: as in `fit`.
        """
        if min(cycles, cycle_length, cycle_multiplier) < 1:
            raise InputError("cycles, cycle length and cycle multiplier must each be at least 1")
        epochs = sum(cycle_length * cycle_multiplier**k for k in range(cycles))
        plan = self._plan(epochs, None, None, accumulate)
        ends = cycle_ends(cycles, cycle_length, cycle_multiplier)
        return self._fit(
            plan, warm_restarts(cycles, cycle_length, cycle_multiplier), ends, lr, weight_decay, accumulate
        )

    def _plan(self, epochs: float | None, steps: int | None, minutes: float | None, accumulate: int) -> Plan:
        lengths = {"epochs": epochs, "steps": steps, "minutes": minutes, "accumulate": accumulate}
        for name, value in lengths.items():
            if value is not None and not value > 0:
                raise InputError(f"{name} must be more than 0, not {value}")
        if epochs is not None:
            in_epochs = max(1, round(epochs * self._steps_an_epoch(accumulate)))
            steps = in_epochs if steps is None else min(steps, in_epochs)
        if steps is None and minutes is None:
            raise InputError("fit needs a length: epochs, steps or minutes")
        return Plan(steps, None if minutes is None else 60 * minutes)

    def _steps_an_epoch(self, accumulate: int) -> int:
        return ceil(len(self.data.train) / accumulate)

    def _fit(
        self,
        plan: Plan,
        schedule: Schedule,
        ends: list[float],
        lr: float | Sequence[float] | None,
        weight_decay: float | Sequence[float] | None,
        accumulate: int,
    ) -> Learner:
        if self._rated is None:  # later fits keep its state, and change only its settings
            self._rated = Rated(self.model, self._optimizer_choice, lr, weight_decay)
        else:
            self._rated.change(lr, weight_decay)
        self.stop, self.progress, self.accumulate = False, 0.0, accumulate
        self._plan_now, self._schedule, self._first_step = plan, schedule, self.step
        self._validations = 0
        self._parameters = list(self.model.parameters())
        self._ends = [end for end in ends if end > 0]
        self._hooks = overridden_hooks(self.callbacks)
        self._call("fit_start")
        try:
            while self.progress < 1.0 and not self.stop:
                self._train_epoch()
        except torch.OutOfMemoryError as error:
            raise MemoryLimitError(
                f"out of memory on {self.device} at step {self.step}: use a smaller batch size, or accumulate "
                "gradients over several batches"
            ) from error
        self.model.eval()
        self._call("fit_end")
        return self

    def _train_epoch(self) -> None:
        started = time.perf_counter()
        groups.set_training_mode(self.model, self.batch_norm_frozen)
        self._train_loss = BatchMeans()
        self._begin_pass(self.data.train)
        self._call("epoch_start")
        pending = 0  # batches whose gradients wait for the next optimizer step
        for batch, is_last in self._with_last(self.data.train):
            self.batch = move_to_device(batch, self.device)
            if not pending:
                self._rated_now.follow(self._schedule, self.progress)
            self._call("batch_start")
            self._forward_and_backward()
            pending += 1
            if pending == self.accumulate or is_last:
                self._optimizer_step(pending)
                pending = 0
            self._reserve_time_for_validation()
            if self.progress >= 1.0 or self.stop:
                break
        if pending:  # stopped between the batches of a step
            self.optimizer.zero_grad(set_to_none=True)
        if not self._train_loss.samples:
            raise InputError("the training part gave no batch: it must be possible to go through it again and again")
        self.epoch += 1
        self.row = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self._rated_now.rate_now,
            "train_loss": self._train_loss.compute(),
        }
        if self.data.valid is not None and self._validation_is_due():
            self._call("validation_start")
            self.row |= self.validate()
            self._call("validation_done")
        self.row["seconds"] = time.perf_counter() - started
        self.history.append(self.row)
        self._call("epoch_end")

    def _forward_and_backward(self) -> None:
        with self.precision.autocast():
            self.outputs, self.loss = self.forward_step(self.model, self.batch)
        self._call("loss_ready")
        (self.loss if self.accumulate == 1 else self.loss / self.accumulate).backward()
        self._train_loss.update(self.loss, samples_in(self.batch[-1]))

    def _optimizer_step(self, batches: int) -> None:
        if batches < self.accumulate:  # the epoch ended early: what was divided by `accumulate` is too small
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(self.accumulate / batches)
        self._call("gradients_ready")
        self._require_finite()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.progress = self._plan_now.progress(self.step - self._first_step)
        self._call("step_done")
        if self._ends and self.progress >= self._ends[0] - 1e-9:
            self._ends.pop(0)
            self._call("cycle_end")

    def _require_finite(self) -> None:
        # One number is read from the device a step: the norm of all gradients plus the loss is finite only if each is.
        norm = nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])
        if torch.isfinite(norm + self.loss.detach()):
            return
        self.optimizer.zero_grad(set_to_none=True)
        rates = self._rated_now.rate_now
        what = f"the loss became {self.loss.item():g}" if not torch.isfinite(self.loss) else "a gradient overflowed"
        raise NonFiniteError(
            f"{what} at step {self.step} (epoch {self.epoch + 1}, learning rate {rates:.3g}); no step was taken with "
            "it, the weights are those before: try a lower learning rate (`lr-find` suggests one) or float32"
        )

    @contextmanager
    def callbacks_for_one_fit(self, callbacks: Sequence[Callback]) -> Iterator[None]:
        """A context in which these callbacks come after the learner's own."""
        before = list(self.callbacks)
        self.callbacks += callbacks
        try:
            yield
        finally:
            self.callbacks = before

    # --- measuring ---------------------------------------------------------------------------------------------------

    def validate(self, batches: Iterable[Any] | None = None) -> dict[str, Measured]:
        """Measure loss and metrics, on the validation part or on other batches.

        Returns:
            `valid_loss` and one entry a metric.

        Raises:
            InputError: there is no validation part.
        """
        batches = self.data.valid if batches is None else batches
        if batches is None:
            raise InputError("there is no validation part to measure on; give batches")
        started = time.perf_counter()
        loss_mean = BatchMeans()
        for metric in self.metrics:
            metric.reset()
        self.model.eval()
        self._begin_pass(batches)
        with torch.inference_mode(), self.precision.autocast():
            for batch in batches:
                batch = move_to_device(batch, self.device)
                outputs, loss = self.forward_step(self.model, batch)
                loss_mean.update(loss, samples_in(batch[-1]))
                for metric in self.metrics:
                    metric.update(outputs, batch[-1])
        if not loss_mean.samples:
            raise InputError("the validation part gave no batch: it must be possible to go through it again and again")
        result = {"valid_loss": loss_mean.compute()} | {metric.name: metric.compute() for metric in self.metrics}
        self._evaluation_seconds = time.perf_counter() - started
        return result

    def find_lr(
        self,
        start_lr: float = 1e-5,
        end_lr: float = 10.0,
        steps: int = 100,
    ) -> LRSweep:
        """Raise the learning rate from step to step and watch the loss (Smith 2015); then put everything back.

        Weights, optimizer, normalisation statistics and random state are afterwards exactly what they were before.

        Args:
            start_lr: first rate.
            end_lr: last rate; the sweep ends sooner where the loss runs away.
            steps: number of batches to spend.
        """
        return sweep_learning_rates(self, start_lr, end_lr, steps)

    def summary(self) -> Summary:
        """Every layer with its output shape, parameters, and whether it trains."""
        batch = next(iter(self.data.train))
        return summarize(self.model, move_to_device(batch, self.device)[0])

    # --- freezing ----------------------------------------------------------------------------------------------------

    def freeze_to(self, group: str | int) -> Learner:
        """Freeze every layer group before `group` (a name or a number, -1 for the last); train the rest."""
        groups.freeze_to(self.model, group)
        return self

    def unfreeze(self) -> Learner:
        """Train everything."""
        return self.freeze_to(0)

    def freeze_batch_norm(self, frozen: bool = True) -> Learner:
        """Keep the statistics of every normalisation layer as they are, also where its weights train."""
        self.batch_norm_frozen = frozen
        return self

    # --- keeping -----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the weights to one safetensors file."""
        save_checkpoint(Path(path), self.model.state_dict(), {"task": "module", "epoch": self.epoch, "step": self.step})

    def load(self, path: str | Path) -> Learner:
        """Read weights that `save` wrote, for a model of the same structure."""
        load_weights(self.model, read_checkpoint(Path(path)).tensors, Path(path))
        return self

    # --- the loop's small parts --------------------------------------------------------------------------------------

    def _call(self, hook: str) -> None:
        for function in self._hooks[hook]:
            function(self)

    def _begin_pass(self, batches: Iterable[Any]) -> None:
        if hasattr(batches, "set_epoch"):
            batches.set_epoch(self.epoch)
        if hasattr(self.forward_step, "reset"):
            self.forward_step.reset()

    @staticmethod
    def _with_last(batches: BatchSource) -> Iterator[tuple[Any, bool]]:
        count = len(batches) if hasattr(batches, "__len__") else None
        return ((batch, number == count) for number, batch in enumerate(batches, start=1))

    def _validation_is_due(self) -> bool:
        """Every epoch, but under a time limit not so often that measuring takes a large share of the time."""
        if self._plan_now.seconds is None or self.progress >= 1.0 or self.stop:
            return True
        self._validations += 1
        return self._validations * self._evaluation_seconds <= MOST_TIME_MEASURING * self._plan_now.elapsed

    def _reserve_time_for_validation(self) -> None:
        if self._plan_now.seconds is None or self.data.valid is None:
            return
        seconds = self._evaluation_seconds
        if not seconds:  # not measured yet: a forward pass is about a third of a training step
            steps = self.step - self._first_step
            each = self._plan_now.elapsed / max(1, steps)
            seconds = 0.4 * each * len(self.data.valid)
        self._plan_now.reserve(1.1 * seconds)


def _supervised_step(loss: Loss) -> ForwardStep:
    def step(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        inputs, targets = batch
        outputs = model(inputs)
        return outputs, loss(outputs, targets)

    return step
