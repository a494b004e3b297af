"""Which players torch.compile may have, and why it may not have the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from nvn.errors import ConfigError, did_you_mean
from nvn.game.graph import differentiable_path, gradients_of, owner
from nvn.game.values import Value
from nvn.planner.planner import Plan
from nvn.planner.program import Played, Program


def compiled_forwards(
    plan: Plan, modules: Mapping[str, nn.Module], names: Collection[str]
) -> dict[str, Callable[..., Any]]:
    """Return the compiled forwards of the named players.

    Raises:
        ConfigError: There is no such player, or it cannot be compiled soundly.
    """
    if not names:
        return {}
    program = plan.program(plan.whole)
    for name in names:
        if name not in modules:
            known, hint = ", ".join(modules), did_you_mean(name, modules)
            raise ConfigError(f"compile: there is no player {name!r}.{hint} Players: {known}")
        if why := next(obstacles(program, name), None):
            raise ConfigError(f"compile: `{name}` cannot be compiled: {why}")
    return {name: torch.compile(modules[name]) for name in names}


def obstacles(program: Program, player: str) -> Iterator[str]:
    """Yield what keeps torch.compile from a player, in words; nothing if it may be compiled.

    A compiled backward pass runs once and whole: its graph cannot be kept for another pass, nor
    differentiated again.
    """
    for played in program.turns:
        yield from _second_order(played, player)
        yield from _kept(played, player)


def _second_order(played: Played, player: str) -> Iterator[str]:
    for node in gradients_of(played.computed):
        y, x = node.args
        calls = [n for n in differentiable_path(x, y) if _is_call_of(n, player)]
        if calls:
            yield f"`{calls[0]}` is differentiated twice, for `{node}`"


def _kept(played: Played, player: str) -> Iterator[str]:
    back = played.backward_plan
    for segment in back.segments:
        passes = len({x for node in segment for x in back.passes[node]})
        calls = [node for node in segment if _is_call_of(node, player)]
        if passes > 1 and calls:
            yield f"{passes} backward passes go through `{calls[0]}` when {played.turn.move} move"


def _is_call_of(node: Value, player: str) -> bool:
    found = owner(node)
    return found is not None and found.name == player
