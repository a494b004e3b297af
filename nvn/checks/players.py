"""Problems of players: their modules, objectives and moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nvn.checks.context import CheckContext
from nvn.errors import Problem
from nvn.game.players import Player


def shared_modules(context: CheckContext) -> Iterator[Problem]:
    """Yield the pairs of players that share a module, a parameter, a buffer or memory."""
    for a, b in _suspects(context.graph.players):
        shared = _shared(a, b)
        if shared:
            yield Problem(
                f"{a.where} and {b.where}",
                f"`{a.name}` and `{b.name}` share {shared}",
                "each parameter and buffer to belong to one player",
                "make the shared part a player of its own, "
                f'`T = game.player("T", shared)`, and write `{a.name}(T(x))`, `{b.name}(T(x))`; '
                "or give each a copy",
            )


def _suspects(players: Sequence[Player]) -> list[tuple[Player, Player]]:
    """Return the pairs of players in whose modules anything occurs twice."""
    found: dict[tuple[str, int], list[int]] = {}  # who has each thing
    for i, player in enumerate(players):
        module = player.module
        keys = {("module", id(module))}
        keys |= {("parameter", id(parameter)) for parameter in module.parameters()}
        keys |= {("part", id(part)) for part in _with_buffers(module)}
        keys |= {("memory", _memory(tensor)) for _, tensor in _tensors(module)}
        for key in keys:
            found.setdefault(key, []).append(i)
    pairs = {pair for numbers in found.values() for pair in combinations(numbers, 2)}
    return [(players[i], players[j]) for i, j in sorted(pairs)]


def _shared(a: Player, b: Player) -> str:
    """Describe what two players share, by its names in `a`; "" if nothing."""
    if a.module is b.module:
        return "the same module"
    parameters = _common(a.module.named_parameters(), b.module.parameters())
    if parameters:
        return f"the parameters {_first(parameters)}"
    parts = _common(a.module.named_modules(), _with_buffers(b.module))
    if parts:
        return f"the submodules {_first(parts)}, which have buffers"
    memory = _common(_tensors(a.module), (x for _, x in _tensors(b.module)), _memory)
    return f"the storage of {_first(memory)}" if memory else ""


def _common(
    ours: Iterable[tuple[str, Any]], theirs: Iterable[Any], key: Callable[[Any], int] = id
) -> list[str]:
    names = {key(x): name for name, x in ours}
    return [names[key(x)] for x in theirs if key(x) in names]


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and buffers of a module that have storage."""
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        if not is_lazy(tensor) and tensor.layout == torch.strided and _memory(tensor):
            yield name, tensor


def _memory(tensor: Tensor) -> int:
    return tensor.data_ptr()  # 0 for an empty tensor, or one on the meta device


def _with_buffers(module: nn.Module) -> Iterator[nn.Module]:
    return (part for part in module.modules() if any(True for _ in part.buffers(recurse=False)))


def _first(names: Sequence[str], count: int = 3) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def players_who_cannot_learn(context: CheckContext) -> Iterator[Problem]:
    """Yield the players that move but have no parameter that requires a gradient."""
    for player in sorted(context.scheduled, key=lambda p: p.name):
        parameters = [*player.module.parameters()]
        if player.frozen or any(p.requires_grad for p in parameters):
            continue  # a frozen player that moves is reported by another check
        found = "none of its parameters requires a gradient" if parameters else "has no parameters"
        yield Problem(
            str(player.where),
            f"`{player.name}` moves, but {found}",
            "a module with trainable parameters",
            f"take `{player.name}` out of the schedule and declare it with `game.frozen`, "
            "or call `requires_grad_(True)` on what is to be trained",
        )


def parameters_without_shape(context: CheckContext) -> Iterator[Problem]:
    """Yield the players with uninitialized (lazy) parameters."""
    for player in context.graph.players:
        lazy = shapeless(player)
        if lazy:
            yield Problem(
                str(player.where),
                f"the parameters {_first(lazy)} of `{player.name}` are uninitialized (lazy)",
                "modules whose parameters have shapes",
                "run the lazy module once on an example before declaring it",
            )


def shapeless(player: Player) -> list[str]:
    """Return the names of a player's uninitialized parameters."""
    return [name for name, p in player.module.named_parameters() if is_lazy(p)]


def frozen_who_move(context: CheckContext) -> Iterator[Problem]:
    """Yield the frozen players that are scheduled, or that have an objective."""
    for player in context.graph.players:
        if not player.frozen:
            continue
        edit = f"declare it with `game.player({player.name!r}, …)`, or leave it out"
        if player in context.scheduled:
            found = f"the schedule moves `{player.name}`, which is frozen"
            yield Problem(str(player.where), found, "frozen players not to move", edit)
        if player.objective:
            found = f"`{player.name}` is frozen but has an objective"
            yield Problem(str(player.where), found, "frozen players to have no objective", edit)


def foreign_players(context: CheckContext) -> Iterator[Problem]:
    """Yield the players of other games in the schedules."""
    for player in sorted(context.scheduled - set(context.graph.players), key=lambda p: p.name):
        found = f"the schedule moves `{player.name}`, a player of the game {player.table.game!r}"
        known = tuple(p.name for p in context.active)
        expected = f"players of {context.game.name!r}"
        yield Problem(str(player.where), found, expected, "schedule this game's players", known)


def unreached_players(context: CheckContext) -> Iterator[Problem]:
    """Yield the players that no objective depends on."""
    for player in context.active:
        if player.name not in context.reached:
            yield Problem(
                str(player.where),
                f"no objective depends on `{player.name}`",
                "each player to be called in some objective",
                f"use `{player.name}(…)` in an energy that is minimized, or remove the player",
            )


def aimless_players(context: CheckContext) -> Iterator[Problem]:
    """Yield the players without an objective."""
    invalid = context.game.table.notes.invalid_objectives  # reported by the declaration
    guided = {p for move in context.moves if move.toward is not None for p in move.players}
    for player in context.active:
        alone = any(m.toward is None and player in m.players for m in context.moves)
        idle = player not in guided and not context.partial
        if not (player.objective or player.name in invalid) and (alone or idle):
            yield Problem(
                str(player.where),
                f"`{player.name}` has no objective",
                "each player to minimize something",
                f"add `{player.name}.minimizes(…)`, or declare it "
                f"with `game.frozen({player.name!r}, …)`",
            )


def unscheduled_players(context: CheckContext) -> Iterator[Problem]:
    """Yield the players with an objective that never move."""
    if context.partial:
        return
    for player in context.active:
        if player.objective and player not in context.scheduled:
            yield Problem(
                str(player.where),
                f"`{player.name}` has an objective but never moves",
                "each player with an objective to be scheduled",
                f"add `{player.name}` to the schedule, or declare it with `game.frozen`",
                tuple(sorted(p.name for p in context.scheduled)),
            )
