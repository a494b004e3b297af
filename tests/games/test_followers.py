"""Random games with averages and earlier selves: whatever is saved anywhere goes on to the bit.

Random players, schedules, repeated and lazy moves, noise, masks, weights that change, warm-up and
schedules of learning rates; random places to stop at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import nvn
from tests.games.specs import SAMPLES, GameSpec, batches
from tests.games.strategies import Taste, examples, games
from tests.games.styles import declare

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # Random weights are sometimes all zero, and sometimes meant to be; nobody looks at earlier
    # selves here.
    pytest.mark.filterwarnings("ignore:.*all weights of the objective of"),
    pytest.mark.filterwarnings("ignore:.*no objective depends on the frozen player"),
]

STEPS = 8
everything = Taste(kinds=("spectral", "dropout"), modes=True, slopes=True, related=True, moves=True)
random_games = st.one_of(
    games(everything), games(Taste(penalties=False, moves=True, kinds=("dropout",)))
)
followers = st.fixed_dictionaries(
    {
        "half_life": st.sampled_from([1.0, 7.5, 1000.0]),
        "unit": st.sampled_from(["samples", "steps"]),
        "buffers": st.sampled_from(["copy", "average"]),
    }
)


def declared(spec: GameSpec, options: dict[str, Any]) -> tuple[nvn.Plan, dict[str, nvn.Optimizer]]:
    """The game, and of each who moves an average and earlier selves; and the optimizers."""
    made = declare(spec)
    active = [made.players[player.name] for player in spec.active]
    for player in active:
        made.game.average(f"{player.name}_ema", player, **options)
        made.game.past(f"{player.name}_old", player, every=2, keep=2)
    schedules = [None, partial(torch.optim.lr_scheduler.StepLR, step_size=3)]
    optimizers = {
        player.name: nvn.Optimizer(
            partial(torch.optim.Adam, lr=1e-3), schedule=schedules[i % 2], warmup=3 * (i % 3)
        )
        for i, player in enumerate(active)
    }
    return nvn.plan(made.game, made.schedule), optimizers


def data() -> Iterator[Any]:
    return batches(noise=False)


def states(made: nvn.Engine) -> dict[str, Tensor]:
    return {
        f"{player}/{name}": x.clone()
        for player, module in made.modules.items()
        for name, x in module.state_dict().items()
    }


def assert_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """The same bits, NaN where NaN is."""
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert torch.equal(ours[name].isnan(), expected.isnan()), name
        assert torch.equal(ours[name].nan_to_num(), expected.nan_to_num()), name


def assert_same_states(one: nvn.Engine, other: nvn.Engine) -> None:
    assert_same(states(one), states(other))


def play(engine: nvn.Engine, supply: Iterator[Any], steps: int) -> None:
    several = engine.plan.batches_per_step > 1
    for _ in range(steps):
        engine.step(supply if several else next(supply))


def check_resumed(spec: GameSpec, options: dict[str, Any], cut: int, plain: bool) -> None:
    """An engine that is saved after `cut` steps, to a folder, and another that goes on from it."""
    whole, part = (nvn.Engine(*declared(spec, options), plain=plain) for _ in range(2))
    play(whole, data(), STEPS)
    supply = data()
    play(part, supply, cut)
    with TemporaryDirectory() as folder:
        part.save(Path(folder) / "c")
        again, _ = nvn.Engine.load(Path(folder) / "c", *declared(spec, options), plain=plain)
    play(again, supply, STEPS - cut)
    assert_same_states(again, whole)
    assert again.state.pasts.keys() == whole.state.pasts.keys()
    for name, pool in whole.state.pasts.items():
        for ours, theirs in zip(again.state.pasts[name], pool, strict=True):
            assert_same(ours, theirs)


def check_averages(spec: GameSpec, options: dict[str, Any]) -> None:
    """Each average is torch's own, updated by hand after the iterations in which it is due."""
    engine = nvn.Engine(*declared(spec, options))
    averages = engine.plan.graph.averages
    hands = {name: hand(engine.modules[x.of.name], options) for name, x in averages.items()}
    supply = data()
    for _ in range(STEPS):
        before = dict(engine.state.counters.steps)
        play(engine, supply, 1)
        for name, average in averages.items():
            of = average.of.name
            if engine.state.counters.steps.get(of, 0) > before.get(of, 0):
                hands[name].update_parameters(engine.modules[of])
            assert_same(
                dict(engine.modules[name].named_parameters()),
                dict(hands[name].module.named_parameters()),
            )


def hand(module: nn.Module, options: dict[str, Any]) -> AveragedModel:
    taken = SAMPLES if options["unit"] == "samples" else 1
    average = get_ema_multi_avg_fn(0.5 ** (taken / options["half_life"]))
    made = AveragedModel(module, multi_avg_fn=average)
    made.update_parameters(module)  # the first is a copy
    return made


@examples(25)
@given(random_games, followers, st.integers(0, STEPS), st.booleans())
def test_a_game_that_is_saved_anywhere_goes_on_to_the_bit(
    spec: GameSpec, options: dict[str, Any], cut: int, plain: bool
) -> None:
    check_resumed(spec, options, cut, plain)


@examples(25)
@given(random_games, followers)
def test_averages_are_torchs_own(spec: GameSpec, options: dict[str, Any]) -> None:
    check_averages(spec, options)


@pytest.mark.slow
@examples(500, new=True)
@given(random_games, followers, st.integers(0, STEPS), st.booleans())
def test_so_do_many_more(spec: GameSpec, options: dict[str, Any], cut: int, plain: bool) -> None:
    """The same on games never drawn before."""
    check_resumed(spec, options, cut, plain)
    check_averages(spec, options)
