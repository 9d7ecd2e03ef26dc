"""Which network an image task trains, and with which optimizer, rates and augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from rushlight.data.augmentation import reduced
from rushlight.data.images import ImageData
from rushlight.nn.backbones import BACKBONES, check_backbone, is_backbone
from rushlight.nn.fast import FAST_WIDTHS
from rushlight.nn.models import MODELS, build_model
from rushlight.runtime import distributed
from rushlight.runtime.device import Precision
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.seeds import seed_everything
from rushlight.tasks import fine_tuning, ingredients, recipes
from rushlight.tasks.ingredients import LeftOut
from rushlight.tasks.objectives import OBJECTIVES, ImageStep, LossSettings
from rushlight.training.callbacks import Callback
from rushlight.training.learner import Learner
from rushlight.training.rates import OptimizerChoice, Rates

AUTO = "auto"
FAST_NETS = {f"fast_{width}": width for width in FAST_WIDTHS}
WHITENING_IMAGES = 5000
USUAL_SMOOTHING = 0.1


class ImageRecipe:
    """The choices of an image task, those that were made and those that are left to the library.

    Args:
        data: the images.
        model: as in `ImageClassifier`.
        backbone: likewise.
        model_options: likewise.
        optimizer: a name of `OPTIMIZERS`, or None for what suits the model.
        loss: settings of the loss.
        seed: of the weights and of the images that the first layer is made from.
        device: where to train.
        precision: of training.
        without: ingredients to leave out; see `rushlight.tasks.ingredients`.
        synchronise_batch_norm: over all processes.

    Attributes:
        data: the images, as the network expects them once a learner was made.
        model_name: the network; `auto` until a learner was made.
        backbone: the name of the pretrained body, or None.
        objective: what is learned.
        decisions: what was decided by measuring this machine, by name.

    Raises:
        InputError: the model or an ingredient is unknown, or a model and a backbone were given.
    """

    def __init__(
        self,
        data: ImageData,
        model: str | nn.Module,
        backbone: str | None,
        model_options: dict[str, Any] | None,
        *,
        optimizer: str | None,
        loss: LossSettings,
        seed: int,
        device: torch.device,
        precision: Precision,
        without: Sequence[str] = (),
        synchronise_batch_norm: bool = False,
    ) -> None:
        if isinstance(model, str) and model != AUTO and model not in MODELS and not is_backbone(model):
            raise InputError(f"unknown model '{model}': {nearest_name(model, [AUTO, *MODELS, *BACKBONES])}")
        if backbone is not None:
            check_backbone(backbone)
            if model != AUTO:
                raise InputError("a model and a backbone were given: a backbone is a model, so give one of them")
        self.data = data
        self.decisions: dict[str, Any] = {}
        self.model_name = model if isinstance(model, str) else type(model).__name__
        self.loss, self.seed, self.device, self.precision = loss, seed, device, precision
        self._module = model if isinstance(model, nn.Module) else None
        self._model_options = dict(model_options or {})
        self.backbone = None if self._module else fine_tuning.backbone_for(self.model_name, backbone, data.size, AUTO)
        if self.backbone is not None:
            self.model_name = fine_tuning.MODEL_NAME
            self._model_options["backbone"] = self.backbone
        self._optimizer_name = optimizer
        self._synchronise_batch_norm = synchronise_batch_norm
        self.left_out = LeftOut(without, self.ingredients)
        self.objective = OBJECTIVES[data.target](data, loss, USUAL_SMOOTHING)  # unusable settings are refused now

    @property
    def model_arguments(self) -> dict[str, Any]:
        """What a named model is built with."""
        return {
            "classes": len(self.data.classes),
            "channels": self.data.channels,
            "size": self.data.size,
            **self._model_options,
        }

    @property
    def is_fast(self) -> bool:
        """Whether it is a fast net with the rates of its own recipe."""
        return self._optimizer_name is None and self.model_name in FAST_NETS

    @property
    def ingredients(self) -> dict[str, str]:
        """What the recipe is made of, as far as it can be left out: by name what each does."""
        if self.backbone is not None:
            return ingredients.BACKBONE
        is_fast = self._optimizer_name is None and (self.model_name == AUTO or self.model_name in FAST_NETS)
        return ingredients.FAST if is_fast else ingredients.PLAIN

    @property
    def schedule(self) -> str:
        """Of the rates, where none is asked for."""
        if "annealing" in self.left_out:
            return "constant"
        return "linear" if self.is_fast else "one_cycle"

    def make_learner(self, epochs: float | None, minutes: float | None) -> Learner:
        """The network and what trains it, for as long as is planned; None for as long as it takes."""
        seed_everything(self.seed)
        if self.backbone is not None:
            return self._backbone_learner(self.backbone)
        if self.model_name == AUTO or self.model_name in FAST_NETS:
            return self._fast_learner(epochs, minutes)
        return self._new_learner(
            self._module or self._named_model(), self._optimizer_name or "adamw", USUAL_SMOOTHING, []
        )

    def epochs_of(self, steps: int) -> float:
        """Passes over the images that so many steps make."""
        samples = self.data.train.samples
        return steps * (self.data.options.batch_size or recipes.batch_size_for(samples)) / samples

    def rates(
        self, learner: Learner, lr: Rates | None, weight_decay: Rates | None
    ) -> tuple[Rates | None, Rates | None]:
        """What was given, or what suits a pretrained body."""
        if "weight_decay" in self.left_out and weight_decay is None and not self.is_fast:
            weight_decay = 0.0
        if self.backbone is None or self._optimizer_name is not None:
            return lr, weight_decay
        usual = fine_tuning.rates_for(learner)
        if isinstance(usual, tuple) and "rate_for_each_group" in self.left_out:
            usual = usual[len(usual) // 2]
        return usual if lr is None else lr, fine_tuning.WEIGHT_DECAY if weight_decay is None else weight_decay

    def _backbone_learner(self, backbone: str) -> Learner:
        """A pretrained body with a new head, which alone trains at first."""
        model = self._named_model(pretrained=True)
        self.data = fine_tuning.prepared(self.data, backbone, model.body)
        optimizer = self._optimizer_name or "adamw"
        learner = self._new_learner(model, optimizer, fine_tuning.LABEL_SMOOTHING, [])
        if "kept_statistics" not in self.left_out:
            learner.freeze_batch_norm(before="head")
        return learner.freeze_to("head")

    def _fast_learner(self, epochs: float | None, minutes: float | None) -> Learner:
        """A fast net with its own recipe: width and augmentation by the time there is, first layer from the images."""
        train = self.data.train
        plan = self._fast_plan(epochs, minutes)
        self.model_name = f"fast_{plan.width}"
        model = self._fast_net()
        if self.data.options.batch_size is None:
            train.batch_size = recipes.batch_size_for(train.samples)
        if self.data.options.augment == "auto":
            train.augmentation = recipes.augmentation_for(plan.epochs)
        if "whitening" not in self.left_out:
            order = torch.randperm(train.samples, generator=torch.Generator().manual_seed(self.seed))
            model.whiten.fit(train.inputs(order[:WHITENING_IMAGES].sort().values).cpu())
        if self._optimizer_name is not None:
            return self._new_learner(model, self._optimizer_name, recipes.LABEL_SMOOTHING, [])
        optimizer = recipes.fast_optimizer(
            model.to(self.device),
            train.batch_size,
            muon="muon" not in self.left_out,
            weight_decay="weight_decay" not in self.left_out,
            first_layer_stops="first_layer_stops" not in self.left_out,
        )
        callbacks: list[Callback] = []
        if "first_layer_stops" not in self.left_out:
            callbacks.append(recipes.FinishWhitening(model))
        if "smaller_images_first" not in self.left_out:
            callbacks += recipes.resizing_for(self.data.size)
        return self._new_learner(model, optimizer, recipes.LABEL_SMOOTHING, callbacks)

    def _fast_net(self) -> Any:
        if "partial_identity" in self.left_out:
            self._model_options["partial_identity"] = False
        if "scaled_output" in self.left_out:
            self._model_options["output_scale"] = 1.0
        return self._named_model()

    def _fast_plan(self, epochs: float | None, minutes: float | None) -> recipes.FastPlan:
        samples, size = self.data.train.samples, self.data.size
        width = FAST_NETS.get(self.model_name)
        if minutes is None:
            return recipes.plan_by_epochs(samples, recipes.epochs_for(samples) if epochs is None else epochs, width)
        speed = recipes.once(
            self.decisions,
            "operations a second",
            lambda: distributed.ranks() * recipes.measured_operations_a_second(size, self.device, self.precision),
        )
        return recipes.plan_by_time(samples, speed, 60 * minutes, size, width)

    def _new_learner(
        self, model: nn.Module, optimizer: OptimizerChoice, smoothing: float, callbacks: list[Callback]
    ) -> Learner:
        smoothing = 0.0 if "label_smoothing" in self.left_out else smoothing
        self.objective = OBJECTIVES[self.data.target](self.data, self.loss, smoothing)
        self.data.train.augmentation = reduced(
            self.data.train.augmentation,
            mirroring="mirroring" not in self.left_out,
            shifts="shifts" not in self.left_out,
        )
        learner = Learner(
            model,
            self.data,
            forward_step=ImageStep(self.objective),
            optimizer=optimizer,
            metrics=self.objective.metrics(),
            callbacks=callbacks,
            device=self.device,
            precision=self.precision.name,
        )
        return learner.synchronise_batch_norm() if self._synchronise_batch_norm else learner

    def _named_model(self, **more: Any) -> Any:
        try:
            return build_model(self.model_name, **self.model_arguments, **more)
        except (TypeError, ValueError) as error:
            raise InputError(f"model '{self.model_name}' cannot be built: {error}") from None
