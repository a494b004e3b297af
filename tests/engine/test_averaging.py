"""Averages of players: the formula, buffers, phases, resuming, and that the game is not changed."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import nvn
from nvn.errors import GameError
from tests.small import assert_same, linear, tensor, weights


def mean(x: Tensor) -> Tensor:
    return (x**2).mean()


def engine(target: bool = False, every: int = 1, **options: Any) -> nvn.Engine:
    game = nvn.Game("averaged")
    x = game.batch("x")
    module = nn.Sequential(linear(seed=1), nn.BatchNorm1d(3), linear(seed=2))
    f = game.player("f", module)
    average = game.average("f_ema", f, **{"half_life": 8.0, "unit": "steps", **options})
    f.minimizes(nvn.energy(mean)(f(x)) + (nvn.energies.mse(f(x), average(x)) if target else 0.0))
    schedule = nvn.alternating(nvn.move(f, every=every))
    return nvn.Engine(nvn.plan(game, schedule), partial(torch.optim.SGD, lr=0.5))


def batches(count: int) -> list[dict[str, Tensor]]:
    return [{"x": tensor(4, 3, seed=seed)} for seed in range(count)]


@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_it_is_what_torch_makes_of_it(buffers: str) -> None:
    made = engine(buffers=buffers)
    decay = 0.5 ** (1 / 8)
    hand = AveragedModel(
        made.modules["f"],
        multi_avg_fn=get_ema_multi_avg_fn(decay),
        use_buffers=buffers == "average",
    )
    hand.update_parameters(made.modules["f"])  # the first is a copy
    for batch in batches(5):
        made.step(batch)
        hand.update_parameters(made.modules["f"])
    for own, other in zip(
        made.modules["f_ema"].parameters(), hand.module.parameters(), strict=True
    ):
        assert torch.equal(own, other)
    own_mean = made.modules["f_ema"][1].running_mean  # type: ignore[index]
    of = hand.module if buffers == "average" else made.modules["f"]
    assert torch.equal(own_mean, of[1].running_mean)  # type: ignore[index]
    assert int(made.modules["f_ema"][1].num_batches_tracked) == 5  # type: ignore[index]


class Running(nn.Module):
    """Has a new buffer after each call, one that is not saved, one that is two, one that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.own = linear(seed=3)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("same", self.mean)
        self.register_buffer("unsaved", torch.zeros(3), persistent=False)
        self.register_buffer("seen", torch.zeros(0, 3))
        self.register_buffer("first", None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.own(x)
        if self.training:
            self.mean = 0.5 * self.mean + 0.5 * y.detach().mean(0)
            self.unsaved = self.mean + 1.0
            self.seen = torch.cat([self.seen, y.detach()])
            self.first = y[0].detach()
        return y + self.mean


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_buffers_of_every_kind(buffers: str, plain: bool) -> None:
    game = nvn.Game("running")
    x = game.batch("x")
    f = game.player("f", Running())
    game.average("f_ema", f, half_life=1, unit="steps", buffers=buffers)  # type: ignore[arg-type]
    f.minimizes(nvn.energy(mean)(f(x)))
    sgd = partial(torch.optim.SGD, lr=0.5)
    made = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd, plain=plain)
    expected = torch.zeros(3)
    for batch in batches(3):
        made.step(batch)
        own, other = made.modules["f_ema"], made.modules["f"]
        expected = other.mean if buffers == "copy" else torch.lerp(expected, other.mean, 0.5)
        assert torch.equal(own.mean, expected)
        for name in ("unsaved", "seen", *(["first"] if buffers == "copy" else [])):
            assert torch.equal(getattr(own, name), getattr(other, name))
            assert getattr(own, name) is not getattr(other, name)


def test_a_half_life_halves() -> None:
    made = engine(half_life=12.0, unit="samples")
    with torch.no_grad():
        for parameter in made.modules["f_ema"].parameters():
            parameter.fill_(1.0)
        for parameter in made.modules["f"].parameters():
            parameter.zero_()
    for optimizer in made.state.optimizers.values():
        optimizer.scale(0.0)
    for batch in batches(3):  # of four samples each: one half-life
        made.step(batch)
    for parameter in made.modules["f_ema"].parameters():
        assert torch.allclose(parameter, torch.tensor(0.5))


def test_it_follows_only_where_the_other_has_stepped() -> None:
    made = engine(every=2)
    first, second, third = batches(3)
    made.step(first)
    before = copy.deepcopy(weights(made)["f_ema"])
    made.step(second)
    assert_same({"f": before}, {"f": weights(made)["f_ema"]})
    made.step(third)
    assert any(not torch.equal(before[n], w) for n, w in weights(made)["f_ema"].items())


def test_it_changes_nothing_of_the_game_and_can_be_a_target() -> None:
    plain = nvn.Game("plain")
    x = plain.batch("x")
    f = plain.player("f", nn.Sequential(linear(seed=1), nn.BatchNorm1d(3), linear(seed=2)))
    f.minimizes(nvn.energy(mean)(f(x)))
    alone = nvn.Engine(nvn.plan(plain, nvn.alternating(f)), partial(torch.optim.SGD, lr=0.5))
    made, target = engine(), engine(target=True)
    for batch in batches(4):
        for each in (alone, made, target):
            each.step(batch)
    assert_same({"f": weights(alone)["f"]}, {"f": weights(made)["f"]})
    assert not torch.equal(weights(target)["f"]["0.weight"], weights(made)["f"]["0.weight"])
    assert not any(p.requires_grad for p in made.modules["f_ema"].parameters())


