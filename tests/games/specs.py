"""Games as plain data: players, values, energies, who minimizes what, who moves when.

A `GameSpec` knows nothing of how nvn plays: reference.py computes it directly, styles.py writes it
as an nvn game, strategies.py draws one.

All values have shape (N, 3) in float64, N = 4 samples; a call may return a pair or a dict of such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import nvn
from nvn import energies as en

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
            if kind == "spectral":  # its buffers take part in what comes out
                spectral_norm(self.inner)
        self.joint = nn.Identity()
        norms = {"norm": nn.BatchNorm1d(WIDTH, dtype=torch.float64), "dropout": nn.Dropout(0.3)}
        self.norm = norms.get(kind, nn.Identity())
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
    kind: str = "tanh"  # linear, tanh, norm, spectral, dropout
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


@dataclass(frozen=True)
class Sloped:
    """The gradient of (the sum of) its first argument with respect to its second."""

    refs: tuple[Ref, ...]


Node = Given | Called | Applied | Summed | Stopped | Sloped


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
    fresh: bool | str = False
    toward: tuple[TermSpec, ...] = ()


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
        goals = [move.toward for move in self.schedule]
        return tuple(term for terms in (*self.objectives.values(), *goals) for term in terms)


def game_of(
    players: tuple[PlayerSpec, ...],
    nodes: tuple[Any, ...],
    energies: Mapping[str, tuple[Ref, ...]],
    objectives: Mapping[str, list[tuple[Any, ...]]],
) -> GameSpec:
    """A game in which everybody moves at once; a term is (energy, weight[, energy as weight])."""
    return GameSpec(
        players,
        nodes,
        tuple(EnergySpec(name, refs) for name, refs in energies.items()),
        {
            name: tuple(TermSpec(e, w, by=rest[0] if rest else None) for e, w, *rest in terms)
            for name, terms in objectives.items()
        },
        (MoveSpec(tuple(objectives)),),
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


def batches(seed: int = 0, *, noise: bool = True) -> Iterator[dict[str, Tensor]]:
    """Yield random batches without end: the same for the same seed, noise included or not."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield {
            name: torch.randn(SAMPLES, WIDTH, generator=generator, dtype=torch.float64)
            for name in (*DATA, *([NOISE] * noise))
        }
