"""The second task: a text in, a model out that expects it and writes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rushlight.data.text import TextData
from rushlight.inference.text_counts import count_text
from rushlight.inference.text_evaluation import TextEvaluation
from rushlight.inference.text_file import save_language_model
from rushlight.inference.writer import Writer
from rushlight.nn.guided import GuidedLanguageModel
from rushlight.nn.held_out import HeldOutNGrams
from rushlight.nn.language_model import map_state
from rushlight.nn.language_models import TRAINABLE_LANGUAGE_MODELS, build_language_model
from rushlight.nn.regularisers import activation_penalty, change_penalty
from rushlight.runtime.device import select_device
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.seeds import seed_everything
from rushlight.runtime.sharing import share_of
from rushlight.tasks.ingredients import TEXT, LeftOut
from rushlight.tasks.recipes import Stopwatch
from rushlight.training.callbacks import Callback
from rushlight.training.clipping import GradientClipping
from rushlight.training.learner import Learner
from rushlight.training.losses import cross_entropy
from rushlight.training.lr_finder import LRSweep
from rushlight.training.rates import Rates
from rushlight.training.schedules import Schedule, constant, cosine

AUTO = "auto"
MODEL_NAMES = [AUTO, *TRAINABLE_LANGUAGE_MODELS]
# What `auto` is: this network, guided by an n-gram model of the text where that can be counted in a few seconds. On the
# first 85 % of Nietzsche's training part, measured on its rest, two minutes gave (nats a character; 1.400 for an n-gram
# model of characters alone): LSTM of 2 x 512 1.482 alone and 1.360 guided, of 1 x 512 1.333 guided, this one 1.323.
# Guided by one that counts words too, which alone gives 1.329, this one comes to 1.283.
AUTO_BODY = "qrnn"
MOST_COUNTED, MOST_TOKENS = 5_000_000, 1000  # of a text, and of a vocabulary, that an n-gram model guides
FOLDS = {1_000_000: 8, 2_000_000: 4, MOST_COUNTED: 2}  # parts that are left out in turn, by the length of the text

# The recipe where nothing else is asked for, found on the first 80 % of Nietzsche's lines with a second validation part
# cut from them: 1.335 nats a character after 24 epochs, where dropout of the outputs alone (0.5), windows of 100 and a
# rate of 0.005 gave 1.370. Twice as many steps of half as many tokens did most of it.
OPTIMIZER, WEIGHT_DECAY = "adamw", 0.1
LEARNING_RATES, USUAL_LEARNING_RATE = {"lstm": 8e-3, AUTO: 8e-3}, 4e-3
REGULARISERS: dict[str, dict[str, float]] = {
    AUTO: {"dropout": 0.4, "input_dropout": 0.1},
    "lstm": {"dropout": 0.4, "input_dropout": 0.1, "weight_dropout": 0.2},
    "gru": {"dropout": 0.4, "input_dropout": 0.1, "weight_dropout": 0.2},
}
USUAL_REGULARISERS = {"dropout": 0.5}
LARGEST_GRADIENT = 1.0  # norm; at this rate and in bfloat16 a wide net may otherwise lose what it learned in one step
WARM_UP = 0.05  # of training; a recurrent net that starts at the full rate may never recover
MOST_EPOCHS, LEAST_TOKENS, MOST_EPOCHS_OF_FEW = 40, 2_000_000, 100  # see `epochs_for`


def epochs_for(tokens: int) -> int:
    """How many passes over a text are worth making at most, however much time is left: more learn it by heart.

    A short text is gone through more often, until as many tokens were seen as it takes to learn anything.
    """
    return max(MOST_EPOCHS, min(MOST_EPOCHS_OF_FEW, LEAST_TOKENS // max(1, tokens)))


def body_named(model: str) -> str:
    """The entry of `LANGUAGE_MODELS` that a name of `MODEL_NAMES` trains."""
    return AUTO_BODY if model == AUTO else model


class LanguageModelStep:
    """The forward step of a language model: it carries the state from window to window.

    The state is detached, so that gradients end where the window begins (truncated backpropagation through time), kept
    from batch to batch, and begins anew with a pass over the data and where the number of streams changes.

    Args:
        activation: strength of the activation penalty; see `rushlight.nn.regularisers`.
        change: strength of its temporal form.
        carry: False has every window of training begin anew; measuring always goes on from window to window.

    Attributes:
        held_out: what guides a guided model while it trains, on batches that tell the place of every token.
    """

    def __init__(self, activation: float = 0.0, change: float = 0.0, carry: bool = True) -> None:
        self.carry = carry
        self.activation, self.change = activation, change
        self.held_out: Callable[[Tensor], Tensor] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the text before."""
        self._state: Any = None
        self._streams, self._share = 0, 1.0

    def state_dict(self) -> dict[str, Any]:
        """What is remembered of the text before."""
        return {"state": self._state, "streams": self._streams, "share": self._share}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on in the middle of a text; what was saved is on the CPU, and moves with the next window."""
        self._state, self._streams, self._share = state["state"], state["streams"], state["share"]

    def __call__(self, model: Any, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Logits (T, B, V) and the mean loss in nats a token, with the penalties while training."""
        tokens, targets, *places = batch
        streams, share = tokens.shape[1], share_of(batch)  # of several processes each has its share of all streams
        if (streams, share) != (self._streams, self._share) or (model.training and not self.carry):
            self._state, self._streams, self._share = None, streams, share
        guide = (self.held_out(places[0]),) if places and self.held_out is not None else ()
        features, state = model.forward_features(tokens, self._state, *guide)
        self._state = map_state(Tensor.detach, state)
        logits = model.forward_head(features)
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        shown = model.parted(features)[0] if isinstance(model, GuidedLanguageModel) else features
        if model.training and self.activation:
            loss = loss + self.activation * activation_penalty(shown)
        if model.training and self.change:
            loss = loss + self.change * change_penalty(shown)
        return logits, loss


