"""The second task: a text in, a model out that expects it and writes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rushlight.data.text import TextData
from rushlight.inference.text_evaluation import TextEvaluation
from rushlight.inference.text_file import save_language_model
from rushlight.inference.writer import Writer
from rushlight.nn.language_model import map_state
from rushlight.nn.language_models import LANGUAGE_MODELS, build_language_model
from rushlight.nn.regularisers import activation_penalty, change_penalty
from rushlight.runtime.device import has_bfloat16_tiles, select_device
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.seeds import seed_everything
from rushlight.training.callbacks import Callback
from rushlight.training.learner import Learner
from rushlight.training.losses import cross_entropy
from rushlight.training.lr_finder import LRSweep
from rushlight.training.rates import Rates
from rushlight.training.schedules import Schedule, cosine

# The recipe where nothing else is asked for: usual for an LSTM of some hundred units on a text of about a megabyte.
OPTIMIZER, LEARNING_RATE, WEIGHT_DECAY, DROPOUT = "adamw", 4e-3, 0.1, 0.5
WARM_UP = 0.05  # of training; a recurrent net that starts at the full rate may never recover
MOST_EPOCHS, LEAST_TOKENS, MOST_EPOCHS_OF_FEW = 18, 2_000_000, 100  # see `epochs_for`


def epochs_for(tokens: int) -> int:
    """How many passes over a text are worth making at most, however much time is left: more learn it by heart.

    A short text is gone through more often, until as many tokens were seen as it takes to learn anything.
    """
    return max(MOST_EPOCHS, min(MOST_EPOCHS_OF_FEW, LEAST_TOKENS // max(1, tokens)))


class LanguageModelStep:
    """The forward step of a language model: it carries the state from window to window.

    The state is detached, so that gradients end where the window begins (truncated backpropagation through time), kept
    from batch to batch, and begins anew with a pass over the data and where the number of streams changes.

    Args:
        activation: strength of the activation penalty; see `rushlight.nn.regularisers`.
        change: strength of its temporal form.
    """

    def __init__(self, activation: float = 0.0, change: float = 0.0) -> None:
        self.activation, self.change = activation, change
        self.reset()

    def reset(self) -> None:
        """Forget the text before."""
        self._state: Any = None
        self._streams = 0

    def __call__(self, model: Any, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (T, B, V) and the mean loss in nats a token, with the penalties while training."""
        tokens, targets = batch
        if tokens.shape[1] != self._streams:
            self._state, self._streams = None, tokens.shape[1]
        features, state = model.forward_features(tokens, self._state)
        self._state = map_state(Tensor.detach, state)
        logits = model.forward_head(features)
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        if model.training and self.activation:
            loss = loss + self.activation * activation_penalty(features)
        if model.training and self.change:
            loss = loss + self.change * change_penalty(features)
        return logits, loss


