"""Pulls, as an engine finds them: shares, whose judgment, teammates, what is odd and what fails."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn import energies as en
from nvn.engine.pulling import Angles
from tests.small import BATCH, Own, gan, linear, mlp, sgd, square, tensor


def engine_of(game: nvn.Game, *moves: Any, **options: Any) -> nvn.Engine:
    return nvn.Engine(nvn.plan(game, nvn.alternating(*moves)), sgd, **options)


@pytest.fixture
def team() -> nvn.Engine:
    """E reads x, G makes of it what D judges; E is told what is right, G what is near."""
    game = nvn.Game("team")
    x, y = game.batch("x", "y")
    G, E = game.team("makers", G=linear(seed=1), E=mlp(seed=2))
    D = game.player("D", mlp(3, 1, seed=3))
    fake = G(E(x)).named("fake")
    fool, near = square(D(fake)).named("fool"), en.mse(fake, y).named("near")
    G.minimizes(near + 0.1 * fool)
    E.minimizes(fool)
    D.minimizes(square(D(y)).named("real") - fool)
    return engine_of(game, D, (G, E))


PAIR = {"x": tensor(8, 3, seed=1), "y": tensor(8, 3, seed=2)}


def test_shares_add_up_and_the_whole_is_the_gradient(team: nvn.Engine) -> None:
    pulls = team.pulls(PAIR)
    whole = team.gradients(PAIR, ["G", "E", "D"])
    for player, own in pulls.players.items():
        length = math.hypot(*(g.norm().item() for g in whole[player].values()))
        assert pulls.norms[player] == pytest.approx(length, rel=1e-5)
        assert sum(pull.share for pull in own.values()) == pytest.approx(1.0)
        assert length == pytest.approx(sum(p.norm * p.along for p in own.values()), rel=1e-5)


def test_a_pull_says_through_whose_judgment_it_comes(team: nvn.Engine) -> None:
    pulls = team.pulls(PAIR)
    assert pulls["G"]["fool"].through == ("D",)
    assert pulls["G"]["near"].through == ()
    assert pulls["E"]["fool"].through == ("D",)  # not G, of its own team
    assert pulls["D"]["fool"].through == ()


def test_teammates_are_compared_where_their_gradients_meet(team: nvn.Engine) -> None:
    pulls = team.pulls(PAIR)
    assert pulls["E"]["fool"].teammates.keys() == {"G"}
    together = pulls["G"]["fool"].teammates["E"]["fake"]
    assert together == pytest.approx(1.0)  # the same energy: the same direction
    assert pulls["G"]["near"].teammates["E"]["fake"] < 0.999
    assert not pulls["D"]["fool"].teammates


def test_an_energy_is_gone_back_from_once_for_all(team: nvn.Engine) -> None:
    counts = team.pulls(PAIR).counts
    assert counts["E"] == {"forward": 1, "backward": 1}  # near is G's alone
    assert counts["D"] == {"forward": 2, "backward": 2}  # fool, for all three, and real


def test_some_players_cost_less(team: nvn.Engine) -> None:
    pulls = team.pulls(PAIR, ["D"])
    assert [*pulls.players] == ["D"]
    assert pulls.counts["G"] == {"forward": 1, "backward": 0}


def test_a_player_that_does_not_move_is_refused(team: nvn.Engine) -> None:
    with pytest.raises(nvn.GameError, match="no player 'F' who moves"):
        team.pulls(PAIR, ["F"])


def test_the_first_batch_is_checked(team: nvn.Engine) -> None:
    with pytest.raises(nvn.GameError):
        team.pulls({**PAIR, "x": tensor(8, 2)})


def test_a_player_with_one_energy_is_pulled_by_its_gradient() -> None:
    pull = gan().engine().pulls(BATCH)["G"]["fool"]
    assert (pull.share, pull.cosines) == (1.0, {})
    assert pull.along == pytest.approx(1.0)


def test_zero_pulls_have_no_direction() -> None:
    game = nvn.Game("still")
    x = game.batch("x")
    f = game.player("f", Own(0.0, 0.0))
    f.minimizes(square(f(x)).named("a") + nvn.energy(torch.sum, name="sum")(f(x)).named("b"))
    pulls = engine_of(game, f).pulls({"x": torch.ones(1)})
    assert pulls["f"]["a"] == nvn.Pull(0.0, 0.0, 0.0, {"b": 0.0})
    assert pulls["f"]["b"].share == 1.0


def test_weights_of_every_kind_count() -> None:
    game = nvn.Game("weights")
    x = game.batch("x")
    f = game.player("f", Own(2.0))
    total = nvn.energy(torch.sum, name="sum")
    times = [nvn.value(lambda y, k=k: k * y) for k in range(1, 5)]
    a, b, c, d = (total(fn(f(x))).named(name) for fn, name in zip(times, "abcd", strict=True))
    f.minimizes(3 * a + (lambda step: float(step)) * b - c.stop_gradient() * d)
    engine = engine_of(game, f)
    batch = {"x": torch.ones(1)}
    norms = {e: pull.norm for e, pull in engine.pulls(batch)["f"].items()}
    assert norms == {"a": 3.0, "d": 24.0}  # b weighs nothing in iteration 0
    engine.step(batch)
    assert engine.pulls(batch)["f"]["b"].norm == 2.0


def test_a_lazy_regularizer_counts_as_on_average() -> None:
    game = nvn.Game("lazy")
    x = game.batch("x")
    f = game.player("f", Own(2.0))
    total = nvn.energy(torch.sum, name="sum")
    f.minimizes(total(f(x)).named("a"))
    engine = engine_of(game, nvn.move(f, toward=0.5 * square(f(x)).named("r"), every=16), f)
    assert {e: p.norm for e, p in engine.pulls({"x": torch.ones(1)})["f"].items()} == {
        "a": 1.0,
        "r": 2.0,
    }


class Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clamp(-0.1, 0.1)


class Clipping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return Clipped.apply(self.inner(x))


def test_where_gradients_are_not_linear_each_pull_is_the_weighted_energy_s() -> None:
    game = nvn.Game("clipped")
    x = game.batch("x")
    G, D = game.player("G", linear(seed=1)), game.player("D", Clipping())
    total = nvn.energy(torch.sum, name="sum")
    e = total(D(G(x))).named("e")
    G.minimizes(3.0 * e + square(G(x)).named("h"))
    D.minimizes(0.01 * e)
    engine = engine_of(game, D, G)
    pulls = engine.pulls(BATCH)
    own = dict(engine.modules["G"].named_parameters())
    batch = BATCH["x"]
    (3.0 * engine.modules["D"](engine.modules["G"](batch)).sum()).backward()
    by_hand = math.hypot(*(p.grad.norm().item() for p in own.values() if p.grad is not None))
    assert pulls["G"]["e"].norm == pytest.approx(by_hand, rel=1e-5)


def test_sparse_complex_and_half_gradients_count() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(4, 2, sparse=True)
            self.turn = nn.Parameter(torch.tensor([3.0 + 4.0j]))
            self.low = nn.Parameter(torch.tensor([300.0], dtype=torch.float16))

        def forward(self, at: Tensor) -> Tensor:
            return self.table(at).sum() + self.turn.abs().sum() + 500.0 * self.low.float().sum()

    game = nvn.Game("odd")
    at = game.batch("at")
    f = game.player("f", Table())
    f.minimizes(nvn.energy(torch.sum, name="sum")(f(at)).named("e"))
    pull = engine_of(game, f).pulls({"at": torch.tensor([0, 0, 1])})["f"]["e"]
    rows = 2 * 2.0**2 + 2 * 1.0**2
    assert pull.norm == pytest.approx(math.sqrt(rows + 1.0 + 500.0**2))


def test_an_energy_that_a_module_detaches_pulls_nothing() -> None:
    class Deaf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x).detach()

    game = nvn.Game("deaf")
    x = game.batch("x")
    f, g = game.player("f", linear()), game.frozen("g", Deaf())
    f.minimizes(square(f(x)).named("a") + square(g(f(x))).named("b"))
    engine = engine_of(game, f)
    assert engine.pulls(BATCH)["f"]["b"] == nvn.Pull(0.0, 0.0, 0.0, {"a": 0.0}, through=("g",))


def test_lengths_that_would_overflow_or_vanish_do_not() -> None:
    large, small = torch.tensor([3e30, 4e30]), torch.tensor([3e-30, 4e-30])
    assert Angles.of([large]).norms == pytest.approx((5e30, 5e30))
    assert Angles.of([small]).norms == pytest.approx((5e-30, 5e-30))
    assert Angles.of([large, small]).cosine(0, 1) == pytest.approx(1.0)
    assert math.isnan(Angles.of([torch.tensor([math.nan]), torch.ones(1)]).cosine(0, 1))


def test_pulls_know_their_step() -> None:
    engine = gan().engine(partial(torch.optim.SGD, lr=0.01))
    engine.step(BATCH)
    assert engine.pulls(BATCH).step == 1
