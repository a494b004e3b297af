"""The engine: moves against loops written by hand; looking without changing anything."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

import nvn
from nvn.errors import ConfigError, DataError, GameError, RunError
from tests.small import (
    BATCH,
    Gan,
    Own,
    adam,
    assert_same,
    gan,
    linear,
    mean,
    mlp,
    sgd,
    square,
    tensor,
    weights,
)


def batches(count: int | None = None) -> Iterator[dict[str, Tensor]]:
    for number in itertools.count() if count is None else range(count):
        yield {"x": tensor(8, 3, seed=number)}


def with_noise(engine: nvn.Engine, small: Gan, batch: dict[str, Tensor]) -> Tensor:
    """Return the noise that the next step will draw."""
    (z,) = (node for node in engine.plan.graph.nodes if str(node) == str(small.z))
    found: Tensor = engine.values(batch, [z])[0]
    return found


product = nvn.energy(lambda own, x: (own * x).mean(), name="product")


class Line:
    """A game of numbers: each player minimizes its own number times the batch's.

    A step of SGD with learning rate 1 takes the batch's number off the player: who moved how often,
    and on what, can be read off its parameter.
    """

    def __init__(self, *names: str) -> None:
        self.game = nvn.Game("line")
        self.x = self.game.batch("x")
        self.players = [self.game.player(name, Own(0.0)) for name in names]
        for player in self.players:
            player.minimizes(self.times_x(player))

    def times_x(self, player: nvn.Player) -> nvn.Energy:
        return product(player(), self.x).named(f"{player.name}·x")

    def engine(self, *moves: Any, optimizers: Any = None, **options: Any) -> nvn.Engine:
        plan = nvn.plan(self.game, nvn.alternating(*moves), partial=True)
        return nvn.Engine(plan, optimizers or partial(torch.optim.SGD, lr=1.0), **options)

    def where(self, player: nvn.Player) -> float:
        number: float = player.module.own.item()
        return number


def ones(*numbers: float) -> Iterator[dict[str, Tensor]]:
    return iter([{"x": torch.tensor([number])} for number in numbers])


# --- moves --------------------------------------------------------------------------------------


def by_hand(small: Gan, engine: nvn.Engine, make: Any, *, together: bool, steps: int) -> None:
    """The same game as a loop: D minimizes judge − fool, G minimizes fool."""
    G, D = small.G.module, small.D.module
    mover = {"G": make(G.parameters()), "D": make(D.parameters())}
    for batch in batches(steps):
        z = with_noise(engine, small, batch)
        engine.step(batch)

        def objectives(x: Tensor = batch["x"], z: Tensor = z) -> tuple[Tensor, Tensor]:
            fool = D(G(z)).square().mean()
            return D(x).square().mean() - fool, fool

        gradients_d = torch.autograd.grad(objectives()[0], [*D.parameters()])
        if not together:
            apply(mover["D"], D, gradients_d)
        gradients_g = torch.autograd.grad(objectives()[1], [*G.parameters()])
        if together:
            apply(mover["D"], D, gradients_d)
        apply(mover["G"], G, gradients_g)


def apply(optimizer: torch.optim.Optimizer, module: nn.Module, gradients: Any) -> None:
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("together", [False, True], ids=["alternating", "simultaneous"])
@pytest.mark.parametrize(
    "make", [sgd, adam, partial(adam, fused=True)], ids=["sgd", "adam", "fused adam"]
)
def test_a_game_equals_its_loop_by_hand(together: bool, make: Any) -> None:
    ours, theirs = gan(), gan()
    if together:
        ours.schedule = nvn.simultaneous(ours.D, ours.G)
    engine = ours.engine(make)
    by_hand(theirs, engine, make, together=together, steps=5)
    for name in ("G", "D"):
        module = theirs.game.players[name].module
        assert_same(engine.modules[name].state_dict(), module.state_dict())


def test_nobody_outside_a_move_changes() -> None:
    small = gan(
        nn.Sequential(linear(), nn.BatchNorm1d(3)), nn.Sequential(nn.BatchNorm1d(3), linear())
    )
    small.schedule = nvn.alternating(nvn.move(small.D))
    engine = nvn.Engine(nvn.plan(small.game, small.schedule, partial=True), adam)
    before = weights(engine)
    engine.step(BATCH)
    after = weights(engine)
    assert_same(after["G"], before["G"])
    assert after["D"]["0.num_batches_tracked"].item() == 2
    for name in ("0.running_mean", "0.weight", "1.weight", "1.bias"):
        assert not torch.equal(after["D"][name], before["D"][name])
    assert not engine.state.optimizers["D"].optimizer.param_groups[0]["params"][0].grad


def test_statistics_advance_in_the_owners_moves_only() -> None:
    small = gan(nn.Sequential(linear(), nn.BatchNorm1d(3)))
    small.schedule = nvn.alternating(nvn.move(small.D, times=5), small.G)
    engine = small.engine()
    engine.step(BATCH)
    assert small.G.module[1].num_batches_tracked.item() == 1
    engine.step(BATCH)
    assert small.G.module[1].num_batches_tracked.item() == 2


def test_frozen_players_stay_in_eval_mode_and_as_they_are() -> None:
    small = gan()
    classifier = nn.Sequential(linear(), nn.BatchNorm1d(3), nn.Dropout())
    C = small.game.frozen("C", classifier)
    small.G.minimizes(square(C(small.fake)))
    engine = small.engine()
    before = weights(engine)["C"]
    gradients = engine.gradients(BATCH, "G")["G"]
    engine.step(BATCH)
    assert_same(weights(engine)["C"], before)
    assert not classifier.training
    assert all(p.requires_grad and p.grad is None for p in classifier.parameters())
    assert any(g.any() for g in gradients.values())


def test_parameters_that_the_user_froze_stay_as_they_are() -> None:
    generator = mlp()
    generator[0].requires_grad_(False)
    small = gan(generator)
    engine = small.engine(partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5))
    before = weights(engine)["G"]
    engine.step(BATCH)
    after = weights(engine)["G"]
    assert [torch.equal(after[name], before[name]) for name in before] == [True, True, False, False]
    assert [p.requires_grad for p in generator.parameters()] == [False, False, True, True]


def test_modules_are_put_into_training_mode() -> None:
    small = gan(mlp().eval())
    small.engine()
    assert small.G.module.training


def test_one_module_may_play_in_two_games_one_after_the_other() -> None:
    """A player who was frozen in one game still learns in the next."""
    module = linear()
    first = gan()
    C = first.game.frozen("C", module)
    first.G.minimizes(square(C(first.fake)))
    first.engine().step(BATCH)
    second = gan(generator=module)
    engine = second.engine()
    before = module.weight.detach().clone()
    engine.step(BATCH)
    assert not torch.equal(module.weight, before)


# --- schedules ----------------------------------------------------------------------------------


def test_players_move_as_often_as_the_schedule_says() -> None:
    line = Line("a", "b")
    a, b = line.players
    engine = line.engine(nvn.move(a, times=5), nvn.move(b, every=2))
    for _ in range(4):
        engine.step({"x": torch.ones(1)})
    assert (line.where(a), line.where(b)) == (-20.0, -2.0)
    assert engine.state.counters.steps == {"a": 20, "b": 2}


def test_an_iteration_uses_one_batch_unless_said_otherwise() -> None:
    line = Line("a", "b")
    a, b = line.players
    source = ones(1, 10, 100)
    line.engine(nvn.move(a, times=2), b).step(source)
    assert (line.where(a), line.where(b)) == (-2.0, -1.0)
    assert next(source)["x"].item() == 10


def test_fresh_repetitions_take_a_batch_each_and_later_moves_the_latest() -> None:
    line = Line("a", "b", "c")
    a, b, c = line.players
    source = ones(1, 10, 100, 1000, 10000)
    engine = line.engine(nvn.move(a, times=3, fresh=True), b, nvn.move(c, fresh=True))
    assert engine.plan.batches_per_step == 4
    engine.step(source)
    assert [line.where(p) for p in (a, b, c)] == [-111.0, -100.0, -1000.0]
    assert engine.state.counters.batches == 4


def test_samples_are_drawn_once_an_iteration_unless_said_otherwise() -> None:
    def noises(**options: Any) -> list[float]:
        seen: list[float] = []
        line = Line("a", "b")
        a, b = line.players
        z = line.game.noise("z", (), like=line.x)
        for player in (a, b):
            watch = nvn.energy(lambda own, z: (seen.append(z.mean().item()), own.mean())[1])
            player.minimizes(watch(player(), z))
        engine = line.engine(nvn.move(a, times=2, **options), b)
        engine.check(next(ones(1)))
        seen.clear()
        engine.step(ones(1, 1, 1, 1))
        return seen

    first, second, third = noises()
    assert first == second == third
    first, second, third = noises(fresh="noise")
    assert first != second == third
    first, second, third = noises(fresh=True)
    assert first != second == third


def test_conditions_see_the_record_of_the_iteration_before() -> None:
    line = Line("a", "b")
    a, b = line.players
    seen = []

    def when(record: nvn.Record) -> bool:
        seen.append((record.step, record.energies["a·x"]))
        return record.step % 2 == 0

    engine = line.engine(a, nvn.move(b, when=when))
    for _ in range(4):
        engine.step({"x": torch.ones(1)})
    assert seen == [(1, 0.0), (2, -1.0), (3, -2.0)]
    assert line.where(b) == -2.0  # in the first iteration and in the third


def test_an_iteration_in_which_nothing_happens_takes_no_batch() -> None:
    line = Line("a")
    (a,) = line.players
    engine = line.engine(nvn.move(a, every=2))
    source = ones(1, 10)
    engine.step(source)
    record = engine.step(source)
    assert (record.step, record.energies) == (2, {})
    engine.step(source)
    assert line.where(a) == -11.0


def test_a_move_may_descend_something_else() -> None:
    line = Line("a", "b")
    a, b = line.players
    goal = 100 * line.times_x(a)
    engine = line.engine(nvn.move(a, toward=goal), (a, b))
    engine.step({"x": torch.ones(1)})
    assert (line.where(a), line.where(b)) == (-101.0, -1.0)


def test_a_lazy_regularizer_is_multiplied_by_its_interval() -> None:
    line = Line("a", "b")
    a, _ = line.players
    slow = {"a": partial(torch.optim.SGD, lr=1.0), "reg": partial(torch.optim.SGD, lr=1.0)}
    engine = line.engine(
        a, nvn.move(a, toward=line.times_x(a), every=4, optimizer="reg"), optimizers=slow
    )
    seen = []
    for _ in range(5):
        engine.step({"x": torch.ones(1)})
        seen.append(line.where(a))
    assert seen == [-5.0, -6.0, -7.0, -8.0, -13.0]


def rate(engine: nvn.Engine, slot: str) -> tuple[float, Any]:
    group = engine.state.optimizers[slot].optimizer.param_groups[0]
    return group["lr"], group.get("betas")


def test_the_optimizer_of_a_lazy_regularizer_is_corrected_as_in_stylegan2() -> None:
    """training_loop.py of StyleGAN2: mb_ratio = k/(k+1); lr·mb_ratio, betas^mb_ratio."""
    line = Line("a", "b")
    a, b = line.players
    make = partial(torch.optim.Adam, lr=0.1, betas=(0.5, 0.99))
    lazy = nvn.move(a, toward=line.times_x(a), every=16)
    lr, betas = rate(line.engine(a, lazy, b, optimizers=make), "a")
    assert lr == pytest.approx(0.1 * 16 / 17)
    assert betas == pytest.approx((0.5 ** (16 / 17), 0.99 ** (16 / 17)))
    assert rate(line.engine(a, lazy, b, optimizers=make), "b") == (0.1, (0.5, 0.99))


@pytest.mark.parametrize(
    ("moves", "share"),
    [
        (
            lambda a, goal: [nvn.move(a, times=5), nvn.move(a, toward=goal, every=16)],
            5 / (5 + 1 / 16),
        ),
        (lambda a, goal: [a, a, nvn.move(a, toward=goal, every=4, times=2)], 2 / (2 + 2 / 4)),
        (lambda a, goal: [nvn.move(a, every=2), nvn.move(a, toward=goal, every=8)], 4 / 5),
        (lambda a, goal: [a, nvn.move(a, toward=goal)], 1.0),
        (lambda a, goal: [nvn.move(a, toward=goal, every=16)], 1.0),
        (lambda a, goal: [a, nvn.move(a, every=16)], 1.0),
    ],
)
def test_the_correction_is_the_share_of_the_usual_steps(moves: Any, share: float) -> None:
    line = Line("a")
    (a,) = line.players
    engine = line.engine(*moves(a, line.times_x(a)))
    assert rate(engine, "a")[0] == pytest.approx(share)


def test_a_step_learns_also_where_the_caller_has_switched_gradients_off() -> None:
    inside, outside = gan(), gan()
    for small in (inside, outside):
        small.G.minimizes(3 * mean(small.fake))
    engine = inside.engine()
    with torch.no_grad():
        engine.step(BATCH)
        engine.gradients(BATCH, "G")
        assert not engine.values(BATCH, [inside.fool])[0].requires_grad
        assert not torch.is_grad_enabled()
    outside.engine().step(BATCH)
    assert_same(inside.G.module.state_dict(), outside.G.module.state_dict())


def test_a_weight_that_is_zero_moves_nobody_then() -> None:
    line = Line("a", "b")
    a, b = line.players
    a.minimizes((lambda step: -1.0 if step else 0.0) * line.times_x(a))
    b._objective = (lambda step: float(step >= 2)) * line.times_x(b)
    engine = line.engine(a, b, optimizers=partial(torch.optim.SGD, lr=1.0, weight_decay=0.0))
    energies = [engine.step({"x": torch.ones(1)}).energies for _ in range(3)]
    assert ["b·x" in found for found in energies] == [False, False, True]
    assert line.where(b) == -1.0
    assert engine.state.counters.steps["b"] == 1


# --- supply -------------------------------------------------------------------------------------


def test_an_iterator_that_is_empty_stops_the_iteration() -> None:
    line = Line("a")
    engine = line.engine(*line.players)
    with pytest.raises(StopIteration):
        engine.step(ones())
    assert engine.state.iterations == {}


def test_batches_that_run_out_within_an_iteration() -> None:
    line = Line("a")
    (a,) = line.players
    engine = line.engine(nvn.move(a, times=3, fresh=True))
    with pytest.raises(DataError, match=r"found no further batch.*plan\.batches_per_step"):
        engine.step(ones(1, 2))


@pytest.mark.parametrize("wrong", [[{"x": torch.ones(1)}], torch.ones(1), "x"])
def test_what_is_no_batch_is_told(wrong: Any) -> None:
    line = Line("a")
    with pytest.raises(
        DataError, match=f"got a {type(wrong).__name__}; expected a dict of tensors"
    ):
        line.engine(*line.players).step(wrong)


def test_what_an_iterator_yields_has_to_be_a_batch() -> None:
    line = Line("a")
    with pytest.raises(DataError, match="took a Tensor as a batch; expected a dict"):
        line.engine(*line.players).step(iter([torch.ones(1)]))


def test_a_later_batch_that_lacks_a_name_is_told() -> None:
    engine = gan().engine()
    engine.step(BATCH)
    with pytest.raises(DataError, match="the batch has no 'x'; it has: y"):
        engine.step({"y": BATCH["x"]})


# --- optimizers ---------------------------------------------------------------------------------


def test_each_player_has_its_own_optimizer() -> None:
    line = Line("a", "b")
    a, b = line.players
    make = {"a": partial(torch.optim.SGD, lr=1.0), "b": partial(torch.optim.SGD, lr=0.5)}
    line.engine(a, b, optimizers=make).step({"x": torch.ones(1)})
    assert (line.where(a), line.where(b)) == (-1.0, -0.5)


def test_one_optimizer_for_all_is_one_for_each() -> None:
    engine = gan().engine(nvn.Optimizer(adam, clip_norm=1.0))
    one, two = engine.state.optimizers.values()
    assert one.optimizer is not two.optimizer
    assert len(one.optimizer.param_groups[0]["params"]) == 4


def test_a_move_may_have_optimizers_of_its_own() -> None:
    line = Line("a", "b")
    a, b = line.players
    make = {
        name: partial(torch.optim.SGD, lr=lr) for name, lr in (("a", 1), ("b", 1), ("slow", 0.1))
    }
    engine = line.engine(a, b, nvn.move((a, b), optimizer="slow"), optimizers=make)
    assert set(engine.state.optimizers) == {"a", "b", "a:slow", "b:slow"}
    engine.step({"x": torch.ones(1)})
    assert (line.where(a), line.where(b)) == pytest.approx((-1.1, -1.1))


def test_gradients_may_be_sparse() -> None:
    game = nvn.Game("game")
    label = game.batch("label")
    E = game.player("E", nn.Embedding(10, 3, sparse=True))
    E.minimizes(square(E(label)))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(E)), partial(torch.optim.SparseAdam, lr=0.1))
    before = E.module.weight.detach().clone()
    record = engine.step({"label": torch.tensor([1, 1, 4])})
    changed = (E.module.weight != before).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [1, 4]
    by_hand = torch.stack([2 / 9 * 2 * before[1], 2 / 9 * before[4]]).norm()
    assert record.gradient_norms["E"] == pytest.approx(by_hand.item())


def test_a_missing_optimizer_is_told() -> None:
    small = gan()
    with pytest.raises(
        ConfigError, match=r"no optimizer for 'D'; there are: G, Dp\. Did you mean 'Dp'"
    ):
        small.engine({"G": sgd, "Dp": sgd})
    with pytest.raises(ConfigError, match="no optimizer for 'D'; there are: none"):
        small.engine({})


def test_names_of_moves_are_looked_up_too() -> None:
    small = gan()
    small.schedule = nvn.alternating(small.D, nvn.move(small.G, optimizer="pretraining"))
    with pytest.raises(
        ConfigError, match="no optimizer for 'pretraining'.*Did you mean 'pretrain'"
    ):
        small.engine({"D": sgd, "pretrain": sgd})
    with pytest.raises(ConfigError, match="the optimizers have no names.*the key 'pretraining'"):
        small.engine(sgd)


def test_further_optimizers_do_no_harm() -> None:
    gan().engine({"G": sgd, "D": sgd, "other": sgd})


def test_an_optimizer_that_is_made_already_is_refused() -> None:
    small = gan()
    made = sgd(small.G.module.parameters())
    with pytest.raises(ConfigError, match="given as a SGD; expected a function of parameters"):
        small.engine({"G": made, "D": sgd})


@pytest.mark.parametrize("clip", [{"clip_norm": 0.01}, {"clip_value": 0.01}])
def test_gradients_are_clipped_as_by_hand(clip: dict[str, float]) -> None:
    small = gan()
    engine = small.engine(nvn.Optimizer(sgd, **clip))
    module = small.D.module
    raw = engine.gradients(BATCH, "D")["D"]
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    for name, parameter in module.named_parameters():
        parameter.grad = raw[name].clone()
    if "clip_norm" in clip:
        nn.utils.clip_grad_norm_(module.parameters(), 0.01)
    else:
        nn.utils.clip_grad_value_(module.parameters(), 0.01)
    expected = {name: before[name] - 0.1 * p.grad for name, p in module.named_parameters()}
    record = engine.step(BATCH)
    torch.testing.assert_close(dict(module.named_parameters()), expected)
    norm = sum(g.square().sum().item() for g in raw.values()) ** 0.5
    assert record.gradient_norms["D"] == pytest.approx(norm)


def test_learning_rates_follow_their_schedule_and_their_metric() -> None:
    small = gan()
    watch = nvn.Plateau("accuracy", mode="max", factor=0.5, patience=0, every=2)
    make = {
        "G": nvn.Optimizer(sgd, schedule=partial(StepLR, step_size=2, gamma=0.5)),
        "D": nvn.Optimizer(sgd, schedule=watch),
    }
    engine = small.engine(make)
    found = []
    for accuracy in (0.5, 0.5, 0.2, 0.2, 0.9, 0.9):
        engine.step(BATCH)
        engine.metric("accuracy", accuracy)
        found.append((rate(engine, "G")[0], rate(engine, "D")[0]))
    assert found == [
        (0.1, 0.1),
        (0.05, 0.1),
        (0.05, 0.1),
        (0.025, 0.05),
        (0.025, 0.05),
        (0.0125, 0.05),
    ]


# --- records ------------------------------------------------------------------------------------


def test_a_record_tells_what_the_last_move_with_it_saw() -> None:
    small = gan()
    engine = small.engine()
    (z,) = engine.values(BATCH, [small.z])
    judge, fool = (
        x.item() for x in engine.values({**BATCH, "z": z}, [small.judge, small.fool], training=True)
    )
    record = engine.step(BATCH)
    assert record.step == 1
    assert record.objectives["D"] == pytest.approx(judge - fool)
    assert record.energies["judge"] == judge  # D's move saw it, G's does not need it
    assert record.energies["fool"] == record.objectives["G"] != fool  # G's move saw it after D's
    assert set(record.gradient_norms) == {"G", "D"}


def test_an_objective_leaves_out_what_cannot_move_its_player() -> None:
    small = gan()
    small.G.minimizes(5 * small.judge)
    record = small.engine().step(BATCH)
    assert record.objectives["G"] == record.energies["fool"]


def test_a_step_does_not_read_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = gan().engine()
    engine.step(BATCH)
    with monkeypatch.context() as patched:
        for name in ("item", "tolist", "__float__", "__bool__", "cpu", "numpy"):
            patched.setattr(Tensor, name, lambda *_: pytest.fail("waited for the device"))
        record = engine.step(BATCH)
    assert record.step == 2
    assert record.energies["fool"] > 0


# --- looking ------------------------------------------------------------------------------------


def everything(engine: nvn.Engine) -> Any:
    stream = torch.get_rng_state()
    modes = [p.training for m in engine.modules.values() for p in m.modules()]
    counters = engine.state.counters.copy()
    return weights(engine), stream, modes, asdict(counters)


def busy() -> Gan:
    return gan(
        nn.Sequential(linear(seed=1), nn.BatchNorm1d(3), nn.Dropout()),
        nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), linear(3, 1, seed=2)),
    )


def test_gradients_are_those_of_the_next_step() -> None:
    small = busy()
    small.schedule = nvn.simultaneous(small.G, small.D)
    engine = small.engine(partial(torch.optim.SGD, lr=1.0))
    engine.step(BATCH)
    found = engine.gradients(BATCH, [small.G, "D"])
    before = weights(engine)
    engine.step(BATCH)
    after = weights(engine)
    for player, gradients in found.items():
        for name, gradient in gradients.items():
            torch.testing.assert_close(after[player][name], before[player][name] - gradient)


def test_looking_changes_nothing() -> None:
    small = busy()
    engine = small.engine(adam)
    engine.step(BATCH)
    before = everything(engine)
    engine.gradients(BATCH, [small.G, small.D])
    engine.values(BATCH, [small.fool, small.fake], training=True)
    engine.values(BATCH, [small.fool])
    engine.check(BATCH)
    assert_same(everything(engine)[:2], before[:2])
    assert everything(engine)[2:] == before[2:]
    straight = busy().engine(adam)
    straight.step(BATCH)
    assert engine.step(BATCH).energies == straight.step(BATCH).energies


@pytest.mark.parametrize("plain", [False, True])
def test_looking_leaves_gradients_alone_and_does_not_add_to_them(plain: bool) -> None:
    small = busy()
    engine = small.engine(adam, plain=plain)
    unmarked = engine.gradients(BATCH, [small.G, small.D])
    parameters = [p for module in engine.modules.values() for p in module.parameters()]
    own = [torch.full_like(p, 7.0) for p in parameters[::2]]
    for parameter, gradient in zip(parameters[::2], own, strict=True):
        parameter.grad = gradient
    looked = engine.gradients(BATCH, [small.G, small.D])
    engine.values(BATCH, [small.fool], training=True)
    engine.check(BATCH)
    engine.costs(BATCH)
    assert_same(looked, unmarked)
    for parameter, gradient in zip(parameters[::2], own, strict=True):
        assert parameter.grad is gradient
        assert (gradient == 7.0).all()
    assert all(parameter.grad is None for parameter in parameters[1::2])


def test_players_may_be_given_in_many_ways() -> None:
    game = nvn.Game("game")
    x = game.batch("x")
    team = game.team("critics", D=linear(), Dp=linear())
    for player in team:
        player.minimizes(mean(player(x)))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(team)), sgd)
    for given in (team, [team], [team.D, "Dp"], (p for p in team)):
        assert list(engine.gradients(BATCH, given)) == ["D", "Dp"]
    for given in (team.D, "D", ["D"]):
        assert list(engine.gradients(BATCH, given)) == ["D"]


def test_gradients_are_zero_where_there_are_none() -> None:
    class Spare(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 3)
            self.spare = nn.Parameter(torch.ones(2))

    small = gan(generator=Spare())
    small.G._objective = small.G.objective * (lambda step: float(step > 0))
    engine = small.engine()
    found = engine.gradients(BATCH, small.G)["G"]
    assert set(found) == {"weight", "bias", "spare"}
    assert not any(gradient.any() for gradient in found.values())
    engine.step(BATCH)
    found = engine.gradients(BATCH, small.G)["G"]
    assert found["weight"].any()
    assert found["spare"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["g", "C"])
def test_gradients_of_nobody_are_refused(name: str) -> None:
    small = gan()
    C = small.game.frozen("C", linear())
    small.G.minimizes(mean(C(small.fake)))
    with pytest.raises(GameError, match=f"no player '{name}' with an objective") as caught:
        small.engine().gradients(BATCH, name)
    assert caught.value.problems[0].known == ("G", "D")


def test_a_misspelled_player_is_guessed() -> None:
    with pytest.raises(GameError, match=r"no player 'GG' with an objective\. Did you mean 'G'\?"):
        gan().engine().gradients(BATCH, "GG")


def test_values_come_in_the_order_asked_for_as_constants() -> None:
    small = gan()
    found = small.engine().values(BATCH, [small.fool, small.x, small.fake])
    assert [tuple(v.shape) for v in found] == [(), (8, 3), (8, 3)]
    assert not any(v.requires_grad for v in found)


def test_values_need_only_the_names_they_are_computed_from() -> None:
    small = gan()
    (made,) = small.engine().values({"z": tensor(2, 3)}, [small.fake])
    assert_same(made, small.G.module(tensor(2, 3)).detach())


def test_values_are_computed_in_eval_mode_unless_said_otherwise() -> None:
    small = gan(nn.Sequential(linear(), nn.Dropout(0.9)))
    engine = small.engine()
    fixed = {**BATCH, "z": tensor(8, 3)}
    (still,) = engine.values(fixed, [small.fake])
    (moving,) = engine.values(fixed, [small.fake], training=True)
    assert_same(still, small.G.module[0](fixed["z"]).detach())
    assert (moving == 0).float().mean() > 0.5


def test_the_seed_decides_everything_random() -> None:
    def play(seed: int) -> list[dict[str, float]]:
        engine = busy().engine(adam, seed=seed)
        return [engine.step(batch).energies for batch in batches(3)]

    torch.manual_seed(1)
    first = play(0)
    torch.manual_seed(2)
    assert play(0) == first
    assert play(1) != first


# --- phases -------------------------------------------------------------------------------------


def test_engines_may_share_a_state() -> None:
    line = Line("a", "b")
    a, b = line.players
    main = line.engine(a, b)
    warmup = line.engine(nvn.move(a, times=3), state=main.state, phase="warmup")
    assert warmup.state is main.state
    assert warmup.step({"x": torch.ones(1)}).step == 1
    assert main.step({"x": torch.ones(1)}).step == 1
    assert main.step({"x": torch.ones(1)}).step == 2
    assert (line.where(a), line.where(b)) == (-5.0, -2.0)
    assert main.state.iterations == {"warmup": 1, "main": 2}
    assert main.state.counters.batches == 3
    assert main.state.optimizers["a"] is warmup.state.optimizers["a"]
    assert set(main.state.records) == {"warmup", "main"}


def test_steps_of_weights_and_conditions_count_within_a_phase() -> None:
    line = Line("a")
    (a,) = line.players
    a.minimizes((lambda step: 10.0 * step) * line.times_x(a))
    main = line.engine(nvn.move(a, every=2))
    warmup = line.engine(a, state=main.state, phase="warmup")
    for _ in range(2):
        warmup.step({"x": torch.ones(1)})
    assert line.where(a) == -(1.0 + 11.0)
    main.step({"x": torch.ones(1)})
    assert line.where(a) == -13.0


def test_a_players_optimizer_goes_on_through_the_phases() -> None:
    def final(*, apart: bool) -> Tensor:
        small = gan()
        main = small.engine(adam)
        other = small.engine(adam, state=main.state, phase="other") if apart else main
        for batch in batches(3):
            other.step(batch)
        for batch in batches(3):
            main.step(batch)
        return small.G.module[0].weight.detach()

    assert_same(final(apart=True), final(apart=False))


# --- errors of the user's own -------------------------------------------------------------------


class Moody(nn.Linear):
    class Error(Exception):
        pass

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 100:
            raise self.Error("too bright")
        return super().forward(x)


def test_an_error_in_a_module_keeps_its_type_and_names_the_call() -> None:
    small = gan(critic=Moody(3, 1))
    engine = small.engine()
    engine.step(BATCH)
    before = weights(engine)
    with pytest.raises(Moody.Error, match="too bright") as caught:
        engine.step({"x": BATCH["x"] + 1000})
    assert caught.value.__notes__ == [
        f"while computing `D(x)` ({small.D(small.x).where}) from x: (8, 3)"
    ]
    assert_same(weights(engine), before)
    engine.step(BATCH)  # and it goes on


def test_an_error_in_a_function_keeps_its_type_and_names_the_call() -> None:
    def fail(t: Tensor) -> Tensor:
        if t.abs().mean() > 1000:
            raise ZeroDivisionError
        return t.mean()

    small = gan(critic=linear(3, 1))
    small.D.minimizes(nvn.energy(fail)(small.D(small.x)))
    engine = small.engine()
    engine.step(BATCH)
    with pytest.raises(ZeroDivisionError) as caught:
        engine.step({"x": 1e6 * BATCH["x"]})
    assert caught.value.__notes__[0].startswith("while computing `fail(D(x))` (test_engine.py:")


# --- found by attacking --------------------------------------------------------------------------


def test_records_and_values_are_not_the_parameters_themselves() -> None:
    game = nvn.Game("own")
    P = game.player("P", Own(1.0))
    P.minimizes(nvn.energy(torch.squeeze)(P()))
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(P)), sgd)
    records = [engine.step({}) for _ in range(3)]
    found = [value for record in records for value in record.energies.values()]
    assert found == pytest.approx([1.0, 0.9, 0.8])
    assert [r.objectives["P"] for r in records] == found
    engine.values({}, [P()])[0].zero_()
    assert P.module.own.item() == pytest.approx(0.7)


def test_a_condition_sees_each_number_as_it_last_was() -> None:
    """A move that waits for its own energy: skipped moves leave no number of their own."""
    small = gan()
    seen = []

    def high(record: nvn.Record) -> bool:
        seen.append(record.energies["judge"])
        return len(seen) > 2

    schedule = nvn.alternating(nvn.move(small.D, when=high), small.G)
    engine = nvn.Engine(nvn.plan(small.game, schedule), sgd)
    records = [engine.step(BATCH) for _ in range(4)]
    assert seen == [records[0].energies["judge"]] * 3
    assert ["judge" in record.energies for record in records] == [True, False, False, True]


def test_one_dict_for_several_batches_is_refused_before_anybody_moves() -> None:
    small = gan()
    engine = nvn.Engine(nvn.plan(small.game, nvn.alternating(small.D, small.G, fresh=True)), sgd)
    before = weights(engine)
    with pytest.raises(DataError, match="takes 2 batches, and got one dict"):
        engine.step(BATCH)
    assert_same(weights(engine), before)


def test_values_of_another_game_are_refused() -> None:
    with pytest.raises(GameError, match="`x`, a value of the game 'gan'"):
        gan().engine().values(BATCH, [gan().x])


def test_values_of_players_who_came_later_are_refused() -> None:
    small = gan()
    engine = small.engine()
    late = small.game.player("Q", linear())
    with pytest.raises(GameError, match="a player declared after the plan was made"):
        engine.values(BATCH, [late(small.x)])


def test_nothing_is_learned_in_inference_mode() -> None:
    with torch.inference_mode(), pytest.raises(RunError, match="nothing can be learned"):
        gan().engine().step(BATCH)


def test_an_optimizer_that_wants_a_closure_is_refused() -> None:
    with pytest.raises(ConfigError, match="LBFGS evaluates its objective several times"):
        gan().engine(torch.optim.LBFGS)


def test_a_weight_may_be_a_function_that_has_no_hash() -> None:
    class Ramp(list[float]):
        def __call__(self, step: int) -> float:
            return self[step]

    small = gan()
    small.G.minimizes(Ramp([0.5, 0.0]) * mean(small.fake))
    engine = small.engine()
    assert engine.gradients(BATCH, "G")["G"]
    assert [len(engine.step(BATCH).energies) for _ in range(2)] == [3, 2]


# --- what modules keep -------------------------------------------------------------------------


class Tally(nn.Module):
    """Counts its calls in a buffer, in training and in eval mode, and adds the count."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.w * x + self.calls


