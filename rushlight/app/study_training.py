"""The trainings of a study: each a command line of `rushlight train`, so that a person can repeat any of them alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rushlight.app.cell_processes import run_in_process
from rushlight.app.command_lines import words_of
from rushlight.app.study_options import NOT_OF_A_STUDY
from rushlight.runtime.errors import InputError, StorageError, nearest_name
from rushlight.runtime.measured import Measured
from rushlight.runtime.run_folder import plain_name
from rushlight.studies.store import Outcome
from rushlight.studies.variations import Cell, Variation

ALIASES = {"text": {"cell": "model"}}  # what a model of text is called where one speaks of its recurrent cells
SHORT_VALUES = {"norm": {"before": "before_relu", "after": "after_relu"}}
# Where these differ, runs are measured on different images, or count their loss in different tokens.
MEASURES_OTHERWISE = (
    "valid_fraction",
    "fit_all",
    "target",
    "columns",
    "tokens",
    "lowercase",
    "minimum_frequency",
    "encoding",
    "replace_invalid",
)
FOR_ONE_RUN = ("output", "as_json", "seed", "help", *(name for name in NOT_OF_A_STUDY if name != "minutes"))
_ON, _OFF = ("on", "true", "yes"), ("off", "false", "no")


@dataclass(frozen=True)
class StudiedTraining:
    """How cells are trained: a command line, and what a variation changes in it.

    Attributes:
        kind: `images` or `text`.
        data: a path or a name of the catalog.
        fixed: options that hold for every cell, by name.
        split_seed: of the parts of the data, the same for every cell.
        ingredients: of the recipe, each of which `--without` leaves out.
        default_model: what is trained where no model is named.
        folder: where the run folders go.
    """

    kind: str
    data: str
    fixed: Mapping[str, Any]
    split_seed: int
    ingredients: Mapping[str, str] = field(default_factory=dict)
    default_model: str = ""
    folder: Path = Path("cells")

    @property
    def command(self) -> Any:
        """The parser's command `train images` or `train text`."""
        from rushlight.app.cli import build_program

        return build_program().commands["train"].commands[self.kind]  # type: ignore[attr-defined]

    def words(self, cell: Cell) -> list[str]:
        """The command line of a cell, without `rushlight`.

        Raises:
            InputError: there is nothing of that name to vary, or it cannot have that value.
        """
        command = self.command
        values: dict[str, Any] = dict(self.fixed)
        without: list[str] = list(values.pop("without", None) or [])
        model_options: list[str] = list(values.pop("model_option", None) or [])
        for name, value in self._settings(cell.variation).items():
            kind, setting = self._translated(command, name, value, cell.variation)
            if kind == "option":
                values[name] = setting
            elif kind == "ingredient":
                without = [other for other in without if other != name] + ([name] if setting else [])
            else:
                model_options = [other for other in model_options if other.partition("=")[0] != name]
                model_options.append(f"{name}={setting}")
        values |= {"model_option": model_options, "without": without} if without else {"model_option": model_options}
        words = ["train", self.kind, self.data, *words_of(command, values), "--no-report", "--seed", str(cell.seed)]
        return words if self.kind == "text" else [*words, "--split-seed", str(self.split_seed)]

    def check(self, variations: Sequence[Variation]) -> None:
        """Refuse variations that cannot be trained, before any of them is.

        Raises:
            InputError: an option, a model or a part of one does not exist (the nearest is named), or a value is wrong.
        """
        for variation in variations:
            words = self.words(Cell(variation, 0))
            try:
                context = self.command.make_context(f"rushlight train {self.kind}", words[2:])
            except Exception as error:
                if not hasattr(error, "format_message"):
                    raise
                raise InputError(f"{variation.label}: {error.format_message().rstrip('.')}") from None
            self._check_names(context.params, variation)

    def run(self, cell: Cell, before: Callable[[], None] | None = None) -> Outcome:
        """Train a cell in a process of its own, so that nothing that happens to it harms the others.

        Args:
            cell: what to train.
            before: called in that process before the training is.

        Raises:
            KeyboardInterrupt: the training was interrupted.
            StorageError: there is no room to go on.
        """
        folder = self.folder / _folder_name(cell)
        ended = run_in_process([*self.words(cell), "--output", str(folder)], folder, before)
        if ended.error_code == StorageError.exit_code:
            raise StorageError(ended.message)
        if ended.message:
            return Outcome(failure=ended.message)
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        measured = {name: value for name, value in facts["results"]["valid"].items() if Measured.is_json(value)}
        return Outcome({"results": measured, "seconds": facts["seconds"], "run": folder.name})

    # --- what a name means -------------------------------------------------------------------------------------------

    def _settings(self, variation: Variation) -> dict[str, str]:
        aliases = ALIASES.get(self.kind, {})
        return {
            aliases.get(name, name): SHORT_VALUES.get(name, {}).get(value, value) for name, value in variation.settings
        }

    def _translated(self, command: Any, name: str, value: str, variation: Variation) -> tuple[str, Any]:
        """Whether a name is an option, an ingredient or a part of the model, and what the value means there."""
        options = {p.name: p for p in command.params if p.param_type_name == "option"}
        if name in FOR_ONE_RUN:
            raise InputError(f"--vary {name}: each run of a study has its own; --seeds says how many there are")
        if name in MEASURES_OTHERWISE and name in options:
            raise InputError(f"--vary {name}: it changes what is measured, so that the runs could not be compared")
        if name in self.ingredients and value in (*_ON, *_OFF):
            return "ingredient", value in _OFF
        if name in options and name not in ("model_option", "without"):
            return "option", _as_flag(name, value) if options[name].is_flag else value
        parts = self._model_parts(variation)
        if name in parts:
            return "part", {**dict.fromkeys(_ON, "true"), **dict.fromkeys(_OFF, "false")}.get(value, value)
        if name in self.ingredients:
            raise InputError(f"--vary {name}={value}: it is an ingredient of the recipe, which is on or off")
        varied = [o for o in options if o not in (*FOR_ONE_RUN, *MEASURES_OTHERWISE, "model_option", "without")]
        hint = nearest_name(name, [*varied, *self.ingredients, *parts])
        raise InputError(
            f"--vary {name}: there is no such option, ingredient, or part of {self._model(variation)}; {hint}"
        )

    def _model(self, variation: Variation) -> str:
        name = self._settings(variation).get("model") or self.fixed.get("model") or self.default_model
        return self.default_model if name == "auto" else str(name)

    def model_with_parts(self, variations: Sequence[Variation]) -> str | None:
        """The simplest network that has all the parts that are varied; None where the one that is trained will do.

        Somebody who varies the place of a norm without naming a network means one that has it.
        """
        if self.kind != "images" or "model" in self.fixed or "backbone" in self.fixed:
            return None
        from rushlight.nn.models import MODELS, model_options

        named = {p.name for p in self.command.params} | set(self.ingredients)
        parts = {name for variation in variations for name in self._settings(variation)} - named
        varies_the_model = any("model" in self._settings(variation) for variation in variations)
        if varies_the_model or parts <= set(self._model_parts(Variation())):
            return None
        return next((model for model in MODELS if parts <= set(model_options(model))), None)

    def _model_parts(self, variation: Variation) -> dict[str, Any]:
        model = self._model(variation)
        if self.kind == "images":
            from rushlight.nn.models import MODELS, model_options

            return model_options(model) if model in MODELS else {}
        from rushlight.nn.language_models import LANGUAGE_MODELS
        from rushlight.nn.models import options_of
        from rushlight.tasks.language_model import body_named

        body = body_named(model)
        return options_of(LANGUAGE_MODELS[body], "tokens", "cell") if body in LANGUAGE_MODELS else {}

    def _check_names(self, params: Mapping[str, Any], variation: Variation) -> None:
        """What the command itself would refuse once it has begun: names, numbers and what models are built of."""
        from rushlight.app import options, training_options
        from rushlight.training.optimizers import OPTIMIZERS
        from rushlight.training.schedules import SCHEDULES

        options.check_name("optimizer", params.get("optimizer"), OPTIMIZERS)
        options.check_name("schedule", params.get("schedule"), SCHEDULES)
        options.parse_learning_rates(params.get("lr"))
        chosen = training_options.parse_model_options(params.get("model_option"))
        if self.kind == "images":
            from rushlight.data.augmentation import PRESETS
            from rushlight.nn.backbones import check_backbone
            from rushlight.nn.heads import HEADS
            from rushlight.nn.models import MODELS, build_model

            options.check_name("model", params["model"], ["auto", *MODELS])
            options.check_name("augment", params["augment"], ["auto", *PRESETS])
            options.check_name("head", params.get("head"), HEADS)
            if params.get("backbone") is not None:
                check_backbone(params["backbone"])
            model = self._model(variation)
            if model in MODELS and model != "backbone_classifier":
                _build_without_memory(lambda: build_model(model, 2, **chosen), variation)
        else:
            from rushlight.app import text_options
            from rushlight.nn.language_models import build_language_model
            from rushlight.tasks.language_model import MODEL_NAMES, body_named

            options.check_name("model", params["model"], MODEL_NAMES)
            body = body_named(params["model"])
            sizes = text_options.model_options(params["hidden_size"], params["layers"], params["dropout"])
            _build_without_memory(lambda: build_language_model(body, 2, **(sizes | chosen)), variation)


def _folder_name(cell: Cell) -> str:
    """A name for people, and where it would be long one that is still unlike all others."""
    name = plain_name(cell.label)
    return name if len(name) < 50 else f"{name[:40]}-{hashlib.sha256(os.fsencode(cell.label)).hexdigest()[:8]}"


def _as_flag(name: str, value: str) -> bool:
    if value not in (*_ON, *_OFF):
        raise InputError(f"--vary {name}={value}: it is on or off")
    return value in _ON


def _build_without_memory(build: Any, variation: Variation) -> None:
    from rushlight.runtime.uninitialised import structure_only

    try:
        with structure_only():
            build()
    except (TypeError, ValueError) as error:
        raise InputError(f"{variation.label}: {error}") from None
