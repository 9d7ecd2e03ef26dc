"""The training loop, the only one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil, isfinite
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rushlight.runtime import distributed
from rushlight.runtime.buckets import make_as_on_writer
from rushlight.runtime.checkpoint import load_weights, read_checkpoint, save_checkpoint
from rushlight.runtime.device import select_device, select_precision
from rushlight.runtime.errors import InputError, MemoryLimitError, NonFiniteError
from rushlight.runtime.measured import Measured
from rushlight.runtime.seeds import separate_stream
from rushlight.runtime.sharing import share_of
from rushlight.training import groups, state
from rushlight.training.batches import Batches, in_channels_last, move_to_device
from rushlight.training.callbacks import Callback, overridden_hooks
from rushlight.training.epoch import Pass
from rushlight.training.history import History
from rushlight.training.lr_finder import LRSweep, sweep_learning_rates
from rushlight.training.metrics import BatchMeans, Metric, samples_in
from rushlight.training.plan import Plan
from rushlight.training.ranks import StepExchange
from rushlight.training.rates import OptimizerChoice, Rated
from rushlight.training.schedules import Schedule, cycle_ends, make_schedule, warm_restarts
from rushlight.training.sliced_batches import part_of_rank
from rushlight.training.summary import Summary, summarize
from rushlight.training.synchronised_norm import set_share, synchronise_batch_norm
from rushlight.training.validation_time import ValidationTime

Loss = Callable[[Any, Tensor], Tensor]


class ForwardStep(Protocol):
    """What one batch means: `forward_step(model, batch) -> (outputs, loss)`.

    A step that keeps state between batches (a recurrent one) also has `reset()`, called before every pass over data.
    """

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Any, Tensor]: ...


class Learner:
    """Trains any module on any batches.

    This is the whole of `fit`, with every hook of a callback in its place:

        fit_planned                             to go on from a saved state, or to pass the fit over
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
                    step_end                    nothing is pending: the state may be saved here
            validation_start
            measure the validation part
            validation_done
            append the row to the history
            epoch_end
        fit_end

    Of several processes (`started_processes`) each does this with its part of every batch; the gradients are added up
    before `gradients_ready`, so that the steps are those of one process.

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
        distributed.require_started()
        self.device = select_device(device)
        self.precision = select_precision(precision, self.device)
        self.model = in_channels_last(model.to(self.device))
        self.data = Batches.of(data)
        self.forward_step = forward_step or _supervised_step(loss or nn.functional.cross_entropy)
        self.metrics = _that_add_up(metrics)
        self.callbacks = list(callbacks)
        self.history = History()
        self.batch_norm_frozen = False
        self.batch_norm_frozen_before: str | int | None = None
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
        self._pass: Pass | None = None  # the epoch under way
        self._exchange: StepExchange | None = None  # with the other processes
        self._share = 1.0  # which part of the batch this process has
        self._norm_is_synchronised = False
        self._plan_now = Plan(steps=1)
        self._ends: list[float] = []
        self._first_step = 0
        self._validation_time = ValidationTime()

    @property
    def evaluation_seconds(self) -> float:
        """How long measuring the validation part takes; 0 before the first time."""
        return self._validation_time.seconds

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
        self.accumulate, self._schedule = accumulate, schedule
        of_optimizer = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self._parameters = list(dict.fromkeys([*self.model.parameters(), *of_optimizer]))
        self._meet_other_processes()
        if self._is_passed_over(plan, ends):
            return self
        self._call("fit_start")
        self._agree_to_stop()
        try:
            while self._pass is not None or not self._is_over:
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
        groups.set_training_mode(self.model, self.batch_norm_frozen, self.batch_norm_frozen_before)
        now = self._pass or self._begin_epoch()  # an epoch that was interrupted goes on where it was
        if self._exchange is not None:
            self._exchange.begin_epoch()
        pending = 0  # batches whose gradients wait for the next optimizer step
        for batch, is_last in () if self._is_over else now.rest(self.data.train):
            self._take(batch)
            if not pending:
                self._rated_now.follow(self._schedule, self.progress)
            self._call("batch_start")
            self._forward_and_backward(now.train_loss)
            pending += 1
            now.batches += 1
            if pending == self.accumulate or is_last:
                self._optimizer_step(pending)
                pending = 0
            if self._is_over:
                break
        if pending:  # stopped between the batches of a step
            self._forget_gradients()
        if now.train_loss.is_empty:
            raise InputError("the training part gave no batch: it must be possible to go through it again and again")
        self.epoch += 1
        self.row = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self._rated_now.rate_now,
            "train_loss": now.train_loss.compute(),
        }
        if self.data.valid is not None and self._validation_is_due():
            self._call("validation_start")
            self.row |= self.validate()
            self._call("validation_done")
        self.row["seconds"] = now.seconds
        self.history.append(self.row)
        self._pass = None
        self._call("epoch_end")
        self._agree_to_stop()

    def _begin_epoch(self) -> Pass:
        self._begin_pass(self.data.train)
        self._call("epoch_start")
        self._agree_to_stop()
        self._pass = Pass.begin(self.data.train)
        return self._pass

    def _forward_and_backward(self, train_loss: BatchMeans) -> None:
        with self.precision.autocast():
            self.outputs, self.loss = self.forward_step(self.model, self.batch)
        self._call("loss_ready")
        loss = self.loss if self.accumulate == 1 else self.loss / self.accumulate
        (loss if self._share == 1.0 else loss * self._share).backward()
        train_loss.update(self.loss, samples_in(self.batch[-1]) if self._share else 0)

    def _optimizer_step(self, batches: int) -> None:
        if batches < self.accumulate:  # the epoch ended early: what was divided by `accumulate` is too small
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(self.accumulate / batches)
        by_clock = None
        if self._exchange is not None:
            self.loss, by_clock = self._exchange.add_up(self.loss, self._share, self._plan_now.by_clock())
        self._call("gradients_ready")
        self._require_finite()
        self.optimizer.step()
        self._forget_gradients()
        self.step += 1
        self.progress = self._plan_now.progress(self.step - self._first_step, by_clock)
        self._call("step_done")
        if self._ends and self.progress >= self._ends[0] - 1e-9:
            self._ends.pop(0)
            self._call("cycle_end")
        self._reserve_time_for_validation()
        self._call("step_end")
        self._agree_to_stop()

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:  # as the optimizer's own `zero_grad` does, without its bookkeeping
            parameter.grad = None

    def _require_finite(self) -> None:
        # One number is read from the device a step: the norm of all gradients plus the loss is finite only if each is.
        norm = nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])
        if isfinite((norm + self.loss.detach()).item()):
            return
        self._forget_gradients()
        rates = self._rated_now.rate_now
        what = f"the loss became {self.loss.item():g}" if not torch.isfinite(self.loss) else "a gradient overflowed"
        error = NonFiniteError(
            f"{what} at step {self.step} (epoch {self.epoch + 1}, learning rate {rates:.3g}); no step was taken with "
            "it, the weights are those before: try a lower learning rate (`lr-find` suggests one) or float32"
        )
        error.is_known_to_all = True  # every process has the same loss and the same gradients
        raise error

    def _take(self, batch: Any) -> None:
        """Make a batch the present one."""
        self._share = share_of(batch)
        self.batch = move_to_device(batch, self.device)
        if self._norm_is_synchronised:
            set_share(self.model, self._share)

    def _meet_other_processes(self) -> None:
        """Begin a fit with the weights of the first process, and with random numbers of one's own."""
        if distributed.ranks() == 1:
            return
        distributed.all_here()
        if self._exchange is None:
            separate_stream(distributed.rank())
        self._exchange = StepExchange(self.model, self._parameters, self.device)

    def _agree_to_stop(self) -> None:
        if self._exchange is not None:
            self.stop = self._exchange.agree_to_stop(self.stop)

    @contextmanager
    def callbacks_for_one_fit(self, callbacks: Sequence[Callback]) -> Iterator[None]:
        """A context in which these callbacks come after the learner's own."""
        before = list(self.callbacks)
        self.callbacks += callbacks
        try:
            yield
        finally:
            self.callbacks = before

    def wind_down(self, seconds: float) -> None:
        """End the running fit soon, with the rates annealed as at any end: its schedule is gone through in so long."""
        self._plan_now.end_within(seconds)

    def record(self, learn: Callable[[], dict[str, Any]]) -> None:
        """Learn in another way than by steps, add a row for it, and tell the callbacks of it as of a fit.

        Args:
            learn: changes the model, and returns measured quantities by name, as in the history; epoch, step and rate
                are added.
        """
        if self._is_passed_over(Plan(steps=1), []):
            return
        self._call("fit_start")
        measured = learn()
        if distributed.ranks() > 1:
            make_as_on_writer([*self.model.parameters(), *self.model.buffers()])
        self.progress = 1.0
        self.row = {"epoch": self.epoch, "step": self.step, "lr": 0.0, **measured}
        self._call("validation_done")
        self.history.append(self.row)
        self._call("epoch_end")
        self._call("fit_end")

    @property
    def epoch_is_over(self) -> bool:
        """Whether the last step of the running epoch is done, so that measuring comes next."""
        return self._is_over or (self._pass is not None and self._pass.is_over(self.data.train))

    @property
    def _is_over(self) -> bool:
        return self.progress >= 1.0 or (self.stop if self._exchange is None else self._exchange.is_stopping)

    def _is_passed_over(self, plan: Plan, ends: list[float]) -> bool:
        """Make ready for a fit; whether a callback says that it was over in an earlier process."""
        self.stop, self.progress = False, 0.0
        self._plan_now, self._ends, self._pass = plan, [end for end in ends if end > 0], None
        self._first_step, self._validation_time.asked = self.step, 0
        self._hooks = overridden_hooks(self.callbacks)
        self._call("fit_planned")
        self._agree_to_stop()
        return self.stop

    # --- measuring ---------------------------------------------------------------------------------------------------

    def validate(self, batches: Iterable[Any] | None = None) -> dict[str, Measured]:
        """Measure loss and metrics, on the validation part or on other batches; all processes together.

        Returns:
            `valid_loss` and one entry a metric.

        Raises:
            InputError: there is no validation part.
        """
        is_own_part = batches is None
        batches = self.data.valid if batches is None else part_of_rank(batches)
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
                counts = share_of(batch) > 0
                batch = move_to_device(batch, self.device)
                outputs, loss = self.forward_step(self.model, batch)
                loss_mean.update(loss, samples_in(batch[-1]) if counts else 0)
                for metric in self.metrics:
                    metric.update(outputs, batch[-1]) if counts else metric.update(outputs[:0], batch[-1][:0])
        if loss_mean.is_empty:
            raise InputError("the validation part gave no batch: it must be possible to go through it again and again")
        for metric in self.metrics if distributed.ranks() > 1 else ():
            metric.add_up()  # type: ignore[attr-defined]
        result = {"valid_loss": loss_mean.compute()} | {metric.name: metric.compute() for metric in self.metrics}
        if is_own_part:
            self._validation_time.add(getattr(batches, "image_size", None), time.perf_counter() - started)
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

    def freeze_batch_norm(self, frozen: bool = True, before: str | int | None = None) -> Learner:
        """Keep the statistics of normalisation layers as they are, also where their weights train.

        Args:
            frozen: False lets them follow the batches again.
            before: only in the layer groups before this one (a name or a number); None for every layer.
        """
        self.batch_norm_frozen, self.batch_norm_frozen_before = frozen, before
        return self

    def synchronise_batch_norm(self) -> Learner:
        """Let batch norms take their statistics over the parts of all processes, from now on.

        Without it each process normalises its part of a batch by itself, as is usual: with large parts that is as good,
        and it saves two messages a layer and step.
        """
        synchronise_batch_norm(self.model)
        self._norm_is_synchronised = distributed.ranks() > 1
        return self

    # --- keeping -----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the weights to one safetensors file."""
        save_checkpoint(Path(path), self.model.state_dict(), {"task": "module", "epoch": self.epoch, "step": self.step})

    def load(self, path: str | Path) -> Learner:
        """Read weights that `save` wrote, for a model of the same structure."""
        load_weights(self.model, read_checkpoint(Path(path)).tensors, Path(path))
        return self

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes, as it is between two steps; see `training.state`."""
        return state.learner_state(self)

    def load_state_dict(self, saved: dict[str, Any], making_ready: float = 0.0) -> None:
        """Go on from what `state_dict` gave; called by a callback in `fit_planned` or `fit_start`.

        Args:
            saved: the state.
            making_ready: seconds that getting here took, which count against a time limit.
        """
        state.load_learner_state(self, saved)
        self._plan_now.spend(making_ready)

    # --- the loop's small parts --------------------------------------------------------------------------------------

    def _call(self, hook: str) -> None:
        for function in self._hooks[hook]:
            function(self)

    def _begin_pass(self, batches: Iterable[Any]) -> None:
        if hasattr(batches, "set_epoch"):
            batches.set_epoch(self.epoch)
        if hasattr(self.forward_step, "reset"):
            self.forward_step.reset()

    def _validation_is_due(self) -> bool:
        """Every epoch, but under a time limit not so often that measuring takes a large share of the time."""
        if self._plan_now.seconds is None or self._is_over:
            return True
        is_affordable = self._validation_time.is_affordable(self._plan_now.elapsed)
        return distributed.from_writer(lambda: is_affordable)

    def _reserve_time_for_validation(self) -> None:
        if self._plan_now.seconds is None or self.data.valid is None:
            return
        each = self._plan_now.elapsed / max(1, self.step - self._first_step)
        self._plan_now.reserve(self._validation_time.to_reserve(each, len(self.data.valid)))


def _that_add_up(metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics, if what several processes counted can be added up."""
    for metric in metrics if distributed.ranks() > 1 else ():
        if not hasattr(metric, "add_up"):
            raise InputError(
                f"the metric '{metric.name}' has no add_up(), which adds what the other processes counted: write it, "
                "or train in one process"
            )
    return list(metrics)


def _supervised_step(loss: Loss) -> ForwardStep:
    def step(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        inputs, targets = batch
        outputs = model(inputs)
        return outputs, loss(outputs, targets)

    return step
