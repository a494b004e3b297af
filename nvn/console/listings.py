"""Lists for `nvn recipes`: the installed recipes, and the settings of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from rich.table import Table
from rich.text import Text

from nvn.console.output import show

if TYPE_CHECKING:
    from nvn.recipe.groups import Setting
    from nvn.recipe.loading import RecipeSource, Summary


def show_recipes(recipes: Iterable[Summary]) -> None:
    """Print recipes, each with the first line of its docstring."""
    table = Table.grid(padding=(0, 3))
    for recipe in recipes:
        table.add_row(Text(recipe.name, style="bold"), Text(recipe.line))
    show(table)


def show_settings(source: RecipeSource) -> None:
    """Print a recipe's settings and presets."""
    from nvn.recipe.groups import leaves, settings

    table = Table("setting", "default", "description", box=None, pad_edge=False)
    for each in settings(source.config_class):
        default = "required" if each.field.is_required() else repr(each.field.get_default())
        table.add_row(Text(each.name), Text(default), Text(_description(each)))
    show(table if table.row_count else f"{source.name} has no settings")
    for name, values in source.config_class.all_presets().items():
        changed = ", ".join(f"{setting}={value}" for setting, value in leaves(values).items())
        show(f"\n--preset {name}: {changed or 'the defaults'}")


def _description(setting: Setting) -> str:
    """Return a setting's description, with its allowed values if they are listed."""
    kind = setting.field.annotation
    allowed = setting.allowed or (get_args(kind) if get_origin(kind) is Literal else ())
    named = f" ({', '.join(map(str, allowed))})" if allowed else ""
    having = f"{', '.join(setting.kinds)}: " if setting.kinds else ""
    return f"{having}{setting.field.description or ''}{named}"
