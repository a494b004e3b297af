"""Lists: the installed recipes, the settings of one; runs, and several beside one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, get_args, get_origin

import rich
from rich.table import Table
from rich.text import Text

from nvn.console.bars import duration
from nvn.console.output import show, visible

if TYPE_CHECKING:
    from nvn.recipe.groups import Setting
    from nvn.recipe.loading import RecipeSource, Summary
    from nvn.report.finding import RunLine
    from nvn.report.gather import RunShown


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


def show_runs(lines: Sequence[RunLine]) -> None:
    """Print runs, a line each."""
    rows = [
        (
            line.folder,
            line.recipe,
            line.outcome,
            "" if line.steps is None else str(line.steps),
            "" if line.value is None else f"{line.value:.4g}",
            line.metric,
            "" if line.seconds is None else duration(max(line.seconds, 0.0)),
            _size(line.bytes),
        )
        for line in lines
    ]
    header = ("run", "recipe", "outcome", "steps", "value", "metric", "age", "size")
    _show_table(header, rows, {"steps", "value", "age", "size"})


def show_comparison(runs: Sequence[RunShown]) -> None:
    """Print runs as columns: in what they differ, how they ended, what they reached."""
    from nvn.report.comparing import differing, labels, value_of

    names = labels(runs)
    rows = [(name, *(value_of(run, name) or "–" for run in runs)) for name in differing(runs)]
    rows.append(("outcome", *(run.outcome for run in runs)))
    rows.append(("time", *(_took(run) for run in runs)))
    metrics = dict.fromkeys(metric for run in runs for metric in run.results)
    for metric in metrics:
        found = (run.results.get(metric) for run in runs)
        rows.append(("/".join(metric), *("–" if x is None else f"{x:.4g}" for x in found)))
    _show_table(("", *names), rows, {*names})


def _show_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Iterable[str]
) -> None:
    """Print a table: in a file as lines that are never wrapped."""
    right = [name in set(numbers) for name in header]
    if rich.get_console().is_terminal:
        table = Table(box=None, pad_edge=False)
        for name, is_number in zip(header, right, strict=True):
            table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        show(table)
        return
    cells = [[visible(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        parts = zip(row, widths, right, strict=True)
        show("  ".join(x.rjust(w) if r else x.ljust(w) for x, w, r in parts).rstrip())


def _took(run: RunShown) -> str:
    seconds = run.about.get("seconds")
    return duration(float(seconds)) if isinstance(seconds, int | float) else "–"


def _size(count: int) -> str:
    """Return a number of bytes in words.

    >>> _size(900), _size(2_500_000)
    ('900 B', '2.5 MB')
    """
    if count < 1000:
        return f"{count} B"
    power = min((len(str(count)) - 1) // 3, 4)
    return f"{count / 1000**power:.1f} {'kMGT'[power - 1]}B"


def _description(setting: Setting) -> str:
    """Return a setting's description, with its allowed values if they are listed."""
    kind = setting.field.annotation
    allowed = setting.allowed or (get_args(kind) if get_origin(kind) is Literal else ())
    named = f" ({', '.join(map(str, allowed))})" if allowed else ""
    having = f"{', '.join(setting.kinds)}: " if setting.kinds else ""
    return f"{having}{setting.field.description or ''}{named}"
