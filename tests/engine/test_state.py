"""Everything that evolves: what is kept, and that a fresh engine goes on from it bit by bit."""

import copy
import io
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

import nvn
from nvn.engine.counters import Counters
from nvn.engine.state import TrainState
from nvn.errors import RunError
from tests.small import BATCH, Gan, adam, assert_same, gan, linear, mean, tensor, weights


def restless() -> Gan:
    """A game with everything that evolves: statistics, masks, noise, samples, penalties, moves."""
    generator = nn.Sequential(linear(seed=1), nn.BatchNorm1d(3), nn.Dropout(0.5), linear(seed=2))
    critic = nn.Sequential(linear(seed=3), nn.Dropout(0.5), linear(3, 1, seed=4))
    small = gan(generator, critic)
    w = small.game.sample("w", lambda g, batch: torch.rand(len(batch["x"]), 3, generator=g))
    small.D.minimizes(nvn.energy(lambda s, d: (s * d).mean())(w, small.D(small.x)))
    content = mean(small.fake).named("content")
    small.schedule = nvn.alternating(
        nvn.move(small.D, times=2),
        nvn.move(small.G, toward=content, every=3),
        nvn.move(small.G, fresh="noise", when=lambda record: record.energies["judge"] > 0.4),
    )
    return small


OPTIMIZERS = {
    "G": nvn.Optimizer(partial(torch.optim.Adam, lr=0.05), schedule=partial(StepLR, step_size=3)),
    "D": nvn.Optimizer(adam, schedule=nvn.Plateau("judge", factor=0.5, patience=0, every=2)),
}


def play(engine: nvn.Engine, steps: range) -> list[dict[str, float]]:
    found = []
    for step in steps:
        record = engine.step({"x": tensor(8, 3, seed=step)})
        engine.metric("judge", record.energies["judge"])
        found.append({**record.energies, **record.gradient_norms})
    return found


def saved(engine: nvn.Engine) -> dict[str, Any]:
    """Through a file, as a checkpoint goes."""
    file = io.BytesIO()
    torch.save(engine.state_dict(), file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


@pytest.mark.parametrize("done", [0, 1, 5])
def test_a_fresh_engine_goes_on_bit_by_bit(done: int) -> None:
    straight = restless().engine(OPTIMIZERS, seed=3)
    expected = play(straight, range(10))

    first = restless().engine(OPTIMIZERS, seed=3)
    play(first, range(done))
    state = saved(first)
    torch.manual_seed(99)
    second = restless().engine(OPTIMIZERS, seed=4)  # the seed is part of the state
    second.load_state_dict(state)
    torch.rand(7)
    assert play(second, range(done, 10)) == expected[done:]
    assert_same(weights(second), weights(straight))


def test_the_game_above_tells_whether_the_last_record_is_kept() -> None:
    """In the iterations after 1 and after 5, a condition on the record before does not hold."""
    moved = ["G" in numbers for numbers in play(restless().engine(OPTIMIZERS, seed=3), range(10))]
    assert not moved[1]
    assert not moved[5]
    assert any(moved)


def test_the_state_is_flat_and_plain() -> None:
    engine = restless().engine(OPTIMIZERS)
    play(engine, range(2))
    state = engine.state_dict()
    assert set(state) == {
        "seed",
        "batches",
        "draws",
        "iterations/main",
        "steps/G",
        "steps/D",
        "record/main",
        "player/G",
        "player/D",
        "optimizer/G",
        "optimizer/D",
    }
    assert state["iterations/main"] == 2
    assert state["steps/D"] == 4
    assert state["batches"] == 2
    assert state["player/G"].keys() == engine.modules["G"].state_dict().keys()


def test_counters_count() -> None:
    small = gan()
    engine = small.engine(seed=5)
    assert engine.state.counters == Counters(5)
    assert engine.state.next_counters() == Counters(5, 1, 1)
    engine.step(BATCH)
    assert engine.state.counters == Counters(5, 1, 1, {"G": 1, "D": 1})
    assert engine.state.iterations == {"main": 1}


def test_kept_counters_stay_as_they_are_when_a_player_steps() -> None:
    engine = gan().engine()
    engine.step(BATCH)
    kept = engine.state.next_counters()
    engine.step(BATCH)
    assert kept == Counters(0, 2, 2, {"G": 1, "D": 1})


def test_looking_advances_no_counter() -> None:
    small = gan()
    engine = small.engine()
    engine.step(BATCH)
    before = engine.state.counters.copy()
    engine.gradients(BATCH, "D")
    engine.values(BATCH, [small.fake])
    engine.costs(BATCH)
    engine.check(BATCH)
    assert engine.state.counters == before


def test_only_parameters_that_require_gradients_learn() -> None:
    generator = nn.Sequential(linear(), linear())
    generator[0].requires_grad_(False)
    small = gan(generator)
    state = TrainState.of(small.game.players.values(), seed=0)
    assert list(state.parameters["G"]) == ["1.weight", "1.bias"]
    assert state.modules["G"] is generator


def test_a_state_of_another_game_is_refused_and_nothing_loaded() -> None:
    engine = gan().engine()
    before = weights(engine)
    state = copy.deepcopy(gan().engine().state_dict())
    for change, message in (
        ({"player/Dp": {}}, r"has the player 'Dp'.*only G, D.* Did you mean 'D'\?"),
        ({"optimizer/G:slow": {}}, r"has the optimizer 'G:slow'"),
    ):
        with pytest.raises(RunError, match=message):
            engine.load_state_dict(state | change)
    del state["player/D"]
    with pytest.raises(RunError, match=r"has the player 'D', the other only G"):
        engine.load_state_dict(state)
    assert_same(weights(engine), before)


def test_a_state_from_before_another_phase_began_can_be_loaded() -> None:
    """An optimizer that the state does not know yet stays as it is."""
    early = copy.deepcopy(gan().engine().state_dict())
    small = gan()
    small.schedule = nvn.alternating(small.D, small.G, nvn.move(small.G, optimizer="slow"))
    engine = small.engine({"G": adam, "D": adam, "slow": adam})
    early["optimizer/G"], early["optimizer/D"] = (
        engine.state.optimizers[name].state_dict() for name in ("G", "D")
    )
    engine.load_state_dict(early)
    assert set(engine.state.optimizers) == {"G", "D", "G:slow"}
