"""Which players torch.compile may have, and why it may not have the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from nvn.errors import ConfigError, did_you_mean
from nvn.game.traversal import differentiable_path, gradients_of, owner
from nvn.planner.planner import Plan
from nvn.planner.turns import TurnPlan


def compiled_forwards(
    plan: Plan, modules: Mapping[str, nn.Module], names: Collection[str]
) -> dict[str, Callable[..., Any]]:
    """Return the compiled forwards of the named players.

    Raises:
        ConfigError: There is no such player, or it cannot be compiled soundly.
    """
    if not names:
        return {}
    _, turns = plan.lowered(plan.whole)
    for name in names:
        if name not in modules:
            known, hint = ", ".join(modules), did_you_mean(name, modules)
            raise ConfigError(f"compile: there is no player {name!r}.{hint} Players: {known}")
        if why := next(obstacles(turns, name), None):
            raise ConfigError(f"compile: `{name}` cannot be compiled: {why}")
    return {name: torch.compile(modules[name]) for name in names}


def obstacles(turns: Iterable[TurnPlan], player: str) -> Iterator[str]:
    """Yield what keeps torch.compile from a player, in words; nothing if it may be compiled.

    A compiled backward pass runs once and whole: its graph cannot be kept for another pass, nor
    differentiated again.
    """
    for played in turns:
        yield from _second_order(played, player)
        yield from _kept(played, player)


def _second_order(played: TurnPlan, player: str) -> Iterator[str]:
    for node in gradients_of(played.computed):
        y, x = node.args
        calls = [n for n in differentiable_path(x, y) if owner(n) == player]
        if calls:
            yield f"`{calls[0]}` is differentiated twice, for `{node}`"


def _kept(played: TurnPlan, player: str) -> Iterator[str]:
    back = played.backward_plan
    for segment in back.segments:
        passes = len({x for node in segment for x in back.passes[node]})
        calls = [node for node in segment if owner(node) == player]
        if passes > 1 and calls:
            yield f"{passes} backward passes go through `{calls[0]}` when {played.turn.move} move"