class LanguageModel:
    """A model of text, the text it learns from, and the recipe that suits both.

    Args:
        data: the text.
        model: `auto`, which is a quasi-recurrent network that is guided by an n-gram model of the training part (alone
            where the text is longer than 5,000,000 tokens or has more than 1,000 different ones); a name of
            `TRAINABLE_LANGUAGE_MODELS`; or any module with their interface (which must be rebuilt by yourself before
            its saved weights can be used again).
        model_options: further arguments of a named model; its dropout is that of the recipe where none is given.
        optimizer: a name of `OPTIMIZERS`; AdamW if none is given.
        penalties: strengths of the activation penalty and of its temporal form.
        seed: of the first weights and of dropout.
        device: `auto` or a device name of PyTorch.
        precision: `auto`, which is bfloat16 where the device multiplies it in hardware and float32 elsewhere; or one
            of the two.
        without: ingredients of the recipe to leave out; `ingredients` names them.

    Attributes:
        learner: the `Learner` beneath, for everything that this class does not offer.

    Raises:
        InputError: the model or another name is unknown, or an option of it.
    """

    def __init__(
        self,
        data: TextData,
        model: str | nn.Module = AUTO,
        *,
        model_options: dict[str, Any] | None = None,
        optimizer: str | None = None,
        penalties: tuple[float, float] = (0.0, 0.0),
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        without: Sequence[str] = (),
    ) -> None:
        if isinstance(model, str) and model not in MODEL_NAMES:
            raise InputError(f"unknown language model '{model}': {nearest_name(model, MODEL_NAMES)}")
        self.data = data
        self._recipe = model if isinstance(model, str) else type(model).__name__
        self._recipe_is_default = optimizer is None
        self._left_out = LeftOut(without, self.ingredients)
        self.model_name = body_named(self._recipe)
        self.model_arguments: dict[str, Any] = {
            "tokens": data.tokenizer.size,
            **{name: share for name, share in self._regularisers.items() if name not in self._left_out},
            **(model_options or {}),
        }
        self.device = select_device(device)
        seed_everything(seed)
        module = model if isinstance(model, nn.Module) else self._named_model()
        self._held_out: HeldOutNGrams | None = None
        if self.is_guided:
            module = self._guided(module)
        self._step = LanguageModelStep(*penalties, carry="carried_state" not in self._left_out)
        if self.is_guided:
            self._step.held_out = self._expected_by_others
        self.learner = Learner(
            module,
            data.with_places() if self.is_guided else data,
            forward_step=self._step,
            optimizer=optimizer or OPTIMIZER,
            device=device,
            precision=precision,
        )

    @property
    def is_guided(self) -> bool:
        """Whether an n-gram model of the training part guides the network."""
        can_be_counted = len(self.data.train.tokens) <= MOST_COUNTED and self.data.tokenizer.size <= MOST_TOKENS
        return can_be_counted and "ngram" in self.ingredients and "ngram" not in self._left_out

    def _guided(self, body: nn.Module) -> GuidedLanguageModel:
        ngram = count_text(self.data.train.tokens, self.data.tokenizer)
        own = {key: value for key, value in self.model_arguments.items() if key != "tokens"}
        self.model_arguments = {
            "body": {"model": self.model_name, **own},
            "ngram": {"model": ngram.NAME, **ngram.arguments},
        }
        self.model_name = "guided"
        return GuidedLanguageModel(body, ngram)

    def _count_apart(self) -> None:
        """Before a guided model trains: count the text without each of its parts."""
        if self.is_guided and self._held_out is None:
            tokens = self.data.train.tokens
            folds = next(folds for most, folds in FOLDS.items() if len(tokens) <= most)
            count = partial(count_text, tokenizer=self.data.tokenizer)
            self._held_out = HeldOutNGrams(tokens, count, folds, self.device)

    def _expected_by_others(self, places: Tensor) -> Tensor:
        """What guides the network in training, also where the learner is used by itself; counted when first asked."""
        self._count_apart()
        assert self._held_out is not None
        return self._held_out(places)

    @property
    def ingredients(self) -> dict[str, str]:
        """What the recipe is made of, as far as it can be left out: by name what each does."""
        absent = {"dropout", "input_dropout", "weight_dropout"} - set(self._regularisers)
        absent |= set() if self._recipe_is_default else {"gradient_clipping"}
        absent |= set() if self._recipe == AUTO else {"ngram"}
        return {name: what for name, what in TEXT.items() if name not in absent}

    @property
    def _regularisers(self) -> dict[str, float]:
        return REGULARISERS.get(self._recipe, USUAL_REGULARISERS) if self._recipe_is_default else USUAL_REGULARISERS

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

        Without a rate, a weight decay or a schedule, those of the recipe are used: a cosine after a short warm-up. The
        recipe also limits the norm of the gradients to 1.
        Under a time limit alone, training ends sooner where more passes would only learn the text by heart.
        """
        if minutes is not None and epochs is None and steps is None and self._recipe_is_default:
            epochs = epochs_for(self.data.train.samples)
        started = Stopwatch()
        self._count_apart()
        if minutes is not None:
            minutes = max(minutes - started.minutes, 0.01 * minutes)
        lr, weight_decay = self._rates(lr, weight_decay)
        with self.learner.callbacks_for_one_fit(self._with_clipping(callbacks)):
            self.learner.fit(
                epochs,
                steps=steps,
                minutes=minutes,
                lr=lr,
                schedule=schedule or self._usual_schedule(),
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
        self._count_apart()
        lr, weight_decay = self._rates(lr, weight_decay)
        with self.learner.callbacks_for_one_fit(self._with_clipping(callbacks)):
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
        if "weight_decay" in self._left_out and weight_decay is None:
            weight_decay = 0.0
        if not self._recipe_is_default:
            return lr, weight_decay
        usual = LEARNING_RATES.get(self._recipe, USUAL_LEARNING_RATE)
        return usual if lr is None else lr, WEIGHT_DECAY if weight_decay is None else weight_decay

    def _usual_schedule(self) -> Schedule:
        warm_up = 0.0 if "warm_up" in self._left_out else WARM_UP
        return constant(warm_up) if "annealing" in self._left_out else cosine(warm_up)

    def _with_clipping(self, callbacks: Sequence[Callback]) -> list[Callback]:
        """The recipe limits gradients, unless another limit was chosen or another optimizer."""
        is_chosen = any(isinstance(callback, GradientClipping) for callback in callbacks)
        return (
            [*callbacks]
            if is_chosen or not self._recipe_is_default or "gradient_clipping" in self._left_out
            else [GradientClipping(LARGEST_GRADIENT), *callbacks]
        )

    def find_lr(self, start_lr: float = 1e-5, end_lr: float = 10.0, steps: int = 100) -> LRSweep:
        """Sweep the learning rate and suggest one; nothing is changed by it."""
        self._count_apart()
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
