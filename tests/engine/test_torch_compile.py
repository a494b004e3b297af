"""Compiling players: where it is sound it changes nothing, where it isn't it is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import nvn
from nvn import energies as en
from nvn.engine.torch_compile import obstacles
from nvn.errors import ConfigError
from tests.small import BATCH, adam, assert_same, gan, linear, mean


def test_a_gan_may_be_compiled() -> None:
    plan = gan().plan
    for player in "GD":
        assert not [*obstacles(plan.lowered(plan.whole)[1], player)]


def test_a_player_that_is_differentiated_twice_is_refused() -> None:
    small = gan()
    small.D.minimizes(en.r1(small.D(small.x), small.x))
    with pytest.raises(ConfigError, match=r"`D` cannot be compiled: `D\(x\)` is differentiated tw"):
        small.engine(compile=["D"])
    assert not [*obstacles(small.plan.lowered(small.plan.whole)[1], "G")]


def test_a_player_with_several_passes_is_refused() -> None:
    game = nvn.Game("team")
    x = game.batch("x")
    G, E = game.team("makers", G=linear(), E=linear())
    D = game.frozen("D", linear(3, 1))
    fake = G(E(x))
    G.minimizes(mean(D(fake)) + mean(fake))
    E.minimizes(mean(D(fake)))
    plan = nvn.plan(game, nvn.simultaneous(G, E))
    with pytest.raises(ConfigError, match=r"2 backward passes go through `G\(E\(x\)\)` when \(G,"):
        nvn.Engine(plan, adam, compile=["G"])
    assert not [*obstacles(plan.lowered(plan.whole)[1], "D")]


def test_an_unknown_player_is_told() -> None:
    with pytest.raises(ConfigError, match="no player 'Gn'. Did you mean 'G'"):
        gan().engine(compile=["Gn"])


def test_the_compiled_forward_is_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def compiling(module: torch.nn.Module) -> Callable[..., Any]:
        return lambda *args: called.append(module) or module(*args)

    monkeypatch.setattr(torch, "compile", compiling)
    small, same = gan(), gan()
    engine = small.engine(adam, compile=["G"])
    engine.step(BATCH)
    assert called == [small.G.module]
    same.engine(adam).step(BATCH)
    assert_same([*small.G.module.parameters()], [*same.G.module.parameters()])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler's own
def test_compiled_players_learn_the_same() -> None:
    engines = [gan().engine(adam, compile=names) for names in ((), ("G", "D"))]
    records = [[engine.step(BATCH).energies for _ in range(4)] for engine in engines]
    for plain, compiled in zip(*records, strict=True):
        assert compiled == pytest.approx(plain, rel=1e-4)
