"""Random games: each energy's pull at each player is what plain autograd says, and looking is free.

The reference takes one gradient for each player and energy, of weight·energy, from one evaluation
by hand; lengths, shares and angles are worked out with torch alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import nvn
from tests.games import reference
from tests.games.specs import GameSpec, batches
from tests.games.strategies import Taste, examples, games
from tests.games.styles import Declared, declare, energy_of

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # Random weights are sometimes all zero, and sometimes meant to be.
    pytest.mark.filterwarnings("ignore:.*all weights of the objective of"),
]

any_game = st.one_of(games(), games(Taste(penalties=False)), games(Taste(related=True)))
stateful = games(Taste(kinds=("spectral", "dropout"), modes=True, slopes=True, moves=True))
adam = partial(torch.optim.Adam, lr=0.01)
TOLERANCE = 1e-10
CANCELLED = 1e-5  # of its terms, what is left of a pull: of its direction, rounding is left alone

Key = tuple[str, str]  # a player, and the name of an energy


class ByHand(reference.Evaluation):
    """Everything computed once; each value a tensor of its own, to be differentiated by."""

    def _computed(self, index: int) -> Any:
        return viewed(super()._computed(index))


def viewed(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: viewed(branch) for key, branch in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map(viewed, tree))
    return tree.view_as(tree)


def flat(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree
    return [tensor for branch in branches for tensor in flat(branch)]


class Expected:
    """The pulls of a game, by hand."""

    def __init__(self, spec: GameSpec, declared: Declared, modules: Mapping[str, Any]) -> None:
        self.terms = {p.name: spec.terms(p.name, 0) for p in spec.active}
        every = [term for group in self.terms.values() for term in group]
        self.hand = ByHand(spec, modules, next(batches()), spec.needed(every))
        self.names = nvn.plan(declared.game, declared.schedule).graph.names
        self.declared = declared
        self.sizes: dict[Key, float] = {}

    def parts(self, wanted: Mapping[str, list[Tensor]]) -> dict[Key, Tensor]:
        """∂(weight·energy) by each player's tensors, of terms with one energy together."""
        found: dict[Key, Tensor] = {}
        for player, tensors in wanted.items():
            for term in self.terms[player]:
                weight = term.known_at(0)
                if term.by is not None:
                    weight *= self.hand.energy(term.by).item()
                slopes = torch.autograd.grad(
                    weight * self.hand.energy(term.energy),
                    tensors,
                    retain_graph=True,
                    allow_unused=True,
                )
                part = torch.cat(
                    [
                        (torch.zeros_like(t) if s is None else s).reshape(-1)
                        for s, t in zip(slopes, tensors, strict=True)
                    ]
                )
                key = (player, self.names[energy_of(self.declared.energies[term.energy])])
                found[key] = found.get(key, torch.zeros_like(part)) + part
                self.sizes[key] = self.sizes.get(key, 0.0) + part.norm().item()
        return found

    def cancelled(self) -> set[Key]:
        """Those whose terms add up to no weight at all, as in -e + e: the game has none of them."""
        weights: dict[Key, dict[Any, float]] = {}
        for player, terms in self.terms.items():
            for term in terms:
                key = (player, self.names[energy_of(self.declared.energies[term.energy])])
                sums = weights.setdefault(key, {})
                sums[term.ramp, term.by] = sums.get((term.ramp, term.by), 0.0) + term.number
        return {key for key, sums in weights.items() if not any(sums.values())}

    def own(self) -> dict[Key, Tensor]:
        return self.parts({p: [*self.hand.nets[p].parameters()] for p in self.terms})

    def at(self, value: int, players: tuple[str, ...]) -> dict[Key, Tensor]:
        tensors = flat(self.hand.values[value])
        return self.parts(dict.fromkeys(players, tensors))


def cosine(a: Tensor, b: Tensor) -> float:
    lengths = a.norm() * b.norm()
    return 0.0 if lengths == 0 else (torch.dot(a / a.norm(), b / b.norm())).item()


def close(found: float, expected: float, scale: float = 1.0) -> bool:
    return math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE * scale)


def check_pulls(spec: GameSpec) -> None:
    modules = spec.modules()
    declared = declare(spec, modules)
    engine = nvn.Engine(nvn.plan(declared.game, declared.schedule), adam)
    expected = Expected(spec, declared, modules)
    pulls = engine.pulls(next(batches()))
    own = expected.own()
    found = {(p, e) for p, group in pulls.players.items() for e in group}
    assert found | expected.cancelled() == own.keys() | expected.cancelled()
    own = {key: part for key, part in own.items() if key in found}
    for player in pulls.players:
        parts = {energy: part for (p, energy), part in own.items() if p == player}
        whole = torch.stack([*parts.values()]).sum(0)
        total = sum(part.norm().item() for part in parts.values())
        size = sum(expected.sizes[player, energy] for energy in parts)
        assert close(pulls.norms[player], whole.norm().item(), size)
        for energy, part in parts.items():
            pull, norm = pulls[player][energy], part.norm().item()
            assert close(pull.norm, norm, expected.sizes[player, energy])
            if norm <= CANCELLED * expected.sizes[player, energy]:
                continue
            assert close(pull.share, norm / total)
            if whole.norm() > CANCELLED * size:
                assert close(pull.along, cosine(part, whole))
            for other, cos in pull.cosines.items():
                if parts[other].norm() >= CANCELLED * expected.sizes[player, other]:
                    assert close(cos, cosine(part, parts[other]))
    check_meetings(expected, engine, pulls)


