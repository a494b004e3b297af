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
        ({"player/Dp": {}}, r"has the player 'Dp'.*: G, D.* Did you mean 'D'\?"),
        ({"optimizer/G:slow": {}}, r"has the optimizer 'G:slow'"),
    ):
        with pytest.raises(RunError, match=message):
            engine.load_state_dict(state | change)
    del state["player/D"]
    with pytest.raises(RunError, match=r"the state has no player 'D'"):
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


# --- a state that does not fit ---


def _without(key: str) -> Any:
    return lambda state: state.pop(key)


def _with(key: str, value: Any) -> Any:
    return lambda state: state.update({key: value})


def _in_optimizer(change: Any) -> Any:
    return lambda state: change(state["optimizer/G"]["optimizer"])


SGD = torch.optim.SGD([nn.Parameter(torch.ones(1)) for _ in range(6)], lr=0.1, momentum=0.9)

DAMAGE = {
    "a count is missing": (_without("draws"), "draws is missing"),
    "a count is a text": (_with("batches", "x"), "batches is 'x'"),
    "a count is negative": (_with("steps/G", -1), "steps/G is -1"),
    "a count is true": (_with("iterations/main", True), "iterations/main is True"),
    "an unknown entry": (_with("stepz/G", 1), "stepz/G is no entry of a state"),
    "no record": (_with("record/main", {"step": 1}), "record/main is no record"),
    "a player is missing": (_without("player/D"), "no player 'D'"),
    "a foreign player": (_with("player/E", {}), "the player 'E'"),
    "a foreign optimizer": (_with("optimizer/E", {}), "the optimizer 'E'"),
    "an optimizer is missing": (_without("optimizer/G"), "nothing is kept of them"),
    "another shape": (
        lambda state: state["player/G"].update({"0.weight": torch.ones(2, 2)}),
        r"player/G/0.weight is \(2, 2\) float32; here it is \(3, 3\) float32",
    ),
    "another dtype": (
        lambda state: state["player/G"].update({"0.bias": torch.ones(3, dtype=torch.int64)}),
        r"player/G/0.bias is \(3,\) int64",
    ),
    "a number for a tensor": (
        lambda state: state["player/G"].update({"0.bias": 3.0}),
        "player/G/0.bias is a float",
    ),
    "a tensor is missing": (
        lambda state: state["player/G"].pop("0.bias"),
        "player/G/0.bias is missing",
    ),
    "a tensor too many": (
        lambda state: state["player/G"].update({"0.bais": torch.ones(3)}),
        "0.bais is not in the module. Did you mean '0.bias'",
    ),
    "another module": (_with("player/G", 3), "player/G/: a int"),
    "an optimizer that has forgotten": (
        _in_optimizer(lambda inner: inner["state"].clear()),
        "nothing is kept of them",
    ),
    "half of what Adam keeps": (
        _in_optimizer(lambda inner: inner["state"][0].pop("exp_avg")),
        "of parameter 0 it keeps step, exp_avg_sq",
    ),
    "an average of another shape": (
        _in_optimizer(lambda inner: inner["state"][0].update({"exp_avg": torch.ones(2)})),
        r"exp_avg of parameter 0 is \(2,\)",
    ),
    "a parameter that there is not": (
        _in_optimizer(lambda inner: inner["state"].update({99: {}})),
        "a parameter 99",
    ),
    "another kind of optimizer": (
        lambda state: state["optimizer/G"].update({"optimizer": SGD.state_dict()}),
        "another kind than Adam",
    ),
    "fewer parameters": (
        _in_optimizer(lambda inner: inner["param_groups"][0]["params"].pop()),
        r"groups of \[5\] parameters; here they are \[6\]",
    ),
    "no schedule": (
        lambda state: state["optimizer/G"].update({"scheduler": None}),
        "its learning-rate schedule is of another kind",
    ),
    "no optimizer at all": (_with("optimizer/G", {}), "expected entries optimizer, scheduler"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(damage: str) -> None:
    change, said = DAMAGE[damage]
    other = restless().engine(OPTIMIZERS, seed=5)
    play(other, range(7, 10))
    state = saved(other)
    change(state)

    engine = restless().engine(OPTIMIZERS, seed=3)
    play(engine, range(4))
    before = saved(engine)
    with pytest.raises(RunError, match=said):
        engine.load_state_dict(state)
    assert_same_state(saved(engine), before)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    state = saved(restless().engine(OPTIMIZERS))
    state.update({"batches": "x", "draws": None})
    del state["player/D"]
    with pytest.raises(RunError) as caught:
        restless().engine(OPTIMIZERS).load_state_dict(state)
    assert len(str(caught.value).splitlines()) == 1 + 3


def assert_same_state(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_state(one[key], other[key])
    elif isinstance(one, list | tuple):
        for x, y in zip(one, other, strict=True):
            assert_same_state(x, y)
    else:
        assert one == other
