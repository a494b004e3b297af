"""Hypothesis strategies of random games, and how many to draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.games.specs import (
    FORMULAS,
    FUNCTIONS,
    NOISE,
    PENALTIES,
    Applied,
    Called,
    EnergySpec,
    GameSpec,
    Given,
    MoveSpec,
    Node,
    PlayerSpec,
    Ramp,
    Ref,
    Sloped,
    Stopped,
    Summed,
    TermSpec,
)

PLAIN = st.one_of(
    st.sampled_from([1.0, -1.0, 0.5, -0.3, 2.0]),
    st.floats(-2.0, 2.0).map(lambda x: round(x, 3)).filter(lambda x: abs(x) > 0.1),
)
MULTIPLES = (1.0, -1.0, 2.0, -0.5, 3.0, 0.1, 1e-15, -1e6, 1 + 1e-6, 1 - 1e-9, -1 - 1e-12)
ODD = st.sampled_from([0.0, 1e-9, -1e-12])
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
    kinds: tuple[str, ...] = ()  # of players, besides the usual ones
    slopes: bool = False  # whether gradients are values among others: of several uses, in rows
    related: bool = False  # whether players' weights are multiples and sums of one another's
    steps: bool = True  # whether weights may be functions of the step
    values: bool = True  # whether weights may be values
    moves: bool = False  # whether moves have goals of their own, draw noise anew, are of everybody


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
    spec = (_with_related if taste.related else _with_objectives)(draw, spec, taste)
    return _without_idle(replace(spec, schedule=_schedule(draw, spec, taste)))


def _player(draw: st.DrawFn, index: int, taste: Taste) -> PlayerSpec:
    # The slope of a linear player is constant: a penalty on it moves nobody upstream.
    kinds = ["tanh", *(["norm"] * taste.norms), *(["linear"] * (not taste.penalties))]
    kinds += taste.kinds
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
    slopes = ["slope", "slope"] if taste.slopes else []
    kind = draw(st.sampled_from(["call", "call", "apply", "sum", "stop", *slopes]))
    if kind == "call":
        return _with_call(draw, spec, draw(st.sampled_from(spec.players)), taste)
    if kind == "slope":
        return _with(spec, Sloped(_of_slope(draw, spec)))
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
    penalties = ["penalty", "penalty"] if taste.penalties else []
    kind = draw(st.sampled_from(["one", "two", "target", *penalties]))
    if kind == "penalty":
        name = draw(st.sampled_from(sorted(PENALTIES)))
        slope = EnergySpec(name, _of_slope(draw, spec))
        return replace(spec, energies=(*spec.energies, slope))
    refs = [_ref(draw, spec) for _ in range(1 if kind == "one" else 2)]
    if kind == "target":  # the second a constant, made by the same players if that can be
        kin = [r for r in _refs(spec) if spec.movable(r) & spec.movable(refs[0])]
        stopped = Stopped((draw(st.sampled_from(kin)) if kin else refs[1],))
        spec = _with(spec, stopped)
        refs[1] = Ref(spec.nodes.index(stopped))
    names = sorted(name for name, formula in FORMULAS.items() if formula.arity == len(refs))
    name = draw(st.sampled_from(names))
    return replace(spec, energies=(*spec.energies, EnergySpec(name, tuple(refs))))


def _of_slope(draw: st.DrawFn, spec: GameSpec) -> tuple[Ref, Ref]:
    y = draw(st.sampled_from(_judgments(spec)))
    return y, draw(st.sampled_from(sorted(_sources(spec, y), key=str)))


def _judgments(spec: GameSpec) -> list[Ref]:
    """Return what can stand as y in ∂y/∂x: calls, which bend what they are given.

    Not sums of values: what is only added to y makes no difference to the gradient.
    """
    calls = [ref for ref in _refs(spec) if isinstance(spec.nodes[ref.node], Called)]
    return [ref for ref in calls if ref.part not in (1, "hidden")]


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


def _with_related(draw: st.DrawFn, spec: GameSpec, taste: Taste) -> GameSpec:
    """Let players have multiples of a few rows of weights, or nearly so, or sums of two of them."""
    for player in spec.active:
        spec = _with_energy_of(draw, spec, player.name)
    energies = st.lists(
        st.sampled_from(range(len(spec.energies))), min_size=1, max_size=4, unique=True
    )
    rows = [
        [_term(draw, spec, e, taste) for e in draw(energies)]
        for _ in range(draw(st.integers(1, 3)))
    ]
    objectives: dict[str, tuple[TermSpec, ...]] = {}
    for player in spec.active:
        times = draw(st.sampled_from(MULTIPLES))
        row = [replace(t, number=times * t.number) for t in draw(st.sampled_from(rows))]
        kind = draw(st.sampled_from(["multiple", "multiple", "near", "sum"]))
        if kind == "near":
            factor = draw(st.sampled_from([1 + 1e-6, 1 - 1e-9, 1 + 1e-12]))
            row[0] = replace(row[0], number=factor * row[0].number)
        if kind == "sum":
            row += draw(st.sampled_from(rows))
        if not any(spec.moves(t.energy, player.name) for t in row):
            own = [i for i in range(len(spec.energies)) if spec.moves(i, player.name)]
            row.append(_term(draw, spec, draw(st.sampled_from(own)), taste))
        objectives[player.name] = tuple(row)
    return replace(spec, objectives=objectives)


def _with_energy_of(draw: st.DrawFn, spec: GameSpec, player: str) -> GameSpec:
    """Add an energy that moves `player`, if there is none."""
    if any(spec.moves(e, player) for e in range(len(spec.energies))):
        return spec
    moved = [ref for ref in _refs(spec) if player in spec.movable(ref)]
    energy = EnergySpec("square", (draw(st.sampled_from(moved)),))
    return replace(spec, energies=(*spec.energies, energy))


def _term(draw: st.DrawFn, spec: GameSpec, energy: int, taste: Taste) -> TermSpec:
    odd = taste.zeros and draw(st.sampled_from([False] * 5 + [True]))
    symbols = [*(["ramp"] * taste.steps), *(["value"] * taste.values)]
    kind = draw(st.sampled_from(["number", "number", "number", *symbols]))
    return TermSpec(
        energy,
        draw(ODD if odd else PLAIN),
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


def _schedule(draw: st.DrawFn, spec: GameSpec, taste: Taste) -> tuple[MoveSpec, ...]:
    """Everyone moves at least once; some move together, twice, now and then, on fresh batches."""
    waiting = list(draw(st.permutations([p.name for p in spec.active])))
    moves = []
    everybody = taste.moves and draw(st.booleans())
    while waiting:
        count = len(waiting) if everybody else draw(st.integers(1, len(waiting)))
        moves.append(_move(draw, tuple(waiting[:count]), taste))
        waiting = waiting[count:]
    if draw(st.booleans()):
        names = st.sampled_from([p.name for p in spec.active])
        again = draw(st.lists(names, min_size=1, max_size=3, unique=True))
        moves.append(_move(draw, tuple(again), taste))
    if taste.moves and draw(st.booleans()):
        moves.insert(draw(st.integers(0, len(moves))), _toward(draw, spec, taste))
    return tuple(moves)


def _move(draw: st.DrawFn, players: tuple[str, ...], taste: Taste) -> MoveSpec:
    return MoveSpec(
        players,
        times=draw(st.sampled_from([1, 1, 1, 2])),
        every=draw(st.sampled_from([1, 1, 1, 2])),
        fresh=draw(st.sampled_from([False, False, True, *(["noise"] * taste.moves)])),
    )


def _toward(draw: st.DrawFn, spec: GameSpec, taste: Taste) -> MoveSpec:
    """Return a move toward a goal of its own, of some whom the goal depends on."""
    term = _term(draw, spec, draw(st.sampled_from(range(len(spec.energies)))), taste)
    able = [p.name for p in spec.active if spec.moves(term.energy, p.name)]
    movers = able or [spec.active[0].name]
    if not able:
        term = next(t for t in spec.objectives[movers[0]] if spec.moves(t.energy, movers[0]))
    chosen = draw(st.lists(st.sampled_from(movers), min_size=1, max_size=3, unique=True))
    return replace(_move(draw, tuple(chosen), taste), toward=(term,))
