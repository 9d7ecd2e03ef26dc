"""What a study varies: settings by name, put together into variations, each of which is trained with every seed.

Nothing here knows what a setting means: that is for whoever trains a cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from rushlight.runtime.errors import InputError, nearest_name

BASELINE = "baseline"


@dataclass(frozen=True)
class Variation:
    """One way to train, beside the settings that all of a study share.

    Attributes:
        settings: value of each setting by its name; none for the recipe as it is.
    """

    settings: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Variation:
        """The variation of a dict."""
        return cls(tuple(settings.items()))

    @property
    def label(self) -> str:
        """How it is called in tables and messages, such as `norm=none, lr=0.1`."""
        return ", ".join(f"{name}={value}" for name, value in self.settings) or BASELINE


@dataclass(frozen=True)
class Cell:
    """One training of a study.

    Attributes:
        variation: how.
        seed: of weights, order and augmentation.
    """

    variation: Variation
    seed: int

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return f"{self.variation.label}, seed {self.seed}"


def parse_choice(text: str, flag: str = "--vary") -> tuple[str, list[str]]:
    """`norm=before_relu,none` as a name and its values.

    Raises:
        InputError: it is written otherwise, or a value stands there twice.
    """
    name, separator, values = text.partition("=")
    chosen = [value.strip() for value in values.split(",")]
    if not name.strip() or not separator or not all(chosen):
        raise InputError(f"{flag} {text}: write it as NAME=VALUE,VALUE, such as norm=before_relu,none")
    if len(set(chosen)) < len(chosen):
        raise InputError(f"{flag} {text}: a value stands there twice")
    return name.strip().replace("-", "_"), chosen


def grid(choices: Sequence[str]) -> list[Variation]:
    """Every combination of `NAME=VALUE,VALUE`, in the order in which they were written.

    Raises:
        InputError: a choice is written otherwise, or a name stands in two of them.
    """
    parsed = [parse_choice(text) for text in choices]
    names = [name for name, _ in parsed]
    if len(set(names)) < len(names):
        raise InputError(f"--vary {max(names, key=names.count)}: put all its values into one --vary")
    return [Variation.of(dict(zip(names, values, strict=True))) for values in product(*(v for _, v in parsed))]


def together(text: str, flag: str = "--also") -> Variation:
    """`model=residual_net,residual=off` as one variation.

    Raises:
        InputError: it is written otherwise.
    """
    settings: dict[str, str] = {}
    for part in text.split(","):
        name, values = parse_choice(part, flag)
        settings[name] = values[0]
    return Variation.of(settings)


def leave_one_out(ingredients: Sequence[str]) -> list[Variation]:
    """The recipe as it is, and without each of its ingredients."""
    return [Variation(), *(Variation(((name, "off"),)) for name in ingredients)]


def baseline_first(variations: Sequence[Variation], chosen: Sequence[str]) -> list[Variation]:
    """The variations without repetitions, the baseline first: the one that has what was chosen, else the first.

    Args:
        variations: as they were put together.
        chosen: `NAME=VALUE`, each of which the baseline is to have.

    Raises:
        InputError: none has all of these.
    """
    unique = list(dict.fromkeys(variations))
    wanted = [(name, values[0]) for name, values in (parse_choice(text, "--baseline") for text in chosen)]
    for variation in unique:
        if set(wanted) <= set(variation.settings):
            return [variation, *(other for other in unique if other != variation)]
    asked = ", ".join(f"{name}={value}" for name, value in wanted)
    known = [f"{name}={value}" for variation in unique for name, value in variation.settings]
    raise InputError(f"--baseline {asked}: nothing that is varied has this value; {nearest_name(asked, known)}")
