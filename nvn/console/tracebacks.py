"""Tracebacks of unexpected errors, without the frames of nvn above the recipe's."""

from __future__ import annotations

import sys
from types import TracebackType

from nvn.recipe.loading import INSTALLED


def crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback from the first frame of the recipe on; a `sys.excepthook`."""
    for link in _chain(error):
        link.__traceback__ = _own_part(link.__traceback__)
    sys.__excepthook__(kind, error, error.__traceback__)


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and those it was raised from."""
    chain = [error]
    while (link := chain[-1].__cause__ or chain[-1].__context__) and link not in chain:
        chain.append(link)
    return chain


def _own_part(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames before the recipe's first; without one of its, leave out none."""
    rest = trace
    while rest is not None and not _is_recipes(rest):
        rest = rest.tb_next
    return rest or trace


def _is_recipes(trace: TracebackType) -> bool:
    # Every recipe, and what lies beside it, is imported under such a name (nvn/recipe/loading.py).
    return str(trace.tb_frame.f_globals.get("__name__", "")).startswith(INSTALLED)
