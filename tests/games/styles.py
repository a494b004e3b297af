"""How a game that is plain data (specs.py) is written in nvn, in styles that make no difference."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

import nvn
from nvn.game.schedule import Move
from tests.games.specs import (
    FUNCTIONS,
    WIDTH,
    Applied,
    Called,
    GameSpec,
    Given,
    MoveSpec,
    Node,
    PlayerSpec,
    Ref,
    Sloped,
    Stopped,
    Summed,
    TermSpec,
    formula,
    summed,
)


@dataclass(frozen=True)
class Style:
    """How a game is written down. None of these makes a difference to the game.

    Attributes:
        names: New names of players.
        shuffle: A seed: players, values, objectives and terms are declared in another order.
        split: A weight w is written as split·w + (1 − split)·w, in two calls of `minimizes`.
        twins: e is written as e/2 + e'/2, e' another energy of the same value.
        negate: w·e is written as (−w)·(−e).
        maximize: `maximizes(-x)` instead of `minimizes(x)`.
        afresh: Every expression is written out again where it is used.
        merged: Teams that are written as one player, a module with its members inside.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    shuffle: int | None = None
    split: float | None = None
    twins: bool = False
    negate: bool = False
    maximize: bool = False
    afresh: bool = False
    merged: frozenset[str] = frozenset()


