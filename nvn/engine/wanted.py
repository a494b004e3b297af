"""Which values are asked for: values themselves, or their names."""

from __future__ import annotations

from collections.abc import Sequence

from nvn.engine.kinds import kind_of
from nvn.errors import GameError, Problem, did_you_mean
from nvn.game.graph import LossGraph
from nvn.game.values import Value

__all__ = ["values_of"]


def values_of(wanted: Sequence[Value | str], graph: LossGraph) -> list[Value]:
    """Return the values that are asked for, some of them by name.

    Raises:
        GameError: Something is no value, or there is none of its name.
    """
    if isinstance(wanted, Value | str):
        written = repr(wanted) if isinstance(wanted, str) else str(wanted)
        problem = Problem("values(…)", f"`{written}` alone", "a list", f"write `[{written}]`")
        raise GameError([problem], graph.name)
    known = {name: value for value, name in (*graph.names.items(), *graph.table.names.items())}
    problems = [_problem(x, known) for x in wanted if not isinstance(x, Value) and x not in known]
    if problems:
        raise GameError(problems, graph.name)
    return [x if isinstance(x, Value) else known[x] for x in wanted]


def _problem(x: object, known: dict[str, Value]) -> Problem:
    expected = "values of the game, or their names"
    if isinstance(x, str):
        found = f"there is no value {x!r}.{did_you_mean(x, known)}"
        return Problem("values(…)", found, expected, "", tuple(known))
    return Problem("values(…)", kind_of(x), expected)
