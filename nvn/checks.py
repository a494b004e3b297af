"""What is wrong with a game, as far as its structure tells: every problem at once.

Each check is a generator of problems (or of warnings) over a frozen graph. None computes anything.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from nvn import tree
from nvn.errors import GameError, GameWarning, Problem, did_you_mean
from nvn.game import Game, Player, Team
from nvn.graph import (
    LossGraph,
    batch_names,
    called_players,
    differentiable_path,
    freeze,
    roots,
)
from nvn.schedule import Move, Schedule
from nvn.values import Apply, Call, Gradient, Sample, Value, WeightedSum


def loss_graph(game: Game, schedules: Sequence[Schedule], *, partial: bool = False) -> LossGraph:
    """Freeze `game`, checked together with the schedules that play it.

    Args:
        game: The game.
        schedules: How it is played: the main schedule and those of the phases, if any.
        partial: Whether other schedules exist too (a phase of a recipe): players that never move
            here are then in order.

    Raises:
        GameError: Listing every problem found.

    Warns:
        GameWarning: For each thing that is legal but probably not meant.
    """
    played = _Played(game, freeze(game, schedules), tuple(schedules), partial)
    problems = [*game.problems, *(p for check in PROBLEMS for p in check(played))]
    if problems:
        raise GameError(problems, game.name)
    for check in WARNINGS:
        for problem in check(played):
            warnings.warn(str(problem), GameWarning, stacklevel=3)
    return played.graph


def sound(game: Game, graph: LossGraph, values: Iterable[Value]) -> tuple[Value, ...]:
    """Return those of the values that can be computed, as far as a look at each by itself tells.

    So problems that only a batch shows can be told together with those of the structure.
    """
    played = _Played(game, graph, (), partial=True)
    able = {player for player in graph.players if not _shapeless(player)}
    return tuple(
        value
        for value in values
        if value.game is game
        and able.issuperset(called_players([value]))
        and not any(True for check in OF_VALUES for _ in check(played, value))
    )


@dataclass(frozen=True)
class _Played:
    """A game with the schedules that play it."""

    game: Game
    graph: LossGraph
    schedules: tuple[Schedule, ...]
    partial: bool

    @property
    def moves(self) -> tuple[Move, ...]:
        return tuple(move for schedule in self.schedules for move in schedule.moves)

    @property
    def reached(self) -> frozenset[Player]:
        """The players called by anything that any objective is computed from."""
        return frozenset(n.op.player for n in self.graph.nodes if isinstance(n.op, Call))

    @property
    def scheduled(self) -> frozenset[Player]:
        return frozenset(player for move in self.moves for player in move.players)

    @property
    def active(self) -> tuple[Player, ...]:
        return tuple(p for p in self.graph.players if not p.frozen)


# --- values -----------------------------------------------------------------------------------


def _wrong_values(played: _Played) -> Iterator[Problem]:
    for check in OF_VALUES:
        for node in played.graph.nodes:
            yield from check(played, node)


def _foreign_inputs(played: _Played, node: Value) -> Iterator[Problem]:
    for value in node.inputs:
        if node.game is played.game is not value.game:
            yield _foreign(played, str(node.where), f"`{node}` takes", value)


def _foreign_objectives(played: _Played) -> Iterator[Problem]:
    for player, where, objective in _objectives(played):
        for value in roots([objective]):
            if value.game is not played.game:
                yield _foreign(played, where, f"`{player.name}` descends", value)


def _foreign(played: _Played, where: str, use: str, value: Value) -> Problem:
    found = f"{use} `{value}`, a value of the game {value.game.name!r}"
    edit = f"declare `{value}` in this game: a value belongs to one game"
    return Problem(where, found, f"values of {played.game.name!r} alone", edit)


def _unknown_method(played: _Played, node: Value) -> Iterator[Problem]:
    if not isinstance(node.op, Call):
        return
    player, name = node.op.player, node.op.method
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


def _independent_gradient(played: _Played, node: Value) -> Iterator[Problem]:
    if isinstance(node.op, Gradient) and not differentiable_path(node.args[1], node.args[0]):
        y, x = node.args
        found = f"`{node}`: `{y}` does not depend on `{x}`"
        edit = f"compute `{y}` from `{x}` itself, with no stop_gradient between"
        yield Problem(str(node.where), found, "y computed from x", edit)


def _constants_with_gradients(played: _Played, node: Value) -> Iterator[Problem]:
    for leaf in tree.leaves((node.args, dict(node.kwargs))):
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


# --- players ----------------------------------------------------------------------------------


def _shared_modules(played: _Played) -> Iterator[Problem]:
    for a, b in combinations(played.graph.players, 2):
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


def _players_who_cannot_learn(played: _Played) -> Iterator[Problem]:
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


def _parameters_without_shape(played: _Played) -> Iterator[Problem]:
    for player in played.graph.players:
        lazy = _shapeless(player)
        if lazy:
            yield Problem(
                str(player.where),
                f"the parameters {_first(lazy)} of `{player.name}` have no shape yet",
                "modules whose parameters are there",
                "run the lazy module once on an example before declaring it",
            )


def _shapeless(player: Player) -> list[str]:
    return [name for name, p in player.module.named_parameters() if is_lazy(p)]


def _frozen_who_move(played: _Played) -> Iterator[Problem]:
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


def _foreign_players(played: _Played) -> Iterator[Problem]:
    for player in sorted(played.scheduled - set(played.graph.players), key=lambda p: p.name):
        found = f"the schedule moves `{player.name}`, a player of the game {player.game.name!r}"
        known = tuple(p.name for p in played.active)
        expected = f"players of {played.game.name!r}"
        yield Problem(str(player.where), found, expected, "schedule this game's players", known)


def _unreached_players(played: _Played) -> Iterator[Problem]:
    for player in played.active:
        if player not in played.reached:
            yield Problem(
                str(player.where),
                f"`{player.name}` is never called by anything that anybody minimises",
                "every player to take part in an energy",
                f"use `{player.name}(…)` in an energy, or remove the player",
            )


def _aimless_players(played: _Played) -> Iterator[Problem]:
    guided = {p for move in played.moves if move.toward is not None for p in move.players}
    for player in played.active:
        alone = any(m.toward is None and player in m.players for m in played.moves)
        idle = player not in guided and not played.partial
        # Whoever was told to minimise what is no energy is told by the declaration.
        if not (player.objective or player.misguided) and (alone or idle):
            yield Problem(
                str(player.where),
                f"`{player.name}` has no objective",
                "every player to minimise something",
                f"add `{player.name}.minimizes(…)`, or declare it "
                f"with `game.frozen({player.name!r}, …)`",
            )


def _unscheduled_players(played: _Played) -> Iterator[Problem]:
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


# --- objectives ---------------------------------------------------------------------------------


def _objectives(played: _Played) -> Iterator[tuple[Player, str, WeightedSum]]:
    """Yield every player with what it descends, and how to name that."""
    for player in played.active:
        if player.objective:
            yield player, f"`{player.name}.minimizes(…)`", player.objective
    for move in played.moves:
        for player in move.players:
            if move.toward is not None:
                yield player, f"{move.where}, a move of `{player.name}`", move.toward


def _immovable_objectives(played: _Played) -> Iterator[Problem]:
    for player, where, objective in _objectives(played):
        if player not in played.reached or player.frozen:
            continue  # told by another check
        if not played.graph.moving_terms(player, objective):
            yield Problem(
                where,
                f"`{player.name}` minimises `{objective}`, which does not depend on it",
                f"an energy computed from a call of `{player.name}`, no stop_gradient between",
                f"use a value that `{player.name}` makes",
            )


def _bad_weights(played: _Played) -> Iterator[Problem]:
    for _, where, objective in _objectives(played):
        for term in objective.terms:
            if not math.isfinite(term.weight.factor):
                found = f"the weight {term.weight.factor} on `{term.energy}`"
                yield Problem(where, found, "a finite weight", "correct the weight")


# --- schedules ----------------------------------------------------------------------------------


def _bad_moves(played: _Played) -> Iterator[Problem]:
    for schedule in played.schedules:
        if not schedule.moves:
            edit = "write nvn.alternating(D, G)"
            yield Problem(str(schedule.where), "a schedule without moves", "at least one", edit)
    for move in played.moves:
        yield from _bad_move(move)


def _bad_move(move: Move) -> Iterator[Problem]:
    where = f"{move.where}, the move of {move}"
    if not move.players:
        yield Problem(str(move.where), "a move of nobody", "at least one player", "name a player")
    if len(set(move.players)) < len(move.players):
        yield Problem(where, "a player twice in one move", "each player once", "use `times=`")
    for name, number in (("times", move.times), ("every", move.every)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            found = f"{name}={number!r}"
            yield Problem(where, found, "a whole number of at least 1", f"correct `{name}`")
    if move.fresh not in (True, False, "noise"):
        yield Problem(where, f"fresh={move.fresh!r}", 'True, False or "noise"', "correct `fresh`")


# --- warnings -----------------------------------------------------------------------------------


def _unused_batch_names(played: _Played) -> Iterator[Problem]:
    used = batch_names(played.graph.nodes)
    samples = any(isinstance(n.op, Sample) for n in played.graph.nodes)  # these see all names
    for value in played.game.batch_values:
        name = str(value)
        if name not in used and not played.partial and not samples:
            edit = "remove it from game.batch(…)"
            yield Problem(str(value.where), f"{name!r} of the batch is never used", "", edit)


def _saturating_maximands(played: _Played) -> Iterator[Problem]:
    for player in played.active:
        for energy, where in player.maximized:
            if isinstance(energy.op, Apply) and getattr(energy.op.fn, "saturating", False):
                found = (
                    f"`{player.name}` maximises `{energy}`, whose gradient vanishes when the "
                    "critic is sure (Goodfellow et al. 2014, section 3)"
                )
                edit = f"`{player.name}.minimizes(adv.fool(…))` of en.NonSaturating()"
                yield Problem(str(where), found, "", edit)


def _unused_frozen(played: _Played) -> Iterator[Problem]:
    for player in played.graph.players:
        if player.frozen and player not in played.reached and not played.partial:
            found = f"the frozen `{player.name}` is called by nothing that anybody minimises"
            yield Problem(str(player.where), found, "", "remove it, if nothing else needs it")


def _weightless(played: _Played) -> Iterator[Problem]:
    for player, where, objective in _objectives(played):
        terms = played.graph.moving_terms(player, objective)
        if terms and all(term.weight.factor == 0.0 for term in terms):
            found = f"`{player.name}` minimises `{objective}`, every weight of which is always zero"
            edit = "do its terms cancel? Declare it frozen if it shall not learn"
            yield Problem(where, found, "", edit)


OF_VALUES = (_foreign_inputs, _unknown_method, _independent_gradient, _constants_with_gradients)
PROBLEMS = (
    _wrong_values,
    _foreign_objectives,
    _shared_modules,
    _players_who_cannot_learn,
    _parameters_without_shape,
    _frozen_who_move,
    _foreign_players,
    _unreached_players,
    _aimless_players,
    _unscheduled_players,
    _immovable_objectives,
    _bad_weights,
    _bad_moves,
)
WARNINGS = (_unused_batch_names, _saturating_maximands, _unused_frozen, _weightless)
