"""The first task: images in, a model out that tells their class, their labels, or a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rushlight.data.augmentation import mirrors
from rushlight.data.batches import ImageBatches
from rushlight.data.images import ImageData
from rushlight.inference.answers import Answers, LabelAnswers
from rushlight.inference.calibration import Calibration
from rushlight.inference.explain import Explainer, Explanation
from rushlight.inference.predictor import Prediction, Predictor, save_classifier
from rushlight.inference.thresholds import best_thresholds
from rushlight.runtime.device import select_device, select_precision
from rushlight.runtime.errors import InputError
from rushlight.tasks import fine_tuning, recipes
from rushlight.tasks.features import outputs_from_kept
from rushlight.tasks.image_recipe import AUTO, ImageRecipe
from rushlight.tasks.objectives import LossSettings
from rushlight.training.callbacks import Callback
from rushlight.training.learner import Learner
from rushlight.training.lr_finder import LRSweep
from rushlight.training.resizing import growing
from rushlight.training.schedules import Schedule


class ImageClassifier:
    """A model, the data it learns from, and the recipe that suits both.

    Args:
        data: where images and labels come from.
        model: `auto`, which is a pretrained body with a new head for photographs and, for images of up to 64 pixels,
            a fast net whose width the first `fit` chooses by the time it is given; a name of `MODELS`; a name of
            `BACKBONES`; or any module from images (B, C, H, W) to logits (B, classes), which must be rebuilt by
            yourself before its saved weights can be used again.
        backbone: the pretrained body to begin with: a name of `BACKBONES`, or `timm/NAME`. Its head is new, and the
            only part that trains until `unfreeze`.
        model_options: further arguments of a named model; with a backbone `head` and `dropout`.
        optimizer: a name of `OPTIMIZERS`; by default Muon for fast nets and AdamW for everything else.
        label_smoothing: share of each target spread evenly over the classes; by default 0.2 for fast nets, else 0.1.
            Labels of which an image may have several are not smoothed unasked, and numbers never.
        class_weights: `balanced`, so that rare classes count as much as frequent ones, or one weight a class; of labels
            of which an image may have several, what having each counts.
        seed: of weights, augmentation and order.
        device: `auto` or a device name of PyTorch.
        precision: `auto`, `float32` or `bfloat16`.
        without: ingredients of the recipe to leave out; `ingredients` names them.
        synchronise_batch_norm: of several processes, normalise over all of a batch and not each over its part.

    Attributes:
        learner: the `Learner` beneath, for everything that this class does not offer.
        calibration: how sure the answers are to be taken; empty until `calibrate` is called after a fit.
        decisions: what was decided by measuring this machine, by name. A run that goes on is given those it began with.

    Raises:
        InputError: the model or another name is unknown.
    """

    def __init__(
        self,
        data: ImageData,
        model: str | nn.Module = AUTO,
        *,
        backbone: str | None = None,
        model_options: dict[str, Any] | None = None,
        optimizer: str | None = None,
        label_smoothing: float | None = None,
        class_weights: str | Sequence[float] | None = None,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        without: Sequence[str] = (),
        synchronise_batch_norm: bool = False,
    ) -> None:
        self.seed = seed
        self.device = select_device(device)
        self.precision = select_precision(precision, self.device)
        self._recipe = ImageRecipe(
            data,
            model,
            backbone,
            model_options,
            optimizer=optimizer,
            loss=LossSettings(label_smoothing, class_weights),
            seed=seed,
            device=self.device,
            precision=self.precision,
            without=without,
            synchronise_batch_norm=synchronise_batch_norm,
        )
        self._learner: Learner | None = None
        self.calibration = Calibration()
        self._on_valid: tuple[Any, Tensor, Tensor] | None = None  # see `_outputs_on_valid`
        self.decisions = self._recipe.decisions

    @property
    def data(self) -> ImageData:
        """Images and labels, as the network expects them once there is one."""
        return self._recipe.data

    @property
    def model_name(self) -> str:
        """The name of the network; `auto` until the first `fit` has chosen it."""
        return self._recipe.model_name

    @property
    def backbone(self) -> str | None:
        """The name of the pretrained body, or None."""
        return self._recipe.backbone

    @property
    def ingredients(self) -> dict[str, str]:
        """What the recipe is made of, as far as it can be left out: by name what each does."""
        return self._recipe.ingredients

    @property
    def model_arguments(self) -> dict[str, Any]:
        """What a named model was built with."""
        return self._recipe.model_arguments

    # --- training ----------------------------------------------------------------------------------------------------

    @property
    def learner(self) -> Learner:
        """The learner; a model that was to be chosen by the time limit is chosen now as if there were plenty."""
        if self._learner is None:
            self._learner = self._recipe.make_learner(None, None)
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

        With a backbone and a time limit alone, this is the whole order of work; see `fit_within`.

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
        if self.backbone is not None and minutes is not None and epochs is None and steps is None:
            return self.fit_within(minutes, lr=lr, weight_decay=weight_decay, callbacks=callbacks)
        if self._learner is None:
            self._learner = self._recipe.make_learner(
                epochs if steps is None else self._recipe.epochs_of(steps), minutes
            )
        if minutes is not None:
            if epochs is None and steps is None and self._recipe.is_fast:
                epochs = recipes.epochs_for(self.data.train.samples)
            minutes = max(minutes - started.minutes, 0.01 * minutes)
        self.calibration = Calibration()  # the one found before belonged to other weights
        lr, weight_decay = self._recipe.rates(self.learner, lr, weight_decay)
        with self.learner.callbacks_for_one_fit(callbacks):
            self.learner.fit(
                epochs,
                steps=steps,
                minutes=minutes,
                lr=lr,
                weight_decay=weight_decay,
                accumulate=accumulate,
                schedule=schedule or self._recipe.schedule,
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
            self._learner = self._recipe.make_learner(epochs, None)
        self.calibration = Calibration()  # the one found before belonged to other weights
        lr, weight_decay = self._recipe.rates(self.learner, lr, weight_decay)
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

    def fit_head(
        self,
        epochs: float | None = None,
        *,
        lr: float | None = None,
        augmented_views: int = 0,
        minutes: float | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> ImageClassifier:
        """Train the head of a backbone on features that are computed once and kept for the next time.

        Args:
            epochs: passes over the features. Without them a linear head is solved, with the regularisation that
                cross-validation among the training images chooses; another head is trained for 20.
            lr: of these passes.
            augmented_views: random changes of every image that a head which is solved learns from too. They helped
                little: with 20 photographs of dogs and cats 6 of them gave 97.7 instead of 97.3 %, with 50 nothing.
            minutes: a limit for a head that is solved. Where it does not suffice for the features of all images, their
                mirror images are left out, then some of the images, which is said.
            callbacks: are told of it as of a fit.

        Raises:
            InputError: there is no backbone, or it has been unfrozen.
        """
        learner = self.learner
        model: Any = learner.model
        if self.backbone is None:
            raise InputError("features are computed once only with a pretrained body; name one with backbone=")
        if any(parameter.requires_grad for parameter in model.body.parameters()):
            raise InputError("the body is not frozen, so its features change with every step: freeze_to('head') first")
        self.calibration = Calibration()
        if epochs is None and fine_tuning.can_be_solved(model.head):
            fine_tuning.solve_head(
                learner,
                self.data,
                seed=self.seed,
                augmented_views=augmented_views,
                solve=self._recipe.objective.solve,
                callbacks=callbacks,
                seconds=None if minutes is None else 60 * minutes,
                decisions=self.decisions,
            )
        else:
            rate = fine_tuning.HEAD_RATE if lr is None else lr
            fine_tuning.train_head_on_features(
                learner, self.data, epochs or fine_tuning.HEAD_EPOCHS, callbacks, lr=rate
            )
        return self

    def fit_within(
        self,
        minutes: float,
        *,
        freeze: bool = False,
        lr: float | Sequence[float] | None = None,
        weight_decay: float | Sequence[float] | None = None,
        sizes: Sequence[int] = (),
        callbacks: Sequence[Callback] = (),
    ) -> ImageClassifier:
        """With a backbone: the head from features computed once, then everything, where there is time for it.

        The validation part says which of the two is kept.

        Args:
            minutes: for all of it.
            freeze: leave the body as it is.
            lr: one rate, or one a layer group, for the second step.
            weight_decay: likewise.
            sizes: sides in pixels with which the second step begins, one after the other, each for as long as the full
                size at its end.
            callbacks: for this training.

        Raises:
            InputError: the sizes do not grow towards that of the images.
        """
        clock = recipes.Stopwatch()
        smaller_first = growing(sizes, self.data.size)
        self.fit_head(minutes=minutes, callbacks=callbacks)
        learner = self.learner

        def spent() -> float:  # on the head, perhaps by an earlier process
            # Where all of it was training already, the head is passed over without a row, and the fit that goes on
            # brings its own time.
            return max(clock.minutes, learner.row.get("seconds", 0.0) / 60)

        def affordable() -> float:
            left = minutes - spent()
            return 60 * left / fine_tuning.seconds_an_epoch(learner, self.data) if left > 0 else 0.0

        freeze = freeze or "unfreezing" in self._recipe.left_out
        epochs = 0.0 if freeze else recipes.once(self.decisions, "epochs of everything", affordable)
        if epochs < fine_tuning.FEWEST_EPOCHS:
            return self
        self.unfreeze()
        solved = fine_tuning.AtFitStart()
        self.fit(
            min(epochs * 2, fine_tuning.MOST_EPOCHS),
            minutes=max(minutes - spent(), 0.01 * minutes),
            lr=lr,
            weight_decay=weight_decay,
            callbacks=[solved, *smaller_first, *callbacks],
        )

        def is_worse() -> bool:
            metric = learner.metrics[0].name
            return self.data.valid is not None and not fine_tuning.is_better(learner.row, solved.row, metric)

        if recipes.once(self.decisions, "keep the solved head", is_worse):

            def go_back() -> dict[str, Any]:
                learner.model.load_state_dict(solved.weights)
                return {name: value for name, value in solved.row.items() if name not in ("epoch", "step", "lr")}

            with learner.callbacks_for_one_fit(callbacks):
                learner.record(go_back)
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

    def evaluate(self, split: str = "valid", tta: bool = False) -> Any:
        """Loss, accuracy with its interval, and more, on one part of the data.

        Gives an `Evaluation`; where an image has several labels a `LabelsEvaluation`, and of numbers a
        `NumberEvaluation`.

        Args:
            split: `valid`, or `test`, which should be looked at once, at the end; `train` shows how much was
                memorised.
            tta: average the answers over several views of each image.

        Raises:
            InputError: the data has no such part.
        """
        predictor = self.predictor()
        if split == "valid" and not tta and self.data.valid is not None:
            outputs, targets = self._outputs_on_valid(self.data.valid)
            calibrated = outputs / self.calibration.temperature
            return predictor.evaluate_outputs(calibrated, targets, split, "none", calibrated_on_them=True)
        part = self.data.part(split).as_they_are()
        return predictor.evaluate(part, split=split, tta=tta, calibrated_on_them=split == "valid")

    def _outputs_on_valid(self, valid: ImageBatches) -> tuple[Tensor, Tensor]:
        """The outputs for every validation image as the network gives them, and the targets.

        They are kept until the weights change: calibrating and measuring take one pass over the images, and none where
        the head was learned from features of these images.
        """
        model = self.learner.model
        weights = tuple((tensor.data_ptr(), tensor._version) for tensor in [*model.parameters(), *model.buffers()])
        if self._on_valid is None or self._on_valid[0] != weights:
            outputs, targets = outputs_from_kept(model, valid, self.device, self.precision), valid.targets.cpu()
            if outputs is None:
                plain = self.predictor()
                plain.calibration = Calibration()
                outputs, targets = plain.logits(valid.as_they_are())
            self._on_valid = (weights, outputs, targets)
        return self._on_valid[1:]

    def calibrate(self, choose_thresholds: bool = False) -> Calibration:
        """Find how sure the answers are to be taken, on the validation part.

        The temperature makes the probabilities right as often as they say; it changes no answer. The losses that are
        left are kept with the model, so that it can answer with sets of classes, or intervals of numbers, of a stated
        coverage. Without a validation part nothing is found.

        Args:
            choose_thresholds: of several labels, give each from the probability at which its F1 is best there, not
                from one half. `evaluate` then judges each validation image by thresholds chosen on the others.

        Returns:
            The calibration, which is used and saved from now on.

        Raises:
            InputError: thresholds are asked for, and an image has not several labels.
        """
        answers = self._recipe.objective.answers
        if choose_thresholds and not isinstance(answers, LabelAnswers):
            raise InputError("thresholds are chosen where an image may have several labels, and only there")
        self.calibration = Calibration()
        if self.data.valid is not None:
            outputs, targets = self._outputs_on_valid(self.data.valid)
            self.calibration = answers.calibrated(outputs, targets)
            if choose_thresholds:
                probabilities = answers.of(outputs / self.calibration.temperature).numpy()
                thresholds = best_thresholds(probabilities, targets.numpy() > 0.5)
                self.calibration = replace(self.calibration, thresholds=tuple(thresholds.tolist()))
        return self.calibration

    @property
    def _answers(self) -> Answers:
        """What the outputs mean, with the thresholds that were chosen."""
        thresholds = self.calibration.thresholds
        return LabelAnswers(thresholds, are_chosen=True) if thresholds else self._recipe.objective.answers

    @property
    def temperature(self) -> float:
        """What outputs are divided by to give probabilities; 1 until `calibrate` is called after a fit."""
        return self.calibration.temperature

    def predict(self, inputs: Any, tta: bool = False, coverage: float | None = None) -> list[Prediction]:
        """Labels with probabilities (see `calibrate`), for files, folders, arrays or PIL images.

        Args:
            inputs: as for `Predictor.predict`.
            tta: average over several views of each image.
            coverage: give each answer the set of classes that holds the right one so often.
        """
        return self.predictor().predict(inputs, tta=tta, coverage=coverage)

    def explain(self, inputs: Any, label: str | None = None, method: str = "auto") -> list[Explanation]:
        """Where in each image the evidence for an answer lies; a notebook shows the pictures.

        Args:
            inputs: as for `predict`.
            label: the class to explain; what the model answers if None.
            method: a name in `rushlight.inference.class_maps.METHODS`.

        Raises:
            InputError: there is no such class, method or file, or the model keeps no places.
        """
        return Explainer(self.predictor(), method).explain(inputs, label)

    def predictor(self) -> Predictor:
        """What answers: the model as it is now, without anything that is only for training."""
        return Predictor(
            self.learner.model.eval(),
            classes=self.data.classes,
            size=self.data.size,
            mean=self.data.mean,
            std=self.data.std,
            metadata={
                "target": self._answers.to_json(),
                "views": self._views,
                "temperature": self.calibration.temperature,
                "calibration_losses": self.calibration.losses,
                "calibration_scales": self.calibration.scales,
            },
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
            calibration=self.calibration,
            target=self._answers.to_json(),
        )

    def summary(self) -> str:
        """Every layer with its output shape and parameters, as a table."""
        return str(self.learner.summary())

    @property
    def _views(self) -> str:
        """Test-time augmentation shows the model only what it has met in training: a mirrored 2 is no 2."""
        return "flip_shift" if mirrors(self.data.train.augmentation) else "shift"
