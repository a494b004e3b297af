"""Problems of players: their modules, and their part in the game."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nvn.checks.context import Played
from nvn.errors import Problem
from nvn.game.players import Player


def shared_modules(played: Played) -> Iterator[Problem]:
    """Yield the pairs of players who share anything."""
    for a, b in _suspects(played.graph.players):
        shared = _shared(a, b)
        if shared:
            yield Problem(
                f"{a.where} and {b.where}",
                f"`{a.name}` and `{b.name}` share {shared}",
                "every parameter and buffer to belong to one player",
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
    """Say what two players share, in the names that it has in `a`; nothing if they don't."""
    if a.module is b.module:
        return "one module"
    parameters = _common(a.module.named_parameters(), b.module.parameters())
    if parameters:
        return f"the parameters {_first(parameters)}"
    parts = _common(a.module.named_modules(), _with_buffers(b.module))
    if parts:
        return f"the parts {_first(parts)}, which have buffers"
    memory = _common(_tensors(a.module), (x for _, x in _tensors(b.module)), _memory)
    return f"the memory of {_first(memory)}" if memory else ""


def _common(
    ours: Iterable[tuple[str, Any]], theirs: Iterable[Any], key: Callable[[Any], int] = id
) -> list[str]:
    names = {key(x): name for name, x in ours}
    return [names[key(x)] for x in theirs if key(x) in names]


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and buffers of a module that have memory of their own."""
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        if not is_lazy(tensor) and tensor.layout == torch.strided and _memory(tensor):
            yield name, tensor


def _memory(tensor: Tensor) -> int:
    return tensor.data_ptr()  # 0 for what is empty, or on the meta device


def _with_buffers(module: nn.Module) -> Iterator[nn.Module]:
    return (part for part in module.modules() if any(True for _ in part.buffers(recurse=False)))


def _first(names: Sequence[str], count: int = 3) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def players_who_cannot_learn(played: Played) -> Iterator[Problem]:
    """Yield the players who move although nothing of theirs can."""
    for player in sorted(played.scheduled, key=lambda p: p.name):
        parameters = [*player.module.parameters()]
        if player.frozen or any(p.requires_grad for p in parameters):
            continue  # a frozen player who moves is told by another check
        found = "none of its parameters requires a gradient" if parameters else "has no parameters"
        yield Problem(
            str(player.where),
            f"`{player.name}` moves, but {found}",
            "a module with something to learn",
            f"take `{player.name}` out of the schedule and declare it with `game.frozen`, "
            "or call `requires_grad_(True)` on what shall learn",
        )


def parameters_without_shape(played: Played) -> Iterator[Problem]:
    """Yield the players with parameters still to be made."""
    for player in played.graph.players:
        lazy = shapeless(player)
        if lazy:
            yield Problem(
                str(player.where),
                f"the parameters {_first(lazy)} of `{player.name}` have no shape yet",
                "modules whose parameters are there",
                "run the lazy module once on an example before declaring it",
            )


def shapeless(player: Player) -> list[str]:
    """Return the names of a player's parameters that have no shape yet."""
    return [name for name, p in player.module.named_parameters() if is_lazy(p)]


def frozen_who_move(played: Played) -> Iterator[Problem]:
    """Yield the frozen players who are told to move or to minimise."""
    for player in played.graph.players:
        if not player.frozen:
            continue
        edit = f"declare it with `game.player({player.name!r}, …)`, or leave it out"
        if player in played.scheduled:
            found = f"the schedule moves `{player.name}`, which is frozen"
            yield Problem(str(player.where), found, "frozen players never move", edit)
        if player.objective:
            found = f"`{player.name}` is frozen but has an objective"
            yield Problem(str(player.where), found, "frozen players minimise nothing", edit)


def foreign_players(played: Played) -> Iterator[Problem]:
    """Yield the players of other games in the schedules."""
    for player in sorted(played.scheduled - set(played.graph.players), key=lambda p: p.name):
        found = f"the schedule moves `{player.name}`, a player of the game {player.table.game!r}"
        known = tuple(p.name for p in played.active)
        expected = f"players of {played.game.name!r}"
        yield Problem(str(player.where), found, expected, "schedule this game's players", known)


def unreached_players(played: Played) -> Iterator[Problem]:
    """Yield the players whom no objective uses."""
    for player in played.active:
        if player.name not in played.reached:
            yield Problem(
                str(player.where),
                f"`{player.name}` is never called by anything that anybody minimises",
                "every player to take part in an energy",
                f"use `{player.name}(…)` in an energy, or remove the player",
            )


def aimless_players(played: Played) -> Iterator[Problem]:
    """Yield the players who minimise nothing."""
    misguided = played.game.table.notes.misguided  # that is told already
    guided = {p for move in played.moves if move.toward is not None for p in move.players}
    for player in played.active:
        alone = any(m.toward is None and player in m.players for m in played.moves)
        idle = player not in guided and not played.partial
        if not (player.objective or player.name in misguided) and (alone or idle):
            yield Problem(
                str(player.where),
                f"`{player.name}` has no objective",
                "every player to minimise something",
                f"add `{player.name}.minimizes(…)`, or declare it "
                f"with `game.frozen({player.name!r}, …)`",
            )


def unscheduled_players(played: Played) -> Iterator[Problem]:
    """Yield the players with an objective who never move."""
    if played.partial:
        return
    for player in played.active:
        if player.objective and player not in played.scheduled:
            yield Problem(
                str(player.where),
                f"`{player.name}` has an objective but never moves",
                "every player with an objective in the schedule",
                f"add `{player.name}` to the schedule, or declare it frozen",
                tuple(sorted(p.name for p in played.scheduled)),
            )