def tallying() -> tuple[nvn.Game, nvn.Player, nvn.Player]:
    """P learns from a frozen module, called twice, and from itself in eval mode."""
    game = nvn.Game("tally")
    x = game.batch("x")
    P, F = game.player("P", Tally()), game.frozen("F", Tally())
    still = P.method("forward", training=False)
    P.minimizes(square(F(P(x))) + mean(F(P(x).stop_gradient())))
    P.minimizes(square(still(x)))
    return game, P, F


@pytest.mark.parametrize("plain", [False, True])
def test_calls_in_eval_mode_leave_buffers_alone(plain: bool) -> None:
    """Frozen players' too: in steps, and for whoever only looks."""
    game, P, F = tallying()
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(P)), sgd, plain=plain)
    engine.gradients(BATCH, "P")
    engine.values(BATCH, [F(P(game.batch("x")))])
    engine.values(BATCH, [F(P(game.batch("x")))], training=True)
    engine.costs(BATCH)
    assert [engine.modules[name].calls.item() for name in "PF"] == [0.0, 0.0]
    engine.step(BATCH)
    assert [engine.modules[name].calls.item() for name in "PF"] == [1.0, 0.0]


def test_calls_that_change_buffers_in_eval_mode_play_as_plain() -> None:
    found = []
    for plain in (False, True):
        game, P, _ = tallying()
        engine = nvn.Engine(nvn.plan(game, nvn.alternating(P)), sgd, plain=plain)
        records = [engine.step(BATCH) for _ in range(3)]
        found.append([record.energies for record in records])
    assert found[0] == found[1]


