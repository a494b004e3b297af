"""Earlier selves as opponents: which are kept, which one plays, and going on with them."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nvn
from nvn.errors import GameError, RunError
from tests.small import assert_same, linear, tensor, weights


def mean(x: Tensor) -> Tensor:
    return (x**2).mean()


def engine(every: int = 2, keep: int = 3, seed: int = 0, **options: Any) -> nvn.Engine:
    game = nvn.Game("past")
    x = game.batch("x")
    G = game.player("G", nn.Sequential(linear(seed=1), nn.BatchNorm1d(3)))
    D = game.player("D", linear(seed=2))
    old = game.past("G_old", G, every=every, keep=keep)
    G.minimizes(nvn.energy(mean, name="g")(D(G(x))))
    D.minimizes(nvn.energies.mse(D(G(x)), D(old(x))) + nvn.energy(mean, name="d")(D(old(x))))
    schedule = nvn.alternating(D, nvn.move(G, times=2))
    sgd = partial(torch.optim.SGD, lr=0.05)
    return nvn.Engine(nvn.plan(game, schedule), sgd, seed=seed, **options)


BATCHES = [{"x": tensor(4, 3, seed=seed)} for seed in range(12)]


def state(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_is_always_one_of_those_that_are_kept() -> None:
    made = engine()
    kept = [state(made.modules["G"])]
    played = []
    for batch in BATCHES:
        made.step(batch)
        now = state(made.modules["G_old"])
        (index,) = [i for i, each in enumerate(kept[-3:]) if same(each, now)]
        played.append(index)
        kept.append(state(made.modules["G"]))  # it steps twice an iteration, so each is kept
    assert set(played) == {0, 1, 2}
    assert len(made.state.pasts["G_old"]) == 3


def test_every_so_many_steps_one_is_kept() -> None:
    made = engine(every=5, keep=10)
    for count, batch in enumerate(BATCHES, start=1):
        made.step(batch)
        assert len(made.state.pasts["G_old"]) == 1 + 2 * count // 5


def test_the_draw_depends_on_the_seed_and_on_nothing_else() -> None:
    def played(seed: int) -> list[Tensor]:
        made, found = engine(seed=seed), []
        for batch in BATCHES:
            torch.rand(3)
            made.step(batch)
            found.append(state(made.modules["G_old"])["0.weight"])
        return found

    first, again, other = played(0), played(0), played(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("done", [0, 1, 6])
def test_a_fresh_engine_goes_on_with_the_pool_to_the_bit(done: int, tmp_path: Path) -> None:
    whole, part = engine(), engine()
    for batch in BATCHES:
        whole.step(batch)
    for batch in BATCHES[:done]:
        part.step(batch)
    part.save(tmp_path / "c")
    sgd = partial(torch.optim.SGD, lr=0.05)
    again, _ = nvn.Engine.load(tmp_path / "c", engine().plan, sgd)
    for batch in BATCHES[done:]:
        again.step(batch)
    assert_same(weights(again), weights(whole))


def test_planned_is_plain() -> None:
    planned, plain = engine(), engine(plain=True)
    for batch in BATCHES:
        planned.step(batch)
        plain.step(batch)
    for name, own in weights(planned).items():
        for key, tensor_ in own.items():
            assert torch.allclose(tensor_, weights(plain)[name][key], atol=1e-6)


def test_what_only_looks_changes_nothing() -> None:
    made = engine()
    for batch in BATCHES[:5]:
        made.step(batch)
    before = copy.deepcopy(made.state_dict())
    made.gradients(BATCHES[5], ["G", "D"])
    made.values(BATCHES[5], [made.plan.graph.energies[0]])
    made.costs(BATCHES[5])
    after = made.state_dict()
    for player in made.modules:
        assert same(before[f"player/{player}"], after[f"player/{player}"])
    assert before.keys() == after.keys()


def test_it_is_what_the_other_is_when_training_begins() -> None:
    game = nvn.Game("late")
    x = game.batch("x")
    G = game.player("G", linear(seed=1))
    old = game.past("G_old", G, every=1, keep=1)
    G.minimizes(nvn.energies.mse(G(x), old(x)))
    nn.init.ones_(G.module.weight)  # after it was declared
    made = nvn.Engine(nvn.plan(game, nvn.alternating(G)), partial(torch.optim.SGD, lr=0.1))
    assert torch.equal(old.module.weight, torch.ones(3, 3))
    assert len(made.state.pasts["G_old"]) == 1


def test_state_that_is_no_tensor_is_kept_too() -> None:
    class Told(nn.Linear):
        told = 0

        def get_extra_state(self) -> dict[str, int]:
            return {"told": self.told}

        def set_extra_state(self, state: dict[str, int]) -> None:
            self.told = state["told"]

    def make() -> nvn.Engine:
        game = nvn.Game("told")
        x = game.batch("x")
        G = game.player("G", Told(3, 3))
        old = game.past("G_old", G, every=1, keep=1)
        G.minimizes(nvn.energies.mse(G(x), old(x)))
        return nvn.Engine(nvn.plan(game, nvn.alternating(G)), partial(torch.optim.SGD, lr=0.1))

    made, again = make(), make()
    made.modules["G"].told = 7  # type: ignore[assignment]
    made.step(BATCHES[0])
    again.load_state_dict(made.state_dict())
    again.step(BATCHES[1])
    assert again.modules["G_old"].told == 7


def test_gradients_are_those_of_the_next_step() -> None:
    made = engine()
    for batch in BATCHES[:5]:
        made.step(batch)
    gradients = made.gradients(BATCHES[5], ["D"])
    before = made.modules["D"].weight.detach().clone()
    made.step(BATCHES[5])
    assert torch.allclose(made.modules["D"].weight, before - 0.05 * gradients["D"]["weight"])


@pytest.mark.parametrize("damage", ["missing", "empty", "another shape"])
def test_a_pool_that_does_not_fit_is_refused(damage: str) -> None:
    made = engine()
    found = copy.deepcopy(made.state_dict())
    if damage == "missing":
        del found["past/G_old"]
    elif damage == "empty":
        found["past/G_old"] = []
    else:
        found["past/G_old"][0]["0.weight"] = torch.ones(2, 2)
    with pytest.raises(RunError, match="past/G_old"):
        made.load_state_dict(found)


@pytest.mark.parametrize(
    "options", [{"every": 0, "keep": 1}, {"every": 1, "keep": 0.5}, {"every": True, "keep": 1}]
)
def test_what_makes_no_sense_is_told(options: dict[str, Any]) -> None:
    with pytest.raises(GameError, match="a whole number of 1 or more"):
        engine(**options)
