"""Layers that are frozen, and unfrozen, after the engine was made."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn.errors import RunError
from tests.small import Gan, assert_same, gan, mlp, sgd, tensor, weights

momentum = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1)
PLAYINGS = [pytest.param(plain, id="plain" if plain else "planned") for plain in (True, False)]


def batch(seed: int) -> dict[str, Tensor]:
    return {"x": tensor(8, 3, seed=seed)}


def engine_of(small: Gan, *, plain: bool, at_once: bool = False) -> nvn.Engine:
    schedule = (nvn.simultaneous if at_once else nvn.alternating)(small.D, small.G)
    return nvn.Engine(nvn.plan(small.game, schedule), momentum, plain=plain)


def flags(module: nn.Module) -> list[bool]:
    return [parameter.requires_grad for parameter in module.parameters()]


def history(*, plain: bool, at_once: bool) -> list[dict[str, dict[str, Tensor]]]:
    """Return the weights after each step: D's first layer, and G's second, rest in the second."""
    small = gan()
    engine = engine_of(small, plain=plain, at_once=at_once)
    found = []
    for step in range(4):
        small.D.module[0].requires_grad_(step != 1)
        small.G.module[2].requires_grad_(step != 1)
        engine.step(batch(step))
        assert flags(small.D.module) == [step != 1, step != 1, True, True]
        found.append(weights(engine))
    return found


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("plain", PLAYINGS)
def test_what_is_frozen_rests_and_what_is_unfrozen_goes_on(plain: bool, at_once: bool) -> None:
    first, second, third, _ = history(plain=plain, at_once=at_once)
    for player, resting in (("D", "0."), ("G", "2.")):
        for name, before in first[player].items():
            rested = torch.equal(before, second[player][name])
            assert rested == name.startswith(resting), f"{player}.{name}"
            assert not torch.equal(second[player][name], third[player][name]), f"{player}.{name}"


@pytest.mark.parametrize("at_once", [True, False])
def test_the_planned_way_is_the_plain_way(at_once: bool) -> None:
    for plain, planned in zip(
        history(plain=True, at_once=at_once), history(plain=False, at_once=at_once), strict=True
    ):
        torch.testing.assert_close(plain, planned)


@pytest.mark.parametrize("plain", PLAYINGS)
def test_frozen_before_the_first_step_it_may_learn_later(plain: bool) -> None:
    small = gan()
    engine = engine_of(small, plain=plain)
    small.D.module[0].requires_grad_(False)
    before = weights(engine)["D"]
    engine.step(batch(0))
    assert_same(weights(engine)["D"]["0.weight"], before["0.weight"])
    small.D.module[0].requires_grad_(True)
    engine.step(batch(1))
    assert not torch.equal(weights(engine)["D"]["0.weight"], before["0.weight"])


@pytest.mark.parametrize("plain", PLAYINGS)
def test_what_no_optimizer_has_cannot_be_unfrozen(plain: bool) -> None:
    critic = mlp(3, 1)
    critic[0].requires_grad_(False)
    engine = engine_of(gan(critic=critic), plain=plain)
    engine.step(batch(0))
    critic[0].requires_grad_(True)
    before = weights(engine)
    for _ in range(2):  # not the first time alone
        with pytest.raises(RunError, match=r"`D\.0\.weight` \(and 1 more parameter of `D`\) requi"):
            engine.step(batch(1))
    assert_same(weights(engine), before)
    critic[0].requires_grad_(False)
    engine.step(batch(1))


@pytest.mark.parametrize("plain", PLAYINGS)
def test_a_player_who_moves_has_something_to_learn(plain: bool) -> None:
    small = gan()
    engine = engine_of(small, plain=plain)
    engine.step(batch(0))
    small.D.module.requires_grad_(False)
    with pytest.raises(RunError, match=r"`D` is to move, but all its parameters are frozen"):
        engine.step(batch(1))
    with pytest.raises(RunError, match=r"`D` is to move, but all its parameters are frozen"):
        engine.gradients(batch(1), "D")
    small.D.module.requires_grad_(True)
    engine.step(batch(1))


@pytest.mark.parametrize("plain", PLAYINGS)
def test_who_does_not_move_may_be_frozen_whole(plain: bool) -> None:
    small = gan()
    generator = nvn.plan(small.game, nvn.alternating(small.G), partial=True)
    engine = nvn.Engine(generator, sgd, plain=plain)
    small.D.module.requires_grad_(False)
    before = weights(engine)
    engine.step(batch(0))
    assert flags(small.D.module) == [False] * 4
    assert_same(weights(engine)["D"], before["D"])
    assert not torch.equal(weights(engine)["G"]["0.weight"], before["G"]["0.weight"])


@pytest.mark.parametrize("plain", PLAYINGS)
def test_looking_leaves_flags_alone(plain: bool) -> None:
    small = gan()
    engine = engine_of(small, plain=plain)
    small.D.module[0].requires_grad_(False)
    engine.check(batch(0))
    engine.values(batch(0), [small.fake])
    engine.costs(batch(0))
    assert [*engine.gradients(batch(0), "D")["D"]] == ["2.weight", "2.bias"]
    assert flags(small.D.module) == [False, False, True, True]


def test_diagnosing_passes_by_what_rests() -> None:
    small = gan()
    engine = engine_of(small, plain=False)
    small.D.module[0].requires_grad_(False)
    before = weights(engine)["D"]
    assert engine.diagnose(batch(0)) is None
    assert_same(weights(engine)["D"]["0.weight"], before["0.weight"])
    assert not torch.equal(weights(engine)["D"]["2.weight"], before["2.weight"])


@pytest.mark.parametrize("plain", PLAYINGS)
def test_engines_that_share_a_state_agree_on_who_rests(plain: bool) -> None:
    small = gan()
    main = engine_of(small, plain=plain, at_once=True)
    other = nvn.Engine(main.plan, momentum, state=main.state, phase="other", plain=plain)
    small.D.module[0].requires_grad_(False)
    main.step(batch(0))
    small.D.module[0].requires_grad_(True)
    before = weights(main)["D"]
    other.step(batch(1))
    assert not torch.equal(weights(main)["D"]["0.weight"], before["0.weight"])


class Failing(nn.Module):
    """A critic that can be told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.fails = mlp(3, 1), False

    def forward(self, x: Any) -> Any:
        if self.fails:
            raise ZeroDivisionError
        return self.inner(x)


@pytest.mark.parametrize("plain", PLAYINGS)
def test_what_rests_still_does_after_a_step_that_failed(plain: bool) -> None:
    small = gan(critic=Failing())
    engine = engine_of(small, plain=plain)
    engine.step(batch(0))
    small.D.module.inner[0].requires_grad_(False)
    small.D.module.fails = True
    with pytest.raises(ZeroDivisionError):
        engine.step(batch(1))
    assert flags(small.D.module) == [False, False, True, True]
    small.D.module.fails = False
    before = weights(engine)["D"]["inner.0.weight"]
    engine.step(batch(1))
    assert_same(weights(engine)["D"]["inner.0.weight"], before)