@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_a_target_is_computed_once_an_iteration_and_played_as_plainly(buffers: Any) -> None:
    def make(plain: bool) -> nvn.Engine:
        game = nvn.Game("teacher")
        x = game.batch("x")
        f = game.player("f", nn.Sequential(linear(seed=1), nn.BatchNorm1d(3)).double())
        g = game.player("g", linear(seed=2).double())
        teacher = game.average("f_ema", f, half_life=8, buffers=buffers)
        f.minimizes(nvn.energies.mse(f(x), teacher(x)) + nvn.energy(mean)(f(x)))
        g.minimizes(nvn.energies.mse(g(x), teacher(x)))
        schedule = nvn.alternating(nvn.move(f, times=2), g)
        sgd = partial(torch.optim.SGD, lr=0.1)
        return nvn.Engine(nvn.plan(game, schedule), sgd, plain=plain)

    planned, plain = make(False), make(True)
    assert planned.plan.counts["f_ema"] == {"forward": 1, "backward": 0}
    for batch in batches(5):
        for engine_ in (planned, plain):
            engine_.step({"x": batch["x"].double()})
    for name, own in weights(planned).items():
        for key, tensor_ in own.items():
            assert torch.allclose(tensor_, weights(plain)[name][key], rtol=1e-10)


def test_a_fresh_engine_goes_on_with_it_to_the_bit(tmp_path: Path) -> None:
    whole, part = engine(target=True), engine(target=True)
    data = batches(6)
    for batch in data:
        whole.step(batch)
    for batch in data[:3]:
        part.step(batch)
    part.save(tmp_path / "c")
    again = engine(target=True)
    with torch.no_grad():
        again.modules["f"][0].weight.zero_()  # type: ignore[index]
    again.load_state_dict(copy.deepcopy(part.state_dict()))
    for batch in data[3:]:
        again.step(batch)
    assert_same(weights(again), weights(whole))


def test_it_is_shown() -> None:
    from nvn.show.text import text

    assert "average of f, half-life 8 steps" in text(engine().plan.graph)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (lambda game, f: game.average("a", f, half_life=0), "a half-life of 0"),
        (
            lambda game, f: game.average("a", game.frozen("g", linear()), half_life=1),
            "an average of `g`, which is frozen",
        ),
        (lambda game, f: game.average("f", f, half_life=1), "a second player named 'f'"),
        (lambda game, f: game.average("a", f, half_life=float("inf")), "a half-life of inf"),
        (lambda game, f: game.average("a", f, half_life="10"), "a half-life of '10'"),
        (lambda game, f: game.average("a", f, half_life=1, unit="sample"), "unit='sample'"),
        (lambda game, f: game.average("a", f, half_life=1, buffers="no"), "buffers='no'"),
        (
            lambda game, f: game.average("a", nvn.Game("b").player("g", linear()), half_life=1),
            "an average of `g`, a player of the game 'b'",
        ),
    ],
)
def test_what_makes_no_sense_is_told(declared: Any, said: str) -> None:
    game = nvn.Game("wrong")
    x = game.batch("x")
    f = game.player("f", linear())
    f.minimizes(nvn.energy(mean)(f(x)))
    declared(game, f)
    with pytest.raises(GameError, match=said):
        nvn.plan(game, nvn.alternating(f))


def test_what_is_no_player_is_told_at_once() -> None:
    game = nvn.Game("wrong")
    with pytest.raises(GameError, match="an average of a Linear"):
        game.average("a", linear(), half_life=1)  # type: ignore[arg-type]
    team = game.team("T", G=linear(), E=linear())
    with pytest.raises(GameError, match=r"earlier selves of the team 'T'(?s:.)*name one of .* E"):
        game.past("a", team, every=1, keep=1)  # type: ignore[arg-type]


def test_an_average_of_whom_no_schedule_moves_is_a_problem_of_that_player() -> None:
    game = nvn.Game("idle")
    x = game.batch("x")
    f, g = game.player("f", linear()), game.player("g", linear())
    game.average("g_ema", g, half_life=1)
    f.minimizes(nvn.energy(mean)(f(x)))
    g.minimizes(nvn.energy(mean)(g(x)))
    with pytest.raises(GameError, match="`g` has an objective but never moves"):
        nvn.plan(game, nvn.alternating(f))


def test_samples_are_counted_by_the_first_entry_that_the_game_reads() -> None:
    game = nvn.Game("counted")
    scale, pair = game.batch("scale", "pair")
    f = game.player("f", linear())
    average = game.average("f_ema", f, half_life=4)
    f.minimizes(nvn.energy(lambda s, x: (s * x).mean(), name="e")(scale, f(pair[0])))
    made = nvn.Engine(nvn.plan(game, nvn.alternating(f)), partial(torch.optim.SGD, lr=0.5))
    before = average.module.weight.clone()
    batch = {"index": torch.arange(7), "scale": torch.tensor(2.0), "pair": [tensor(4, 3)] * 2}
    made.step(batch)  # one half-life: of the four samples of the pair
    assert torch.equal(average.module.weight, torch.lerp(before, f.module.weight, 0.5))


def test_a_module_that_cannot_be_copied_is_told() -> None:
    class Lone(nn.Linear):
        def __deepcopy__(self, memo: object) -> "Lone":
            raise TypeError("cannot copy")

    game = nvn.Game("wrong")
    with pytest.raises(GameError, match="the module of `f` cannot be copied: cannot copy"):
        game.average("a", game.player("f", Lone(2, 2)), half_life=1)
