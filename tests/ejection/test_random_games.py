"""Random games: the ejected loop, where nvn cannot be imported, gives the engine's weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import nvn
from nvn.planner.lowering import LARGE
from tests.ejection.playing import play_both
from tests.games.specs import GameSpec, batches
from tests.games.strategies import Taste, examples, games
from tests.games.styles import declare

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # Random weights are sometimes all zero, and sometimes meant to be.
    pytest.mark.filterwarnings("ignore:.*all weights of the objective of"),
]

everything = Taste(kinds=("spectral", "dropout"), modes=True, slopes=True, related=True, moves=True)
random_games = st.one_of(
    games(everything),
    games(Taste(penalties=False, related=True, moves=True, kinds=("dropout",))),
    games(Taste(norms=False, slopes=True, moves=True)),
)
sizes = st.sampled_from([0, LARGE])  # passes that share no graph: apart, or in one call


def check(spec: GameSpec, large: int) -> None:
    """20 steps, to the bit, buffers included; noise is drawn."""
    declared = declare(spec)
    for i, player in enumerate(spec.active):
        own = declared.players[player.name]
        unit, buffers = ("samples", "steps")[i % 2], ("copy", "average")[i // 2 % 2]
        declared.game.average(f"{own.name}_ema", own, half_life=9, unit=unit, buffers=buffers)
    plan = replace(nvn.plan(declared.game, declared.schedule), large=large)
    # No step is longer than its rate: games that fly apart end in NaN, which equals nothing.
    optimizers = {
        p.name: nvn.Optimizer(
            partial(torch.optim.SGD, lr=0.005 * (i + 1)), clip_norm=1.0, warmup=7 * (i % 2)
        )
        for i, p in enumerate(spec.active)
    }
    play_both(plan, optimizers, lambda: batches(noise=False), moved=False)


@examples(20)
@given(random_games, sizes)
def test_ejected_loops_give_the_same_weights(spec: GameSpec, large: int) -> None:
    check(spec, large)


@pytest.mark.slow
@examples(500, new=True)
@given(random_games, sizes)
def test_so_do_many_more(spec: GameSpec, large: int) -> None:
    """The same on games never drawn before."""
    check(spec, large)
