"""The first task: a folder of images in, a classifier out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rushlight.data.augmentation import mirrors
from rushlight.data.images import ImageData
from rushlight.inference.calibration import fit_temperature
from rushlight.inference.evaluation import Evaluation
from rushlight.inference.predictor import Prediction, Predictor, save_classifier
from rushlight.nn.fast import FAST_WIDTHS
from rushlight.nn.models import MODELS, build_model
from rushlight.runtime.device import select_device, select_precision
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.seeds import seed_everything
from rushlight.tasks import recipes
from rushlight.training.callbacks import Callback
from rushlight.training.learner import Learner
from rushlight.training.losses import CrossEntropy, balanced_class_weights, cross_entropy
from rushlight.training.lr_finder import LRSweep
from rushlight.training.metrics import Accuracy
from rushlight.training.rates import OptimizerChoice
from rushlight.training.schedules import Schedule

AUTO = "auto"
FAST_NETS = {f"fast_{width}": width for width in FAST_WIDTHS}
WHITENING_IMAGES = 5000


class ClassificationStep:
    """The forward step of classification.

    While training the loss is as configured; measured is always plain cross-entropy, in nats, so that runs with
    different label smoothing or class weights can be compared.
    """

    def __init__(self, loss: CrossEntropy) -> None:
        self.loss = loss

    def __call__(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        images, targets = batch
        logits = model(images)
        return logits, self.loss(logits, targets) if model.training else cross_entropy(logits, targets)


class ImageClassifier:
    """A model, the data it learns from, and the recipe that suits both.

    Args:
        data: where images and labels come from.
        model: `auto`, a fast net whose width the first `fit` chooses by the time it is given; a name of `MODELS`; or
            any module from images (B, C, H, W) to logits (B, classes), which must be rebuilt by yourself before its
            saved weights can be used again.
        model_options: further arguments of a named model.
        optimizer: a name of `OPTIMIZERS`; by default Muon for fast nets and AdamW for everything else.
        label_smoothing: share of each target spread evenly over the classes; by default 0.2 for fast nets, else 0.1.
        class_weights: `balanced`, so that rare classes count as much as frequent ones, or one weight a class.
        seed: of weights, augmentation and order.
        device: `auto` or a device name of PyTorch.
        precision: `auto`, `float32` or `bfloat16`.

    Attributes:
        learner: the `Learner` beneath, for everything that this class does not offer.
        temperature: what outputs are divided by to give probabilities; 1 until `calibrate` is called after a fit.

    Raises:
        InputError: the model or another name is unknown.
    """

    def __init__(
        self,
        data: ImageData,
        model: str | nn.Module = AUTO,
        *,
        model_options: dict[str, Any] | None = None,
        optimizer: str | None = None,
        label_smoothing: float | None = None,
        class_weights: str | Sequence[float] | None = None,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        if isinstance(model, str) and model != AUTO and model not in MODELS:
            raise InputError(f"unknown model '{model}': {nearest_name(model, [AUTO, *MODELS])}")
        self.data = data
        self.model_name = model if isinstance(model, str) else type(model).__name__
        self.seed = seed
        self.device = select_device(device)
        self.precision = select_precision(precision, self.device)
        self._module = model if isinstance(model, nn.Module) else None
        self._model_options = dict(model_options or {})
        self._optimizer_name = optimizer
        self._label_smoothing = label_smoothing
        self._class_weights = self._weights_of(class_weights)
        self._learner: Learner | None = None
        self.temperature = 1.0

    # --- training ----------------------------------------------------------------------------------------------------

    @property
    def learner(self) -> Learner:
        """The learner; a model that was to be chosen by the time limit is chosen now as if there were plenty."""
        if self._learner is None:
            self._learner = self._make_learner(None, None)
        return self._learner

    def fit(
        self,
        epochs: float | None = None,
        *,
        steps: int | None = None,
        minutes: float | None = None,
        lr: float | Sequence[float] | None = None,
        schedule: str | Schedule | None = None,
        weight_decay: float | Sequence[float] | None = None,
        accumulate: int = 1,
        callbacks: Sequence[Callback] = (),
    ) -> ImageClassifier:
        """Train; of several lengths, whichever ends first.

        Args:
            epochs: passes over the training part.
            steps: optimizer steps.
            minutes: a limit for training and measuring together. Of an `auto` model it decides the width; training
                ends sooner where more passes would add nothing.
            lr: one rate, or one a layer group; default: the recipe's.
            schedule: a name of `SCHEDULES` or a function; default: the recipe's.
            weight_decay: one strength, or one a layer group; default: the recipe's.
            accumulate: how many batches make an optimizer step.
            callbacks: for this fit only.

        Raises:
            InputError: no length was given, or a name is unknown.
            NonFiniteError: the loss is no longer a number; the weights are those of the last good step.
        """
        started = recipes.Stopwatch()
        if self._learner is None:
            self._learner = self._make_learner(epochs if steps is None else self._epochs_of(steps), minutes)
        if minutes is not None:
            if epochs is None and steps is None and self._recipe_is_fast:
                epochs = recipes.epochs_for(self.data.train.samples)
            minutes = max(minutes - started.minutes, 0.01 * minutes)
        self.temperature = 1.0  # the one found before belonged to other weights
        with self.learner.callbacks_for_one_fit(callbacks):
            self.learner.fit(
                epochs,
                steps=steps,
                minutes=minutes,
                lr=lr,
                weight_decay=weight_decay,
                accumulate=accumulate,
                schedule=schedule or ("linear" if self._recipe_is_fast else "one_cycle"),
            )
        return self

    def fit_cycles(
        self,
        cycles: int,
        *,
        cycle_length: int = 1,
        cycle_multiplier: int = 1,
        lr: float | Sequence[float] | None = None,
        weight_decay: float | Sequence[float] | None = None,
        accumulate: int = 1,
        callbacks: Sequence[Callback] = (),
    ) -> ImageClassifier:
        """Train with warm restarts, as `Learner.fit_cycles`; an `auto` model is chosen by the epochs of all cycles."""
        if self._learner is None:
            epochs = sum(cycle_length * cycle_multiplier**cycle for cycle in range(cycles))
            self._learner = self._make_learner(epochs, None)
        self.temperature = 1.0  # the one found before belonged to other weights
        with self.learner.callbacks_for_one_fit(callbacks):
            self.learner.fit_cycles(
                cycles,
                cycle_length=cycle_length,
                cycle_multiplier=cycle_multiplier,
                lr=lr,
                weight_decay=weight_decay,
                accumulate=accumulate,
            )
        return self

    def find_lr(self, start_lr: float = 1e-5, end_lr: float = 10.0, steps: int = 100) -> LRSweep:
        """Sweep the learning rate and suggest one; nothing is changed by it."""
        return self.learner.find_lr(start_lr, end_lr, steps)

    def freeze_to(self, group: str | int) -> ImageClassifier:
        """Freeze every layer group before `group`."""
        self.learner.freeze_to(group)
        return self

    def unfreeze(self) -> ImageClassifier:
        """Train everything."""
        self.learner.unfreeze()
        return self

    # --- answers -----------------------------------------------------------------------------------------------------

    def evaluate(self, split: str = "valid", tta: bool = False) -> Evaluation:
        """Loss, accuracy with its interval, and more, on one part of the data.

        Args:
            split: `valid`, or `test`, which should be looked at once, at the end; `train` shows how much was
                memorised.
            tta: average the answers over several views of each image.

        Raises:
            InputError: the data has no such part.
        """
        return self.predictor().evaluate(self.data.part(split).as_they_are(), split=split, tta=tta)

    def calibrate(self) -> float:
        """Find the temperature at which the probabilities are right as often as they say, on the validation part.

        It changes no answer, only how sure it is. Without a validation part the temperature stays 1.

        Returns:
            The temperature, which is used and saved from now on.
        """
        self.temperature = 1.0
        if self.data.valid is not None:
            self.temperature = fit_temperature(*self.predictor().logits(self.data.valid.as_they_are()))
        return self.temperature

    def predict(self, inputs: Any, tta: bool = False) -> list[Prediction]:
        """Labels with probabilities (see `calibrate`), for files, folders, arrays or PIL images."""
        return self.predictor().predict(inputs, tta=tta)

    def predictor(self) -> Predictor:
        """What answers: the model as it is now, without anything that is only for training."""
        return Predictor(
            self.learner.model.eval(),
            classes=self.data.classes,
            size=self.data.size,
            mean=self.data.mean,
            std=self.data.std,
            metadata={"views": self._views, "temperature": self.temperature},
            device=self.device,
            precision=self.precision.name,
        )

    def save(self, path: str | Path, metrics: dict[str, Any] | None = None) -> None:
        """Write one safetensors file that rebuilds itself: `Predictor.load(path)`.

        Args:
            path: the file.
            metrics: measured quantities to keep with it, by name.
        """
        save_classifier(
            Path(path),
            self.learner.model,
            model_name=self.model_name,
            model_arguments=self.model_arguments,
            classes=self.data.classes,
            size=self.data.size,
            mean=self.data.mean,
            std=self.data.std,
            metrics=metrics or {},
            views=self._views,
            temperature=self.temperature,
        )

    def summary(self) -> str:
        """Every layer with its output shape and parameters, as a table."""
        return str(self.learner.summary())

    # --- the recipe --------------------------------------------------------------------------------------------------

    @property
    def model_arguments(self) -> dict[str, Any]:
        """What a named model was built with."""
        return {
            "classes": len(self.data.classes),
            "channels": self.data.channels,
            "size": self.data.size,
            **self._model_options,
        }

    @property
    def _views(self) -> str:
        """Test-time augmentation shows the model only what it has met in training: a mirrored 2 is no 2."""
        return "flip_shift" if mirrors(self.data.train.augmentation) else "shift"

    @property
    def _recipe_is_fast(self) -> bool:
        return self._optimizer_name is None and self.model_name in FAST_NETS

    def _make_learner(self, epochs: float | None, minutes: float | None) -> Learner:
        seed_everything(self.seed)
        if self.model_name == AUTO or self.model_name in FAST_NETS:
            return self._fast_learner(epochs, minutes)
        return self._new_learner(self._module or self._named_model(), self._optimizer_name or "adamw", 0.1, [])

    def _fast_learner(self, epochs: float | None, minutes: float | None) -> Learner:
        """A fast net with its own recipe: width and augmentation by the time there is, first layer from the images."""
        train = self.data.train
        plan = self._fast_plan(epochs, minutes)
        self.model_name = f"fast_{plan.width}"
        model = self._named_model()
        if self.data.options.batch_size is None:
            train.batch_size = recipes.batch_size_for(train.samples)
        if self.data.options.augment == "auto":
            train.augmentation = recipes.augmentation_for(plan.epochs)
        order = torch.randperm(train.samples, generator=torch.Generator().manual_seed(self.seed))
        model.whiten.fit(train.inputs(order[:WHITENING_IMAGES].sort().values).cpu())
        if self._optimizer_name is not None:
            return self._new_learner(model, self._optimizer_name, recipes.LABEL_SMOOTHING, [])
        optimizer = recipes.fast_optimizer(model.to(self.device), train.batch_size)
        callbacks = [recipes.FinishWhitening(model), *recipes.resizing_for(self.data.size)]
        return self._new_learner(model, optimizer, recipes.LABEL_SMOOTHING, callbacks)

    def _epochs_of(self, steps: int) -> float:
        samples = self.data.train.samples
        return steps * (self.data.options.batch_size or recipes.batch_size_for(samples)) / samples

    def _fast_plan(self, epochs: float | None, minutes: float | None) -> recipes.FastPlan:
        samples, size = self.data.train.samples, self.data.size
        width = FAST_NETS.get(self.model_name)
        if minutes is None:
            return recipes.plan_by_epochs(samples, recipes.epochs_for(samples) if epochs is None else epochs, width)
        speed = recipes.measured_operations_a_second(size, self.device, self.precision)
        return recipes.plan_by_time(samples, speed, 60 * minutes, size, width)

    def _new_learner(
        self, model: nn.Module, optimizer: OptimizerChoice, label_smoothing: float, callbacks: list[Callback]
    ) -> Learner:
        smoothing = label_smoothing if self._label_smoothing is None else self._label_smoothing
        return Learner(
            model,
            self.data,
            forward_step=ClassificationStep(CrossEntropy(smoothing, self._class_weights)),
            optimizer=optimizer,
            metrics=[Accuracy()],
            callbacks=callbacks,
            device=self.device,
            precision=self.precision.name,
        )

    def _named_model(self) -> Any:
        try:
            return build_model(self.model_name, **self.model_arguments)
        except (TypeError, ValueError) as error:
            raise InputError(f"model '{self.model_name}' cannot be built: {error}") from None

    def _weights_of(self, class_weights: str | Sequence[float] | None) -> Sequence[float] | Tensor | None:
        if not isinstance(class_weights, str):
            return class_weights
        if class_weights != "balanced":
            raise InputError(f"class weights are 'balanced' or one number a class, not '{class_weights}'")
        return balanced_class_weights(self.data.train.targets, len(self.data.classes))
