"""A saved language model writes, and says how well it expects a text: no training code and no training data.

For example:

    writer = Writer.load("runs/text/nietzsche-1")
    for piece in writer.generate("for thos", length=400, temperature=0.8):
        print(piece, end="", flush=True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rushlight.data.tokenizers import Tokenizer
from rushlight.inference.sampling import check_sampling, next_token_probabilities
from rushlight.inference.text_evaluation import TextEvaluation, evaluation_of
from rushlight.inference.text_file import load_language_model
from rushlight.nn.language_model import map_state
from rushlight.runtime.device import select_device
from rushlight.runtime.errors import InputError, NonFiniteError
from rushlight.runtime.run_folder import RunFolder

TokenPairs = Iterable[tuple[Tensor, ...]]

_WINDOW = 256  # tokens read at once where nothing else is said
_NEVER_WRITTEN = 2  # the numbers below: unknown and padding


@dataclass(frozen=True)
class Scores:
    """How much each token of a text surprised the model.

    Attributes:
        tokens: the text in pieces; what the vocabulary lacks is the sign U+FFFD.
        losses: (N,) nats; NaN for the first token, which nothing came before.
    """

    tokens: list[str]
    losses: np.ndarray

    @property
    def mean(self) -> float:
        """Nats a token, over all that were predicted; NaN where none was."""
        return float(np.nanmean(self.losses)) if len(self.losses) > 1 else float("nan")


class Writer:
    """A language model together with all it takes to read and write text.

    Args:
        model: with the interface of `rushlight.nn.language_model`; it is moved to the device.
        tokenizer: between text and numbers.
        lowercase: whether a text is made lower-case first.
        device: where to compute; see `runtime.device.select_device`.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Tokenizer, *, lowercase: bool = False, device: str | torch.device = "auto"
    ) -> None:
        self.device = select_device(device)
        self.model: Any = model.to(self.device)
        self.tokenizer = tokenizer
        self.lowercase = lowercase

    @classmethod
    def load(cls, run_or_file: str | Path, device: str | torch.device = "auto") -> Writer:
        """The writer of a run folder or a model file.

        Raises:
            InputError: there is no such run or file.
            ModelFileError: the file is not a language model of ours, or is damaged.
        """
        model, tokenizer, metadata = load_language_model(RunFolder.find(run_or_file))
        return cls(model, tokenizer, lowercase=metadata["lowercase"], device=device)

    # --- writing -----------------------------------------------------------------------------------------------------

    def unknown_characters(self, text: str) -> str:
        """The characters of a text that the vocabulary lacks, each once; they cannot be read."""
        distinct = dict.fromkeys(self._prepared(text))
        return "".join(character for character in distinct if not self.tokenizer.encode(character).all())

    def generate(
        self,
        prompt: str = "",
        length: int = 400,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Write on from a prompt, a token at a time.

        The state is kept, so each token costs one step and not another reading of what came before.

        Args:
            prompt: what to go on from; what the vocabulary lacks of it is left out (see `unknown_characters`).
            length: tokens to write.
            temperature: below 1 more cautious, above 1 bolder.
            top_k: draw among so many of the likeliest tokens.
            top_p: draw among the likeliest tokens that together have this probability.
            greedy: take the likeliest token each time.
            seed: of the draws; other ones each time if None.

        Yields:
            The text of each token, without the prompt.

        Raises:
            InputError: a setting cannot be used.
            NonFiniteError: the model gives NaN.
        """
        choose = self._choice(length, temperature, top_k, top_p, greedy, seed)
        return self.tokenizer.pieces(number for number, _ in self._drawn(prompt, length, choose))

    def generate_with_surprise(
        self, prompt: str = "", length: int = 400, *, temperature: float = 1.0, seed: int | None = None
    ) -> Iterator[tuple[str, float]]:
        """As `generate`, and with each token how much it surprises the model that wrote it.

        Yields:
            The text of each token, and minus the logarithm of its probability at temperature 1, in nats.
        """
        choose = self._choice(length, temperature, None, None, False, seed)
        losses: list[float] = []

        def noted() -> Iterator[int]:
            for number, logits in self._drawn(prompt, length, choose):
                losses.append(-float(torch.log_softmax(logits, dim=-1)[0, number]))
                yield number

        return ((piece, losses[-1]) for piece in self.tokenizer.pieces(noted()))

    def _choice(
        self, length: int, temperature: float, top_k: int | None, top_p: float | None, greedy: bool, seed: int | None
    ) -> Callable[[Tensor], int]:
        """From logits (1, V) to a number, by settings that are checked now."""
        check_sampling(temperature, top_k, top_p)
        if length < 0:
            raise InputError(f"the length must be 0 or more, not {length}")
        random = torch.Generator()  # on the CPU, so that a seed writes the same text everywhere
        random.seed() if seed is None else random.manual_seed(seed)

        def choose(logits: Tensor) -> int:
            if greedy:
                return int(logits.argmax())
            probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
            return int(torch.multinomial(probabilities, 1, generator=random))

        return choose

    def _drawn(self, prompt: str, length: int, choose: Callable[[Tensor], int]) -> Iterator[tuple[int, Tensor]]:
        """Numbers one after the other, and the logits that each was drawn from."""
        logits, state = self._read(prompt)
        for _ in range(length):
            number = choose(logits)
            yield number, logits
            logits, state = self._step(torch.tensor([[number]]), state)

    def write(self, prompt: str = "", length: int = 400, **settings: Any) -> str:
        """What `generate` writes, as one string that begins with the prompt."""
        return prompt + "".join(self.generate(prompt, length, **settings))

    @torch.inference_mode()
    def beam_search(self, prompt: str = "", length: int = 100, width: int = 8) -> str:
        """The likeliest continuation that a search of `width` beginnings at a time finds; without the prompt.

        Raises:
            InputError: the length or the width is below 1.
        """
        if length < 1 or width < 1:
            raise InputError(f"a beam search needs a length and a width of at least 1, not {length} and {width}")
        logits, state = self._read(prompt)
        scores = torch.zeros(1)
        written = torch.zeros(1, 0, dtype=torch.int64)
        for _ in range(length):
            candidates = (scores[:, None] + torch.log_softmax(logits, dim=-1)).flatten()
            scores, best = candidates.topk(min(width, int(candidates.isfinite().sum())))
            before, number = best // logits.shape[-1], best % logits.shape[-1]
            written = torch.cat([written[before], number[:, None]], dim=1)
            streams = before.to(self.device)
            state = map_state(lambda part, streams=streams: part[streams], state)  # type: ignore[misc]
            logits, state = self._step(number[None], state)
        return self.tokenizer.decode(written[0].tolist())

    # --- measuring ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, text: str) -> Scores:
        """How much each token of a text surprises the model, given all that came before.

        Raises:
            InputError: the text is empty.
        """
        numbers = torch.from_numpy(np.array(self.tokenizer.encode(self._prepared(text))))
        if not len(numbers):
            raise InputError("there is no text to score")
        starts = range(0, len(numbers) - 1, _WINDOW)
        windows = (numbers[start : start + _WINDOW + 1, None] for start in starts)
        losses = self._losses((window[:-1], window[1:]) for window in windows)
        return Scores(list(self.tokenizer.pieces(numbers.tolist())), np.append(np.nan, losses.numpy()))

    @torch.inference_mode()
    def expected(self, text: str, count: int = 1) -> list[tuple[str, float]]:
        """What the model expects after a text: the likeliest tokens with their probabilities, the likeliest first."""
        logits, _ = self._read(text)
        probabilities, numbers = torch.softmax(logits[0], dim=-1).topk(min(count, logits.shape[-1]))
        pieces = [self.tokenizer.decode([number]) for number in numbers.tolist()]
        return list(zip(pieces, probabilities.tolist(), strict=True))

    @torch.inference_mode()
    def evaluate(self, batches: TokenPairs, split: str = "valid") -> TextEvaluation:
        """Measure how well the model expects a text.

        Args:
            batches: contiguous windows of streams, inputs and targets (T, B), for example `TextData.valid`.
            split: which part they are, `valid` or `test`.

        Raises:
            InputError: there is no token to predict.
            NonFiniteError: the model gives NaN.
        """
        targets: list[Tensor] = []

        def noted() -> Iterator[tuple[Tensor, Tensor]]:
            for inputs, wanted in batches:
                targets.append(wanted.cpu())
                yield inputs, wanted

        losses = self._losses(noted())
        if not len(losses):
            raise InputError(f"the '{split}' part has no token to predict")
        wanted = torch.cat([part.T.flatten() for part in _streams(targets)])
        return evaluation_of(losses, wanted, self.tokenizer, split)

    def _losses(self, batches: TokenPairs) -> Tensor:
        """The cross-entropy of every target in nats, stream after stream."""
        self.model.eval()
        state: Any = None
        streams = 0
        found: list[Tensor] = []
        for inputs, targets in batches:
            if inputs.shape[1] != streams:
                state, streams = None, inputs.shape[1]
            logits, state = self.model(inputs.to(self.device), state)
            wanted = targets.to(self.device)
            losses = cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), reduction="none")
            found.append(losses.view(wanted.shape).cpu())
        result = torch.cat([torch.zeros(0), *(part.T.flatten() for part in _streams(found))])
        if not torch.isfinite(result).all():
            raise NonFiniteError("the model's outputs are not finite; train it again with a lower learning rate")
        return result

    def _prepared(self, text: str) -> str:
        return text.lower() if self.lowercase else text

    def _read(self, prompt: str) -> tuple[Tensor, Any]:
        """The logits after a prompt (1, V), on the CPU, and the state; without one, after the start of a line."""
        self.model.eval()
        numbers = [number for number in self.tokenizer.encode(self._prepared(prompt)) if number >= _NEVER_WRITTEN]
        if not numbers:
            line_end = [number for number in self.tokenizer.encode("\n") if number >= _NEVER_WRITTEN]
            numbers = line_end or [min(_NEVER_WRITTEN, self.tokenizer.size - 1)]
        state: Any = None
        for part in torch.tensor(np.array(numbers, np.int64)).split(_WINDOW):
            logits, state = self._step(part[:, None], state)
        return logits, state

    @torch.inference_mode()
    def _step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read tokens (T, B); the logits after the last (B, V), on the CPU, and the state."""
        logits, state = self.model(tokens.to(self.device), state)
        last = logits[-1].float().cpu()
        if not torch.isfinite(last).all():
            raise NonFiniteError("the model's outputs are not finite; train it again with a lower learning rate")
        last[:, :_NEVER_WRITTEN] = -torch.inf
        return last, state


def _streams(windows: list[Tensor]) -> list[Tensor]:
    """Windows (T, B) joined along their streams, as long as the number of streams stays the same."""
    joined: list[list[Tensor]] = []
    for window in windows:
        if joined and joined[-1][0].shape[1] == window.shape[1]:
            joined[-1].append(window)
        else:
            joined.append([window])
    return [torch.cat(parts) for parts in joined]
