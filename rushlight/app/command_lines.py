"""Command lines as data: what a person set, and the words that set it again in another process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_type_hints

import typer


def with_options_of(
    command: Callable[..., None], other: Callable[..., None], leave_out: Iterable[str]
) -> Callable[..., None]:
    """A command that takes the options of another one beside its own.

    Args:
        command: takes its own parameters by name, of which `context` is one; what was set of the others it finds with
            `options_set`.
        other: the command whose options are added.
        leave_out: parameters of `other` that mean nothing here.
    """
    own = inspect.signature(command).parameters
    added = {
        name: parameter
        for name, parameter in inspect.signature(other).parameters.items()
        if name not in own and name not in set(leave_out)
    }

    def merged(**given: Any) -> None:
        command(**{name: value for name, value in given.items() if name in own})

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*own.values(), *added.values()]]
    merged.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    hints = get_type_hints(other, include_extras=True) | get_type_hints(command, include_extras=True)
    merged.__annotations__ = {parameter.name: hints[parameter.name] for parameter in parameters}
    merged.__doc__, merged.__name__ = command.__doc__, command.__name__
    return merged


def options_set(context: typer.Context, leave_out: Iterable[str] = ()) -> dict[str, Any]:
    """The options that stood on the command line, by name, without those to leave out."""
    options = {p.name: p for p in context.command.params if p.param_type_name == "option" and p.name}
    return {
        name: context.params[name]
        for name in options
        if name in context.params
        and name not in set(leave_out)
        and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    }


def words_of(command: Any, values: Mapping[str, Any]) -> list[str]:
    """The words that set these options.

    Args:
        command: of the parser, which has the options.
        values: by name; a list stands for an option that is given again and again.
    """
    options = {parameter.name: parameter for parameter in command.params}
    words: list[str] = []
    for name, value in values.items():
        option = options[name]
        flag = max(option.opts, key=len)
        if option.is_flag:
            words += [flag] if value else list(option.secondary_opts[:1])
        elif isinstance(value, (list, tuple)):
            words += [word for item in value for word in (flag, str(item))]
        elif value is not None:
            words += [flag, str(value)]
    return words
