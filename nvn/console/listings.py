"""Lists for `nvn recipes`: the installed recipes, and the settings of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from rich.table import Table
from rich.text import Text

from nvn.console.output import show

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from nvn.recipe.loading import RecipeSource, Summary


def show_recipes(recipes: Iterable[Summary]) -> None:
    """Print recipes, each with the first line of its docstring."""
    table = Table.grid(padding=(0, 3))
    for recipe in recipes:
        table.add_row(Text(recipe.name, style="bold"), Text(recipe.line))
    show(table)


def show_settings(source: RecipeSource) -> None:
    """Print a recipe's settings and presets."""
    table = Table("setting", "default", "description", box=None, pad_edge=False)
    for name, field in source.config_class.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default())
        table.add_row(Text(name), Text(default), Text(_description(field)))
    show(table if table.row_count else f"{source.name} has no settings")
    for name, values in source.config_class.presets.items():
        changed = ", ".join(f"{setting}={value}" for setting, value in values.items())
        show(f"\n--preset {name}: {changed or 'the defaults'}")


def _description(field: FieldInfo) -> str:
    """Return a setting's description, with its allowed values if they are listed."""
    allowed = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    named = ", ".join(map(str, allowed))
    return f"{field.description or ''} ({named})" if named else field.description or ""
