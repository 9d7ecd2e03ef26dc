"""A text in three parts, as numbers, ready to train on."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import torch

from rushlight.data import catalog
from rushlight.data.text_files import TextFiles, text_paths
from rushlight.data.token_batches import TokenBatches
from rushlight.data.token_store import StoredTokens, TokenStore
from rushlight.data.tokenizers import Tokenizer, TokenizerClass, tokenizer_class
from rushlight.runtime.device import select_device
from rushlight.runtime.distributed import leader_first
from rushlight.runtime.errors import InputError, nearest_name

USUAL_BATCH_SIZE, USUAL_WINDOW = 64, 50
MEASURED_STREAMS = 32  # few, because each begins without a past; but one alone would take long
FEWEST_LINES = 10  # a text of fewer is cut between characters
LEAST_WINDOW = 8  # tokens

Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class TextOptions:
    """How a text is read and served; the arguments that every way into `TextData` shares.

    Attributes:
        tokens: a name of `TOKENIZERS`.
        lowercase: make every letter small.
        minimum_frequency: tokens that are rarer in the training part are unknown.
        encoding: of the files.
        replace_invalid: replace bytes that are no characters, and count them; without it they are an error.
        valid_fraction: share of the lines, from the end, to validate on where no such part is given.
        batch_size: streams side by side; None for 64, fewer in a small text.
        window: tokens in a window, about; None for 50, fewer in a small text.
        vary: let the windows' lengths vary.
        shift: begin each epoch at another token.
        seed: of lengths and shifts.
        device: where the batches are made.
    """

    tokens: str = "character"
    lowercase: bool = False
    minimum_frequency: int = 1
    encoding: str = "utf-8"
    replace_invalid: bool = False
    valid_fraction: float = 0.2
    batch_size: int | None = None
    window: int | None = None
    vary: bool = True
    shift: bool = True
    seed: int = 0
    device: str | torch.device = "auto"

    def __post_init__(self) -> None:
        tokenizer_class(self.tokens)
        if not 0 < self.valid_fraction < 1:
            raise InputError(f"a validation fraction of {self.valid_fraction:g} is not between 0 and 1; 0.2 is usual")
        for name in ("minimum_frequency", "batch_size", "window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name.replace('_', ' ')} must be at least 1, not {value}")


class TextOptionValues(TypedDict, total=False):
    """The fields of `TextOptions` as keyword arguments, for editors and type checkers."""

    tokens: str
    lowercase: bool
    minimum_frequency: int
    encoding: str
    replace_invalid: bool
    valid_fraction: float
    batch_size: int | None
    window: int | None
    vary: bool
    shift: bool
    seed: int
    device: str | torch.device


class TextData:
    """One text as numbers in three parts: `train`, `valid` to choose by, and `test` to look at once.

    Make one with `from_files` or `from_name`; each takes the fields of `TextOptions` by name. The
    vocabulary is learned from the training part alone.

    Attributes:
        name: what to call the text.
        tokenizer: between text and numbers.
        train: batches to train on.
        valid: batches to validate on: all of that part, in equal windows.
        options: how it was read.
        notes: one line for each thing a person should know about how the text was read.
        was_cut: whether the validation part was cut from the end of the training part.
        fingerprint: a hash of the tokens of the training and validation parts, and of the vocabulary.
    """

    def __init__(
        self,
        name: str,
        tokenizer: Tokenizer,
        train: np.ndarray,
        valid: np.ndarray,
        options: TextOptions,
        *,
        notes: Sequence[str] = (),
        was_cut: bool = False,
        read_test: Callable[[], np.ndarray] | None = None,
    ) -> None:
        self.was_cut = was_cut
        self.name, self.tokenizer, self.options = name, tokenizer, options
        self.notes = list(notes)
        self._device = select_device(options.device)
        self._tokens = {"train": train, "valid": valid}
        for part, tokens in self._tokens.items():
            if len(tokens) < 2:
                raise InputError(f"the {part} part of '{name}' has {len(tokens)} tokens; a model of text needs more")
        batch_size, window = self._sizes(len(train))
        self.train = self._batches(train, batch_size, window)
        self.valid = self._measured(valid)
        self._read_test = read_test
        self._test: TokenBatches | None = None
        self._note_what_is_odd()
        digest = hashlib.sha256(json.dumps(tokenizer.to_json()).encode())
        for tokens in (train, valid):
            digest.update(hashlib.sha256(np.ascontiguousarray(tokens).data).digest())
        self.fingerprint = digest.hexdigest()

    @classmethod
    def from_files(
        cls,
        train: Paths,
        valid: Paths | None = None,
        test: Paths | None = None,
        *,
        name: str | None = None,
        **options: Unpack[TextOptionValues],
    ) -> TextData:
        """Read files.

        Args:
            train: a file, several, or a folder of text files; they are read one after the other as one text.
            valid: likewise; if None, the last lines of `train` (20 % of them, or `valid_fraction`).
            test: likewise; read when it is first asked for.
            name: what to call the text; that of the first file if not given.
            **options: see `TextOptions`.

        Raises:
            InputError: a file cannot be read, is not in its encoding, or is too short.
        """
        chosen = text_options(options)
        source = _files(train, chosen)
        name = name or source.paths[0].stem
        return cls._read(name, source, None if valid is None else _files(valid, chosen), test, chosen)

    @classmethod
    def from_name(cls, name_or_path: str | Path, **options: Unpack[TextOptionValues]) -> TextData:
        """Read a text of the catalog by its name, or a file or folder by its path.

        A folder with `train.txt` and `valid.txt` (and `test.txt`) is read as these parts. A name of the catalog comes
        first; `./nietzsche` is always the path.

        Args:
            name_or_path: a key of `rushlight.data.catalog.DATASETS`, or a path.
            **options: see `TextOptions`.

        Raises:
            InputError: there is no such name or path, or it cannot be used; the message says why.
        """
        text = str(name_or_path)
        dataset = catalog.DATASETS.get(text)
        if dataset is not None:
            if dataset.kind != "text":
                raise InputError(f"'{text}' is a set of images, not a text; 'rushlight data list' shows both")
            if text == "nietzsche":  # the public file is not UTF-8
                options.setdefault("encoding", "latin-1")
            return cls.from_files(catalog.get(text), name=text, **options)
        path = Path(text).expanduser()
        if not path.exists() and len(path.parts) == 1:
            known = [key for key, entry in catalog.DATASETS.items() if entry.kind == "text"]
            raise InputError(f"there is no text '{text}'; {nearest_name(text, known)}")
        parts = {part: path / f"{part}.txt" for part in ("train", "valid", "test")}
        if parts["train"].is_file() and parts["valid"].is_file():
            test = parts["test"] if parts["test"].is_file() else None
            return cls.from_files(parts["train"], parts["valid"], test, name=path.resolve().name, **options)
        return cls.from_files(path, name=path.resolve().stem, **options)

    @classmethod
    def _read(
        cls, name: str, train: TextFiles, valid: TextFiles | None, test: Paths | None, options: TextOptions
    ) -> TextData:
        # The same files are another text where they are parts of their own and not one text that is cut.
        parts = f"{len(train.paths)} files train, {'the end' if valid is None else 'the others'} validate"
        store = TokenStore([*train.paths, *([] if valid is None else valid.paths)], f"{parts}; {_reading(options)}")
        tokenizer_type = tokenizer_class(options.tokens)
        with leader_first(f"text/{store.key}"):
            kept = store.read() or _encode(store, train, valid, tokenizer_type, options)
        tokenizer = tokenizer_type.from_json(kept.vocabulary)

        def read_test() -> np.ndarray:
            assert test is not None
            numbers = [tokenizer.encode(chunk) for chunk in _files(test, options).chunks()]
            return np.concatenate([np.zeros(0, np.int64), *numbers])

        return cls(
            name,
            tokenizer,
            kept.train,
            kept.valid,
            options,
            notes=kept.notes,
            was_cut=valid is None,
            read_test=None if test is None else read_test,
        )

    @property
    def test(self) -> TokenBatches | None:
        """Batches of the test part, which is read at the first call; None where there is none."""
        if self._test is None and self._read_test is not None:
            self._test = self._measured(self._read_test())
        return self._test

    @property
    def has_test(self) -> bool:
        """Whether there is a test part, without reading it."""
        return self._read_test is not None

    def part(self, name: str) -> TokenBatches:
        """The batches of a part by its name.

        Raises:
            InputError: there is no such part.
        """
        if name not in ("train", "valid", "test"):
            raise InputError(f"unknown part '{name}': {nearest_name(name, ('train', 'valid', 'test'))}")
        batches: TokenBatches | None = getattr(self, name)
        if batches is None:
            raise InputError(f"'{self.name}' has no test part; it has train and valid")
        return batches

    def with_places(self) -> TextData:
        """The same text; its training batches have a third tensor, the place of every input in the training part."""
        same = copy.copy(self)
        same.train = self.train.with_places()
        return same

    def whole(self) -> TokenBatches:
        """Training and validation part as one, to measure a model on that has read neither."""
        return self._measured(np.concatenate([self._tokens["train"], self._tokens["valid"]]))

    def text(self, part: str, start: int = 0, length: int = 1000) -> str:
        """Some of a part as text, from a token on."""
        return self.tokenizer.decode(self.part(part).tokens[start : start + length])

    def summary(self) -> str:
        """What the text is, and what to know about how it was read."""
        return "\n".join([repr(self), *(f"- {note}" for note in self.notes)])

    def __repr__(self) -> str:
        unit = self.tokenizer.unit
        counts = [
            f"{len(self._tokens[part]):,} {unit}s to {verb}"
            for part, verb in (("train", "train on"), ("valid", "validate on"))
        ]
        test = ["a test part (not read)"] if self.has_test else []
        return f"{self.name}: {', '.join([*counts, *test])}, a vocabulary of {self.tokenizer.size:,}"

    def _sizes(self, tokens: int) -> tuple[int, int]:
        """Streams and window, made smaller where the text is too short for them."""
        batch_size = self.options.batch_size or USUAL_BATCH_SIZE
        window = self.options.window or USUAL_WINDOW
        wanted = batch_size, window
        while batch_size > 1 and (tokens - 1) // batch_size < window:
            batch_size //= 2
        window = max(min(window, (tokens - 1) // batch_size), min(LEAST_WINDOW, tokens - 1))
        asked = self.options.batch_size is not None or self.options.window is not None
        if (batch_size, window) != wanted:
            self.notes.append(
                f"{'warning: ' if asked else ''}{tokens:,} tokens are few for {wanted[0]} streams and windows of "
                f"{wanted[1]}: {batch_size} streams and windows of {window} are used"
            )
        return batch_size, window

    def _batches(self, tokens: np.ndarray, batch_size: int, window: int) -> TokenBatches:
        return TokenBatches(
            tokens,
            batch_size,
            window,
            vary=self.options.vary,
            shift=self.options.shift,
            seed=self.options.seed,
            device=self._device,
        )

    def _measured(self, tokens: np.ndarray) -> TokenBatches:
        streams = max(1, min(MEASURED_STREAMS, len(tokens) // 1000))
        window = max(USUAL_WINDOW, self.options.window or 0)
        return TokenBatches(
            tokens, streams, min(window, len(tokens) - 1), vary=False, keep_all=True, device=self._device
        )

    def _note_what_is_odd(self) -> None:
        unit = self.tokenizer.unit
        if self.tokenizer.size - 2 == 1:
            self.notes.append(f"warning: the text has one distinct {unit}, so there is nothing to learn")
        unknown = int((self._tokens["valid"] == 0).sum())
        if unknown:
            share = 100 * unknown / len(self._tokens["valid"])
            self.notes.append(
                f"{unknown:,} {unit}s of the validation part ({share:.2g} %) are unknown to the training part"
            )


def _encode(
    store: TokenStore,
    train: TextFiles,
    valid: TextFiles | None,
    tokenizer_type: TokenizerClass,
    options: TextOptions,
) -> StoredTokens:
    """Learn a vocabulary from the training part, and keep both parts as numbers."""
    cut = None if valid is not None else _place_of_cut(train, options.valid_fraction)

    def teach() -> Iterator[str]:
        return train.chunks() if cut is None else cut.before(train.chunks())

    tokenizer = tokenizer_type.learn(teach(), options.minimum_frequency)
    rest = valid.chunks() if valid is not None else cut.after(train.chunks()) if cut is not None else iter(())
    return store.write(
        tokenizer.to_json(),
        lambda: _notes_on_reading(train, valid, cut, options),
        tokenizer.encode,
        tokenizer.size,
        teach(),
        rest,
    )


def text_options(given: TextOptionValues) -> TextOptions:
    """The options that were given by name.

    Raises:
        TypeError: there is no such option.
        InputError: a value cannot be used.
    """
    known = [field.name for field in fields(TextOptions)]
    for name in given:
        if name not in known:
            raise TypeError(f"unknown option '{name}': {nearest_name(name, known)}")
    return TextOptions(**given)


def _files(source: Paths, options: TextOptions) -> TextFiles:
    return TextFiles(text_paths(source), options.encoding, options.replace_invalid, options.lowercase)


def _reading(options: TextOptions) -> str:
    """What the tokens depend on beside the files."""
    names = ("tokens", "lowercase", "minimum_frequency", "encoding", "replace_invalid", "valid_fraction")
    return json.dumps({name: value for name, value in asdict(options).items() if name in names})


@dataclass(frozen=True)
class _Cut:
    """Where a text is cut in two: behind so many lines, or behind so many characters.

    Attributes:
        lines: lines before the cut; None to count characters.
        characters: characters before the cut.
    """

    lines: int | None
    characters: int

    def before(self, chunks: Iterable[str]) -> Iterator[str]:
        """The text up to the cut."""
        left = self.characters
        for chunk in chunks:
            if left <= 0:
                return
            yield chunk[:left]
            left -= len(chunk)

    def after(self, chunks: Iterable[str]) -> Iterator[str]:
        """The text from the cut on."""
        left = self.characters
        for chunk in chunks:
            if left < len(chunk):
                yield chunk[max(0, left) :]
            left -= len(chunk)


def _place_of_cut(files: TextFiles, fraction: float) -> _Cut:
    """Behind the first `1 - fraction` of the lines; of a text with few lines, of the characters."""
    lines = characters = 0
    for chunk in files.chunks():
        lines += chunk.count("\n")
        characters += len(chunk)
    if not characters:
        raise InputError(f"'{files.paths[0]}' is empty" if len(files.paths) == 1 else "all the text files are empty")
    if lines < FEWEST_LINES:
        return _Cut(None, int((1 - fraction) * characters))
    before, place = int((1 - fraction) * lines), 0
    left = before
    for chunk in files.chunks():
        here = chunk.count("\n")
        if here < left:
            left -= here
            place += len(chunk)
            continue
        position = -1
        for _ in range(left):
            position = chunk.index("\n", position + 1)
        return _Cut(before, place + position + 1)
    raise AssertionError("unreachable: there are more lines than are before the cut")


def _notes_on_reading(train: TextFiles, valid: TextFiles | None, cut: _Cut | None, options: TextOptions) -> list[str]:
    notes = []
    if cut is not None:
        what = (
            f"the first {cut.lines:,} lines train"
            if cut.lines is not None
            else "there are few lines, so it was cut between characters: the first part trains"
        )
        notes.append(f"no validation text: {what}, the last {100 * options.valid_fraction:g} % validate")
    invalid = train.invalid + (0 if valid is None else valid.invalid)
    if invalid:
        notes.append(f"warning: {invalid:,} bytes that are not {options.encoding} were replaced")
    return notes
