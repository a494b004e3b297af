"""`plan.counts` against the calls and backward passes that really happen, on random games."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import combinations
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor, nn

import nvn
from nvn import energies as en
from tests.games.specs import (
    Called,
    GameSpec,
    Given,
    MoveSpec,
    Net,
    PlayerSpec,
    Ref,
    Stopped,
    TermSpec,
    batches,
)
from tests.games.strategies import Taste, examples, games
from tests.games.styles import declare

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # Random weights sometimes cancel.
    pytest.mark.filterwarnings("ignore:.*all weights of the objective of"),
]

SGD = partial(torch.optim.SGD, lr=0.01)


class Tally:
    """Counts, by hooks, the calls of modules and the gradients that go back through a call.

    A call of a `Net`, of any of its methods, goes through its part `joint` exactly once, and all it
    returns is made from what comes out there: a hook on that tensor fires once for each backward
    pass that goes through the call, for inputs, parameters or both.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.forward: Counter[str] = Counter()
        self.backward: Counter[str] = Counter()
        for name, module in modules.items():
            assert isinstance(module, Net)
            module.joint.register_forward_hook(partial(self._called, name))

    def _called(self, name: str, module: nn.Module, args: Any, output: Tensor) -> None:
        self.forward[name] += 1
        if output.requires_grad:
            output.register_hook(partial(self._passed, name))

    def _passed(self, name: str, gradient: Tensor) -> None:
        self.backward[name] += 1

    def clear(self) -> None:
        self.forward.clear()
        self.backward.clear()

    def counts(self, names: list[str]) -> dict[str, dict[str, int]]:
        return {n: {"forward": self.forward[n], "backward": self.backward[n]} for n in names}


def assert_counted(plan: nvn.Plan, modules: Mapping[str, nn.Module]) -> None:
    """The first iteration, in which every move happens, makes the passes that the plan says."""
    tally = Tally(modules)
    engine = nvn.Engine(plan, SGD)
    engine.check(next(batches()))
    tally.clear()
    engine.step(batches())
    assert plan.counts == tally.counts(list(plan.counts))


def check_counts(spec: GameSpec) -> None:
    modules = spec.modules()
    declared = declare(spec, modules)
    assert_counted(nvn.plan(declared.game, declared.schedule), modules)


# Gradients inside a game (nvn.gradient) are passes of their own kind: not counted here.
counted_games = games(Taste(penalties=False, zeros=False))


@examples(45)
@given(counted_games)
def test_counts_are_the_passes_made(spec: GameSpec) -> None:
    """Forward: how often a module is called. Backward: how often a gradient goes back through."""
    check_counts(spec)


@pytest.mark.slow
@examples(1500, new=True)
@given(counted_games)
def test_counts_of_many_more_games(spec: GameSpec) -> None:
    """The same on games never drawn before."""
    check_counts(spec)


# --- the rank, computed here -------------------------------------------------------------------

# Weights that are numbers, everybody at once or teams together: W is a matrix of floats.
ranked_games = games(Taste(penalties=False, related=True, steps=False, values=False))


def expected_passes(spec: GameSpec, movers: tuple[str, ...]) -> tuple[Counter[str], Counter[str]]:
    """Return the fewest and the most passes through each player's calls in a move.

    Through a call go as many passes as W has independent rows, of the players at or above the call,
    on the energies below it; unless a row would have to be a sum that cancels, in which case it may
    be as many as there are directions, or energies.
    """
    terms = {name: spec.terms(name, 0) for name in movers}
    fewest, most = Counter[str](), Counter[str]()
    for index, node in enumerate(spec.nodes):
        if not isinstance(node, Called):
            continue
        above = [name for name in movers if name in spec.movable(Ref(index))]
        energies = sorted({t.energy for n in above for t in terms[n] if _is_below(spec, t, index)})
        rows = [_row(terms[name], energies) for name in above]
        rows = [row for row in rows if any(row)]
        rank, directions = _rank(rows), _directions(rows)
        fewest[node.player] += rank
        most[node.player] += (
            rank if len(directions) == rank else min(len(directions), len(energies))
        )
    return fewest, most


def _is_below(spec: GameSpec, term: TermSpec, node: int) -> bool:
    """Tell whether the energy is made of a node along a way that gradients can take."""
    waiting = list(spec.energies[term.energy].refs)
    while waiting:
        ref = waiting.pop()
        if ref.node == node:
            return True
        if not isinstance(spec.nodes[ref.node], Stopped | Given):
            waiting += spec.nodes[ref.node].refs
    return False