class Counting(nn.Module):
    """Counts its calls in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear(3, 1)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        made: Tensor = self.inner(x)
        return made


def test_what_modules_keep_in_python_is_left_alone_by_whoever_looks() -> None:
    small = gan(critic=Counting())
    engine = small.engine()
    with pytest.warns(nvn.GameWarning, match="'calls' is a Python number that changes"):
        engine.check(BATCH)
    engine.gradients(BATCH, ["D", "G"])
    engine.values(BATCH, [small.fool])
    engine.costs(BATCH)
    assert engine.modules["D"].calls == 0
    engine.step(BATCH)
    assert engine.modules["D"].calls == 3  # D(x), D(G(z)), and D(G(z)) in G's move: shared


class Reversing(nn.Module):
    """Reverses the gradient of what it is given, by a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        x.register_hook(torch.neg)
        made: Tensor = self.inner(x)
        return made


@pytest.mark.parametrize("plain", [False, True])
def test_a_module_may_register_hooks_on_its_input(plain: bool) -> None:
    game = nvn.Game("reversal")
    x = game.batch("x")
    E, C = game.player("E", linear()), game.player("C", Reversing())
    loss = square(C(E(x)))
    E.minimizes(loss)
    C.minimizes(loss)
    engine = nvn.Engine(nvn.plan(game, nvn.simultaneous(E, C)), sgd, plain=plain)
    engine.check(BATCH)
    e, c = engine.modules["E"], engine.modules["C"].inner
    (plainly,) = torch.autograd.grad(c(e(BATCH["x"])).square().mean(), [e.weight])
    torch.testing.assert_close(engine.gradients(BATCH, "E")["E"]["weight"], -plainly)


def test_two_engines_in_two_threads_are_refused() -> None:
    """Both would draw from the random streams of the process."""
    inside, leave, armed = threading.Event(), threading.Event(), list[bool]()

    def slow(x: torch.Tensor) -> torch.Tensor:
        if armed:
            inside.set()
            leave.wait(60)
        return x.mean()

    small = gan(nn.Sequential(linear(seed=1), nn.Dropout(0.5)))
    small.G.minimizes(nvn.energy(slow)(small.fake))
    engine = small.engine()
    engine.step(BATCH)
    armed.append(True)
    thread = threading.Thread(target=engine.step, args=[BATCH])
    thread.start()
    assert inside.wait(60)
    other = gan(nn.Sequential(linear(seed=1), nn.Dropout(0.5))).engine()
    with pytest.raises(RunError, match="another engine is computing in another thread"):
        other.step(BATCH)
    leave.set()
    thread.join()
    other.step(BATCH)
