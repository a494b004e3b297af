"""The only place that prints.

On a terminal, long work shows a bar with the time left; elsewhere (a file, a pipe) a plain line now
and then. `Reporter` is the plugin that shows a run; `progress` is for the long parts of recipes.

A closed pipe or terminal ends no work: output to it is discarded.
"""

from nvn.console.bars import Bar, duration, progress
from nvn.console.listings import show_recipes, show_settings
from nvn.console.missing import missing_module
from nvn.console.output import fail, saying, show, show_source, to_stderr, warn
from nvn.console.reporter import Reporter
from nvn.console.tracebacks import crash

__all__ = [
    "Bar",
    "Reporter",
    "crash",
    "duration",
    "fail",
    "missing_module",
    "progress",
    "saying",
    "show",
    "show_recipes",
    "show_settings",
    "show_source",
    "to_stderr",
    "warn",
]