def _row(terms: tuple[TermSpec, ...], energies: list[int]) -> list[Fraction]:
    """Return the weights on these energies; terms of one energy add up as floats."""
    return [Fraction(sum(t.number for t in terms if t.energy == e)) for e in energies]


def _rank(rows: list[list[Fraction]]) -> int:
    """The largest square of rows and columns whose determinant is not zero."""
    width = len(rows[0]) if rows else 0
    for size in range(min(len(rows), width), 0, -1):
        for some in combinations(rows, size):
            for columns in combinations(range(width), size):
                if _determinant([[row[c] for c in columns] for row in some]):
                    return size
    return 0


def _determinant(square: list[list[Fraction]]) -> Fraction:
    if not square:
        return Fraction(1)
    head, *rest = square
    minors = ([row[:i] + row[i + 1 :] for row in rest] for i in range(len(head)))
    pairs = enumerate(zip(head, minors, strict=True))
    return sum((x * (-1) ** i * _determinant(m) for i, (x, m) in pairs if x), Fraction())


def _directions(rows: list[list[Fraction]]) -> list[list[Fraction]]:
    """Leave out rows that are multiples of others."""
    found: list[list[Fraction]] = []
    for row in rows:
        if all(_rank([row, other]) == 2 for other in found):
            found.append(row)
    return found


def check_ranks(spec: GameSpec) -> None:
    """Move by move: what goes back through each player, and at least and at most how often."""
    everybody = MoveSpec(tuple(p.name for p in spec.active))
    for move in dict.fromkeys((everybody, *spec.schedule)):
        alone = replace(spec, schedule=(replace(move, times=1, every=1),))
        modules = alone.modules()
        declared = declare(alone, modules)
        plan = nvn.plan(declared.game, declared.schedule, partial=True)
        assert_counted(plan, modules)
        fewest, most = expected_passes(alone, move.players)
        for name, counted in plan.counts.items():
            assert fewest[name] <= counted["backward"] <= most[name], name


@examples(60)
@given(ranked_games)
def test_passes_are_the_rank(spec: GameSpec) -> None:
    """Players who move together, with weights that are multiples, near multiples and sums."""
    check_ranks(spec)


@pytest.mark.slow
@examples(1500, new=True)
@given(ranked_games)
def test_passes_are_the_rank_in_many_more_games(spec: GameSpec) -> None:
    """The same on games never drawn before."""
    check_ranks(spec)


# --- by hand ------------------------------------------------------------------------------------


def nets(*names: str) -> dict[str, nn.Module]:
    return {name: PlayerSpec(name, seed=i).module() for i, name in enumerate(names)}


def test_the_counts_of_a_gan() -> None:
    """D, then G: D moves through two calls, G's gradient goes back through D and G."""
    modules = nets("G", "D")
    game = nvn.Game("gan")
    a, b = game.batch("a", "b")
    G, D = (game.player(name, module) for name, module in modules.items())
    adv = en.NonSaturating()
    fake = G(b)
    D.minimizes(adv.real(D(a)) + adv.fake(D(fake)))
    G.minimizes(adv.fool(D(fake)))
    plan = nvn.plan(game, nvn.alternating(nvn.move(D, times=2), G))
    expected = {"G": {"forward": 1, "backward": 1}, "D": {"forward": 5, "backward": 5}}
    assert plan.counts == expected
    assert_counted(plan, modules)


def test_no_gradient_goes_back_through_what_is_stopped() -> None:
    """C(G(a)) serves as a target: it is called, but no gradient goes back through C."""
    modules = nets("G", "C")
    game = nvn.Game("stopped")
    a = game.batch("a")
    G, C = game.player("G", modules["G"]), game.frozen("C", modules["C"])
    made = G(a)
    G.minimizes(en.mse(made, C(made).stop_gradient()))
    plan = nvn.plan(game, nvn.alternating(G))
    expected = {"G": {"forward": 1, "backward": 1}, "C": {"forward": 1, "backward": 0}}
    assert_counted(plan, modules)
    assert plan.counts == expected


def test_an_energy_of_weight_zero_costs_nothing() -> None:
    """A weight that is always zero (an ablation): nothing is computed, nothing is counted."""
    modules = nets("G", "C")
    game = nvn.Game("ablation")
    a, b = game.batch("a", "b")
    G, C = game.player("G", modules["G"]), game.frozen("C", modules["C"])
    made = G(a)
    G.minimizes(en.mse(made, b) + 0.0 * en.mse(C(made), b))
    plan = nvn.plan(game, nvn.alternating(G))
    expected = {"G": {"forward": 1, "backward": 1}, "C": {"forward": 0, "backward": 0}}
    assert_counted(plan, modules)
    assert plan.counts == expected
