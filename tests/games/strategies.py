"""Random games as plain data, and every way of writing one down in nvn.

A `GameSpec` knows nothing of nvn: the tests' own reference (reference.py) computes it directly, and
`declare` writes it as an nvn game, in a `Style` of which none may make a difference.

All values have shape (N, 3) in float64, N = 4 samples; a call may return a pair or a dict of such.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.schedule import Move

WIDTH = 3
SAMPLES = 4
DATA = ("a", "b")
NOISE = "z"

# --- the players' modules ---------------------------------------------------------------------


class Net(nn.Module):
    """A small module: one or two inputs, the second by keyword; a second method, `encode`.

    Every call passes through `joint` exactly once, and every output is made from what comes out
    of it, so hooks there count calls and backward passes.
    """

    def __init__(self, kind: str, output: str, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.inner = nn.Linear(WIDTH, WIDTH, dtype=torch.float64)
            self.side = nn.Linear(WIDTH, WIDTH, bias=False, dtype=torch.float64)
            self.outer = nn.Linear(WIDTH, WIDTH, dtype=torch.float64)
        self.joint = nn.Identity()
        norm = nn.BatchNorm1d(WIDTH, dtype=torch.float64) if kind == "norm" else nn.Identity()
        self.norm = norm
        self.bend = nn.Identity() if kind == "linear" else nn.Tanh()
        self.output = output

    def forward(self, x: Tensor, *, side: Tensor | None = None) -> Any:
        h = self.inner(x) if side is None else self.inner(x) + self.side(side)
        h = self.bend(self.norm(self.joint(h)))
        y = self.outer(h)
        return {"tensor": y, "pair": (y, h), "dict": {"out": y, "hidden": h}}[self.output]

    def encode(self, x: Tensor) -> Tensor:
        return torch.tanh(self.joint(self.inner(x)))


@dataclass(frozen=True)
class PlayerSpec:
    """A player: what module it has, and who it is with."""

    name: str
    kind: str = "tanh"  # linear, tanh, norm
    output: str = "tensor"  # tensor, pair, dict
    frozen: bool = False
    team: str | None = None
    seed: int = 0

    def module(self) -> Net:
        """Return the module as it is before the game: the same each time."""
        return Net(self.kind, self.output, self.seed)

    @property
    def parts(self) -> tuple[Any, ...]:
        """How to index what a call returns; None: not at all."""
        return {"tensor": (None,), "pair": (0, 1), "dict": ("out", "hidden")}[self.output]


# --- pure functions ---------------------------------------------------------------------------


def added(x: Tensor, y: Tensor) -> Tensor:
    return x + y


def multiplied(x: Tensor, y: Tensor) -> Tensor:
    return x * y


def squashed(x: Tensor, y: Tensor) -> Tensor:
    return torch.sin(x - 2.0 * y)


def summed(tree: Any, scale: float = 1.0) -> Tensor:
    """Add up the tensors of a tree: a tensor, a pair, a dict or a list of trees."""
    if isinstance(tree, Tensor):
        return scale * tree
    branches = tree.values() if isinstance(tree, dict) else tree
    return sum((summed(branch, scale) for branch in branches), torch.zeros(()))


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "added": added,
    "multiplied": multiplied,
    "squashed": squashed,
}

# --- energies: as nvn declares them, and as formulas on tensors -------------------------------


def inner_product(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).mean()


def mean_square(x: Tensor) -> Tensor:
    return x.square().mean()


def slope_size(x: Tensor) -> Tensor:
    return x.square().sum() / len(x)


def softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


@dataclass(frozen=True)
class Formula:
    """An energy twice: declared of values, and written out for tensors; of how many arguments."""

    arity: int
    declared: Callable[..., Any]
    written: Callable[..., Tensor]


FORMULAS: dict[str, Formula] = {
    "square": Formula(1, nvn.energy(mean_square), lambda x: (x * x).sum() / x.numel()),
    "inner": Formula(2, nvn.energy(inner_product), lambda x, y: (x * y).sum() / x.numel()),
    "mse": Formula(2, en.mse, lambda x, y: ((x - y) ** 2).sum() / x.numel()),
    "minimax.real": Formula(1, en.Minimax().real, lambda x: softplus(-x).mean()),
    "minimax.fake": Formula(1, en.Minimax().fake, lambda x: softplus(x).mean()),
    "minimax.fool": Formula(1, en.Minimax().fool, lambda x: -softplus(x).mean()),
    "saturating.not": Formula(1, en.NonSaturating().fool, lambda x: softplus(-x).mean()),
    "hinge.fake": Formula(1, en.Hinge().fake, lambda x: (1.0 + x).clamp(min=0.0).mean()),
    "squares.real": Formula(1, en.LeastSquares().real, lambda x: ((x - 1.0) ** 2).mean() / 2.0),
    "wasserstein.fool": Formula(1, en.Wasserstein().fool, lambda x: -x.mean()),
}
# Of a pair (y, x), x one of the values that y is made from.
PENALTIES: dict[str, Formula] = {
    "slope": Formula(
        2,
        lambda y, x: nvn.energy(slope_size)(nvn.gradient(y, x)),
        lambda y, x: (slope(y, x) ** 2).sum() / len(x),
    ),
    "r1": Formula(2, en.r1, lambda y, x: 0.5 * (slope(y, x) ** 2).sum(dim=1).mean()),
    "penalty": Formula(
        2, en.gradient_penalty, lambda y, x: ((slope(y, x).norm(dim=1) - 1.0) ** 2).mean()
    ),
}


def slope(y: Tensor, x: Tensor) -> Tensor:
    """∂(sum of y)/∂x, differentiable."""
    return torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)[0]


def formula(name: str) -> Formula:
    return {**FORMULAS, **PENALTIES}[name]


# --- the data of a game -----------------------------------------------------------------------


@dataclass(frozen=True)
class Ref:
    """An earlier node, or a part of what it gives."""

    node: int
    part: Any = None


@dataclass(frozen=True)
class Given:
    """A tensor of the batch; `noise`: one that is declared as noise, and handed in."""

    name: str
    noise: bool = False
    refs: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class Called:
    """A call of a player, its second argument by keyword; or of its method `encode`."""

    player: str
    refs: tuple[Ref, ...]
    method: str = "forward"
    training: bool = True


@dataclass(frozen=True)
class Applied:
    """A pure function of values."""

    function: str
    refs: tuple[Ref, ...]


@dataclass(frozen=True)
class Summed:
    """A pure function of a list of whole nodes, trees included, with a constant by keyword."""

    refs: tuple[Ref, ...]
    scale: float = 0.5


@dataclass(frozen=True)
class Stopped:
    """A value as a constant."""

    refs: tuple[Ref, ...]


Node = Given | Called | Applied | Summed | Stopped


@dataclass(frozen=True)
class EnergySpec:
    formula: str
    refs: tuple[Ref, ...]


@dataclass(frozen=True)
class Ramp:
    """A weight that changes with the iteration."""

    values: tuple[float, ...]

    def __call__(self, step: int) -> float:
        return self.values[step % len(self.values)]


@dataclass(frozen=True)
class TermSpec:
    """A weight on an energy: a number, times a function of the step, times another energy."""

    energy: int
    number: float
    ramp: Ramp | None = None
    by: int | None = None

    def known_at(self, step: int) -> float:
        return self.number * (1.0 if self.ramp is None else self.ramp(step))


@dataclass(frozen=True)
class MoveSpec:
    players: tuple[str, ...]
    times: int = 1
    every: int = 1
    fresh: bool = False


@dataclass(frozen=True)
class GameSpec:
    """A game. Nodes are in topological order; objectives only of players that move."""

    players: tuple[PlayerSpec, ...]
    nodes: tuple[Node, ...]
    energies: tuple[EnergySpec, ...]
    objectives: Mapping[str, tuple[TermSpec, ...]]
    schedule: tuple[MoveSpec, ...] = ()

    @property
    def active(self) -> tuple[PlayerSpec, ...]:
        return tuple(p for p in self.players if not p.frozen)

    @property
    def teams(self) -> dict[str, tuple[str, ...]]:
        names = dict.fromkeys(p.team for p in self.players if p.team)
        return {t: tuple(p.name for p in self.players if p.team == t) for t in names}

    def player(self, name: str) -> PlayerSpec:
        return next(p for p in self.players if p.name == name)

    def modules(self) -> dict[str, Net]:
        """Return fresh modules for all players: the same each time."""
        return {p.name: p.module() for p in self.players}

    # --- what depends on what ---

    def closure(self, refs: Sequence[Ref]) -> list[int]:
        """Return the nodes that `refs` are computed from, themselves included, in order."""
        found: set[int] = set()
        waiting = [ref.node for ref in refs]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting.extend(ref.node for ref in self.nodes[node].refs)
        return sorted(found)

    def movable(self, ref: Ref) -> set[str]:
        """Return the players whose parameters a gradient that starts at `ref` can arrive at."""
        node = self.nodes[ref.node]
        if isinstance(node, Stopped | Given):
            return set()
        own = {node.player} if isinstance(node, Called) else set()
        own -= {p.name for p in self.players if p.frozen}
        return own.union(*(self.movable(r) for r in node.refs))

    def moves(self, energy: int, player: str) -> bool:
        """Tell whether the energy depends on the player differentiably."""
        return any(player in self.movable(ref) for ref in self.energies[energy].refs)

    def terms(self, player: str, step: int) -> tuple[TermSpec, ...]:
        """Return the terms that move `player` in iteration `step`."""
        terms = (t for t in self.objectives[player] if self.moves(t.energy, player))
        return tuple(t for t in terms if t.known_at(step) != 0.0)

    def needed(self, terms: Sequence[TermSpec]) -> list[int]:
        """Return the nodes that `terms` are computed from, their weights included, in order."""
        used = [t.energy for t in terms] + [t.by for t in terms if t.by is not None]
        return self.closure([ref for e in used for ref in self.energies[e].refs])

    @property
    def all_terms(self) -> tuple[TermSpec, ...]:
        return tuple(term for terms in self.objectives.values() for term in terms)


# --- writing a game down ----------------------------------------------------------------------


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
        return Declared(self.game, self.players, self._schedule(), energies, values)

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
            energy = -1.0 * nvn.energy(opposite)(_as_energy(energy)) * _sign(energy)
        if self.style.twins:
            energy = 0.5 * energy + nvn.energy(halved)(_as_energy(energy)) * _sign(energy)
        for number in self._shares(term.number):
            weighted = number * energy
            if term.ramp is not None:
                weighted = weighted * term.ramp
            if term.by is not None:
                by = energies[term.by]
                weighted = weighted * _as_energy(by).stop_gradient() * _sign(by)
            if self.style.maximize:
                player.maximizes(-weighted)
            else:
                player.minimizes(weighted)

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

    def _schedule(self) -> nvn.Schedule:
        return nvn.alternating(*(self._move(move) for move in self.spec.schedule))

    def _move(self, move: MoveSpec) -> Move:
        """Write a move, of whole teams where their members all take part."""
        whole = [t for t, members in self.spec.teams.items() if {*members} <= {*move.players}]
        movers: dict[nvn.Player | nvn.Team, None] = {}
        for name in self._mixed(move.players):
            team = self.spec.player(name).team
            together = team in whole and team in self.teams
            movers[self.teams[team] if together else self.players[name]] = None
        return nvn.move(*movers, times=move.times, every=move.every, fresh=move.fresh)

    def _mixed(self, things: Any) -> list[Any]:
        mixed = list(things)
        if self.dice is not None:
            self.dice.shuffle(mixed)
        return mixed


def _as_energy(energy: Any) -> nvn.Energy:
    """Return the energy of a sum of one: `fool` of a zero-sum family is −fake."""
    return energy if isinstance(energy, nvn.Energy) else energy.terms[0].energy


def _sign(energy: Any) -> float:
    return 1.0 if isinstance(energy, nvn.Energy) else energy.terms[0].weight.factor


# --- drawing games ----------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.sampled_from([1.0, -1.0, 0.0, 0.5, 1e-9, -1e-12]),
    st.floats(-2.0, 2.0, allow_nan=False).map(lambda x: round(x, 3)),
)
STEADY = (Ramp((0.3, 0.7)), Ramp((-1.0, 2.0, 0.5)))
RAMPS = (*STEADY, Ramp((1.0, 0.0)), Ramp((0.0, 2.0, -1.0)))


def examples(count: int, *, new: bool = False) -> settings:
    """How many games to draw, the same each time or new ones. (Explaining failures takes long.)"""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=not new,
        phases=[phase for phase in Phase if phase is not Phase.explain],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@dataclass(frozen=True)
class Taste:
    """What kinds of games to draw."""

    penalties: bool = True
    norms: bool = True
    zeros: bool = True  # whether weights may be zero, always or in some iterations
    modes: bool = False  # whether a player's calls may be some in training, some in eval mode


@st.composite
def games(draw: st.DrawFn, taste: Taste = Taste()) -> GameSpec:
    """Games of 2 to 6 players that nvn accepts, with a random schedule."""
    players = tuple(_player(draw, i, taste) for i in range(draw(st.integers(2, 6))))
    if all(p.frozen for p in players):
        players = (replace(players[0], frozen=False), *players[1:])
    spec = GameSpec(players, (Given("a"), Given("b"), Given(NOISE, True, (Ref(0),))), (), {})
    for player in players:  # everyone is called once at least, in a random order of players
        spec = _with_call(draw, spec, player, taste)
    for _ in range(draw(st.integers(0, 4))):
        spec = _with_node(draw, spec, taste)
    for _ in range(draw(st.integers(1, 5))):
        spec = _with_energy(draw, spec, taste)
    spec = _with_objectives(draw, spec, taste)
    return replace(_without_idle(spec), schedule=_schedule(draw, spec))


def _player(draw: st.DrawFn, index: int, taste: Taste) -> PlayerSpec:
    # The slope of a linear player is constant: a penalty on it moves nobody upstream.
    kinds = ["tanh", *(["norm"] * taste.norms), *(["linear"] * (not taste.penalties))]
    frozen = draw(st.sampled_from([False] * 5 + [True]))
    return PlayerSpec(
        name=f"P{index}",
        kind=draw(st.sampled_from(kinds)),
        output=draw(st.sampled_from(["tensor", "tensor", "pair", "dict"])),
        frozen=frozen,
        team=None if frozen else draw(st.sampled_from([None, "red", "blue"])),
        seed=draw(st.integers(0, 2**16)),
    )


def _refs(spec: GameSpec) -> list[Ref]:
    """Return everything of shape (N, 3) that there is, the latest first."""
    found = [Ref(i, part) for i, n in enumerate(spec.nodes) for part in _parts(spec, n)]
    return found[::-1]


def _parts(spec: GameSpec, node: Node) -> tuple[Any, ...]:
    if isinstance(node, Stopped):
        ref = node.refs[0]
        return (None,) if ref.part is not None else _parts(spec, spec.nodes[ref.node])
    if isinstance(node, Called) and node.method == "forward":
        return spec.player(node.player).parts
    return (None,)


def _ref(draw: st.DrawFn, spec: GameSpec) -> Ref:
    return draw(st.sampled_from(_refs(spec)))


def _with_call(draw: st.DrawFn, spec: GameSpec, player: PlayerSpec, taste: Taste) -> GameSpec:
    shape = draw(st.sampled_from(["forward", "forward", "side", "encode"]))
    refs = (_ref(draw, spec),) + ((_ref(draw, spec),) if shape == "side" else ())
    method = "encode" if shape == "encode" else "forward"
    before = [n.training for n in spec.nodes if isinstance(n, Called) and n.player == player.name]
    training = draw(st.sampled_from([True, True, True, False]))
    if before and not taste.modes:
        training = before[0]
    return _with(spec, Called(player.name, refs, method, training and not player.frozen))


def _with_node(draw: st.DrawFn, spec: GameSpec, taste: Taste) -> GameSpec:
    kind = draw(st.sampled_from(["call", "call", "apply", "sum", "stop"]))
    if kind == "call":
        return _with_call(draw, spec, draw(st.sampled_from(spec.players)), taste)
    refs = (_ref(draw, spec), _ref(draw, spec))
    whole = tuple(Ref(ref.node) for ref in refs)
    node = {
        "apply": Applied(draw(st.sampled_from(sorted(FUNCTIONS))), refs),
        "sum": Summed(whole),
        "stop": Stopped(draw(st.sampled_from([refs[:1], whole[:1]]))),
    }[kind]
    return _with(spec, node)


def _with(spec: GameSpec, node: Node) -> GameSpec:
    """Add a node, if it is not there yet: the same call is the same value."""
    return spec if node in spec.nodes else replace(spec, nodes=(*spec.nodes, node))


def _with_energy(draw: st.DrawFn, spec: GameSpec, taste: Taste) -> GameSpec:
    if taste.penalties and draw(st.sampled_from([False, False, True])):
        y = draw(st.sampled_from([r for r in _refs(spec) if r.part not in (1, "hidden")]))
        sources = sorted(_sources(spec, y), key=lambda ref: (ref.node, str(ref.part)))
        if sources:
            x = draw(st.sampled_from(sources))
            energy = EnergySpec(draw(st.sampled_from(sorted(PENALTIES))), (y, x))
            return replace(spec, energies=(*spec.energies, energy))
    name = draw(st.sampled_from(sorted(FORMULAS)))
    refs = tuple(_ref(draw, spec) for _ in range(FORMULAS[name].arity))
    return replace(spec, energies=(*spec.energies, EnergySpec(name, refs)))


def _sources(spec: GameSpec, ref: Ref) -> Iterator[Ref]:
    """Yield what `ref` is made from differentiably through a call, as far as it is (N, 3)."""
    node = spec.nodes[ref.node]
    if isinstance(node, Stopped | Given):
        return
    for r in node.refs:
        is_tensor = r.part is not None or _parts(spec, spec.nodes[r.node]) == (None,)
        if is_tensor and isinstance(node, Called):
            yield r
        yield from _sources(spec, r)


def _with_objectives(draw: st.DrawFn, spec: GameSpec, taste: Taste) -> GameSpec:
    objectives: dict[str, tuple[TermSpec, ...]] = {}
    for player in spec.active:
        spec = _with_energy_of(draw, spec, player.name)
        own = [i for i in range(len(spec.energies)) if spec.moves(i, player.name)]
        first = _term(draw, spec, draw(st.sampled_from(own)), taste)
        others = draw(st.lists(st.sampled_from(range(len(spec.energies))), max_size=3, unique=True))
        more = (_term(draw, spec, e, taste) for e in others if e != first.energy)
        objectives[player.name] = (first, *more)
    return replace(spec, objectives=objectives)


def _with_energy_of(draw: st.DrawFn, spec: GameSpec, player: str) -> GameSpec:
    """Add an energy that moves `player`, if there is none."""
    if any(spec.moves(e, player) for e in range(len(spec.energies))):
        return spec
    moved = [ref for ref in _refs(spec) if player in spec.movable(ref)]
    energy = EnergySpec("square", (draw(st.sampled_from(moved)),))
    return replace(spec, energies=(*spec.energies, energy))


def _term(draw: st.DrawFn, spec: GameSpec, energy: int, taste: Taste) -> TermSpec:
    number = draw(NUMBERS if taste.zeros else NUMBERS.filter(bool))
    kind = draw(st.sampled_from(["number", "number", "number", "ramp", "value"]))
    return TermSpec(
        energy,
        number,
        ramp=draw(st.sampled_from(RAMPS if taste.zeros else STEADY)) if kind == "ramp" else None,
        by=draw(st.sampled_from(range(len(spec.energies)))) if kind == "value" else None,
    )


def _without_idle(spec: GameSpec) -> GameSpec:
    """Leave out frozen players that nothing depends on: nvn warns of them."""
    called = {
        node.player
        for node in (spec.nodes[i] for i in spec.needed(spec.all_terms))
        if isinstance(node, Called)
    }
    players = tuple(p for p in spec.players if not p.frozen or p.name in called)
    return replace(spec, players=players)


def _schedule(draw: st.DrawFn, spec: GameSpec) -> tuple[MoveSpec, ...]:
    """Everyone moves at least once; some move together, twice, now and then, on fresh batches."""
    waiting = list(draw(st.permutations([p.name for p in spec.active])))
    moves = []
    while waiting:
        count = draw(st.integers(1, len(waiting)))
        moves.append(_move(draw, tuple(waiting[:count])))
        waiting = waiting[count:]
    if draw(st.booleans()):
        names = st.sampled_from([p.name for p in spec.active])
        again = draw(st.lists(names, min_size=1, max_size=3, unique=True))
        moves.append(_move(draw, tuple(again)))
    return tuple(moves)


def _move(draw: st.DrawFn, players: tuple[str, ...]) -> MoveSpec:
    return MoveSpec(
        players,
        times=draw(st.sampled_from([1, 1, 1, 2])),
        every=draw(st.sampled_from([1, 1, 1, 2])),
        fresh=draw(st.sampled_from([False, False, True])),
    )


# --- other forms of a game --------------------------------------------------------------------


def of_teams(spec: GameSpec) -> GameSpec:
    """Return the game in which teammates share all terms and always move together."""
    objectives = dict(spec.objectives)
    for members in spec.teams.values():
        shared = tuple(dict.fromkeys(t for name in members for t in spec.objectives[name]))
        objectives |= dict.fromkeys(members, shared)
    schedule = tuple(
        replace(move, players=tuple(dict.fromkeys(n for p in move.players for n in mates(spec, p))))
        for move in spec.schedule
    )
    return replace(spec, objectives=objectives, schedule=schedule)


def mates(spec: GameSpec, player: str) -> tuple[str, ...]:
    """Return the player with its teammates."""
    team = spec.player(player).team
    return spec.teams[team] if team else (player,)


def batches(seed: int = 0) -> Iterator[dict[str, Tensor]]:
    """Yield random batches without end: the same for the same seed, noise included."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield {
            name: torch.randn(SAMPLES, WIDTH, generator=generator, dtype=torch.float64)
            for name in (*DATA, NOISE)
        }
