"""Problems of values: each is looked at by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from nvn import pytree
from nvn.checks.context import Played
from nvn.errors import Problem, did_you_mean
from nvn.game.ops import Call, Gradient
from nvn.game.players import Player, Team
from nvn.game.traversal import differentiable_path
from nvn.game.values import Value


def wrong_values(played: Played) -> Iterator[Problem]:
    """Yield what is wrong with each value by itself."""
    for check in OF_VALUES:
        for node in played.graph.nodes:
            yield from check(played, node)


def _foreign_inputs(played: Played, node: Value) -> Iterator[Problem]:
    for value in node.inputs:
        if played.is_foreign(value) and not played.is_foreign(node):
            yield foreign(played, str(node.where), f"`{node}` takes", value)


def foreign(played: Played, where: str, use: str, value: Value) -> Problem:
    """Return the problem of a value that belongs to another game."""
    found = f"{use} `{value}`, a value of the game {value.table.game!r}"
    edit = f"declare `{value}` in this game: a value belongs to one game"
    return Problem(where, found, f"values of {played.game.name!r} alone", edit)


def _unknown_method(played: Played, node: Value) -> Iterator[Problem]:
    players = {player.name: player for player in played.graph.players}
    # No player of the game: one of another game, or whose name was taken. Told by other checks.
    if not isinstance(node.op, Call) or played.is_foreign(node) or node.op.player not in players:
        return
    player, name = players[node.op.player], node.op.method
    if not callable(getattr(player.module, name, None)):
        known = _methods(player.module)
        yield Problem(
            str(node.where),
            f"`{node}` calls the method {name!r}, which {type(player.module).__name__} lacks",
            f"a method of the module of `{player.name}`",
            f"correct the name.{did_you_mean(name, known)}",
            known,
        )


def _methods(module: nn.Module) -> tuple[str, ...]:
    """Return the names that a module's own classes define, torch's left out."""
    own = (kind for kind in type(module).__mro__ if not kind.__module__.startswith("torch."))
    names = dict.fromkeys(name for kind in own for name in vars(kind))
    return tuple(name for name in names if not name.startswith("_"))


def _independent_gradient(played: Played, node: Value) -> Iterator[Problem]:
    if isinstance(node.op, Gradient) and not differentiable_path(node.args[1], node.args[0]):
        y, x = node.args
        found = f"`{node}`: `{y}` does not depend on `{x}`"
        edit = f"compute `{y}` from `{x}` itself, with no stop_gradient between"
        yield Problem(str(node.where), found, "y computed from x", edit)


def _constants_with_gradients(played: Played, node: Value) -> Iterator[Problem]:
    for leaf in pytree.leaves((node.args, dict(node.kwargs))):
        if isinstance(leaf, Player | Team):
            found = f"`{node}` is given the {type(leaf).__name__.lower()} `{leaf.name}` itself"
            edit = f"pass a call, `{leaf.name}(…)`; a penalty takes `nvn.gradient(y, x)`"
            yield Problem(str(node.where), found, "the value that a player's call makes", edit)
        elif not isinstance(leaf, Value) and _is_learnable(leaf):
            found = f"`{node}` is given a {type(leaf).__name__} with parameters as a constant"
            edit = "make it a player (its own or frozen), and pass that player's call"
            yield Problem(str(node.where), found, "values and plain constants", edit)


def _is_learnable(leaf: Any) -> bool:
    parameters = getattr(leaf, "parameters", None)
    owns = callable(parameters) and any(True for _ in parameters())
    return owns or bool(getattr(leaf, "requires_grad", False))


OF_VALUES = (_foreign_inputs, _unknown_method, _independent_gradient, _constants_with_gradients)
