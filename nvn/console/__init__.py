"""The only place that prints.

On a terminal, long work shows a bar with the time left, and a run a board (`Board`); elsewhere (a
file, a pipe) a plain line now and then. `progress` is for the long parts of recipes; what a run
shows is decided by nvn/training/reporter.py.

A closed pipe or terminal ends no work: output to it is discarded.
"""

from nvn.console.bars import Bar, duration, open_bar, progress
from nvn.console.board import Board, EnergyRow, PlayerRow, Stretch, TeamRow
from nvn.console.listings import show_comparison, show_recipes, show_runs, show_settings
from nvn.console.missing import missing_module
from nvn.console.output import fail, saying, show, show_source, to_stderr, warn
from nvn.console.screen import Screen, is_watched, open_screen
from nvn.console.tracebacks import crash

__all__ = [
    "Bar",
    "Board",
    "EnergyRow",
    "PlayerRow",
    "Screen",
    "Stretch",
    "TeamRow",
    "crash",
    "duration",
    "fail",
    "is_watched",
    "missing_module",
    "open_bar",
    "open_screen",
    "progress",
    "saying",
    "show",
    "show_comparison",
    "show_recipes",
    "show_runs",
    "show_settings",
    "show_source",
    "to_stderr",
    "warn",
]