def check_meetings(expected: Expected, engine: nvn.Engine, pulls: nvn.Pulls) -> None:
    for value, players in engine.planned_pulls().meetings.items():
        if value not in expected.declared.values:
            continue  # inside an energy
        expected.sizes.clear()
        parts = expected.at(expected.declared.values.index(value), players)
        name = expected.names[value]
        whole = {
            p: torch.stack([part for (q, _), part in parts.items() if q == p]).sum(0)
            for p in players
        }
        for (player, energy), part in parts.items():
            if part.norm() <= CANCELLED * expected.sizes[player, energy]:
                continue
            for mate in players:
                size = sum(x for (p, _), x in expected.sizes.items() if p == mate)
                if mate != player and whole[mate].norm() > CANCELLED * size:
                    found = pulls[player][energy].teammates[mate][name]
                    assert close(found, cosine(part, whole[mate]))


@examples(30)
@given(any_game)
def test_pulls_are_what_autograd_says(spec: GameSpec) -> None:
    check_pulls(spec)


def of_one_team(spec: GameSpec) -> GameSpec:
    return replace(
        spec, players=tuple(replace(p, team=None if p.frozen else "red") for p in spec.players)
    )


@examples(25)
@given(any_game.map(of_one_team))
def test_teammates_are_compared_where_they_meet(spec: GameSpec) -> None:
    check_pulls(spec)


def test_an_energy_that_is_weighed_by_nothing_does_not_pull() -> None:
    game = nvn.Game("none")
    y = game.batch("y")
    f = game.player("f", torch.nn.Linear(2, 2))
    energy = nvn.energies.l1(f(y), y).named("e")
    f.minimizes(energy - energy + nvn.energies.mse(f(y), y).named("m"))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), adam)
    assert [*engine.pulls({"y": torch.ones(3, 2)})["f"]] == ["m"]


@pytest.mark.slow
@examples(1500, new=True)
@given(any_game)
def test_pulls_of_many_games(spec: GameSpec) -> None:
    check_pulls(spec)


@examples(15)
@given(stateful)
def test_looking_at_pulls_changes_nothing(spec: GameSpec) -> None:
    """To the bit: buffers, Adam's state, counters, noise and masks; records and global streams."""
    states, records = [], []
    for looks in (False, True):
        modules = spec.modules()
        declared = declare(spec, modules)
        engine = nvn.Engine(nvn.plan(declared.game, declared.schedule), adam, seed=3)
        supply = batches(noise=False)
        stream = torch.get_rng_state()
        for _ in range(3):
            if looks:
                engine.pulls(next(batches(7, noise=False)))
            records.append(engine.step(supply).state_dict())
        assert torch.equal(stream, torch.get_rng_state())
        states.append(engine.state_dict())
    assert str(records[:3]) == str(records[3:])  # as text: NaN is NaN
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0, equal_nan=True)


@examples(10)
@given(any_game)
def test_each_alone_is_as_all_together(spec: GameSpec) -> None:
    """A player's pulls do not depend on whom else one looks at; buffers' order apart."""
    declared = declare(spec)
    engine = nvn.Engine(nvn.plan(declared.game, declared.schedule), adam)
    batch = next(batches())
    together = engine.pulls(batch)
    for player, own in together.players.items():
        alone = engine.pulls(batch, [player])
        for energy, pull in own.items():
            assert close(alone[player][energy].norm, pull.norm, max(1.0, together.norms[player]))


@examples(15)
@given(any_game)
def test_it_takes_the_passes_that_it_says(spec: GameSpec) -> None:
    """Module by module: calls, and gradients that come back through them."""
    modules = spec.modules()
    declared = declare(spec, modules)
    engine = nvn.Engine(nvn.plan(declared.game, declared.schedule), adam)
    batch = next(batches())
    engine.check(batch)
    forward, backward = dict.fromkeys(modules, 0), dict.fromkeys(modules, 0)

    def count(name: str, module: Any, given: Any, found: Tensor) -> None:
        forward[name] += 1
        if found.requires_grad:
            found.register_hook(lambda _: backward.__setitem__(name, backward[name] + 1))

    for name, module in modules.items():
        module.joint.register_forward_hook(partial(count, name))
    counts = engine.pulls(batch).counts
    assert {name: n["forward"] for name, n in counts.items()} == forward
    assert {name: n["backward"] for name, n in counts.items()} == backward
