"""Finding a command: nvn's own, those of other packages, and what was probably meant.

Other packages have commands by their entry points `nvn.commands`, each a name and a function as
typer takes it (`export = "my_package.export:export"`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from nvn.errors import ConfigError, did_you_mean

__all__ = ["Command", "Group", "with_commands"]

# typer brings click's errors, under names of its own that are not public.
_UsageError: Any = typer.BadParameter.__mro__[1]

# What other tools call it.
_ALSO = {
    "train": "run",
    "start": "run",
    "fit": "run",
    "continue": "resume",
    "list": "recipes",
    "show": "graph",
    "test": "check",
    "export": "eject",
}


class Group(TyperGroup):
    """The commands; a name that is none gets the nearest one."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands: nvn's own, then those of others."""
        own = super().list_commands(ctx)
        return [*own, *sorted(_commands_of_others().keys() - {*own})]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; nothing of others is imported for one of nvn's own."""
        found = super().get_command(ctx, cmd_name)
        if found is None and (entry := _commands_of_others().get(cmd_name)) is not None:
            return _command_of(entry)
        return found

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is named."""
        try:
            return super().resolve_command(ctx, args)
        except _UsageError as error:
            error.message = _no_command(args[0], self.list_commands(ctx))
            raise


class Command(TyperCommand):
    """A command; an option that is none may be meant as a setting of the recipe."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            option = getattr(error, "option_name", None)
            # (The same error tells of an option that lacks its value.)
            settable = any("--set" in parameter.opts for parameter in self.params)
            if hasattr(error, "possibilities") and isinstance(option, str) and settable:
                near = [name for name in error.possibilities or () if name != "--help"]
                error.possibilities = near
                error.message = f"No such option: {option}. {_as_setting(option, given)}"
            raise


def with_commands(app: typer.Typer, *functions: Callable[..., None]) -> typer.Typer:
    """Return an app with further commands."""
    for function in functions:
        app.command(cls=Command)(function)
    return app


def _commands_of_others() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="nvn.commands")}


def _command_of(entry: EntryPoint) -> Any:
    """Return the command that an entry point names; one that only says so if it cannot be had."""
    function: Callable[..., None]
    try:
        function = entry.load()
    # Somebody else's code, which may even exit: the other commands are there.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        function = _unusable(f"the command {entry.name} ({entry.value}) cannot be loaded: {error}")
    alone = typer.Typer(add_completion=False)
    alone.command(name=entry.name, cls=Command)(function)
    return typer.main.get_command(alone)


def _unusable(why: str) -> Callable[..., None]:
    def unusable() -> None:
        raise ConfigError(why)

    unusable.__doc__ = why
    return unusable


def _no_command(name: str, known: Sequence[str]) -> str:
    near = did_you_mean(name, known)
    if not near:
        also = difflib.get_close_matches(name, _ALSO, n=1)
        near = f" Did you mean {_ALSO[also[0]]!r}?" if also else ""
    return f"There is no command {name!r}.{near} Commands: {', '.join(known)}"


def _as_setting(option: str, given: Sequence[str]) -> str:
    """Return how a setting of the option's name is given."""
    name = option.lstrip("-").replace("-", "_")
    value = "…"
    for argument, following in zip(given, [*given[1:], "-"], strict=True):
        if argument.startswith(f"{option}="):
            value = argument.partition("=")[2]
        elif argument == option and not following.startswith("-"):
            value = following
    return f"A setting of the recipe is given as --set {name}={value}."