class Merged(nn.Module):
    """A team as one player: its members inside, `name__method` calls a member's method."""

    def __init__(self, members: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleDict(members)

    def __getattr__(self, name: str) -> Any:
        member, _, method = name.partition("__")
        if method and member in self._modules.get("members", {}):
            module = self.members[member]
            return module if method == "forward" else getattr(module, method)
        return super().__getattr__(name)


def halved(x: Tensor) -> Tensor:
    return 0.5 * x


def copied(x: Tensor) -> Tensor:
    return x.clone()


def opposite(x: Tensor) -> Tensor:
    return -x


@dataclass
class Declared:
    """A game as nvn knows it."""

    game: nvn.Game
    players: dict[str, nvn.Player]  # by the name in the spec
    schedule: nvn.Schedule
    energies: list[Any]
    values: list[nvn.Value | None]


def declare(
    spec: GameSpec, modules: Mapping[str, nn.Module] | None = None, style: Style | None = None
) -> Declared:
    """Write `spec` down as a game of nvn, of the given modules."""
    return _Writer(spec, modules or spec.modules(), style or Style()).declared()


class _Writer:
    def __init__(self, spec: GameSpec, modules: Mapping[str, nn.Module], style: Style) -> None:
        self.spec, self.modules, self.style = spec, modules, style
        self.dice = None if style.shuffle is None else random.Random(style.shuffle)
        self.game = nvn.Game("random")
        self.players: dict[str, nvn.Player] = {}
        self.teams: dict[str, nvn.Team] = {}
        self.values: dict[int, nvn.Value] = {}
        self.brought: set[tuple[str, TermSpec]] = set()

    def declared(self) -> Declared:
        self._declare_players()
        nodes = self.spec.needed(self.spec.all_terms)
        if self.dice is None and not self.style.afresh:
            for node in nodes:
                self._value(Ref(node))
        energies: list[Any] = [None] * len(self.spec.energies)
        for index in self._mixed(range(len(energies))):
            if self._is_used(index):
                energies[index] = self._energy(index)
        for name in self._mixed(self.spec.objectives):
            for term in self._mixed(self.spec.objectives[name]):
                self._minimize(self.players[name], term, energies)
        values = [self.values.get(node) for node in range(len(self.spec.nodes))]
        return Declared(self.game, self.players, self._schedule(energies), energies, values)

    # --- players ---

    def _declare_players(self) -> None:
        groups: dict[str, list[PlayerSpec]] = {}
        for player in self._mixed(self.spec.players):
            groups.setdefault(f"team {player.team}" if player.team else player.name, []).append(
                player
            )
        for group in groups.values():
            self._declare_group(group)

    def _declare_group(self, group: list[PlayerSpec]) -> None:
        named = {self._name(p.name): self.modules[p.name] for p in group}
        team = group[0].team
        if team in self.style.merged:
            one = self.game.player(team, Merged({p.name: self.modules[p.name] for p in group}))
            self.players |= {p.name: one for p in group}
        elif team is not None:
            made = self.teams[team] = self.game.team(team, **named)
            self.players |= {p.name: getattr(made, self._name(p.name)) for p in group}
        elif group[0].frozen:
            (name,) = named
            self.players[group[0].name] = self.game.frozen(name, named[name])
        else:
            (name,) = named
            self.players[group[0].name] = self.game.player(name, named[name])

    def _name(self, name: str) -> str:
        return self.style.names.get(name, name)

    # --- values ---

    def _value(self, ref: Ref) -> nvn.Value:
        value = self.values.get(ref.node)
        if value is None or self.style.afresh:
            value = self.values[ref.node] = self._written(self.spec.nodes[ref.node])
        return value if ref.part is None else value[ref.part]

    def _written(self, node: Node) -> nvn.Value:
        if isinstance(node, Given) and not node.noise:
            return self.game.batch(node.name)
        args = [self._value(ref) for ref in node.refs]
        match node:
            case Given(name):
                return self.game.noise(name, (WIDTH,), like=args[0])
            case Called():
                return self._call(node)(args[0], **({"side": args[1]} if args[1:] else {}))
            case Applied(function):
                return nvn.value(FUNCTIONS[function])(*args)
            case Summed(_, scale):
                return nvn.value(summed)(args, scale=scale)
            case Stopped():
                return args[0].stop_gradient()
            case Sloped():
                return nvn.gradient(*args)
        raise AssertionError(node)

    def _call(self, node: Called) -> Callable[..., nvn.Value]:
        player, method = self.players[node.player], node.method
        if self.spec.player(node.player).team in self.style.merged:
            method = f"{node.player}__{method}"
        elif method == "forward" and node.training:
            return player
        return player.method(method, training=node.training)

    # --- energies and objectives ---

    def _is_used(self, energy: int) -> bool:
        return any(energy in (t.energy, t.by) for t in self.spec.all_terms)

    def _energy(self, index: int) -> Any:
        energy = self.spec.energies[index]
        return formula(energy.formula).declared(*(self._value(ref) for ref in energy.refs))

    def _minimize(self, player: nvn.Player, term: TermSpec, energies: list[Any]) -> None:
        if self._is_merged_away(player, term):
            return
        energy = self._energy(term.energy) if self.style.afresh else energies[term.energy]
        if self.style.negate:
            energy = -1.0 * nvn.energy(opposite)(energy_of(energy)) * sign_of(energy)
        if self.style.twins:
            energy = 0.5 * energy + nvn.energy(halved)(energy_of(energy)) * sign_of(energy)
        for number in self._shares(term.number):
            weighted = self._weighted(number * energy, term, energies)
            if self.style.maximize:
                player.maximizes(-weighted)
            else:
                player.minimizes(weighted)

    def _weighted(self, weighted: Any, term: TermSpec, energies: list[Any]) -> Any:
        if term.ramp is not None:
            weighted = weighted * term.ramp
        if term.by is not None:
            by, sign = energy_of(energies[term.by]), sign_of(energies[term.by])
            # As a weight, a value is a constant, whether it is declared as one or not.
            by = nvn.value(copied)(by) if term.number > 0 else by.stop_gradient()
            weighted = weighted * by * sign
        return weighted

    def _shares(self, number: float) -> list[float]:
        if self.style.split is None:
            return [number]
        return [number * self.style.split, number * (1.0 - self.style.split)]

    def _is_merged_away(self, player: nvn.Player, term: TermSpec) -> bool:
        """Tell whether a teammate inside the same player has brought the term already."""
        known = player.name in self.style.merged and (player.name, term) in self.brought
        self.brought.add((player.name, term))
        return known

    # --- moves ---

    def _schedule(self, energies: list[Any]) -> nvn.Schedule:
        return nvn.alternating(*(self._move(move, energies) for move in self.spec.schedule))

    def _move(self, move: MoveSpec, energies: list[Any]) -> Move:
        """Write a move, of whole teams where their members all take part."""
        whole = [t for t, members in self.spec.teams.items() if {*members} <= {*move.players}]
        movers: dict[nvn.Player | nvn.Team, None] = {}
        for name in self._mixed(move.players):
            team = self.spec.player(name).team
            together = team in whole and team in self.teams
            movers[self.teams[team] if together else self.players[name]] = None
        goal = sum(self._weighted(t.number * energies[t.energy], t, energies) for t in move.toward)
        toward = {"toward": goal} if move.toward else {}
        return nvn.move(*movers, times=move.times, every=move.every, fresh=move.fresh, **toward)

    def _mixed(self, things: Any) -> list[Any]:
        mixed = list(things)
        if self.dice is not None:
            self.dice.shuffle(mixed)
        return mixed


def energy_of(energy: Any) -> nvn.Energy:
    """Return the energy of a sum of one: `fool` of a zero-sum family is −fake."""
    return energy if isinstance(energy, nvn.Energy) else energy.terms[0].energy


def sign_of(energy: Any) -> float:
    """Return the sign that an energy of the spec has in front of `energy_of` it."""
    return 1.0 if isinstance(energy, nvn.Energy) else energy.terms[0].weight.factor
