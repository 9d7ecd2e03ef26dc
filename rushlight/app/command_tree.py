"""The commands of the program as a tree whose parts are built when they are asked for.

A person calls one command at a time; to read the parameters of all the others would take most of the time that help
takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from rushlight.app.options import GroupedHelp


@dataclass(frozen=True)
class Branch:
    """A command or a group of commands that is not built yet.

    Attributes:
        help: what it does; the first sentence stands in the list.
        build: makes it, given its name.
    """

    help: str
    build: Callable[[str], Any]

    @classmethod
    def of(
        cls,
        function: Callable[..., None],
        kind: type[TyperCommand] = GroupedHelp,
        merged: Callable[[], Callable[..., None]] | None = None,
    ) -> Branch:
        """A command.

        Args:
            function: runs it; its docstring is the help.
            kind: how the command parses its words, and shows its help.
            merged: makes the function that is to be run instead, where that takes a while.
        """

        def build(name: str) -> Any:
            program = typer.Typer(add_completion=False, rich_markup_mode=None)
            program.command(name, cls=kind)(merged() if merged else function)
            return typer.main.get_command(program)

        return cls(inspect.getdoc(function) or "", build)

    @classmethod
    def group(cls, help_text: str, callback: Callable[..., None], branches: Mapping[str, Branch]) -> Branch:
        """A group.

        Args:
            help_text: what its commands have in common.
            callback: runs before any of them, or alone.
            branches: its commands by name, in the order in which a newcomer needs them.
        """

        def build(name: str) -> CommandGroup:
            # Plain text rather than boxes: examples can be copied, and help appears in half the time.
            program = typer.Typer(
                name=name,
                help=help_text,
                callback=callback,
                cls=CommandGroup,
                invoke_without_command=True,
                add_completion=False,
                rich_markup_mode=None,
            )
            group = typer.main.get_command(program)
            assert isinstance(group, CommandGroup)
            group.commands = Commands(branches)  # type: ignore[assignment]  # it only reads them
            return group

        return cls(help_text, build)


class Commands(Mapping[str, Any]):
    """Commands by name, each built the first time it is asked for.

    Args:
        branches: by name.
    """

    def __init__(self, branches: Mapping[str, Branch]) -> None:
        self.branches = branches
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = self.branches[name].build(name)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.branches)

    def __len__(self) -> int:
        return len(self.branches)


class CommandGroup(TyperGroup):
    """A group whose list of commands needs none of them built."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in their order."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each name with the first sentence of its help."""
        assert isinstance(self.commands, Commands)
        width = formatter.width - 6 - max(map(len, self.commands))
        rows = [
            (name, TyperCommand(name, help=branch.help).get_short_help_str(width))
            for name, branch in self.commands.branches.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
