"""What a person probably meant whose command line is not understood."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from nvn.errors import did_you_mean

__all__ = ["Command", "Group"]

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

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is named."""
        try:
            return super().resolve_command(ctx, args)
        except _UsageError as error:
            error.message = _no_command(args[0], list(self.commands))
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
