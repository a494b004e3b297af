"""Problems of values: each is checked by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from nvn import pytree
from nvn.checks.context import CheckContext
from nvn.errors import Problem, did_you_mean
from nvn.game.ops import Call, Gradient
from nvn.game.players import Player, Team
from nvn.game.traversal import differentiable_path
from nvn.game.values import Value


def wrong_values(context: CheckContext) -> Iterator[Problem]:
    """Yield the problems of each value."""
    for check in OF_VALUES:
        for node in context.graph.nodes:
            yield from check(context, node)


def _foreign_inputs(context: CheckContext, node: Value) -> Iterator[Problem]:
    for value in node.inputs:
        if context.is_foreign(value) and not context.is_foreign(node):
            yield foreign(context, str(node.where), f"`{node}` takes", value)


def foreign(context: CheckContext, where: str, use: str, value: Value) -> Problem:
    """Return the problem of a value that belongs to another game."""
    found = f"{use} `{value}`, a value of the game {value.table.game!r}"
    edit = f"declare `{value}` in this game: a value belongs to one game"
    return Problem(where, found, f"values of {context.game.name!r} only", edit)


def _unknown_method(context: CheckContext, node: Value) -> Iterator[Problem]:
    players = {player.name: player for player in context.graph.players}
    # No player of the game: one of another game, or whose name was taken. Reported by other checks.
    if not isinstance(node.op, Call) or context.is_foreign(node) or node.op.player not in players:
        return
    player, name = players[node.op.player], node.op.method
    if not callable(getattr(player.module, name, None)):
        known = _methods(player.module)
        yield Problem(
            str(node.where),
            f"`{node}` calls {name!r}, which is no method of {type(player.module).__name__}",
            f"a method of the module of `{player.name}`",
            f"correct the name.{did_you_mean(name, known)}",
            known,
        )


def _methods(module: nn.Module) -> tuple[str, ...]:
    """Return the public names that a module's classes define, without those of torch."""
    own = (kind for kind in type(module).__mro__ if not kind.__module__.startswith("torch."))
    names = dict.fromkeys(name for kind in own for name in vars(kind))
    return tuple(name for name in names if not name.startswith("_"))


def _independent_gradient(context: CheckContext, node: Value) -> Iterator[Problem]:
    if isinstance(node.op, Gradient) and not differentiable_path(node.args[1], node.args[0]):
        y, x = node.args
        found = f"`{node}`: `{y}` does not depend on `{x}`"
        edit = f"compute `{y}` from `{x}` itself, without stop_gradient between"
        yield Problem(str(node.where), found, "y computed from x", edit)


def _constants_with_gradients(context: CheckContext, node: Value) -> Iterator[Problem]:
    for leaf in pytree.leaves((node.args, dict(node.kwargs))):
        if isinstance(leaf, Player | Team):
            found = f"`{node}` is given the {type(leaf).__name__.lower()} `{leaf.name}` itself"
            edit = f"pass a call, `{leaf.name}(…)`; a penalty takes `nvn.gradient(y, x)`"
            yield Problem(str(node.where), found, "the value of a player's call", edit)
        elif not isinstance(leaf, Value) and _is_learnable(leaf):
            found = f"`{node}` is given a {type(leaf).__name__} with parameters as a constant"
            edit = "make it a player (its own or frozen), and pass that player's call"
            yield Problem(str(node.where), found, "values and plain constants", edit)


def _is_learnable(leaf: Any) -> bool:
    parameters = getattr(leaf, "parameters", None)
    owns = callable(parameters) and any(True for _ in parameters())
    return owns or bool(getattr(leaf, "requires_grad", False))


OF_VALUES = (_foreign_inputs, _unknown_method, _independent_gradient, _constants_with_gradients)
