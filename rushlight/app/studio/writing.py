"""A language model writes for a visitor: letters as they come, each with how much it surprised the model."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rushlight.app.studio.worker import Worker
from rushlight.runtime.errors import InputError

LONGEST_TEXT, LONGEST_PROMPT = 5_000, 2_000
TOKENS_AT_ONCE = 16  # then it is the next visitor's turn


@dataclass(frozen=True)
class Wish:
    """What is to be written.

    Attributes:
        prompt: what to go on from.
        length: tokens.
        temperature: above 0.
        seed: of the draws; None for other ones each time.
    """

    prompt: str
    length: int
    temperature: float
    seed: int | None

    @classmethod
    def from_json(cls, data: bytes) -> Wish:
        """From what a page sends.

        Raises:
            InputError: it makes no sense, or asks for too much.
        """
        try:
            given = json.loads(data)
            prompt, length = str(given.get("prompt", "")), int(given.get("length", 400))
            temperature = float(given.get("temperature", 0.8))
            seed = None if given.get("seed") in (None, "") else int(given["seed"])
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise InputError("the length and the seed are whole numbers, the temperature is a number") from None
        if not 1 <= length <= LONGEST_TEXT:
            raise InputError(f"the length must be 1 to {LONGEST_TEXT}")
        if not 0.05 <= temperature <= 5:
            raise InputError("the temperature must be 0.05 to 5")
        if len(prompt) > LONGEST_PROMPT:
            raise InputError(f"the beginning must have at most {LONGEST_PROMPT} characters")
        if seed is not None and not 0 <= seed < 2**63:
            raise InputError("the seed must be a whole number from 0 up")
        return cls(prompt, length, temperature, seed)


async def written(worker: Worker, model_file: Path, wish: Wish, ticket: str = "") -> AsyncIterator[bytes]:
    """Lines of JSON, each a list of pairs of text and surprise in nats (None where there is none): the prompt first.

    Args:
        worker: in whose line each part takes its turn.
        model_file: of a language model.
        wish: what is to be written.
        ticket: by which its place in the line is found.
    """
    from rushlight.inference.writer import Writer

    pieces: Iterator[tuple[str, float]] | None = None

    def begin() -> list[Any]:
        nonlocal pieces
        writer = worker.loaded("writer", model_file, lambda: Writer.load(model_file, device="cpu"))
        pieces = writer.generate_with_surprise(wish.prompt, wish.length, temperature=wish.temperature, seed=wish.seed)
        if not wish.prompt:
            return []
        scores = writer.score(wish.prompt)
        return [_pair(token, loss) for token, loss in zip(scores.tokens, scores.losses, strict=True)]

    def go_on() -> list[Any]:
        assert pieces is not None  # `begin` comes first
        return [_pair(token, loss) for token, loss in islice(pieces, TOKENS_AT_ONCE)]

    yield _line(await worker.do(begin, ticket))
    while part := await worker.do(go_on, ticket):
        yield _line(part)


def _pair(token: str, loss: float) -> list[Any]:
    return [token, round(float(loss), 3) if math.isfinite(loss) else None]


def _line(pairs: list[Any]) -> bytes:
    return json.dumps(pairs).encode() + b"\n"