class LanguageModel:
    """A model of text, the text it learns from, and the recipe that suits both.

    Args:
        data: the text.
        model: a name of `LANGUAGE_MODELS`, or any module with their interface (which must be rebuilt by yourself before
            its saved weights can be used again).
        model_options: further arguments of a named model; its dropout is 0.5 where none is given.
        optimizer: a name of `OPTIMIZERS`; AdamW if none is given.
        penalties: strengths of the activation penalty and of its temporal form.
        seed: of the first weights and of dropout.
        device: `auto` or a device name of PyTorch.
        precision: `auto`, which is bfloat16 where the device multiplies whole tiles of it and float32 elsewhere; or one
            of the two.

    Attributes:
        learner: the `Learner` beneath, for everything that this class does not offer.

    Raises:
        InputError: the model or another name is unknown, or an option of it.
    """

    def __init__(
        self,
        data: TextData,
        model: str | nn.Module = "lstm",
        *,
        model_options: dict[str, Any] | None = None,
        optimizer: str | None = None,
        penalties: tuple[float, float] = (0.0, 0.0),
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        if isinstance(model, str) and model not in LANGUAGE_MODELS:
            raise InputError(f"unknown language model '{model}': {nearest_name(model, LANGUAGE_MODELS)}")
        self.data = data
        self.model_name = model if isinstance(model, str) else type(model).__name__
        self.model_arguments: dict[str, Any] = {
            "tokens": data.tokenizer.size,
            "dropout": DROPOUT,
            **(model_options or {}),
        }
        self._recipe_is_default = optimizer is None
        self.device = select_device(device)
        seed_everything(seed)
        if precision == "auto":
            precision = "bfloat16" if has_bfloat16_tiles(self.device) else "float32"
        self.learner = Learner(
            model if isinstance(model, nn.Module) else self._named_model(),
            data,
            forward_step=LanguageModelStep(*penalties),
            optimizer=optimizer or OPTIMIZER,
            device=device,
            precision=precision,
        )

    # --- training ----------------------------------------------------------------------------------------------------

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
    ) -> LanguageModel:
        """Train, as `Learner.fit`; `callbacks` are for this fit only.

        Without a rate, a weight decay or a schedule, those of the recipe are used: a cosine after a short warm-up.
        Under a time limit alone, training ends sooner where more passes would only learn the text by heart.
        """
        if minutes is not None and epochs is None and steps is None and self._recipe_is_default:
            epochs = epochs_for(self.data.train.samples)
        lr, weight_decay = self._rates(lr, weight_decay)
        with self.learner.callbacks_for_one_fit(callbacks):
            self.learner.fit(
                epochs,
                steps=steps,
                minutes=minutes,
                lr=lr,
                schedule=schedule or cosine(warm_up=WARM_UP),
                weight_decay=weight_decay,
                accumulate=accumulate,
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
    ) -> LanguageModel:
        """Train with warm restarts, as `Learner.fit_cycles`."""
        lr, weight_decay = self._rates(lr, weight_decay)
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

    def _rates(self, lr: Rates | None, weight_decay: Rates | None) -> tuple[Rates | None, Rates | None]:
        """What was given, or the recipe's; another optimizer than the recipe's has its own."""
        if not self._recipe_is_default:
            return lr, weight_decay
        return LEARNING_RATE if lr is None else lr, WEIGHT_DECAY if weight_decay is None else weight_decay

    def find_lr(self, start_lr: float = 1e-5, end_lr: float = 10.0, steps: int = 100) -> LRSweep:
        """Sweep the learning rate and suggest one; nothing is changed by it."""
        return self.learner.find_lr(start_lr, end_lr, steps)

    # --- answers -----------------------------------------------------------------------------------------------------

    def evaluate(self, split: str = "valid") -> TextEvaluation:
        """Nats and bits a token on one part of the text, with an interval.

        Args:
            split: `valid`, or `test`, which should be looked at once, at the end; `train` shows how much was learned by
                heart.

        Raises:
            InputError: the text has no such part.
        """
        return self.writer().evaluate(self.data.part(split).as_they_are(), split)

    def generate(self, prompt: str = "", length: int = 400, **settings: Any) -> str:
        """Write on from a prompt; see `Writer.generate`."""
        return self.writer().write(prompt, length, **settings)

    def writer(self) -> Writer:
        """What reads and writes: the model as it is now, without anything that is only for training."""
        return Writer(
            self.learner.model.eval(), self.data.tokenizer, lowercase=self.data.options.lowercase, device=self.device
        )

    def save(self, path: str | Path, metrics: dict[str, Any] | None = None) -> None:
        """Write one safetensors file that rebuilds itself: `Writer.load(path)`.

        Args:
            path: the file.
            metrics: measured quantities to keep with it, by name.
        """
        save_language_model(
            path,
            self.learner.model,
            self.model_name,
            self.model_arguments,
            self.data.tokenizer,
            self.data.options.tokens,
            lowercase=self.data.options.lowercase,
            metrics=metrics,
        )

    def summary(self) -> str:
        """Every layer with its output shape and parameters, as a table."""
        return str(self.learner.summary())

    def _named_model(self) -> nn.Module:
        options = {name: value for name, value in self.model_arguments.items() if name != "tokens"}
        try:
            model: nn.Module = build_language_model(self.model_name, self.data.tokenizer.size, **options)
        except (TypeError, ValueError) as error:
            raise InputError(f"language model '{self.model_name}' cannot be built: {error}") from None
        return model
