"""Everything that is wrong with a game, at once."""

import math
import warnings

import pytest
import torch
from torch import nn

import nvn
from nvn.checks import loss_graph, sound
from nvn.errors import GameError
from nvn.game.graph import freeze
from tests.small import Own, gan, linear, mean, problems, sgd


def test_every_problem_is_told_at_once() -> None:
    game, other = nvn.Game("broken"), gan()
    x, trunk = game.batch("x"), linear()
    G = game.player("G", trunk)
    D = game.player("D", nn.Sequential(trunk, linear(3, 1)))
    E = game.player("E", linear())
    lost = game.player("lost", linear())
    game.player("lost", linear())
    fixed = game.player("fixed", linear().requires_grad_(False))
    C = game.frozen("C", linear())
    fake = G(x)
    G.minimizes(mean(C(D(x))))
    D.minimizes(math.nan * mean(D(fake)) + mean(D(other.fake)))
    E.minimizes(mean(E.method("encode")(x)) + nvn.energy(torch.mean, name="loss")(E(x), lost))
    fixed.minimizes(mean(nvn.gradient(fixed(x), fake)))
    with pytest.raises(GameError) as caught:
        nvn.plan(game, nvn.alternating(nvn.move(G, times=0), D, C, fixed, other.G))

    assert caught.value.game == "broken"
    expected = [
        "a second player named 'lost'",
        "`D(G(z))` takes `G(z)`, a value of the game 'gan'",
        "`E.encode(x)` calls the method 'encode', which Linear lacks",
        "`gradient(fixed(x), G(x))`: `fixed(x)` does not depend on `G(x)`",
        "`loss(E(x), Player)` is given the player `lost` itself",
        "`G` and `D` share the parameters weight, bias",
        "`fixed` moves, but none of its parameters requires a gradient",
        "the schedule moves `C`, which is frozen",
        "the schedule moves `G`, a player of the game 'gan'",
        "`lost` is never called by anything that anybody minimises",
        "`lost` has no objective",
        "`E` has an objective but never moves",
        "`G` minimises `mean(C(D(x)))`, which does not depend on it",
        "the weight nan on `mean(D(G(x)))`",
        "times=0",
    ]
    assert [p.found for p in caught.value.problems] == expected
    message = str(caught.value)
    assert message.startswith("15 problems with the game 'broken':\n\n1. test_checks.py:")
    assert all(f"{n}. " in message for n in range(1, 16))
    assert all(p.edit for p in caught.value.problems)


def test_what_was_no_energy_is_told_once_and_with_the_rest(
    game: nvn.Game, x: nvn.Value, G: nvn.Player
) -> None:
    """Not as well as "has no objective": it was given one."""
    E, D = game.player("E", linear()), game.player("D", linear())
    E.minimizes(E(x))
    G.minimizes(math.nan * mean(E(G(x))) + D(G(x)))
    G.minimizes(mean(D(G(x))))
    assert [p.found.split(", which")[0] for p in problems(game, G, E, D)] == [
        "<Value E(x)>",
        "a sum of energies and `D(G(x))`",
        "`D` has no objective",
        "the weight nan on `mean(E(G(x)))`",
    ]


def test_what_is_sound_by_itself() -> None:
    game, other = nvn.Game("game"), gan()
    x = game.batch("x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls lazy modules new
        lazy = game.player("lazy", nn.LazyLinear(3))
    G, first = game.player("G", linear()), game.player("E", linear())
    second = game.player("E", linear())  # the name is taken: not of the game
    able = [x, G(x), first(x), mean(G(x)), nvn.gradient(G(x), x)]
    wrong = [
        lazy(x),
        second(x),
        other.D(x),
        other.x,
        G(other.x),
        G.method("encode")(x),
        nvn.gradient(G(x), first(x)),
        nvn.value(torch.add)(x, G),
        nvn.value(torch.add)(x, linear()),
    ]
    graph = freeze(game, [])
    assert sound(game, graph, able) == tuple(able)
    assert sound(game, graph, wrong) == ()


def test_the_graph_of_several_schedules_is_checked_as_a_whole() -> None:
    small = gan()
    warmup = nvn.alternating(nvn.move(small.G, toward=mean(small.fake)))
    graph = loss_graph(small.game, [warmup, small.schedule])
    assert mean(small.fake) in graph.nodes
    with pytest.raises(GameError, match="`D` has an objective but never moves"):
        loss_graph(small.game, [warmup])


def test_a_player_without_inputs_is_a_player() -> None:
    game = nvn.Game("bilinear")
    a, b = game.player("a", Own(1.0)), game.player("b", Own(2.0))
    product = nvn.energy(lambda u, v: (u * v).sum())(a(), b())
    a.minimizes(product)
    b.maximizes(product)
    engine = nvn.Engine(nvn.plan(game, nvn.simultaneous(a, b)), sgd)
    engine.step({})
    assert engine.modules["a"].own.item() == pytest.approx(1.0 - 0.1 * 2.0)
    assert engine.modules["b"].own.item() == pytest.approx(2.0 + 0.1 * 1.0)
