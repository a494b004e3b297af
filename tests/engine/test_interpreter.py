"""The interpreter: values and gradients at one point, against autograd written by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import nvn
from nvn import energies as en
from nvn.engine.counters import Counters
from nvn.engine.interpreter import Interpreter
from nvn.engine.operations import Operations, describe
from nvn.engine.precision import Precision
from nvn.engine.state import TrainState
from nvn.errors import DataError, RunError
from nvn.game.values import Value, as_sum
from tests.small import BATCH, Own, assert_same, gan, linear, mean, mlp, square, tensor

START = Counters(seed=0, batches=1, draws=1)


def interpreter(game: nvn.Game) -> Interpreter:
    state = TrainState.of(game.players.values(), seed=0)
    parameters = {name: list(group.values()) for name, group in state.parameters.items()}
    return Interpreter(state.modules, parameters, Operations(state.modules, Precision(None)))


def compute(
    game: nvn.Game,
    value: Value,
    batch: Any = BATCH,
    point: Counters = START,
    training: bool = True,
) -> Any:
    """Compute one value of a game."""
    return interpreter(game).values([value], batch, point, training=training)[value]


def move_gradients(
    game: nvn.Game,
    energies: dict[str, Any],
    batch: Any = BATCH,
    point: Counters = START,
    number: int = 0,
    **options: Any,
) -> Any:
    """Return what players find who descend energies, by their names."""
    terms = {name: as_sum(energy).terms for name, energy in energies.items()}
    return interpreter(game).move_gradients(terms, batch, point, number, **options)


def point(**changes: Any) -> Counters:
    return replace(START, **changes)


# --- values -------------------------------------------------------------------------------------


def test_values_are_what_the_modules_and_functions_give() -> None:
    small = gan()
    found = interpreter(small.game).values(
        [small.judge, small.D(small.x)], BATCH, START, training=True
    )
    expected = small.D.module(BATCH["x"])
    assert_same(found[small.D(small.x)], expected)
    assert_same(found[small.judge], expected.square().mean())
    assert not any(v.requires_grad for v in found.values())


def test_arguments_outputs_and_parts_may_be_trees() -> None:
    class Coder(nn.Linear):
        def forward(self, parts: list[Tensor], *, scale: float, flag: bool = False) -> Any:
            assert flag
            codes = [super(Coder, self).forward(part) for part in parts]
            return {"codes": codes, "sum": (sum(codes) * scale, "text")}

        def decode(self, x: Tensor) -> Tensor:
            return x @ self.weight

    game = nvn.Game("game")
    x, y = game.batch("x", "y")
    E = game.player("E", Coder(3, 3))
    out = E([x, y], scale=2.0, flag=True)
    batch = {"x": tensor(4, 3, seed=1), "y": tensor(4, 3, seed=2)}
    by_hand = E.module([batch["x"], batch["y"]], scale=2.0, flag=True)
    assert_same(compute(game, out["codes"][1], batch), by_hand["codes"][1])
    assert_same(compute(game, out["sum"][0][1:3, :2], batch), by_hand["sum"][0][1:3, :2])
    assert compute(game, out["sum"][1], batch) == "text"
    assert_same(compute(game, E.method("decode")(x), batch), batch["x"] @ E.module.weight)
    assert not compute(game, out, batch)["codes"][0].requires_grad


def test_modules_run_in_the_mode_asked_for_and_get_theirs_back() -> None:
    class Mode(nn.Module):
        def forward(self, x: Tensor) -> bool:
            return self.training

    game = nvn.Game("game")
    x = game.batch("x")
    G, C = game.player("G", Mode()), game.frozen("C", Mode())
    still = G.method("forward", training=False)
    assert [compute(game, v, training=True) for v in (G(x), still(x), C(x))] == [True, False, False]
    assert [compute(game, v, training=False) for v in (G(x), still(x), C(x))] == [
        False,
        False,
        False,
    ]
    assert G.module.training


def test_a_batch_that_lacks_a_name_is_told() -> None:
    small = gan()
    with pytest.raises(DataError, match="the batch has no 'x'; it has: y, z"):
        compute(small.game, small.x, {"y": 0, "z": 0})


def test_computing_does_not_depend_on_the_graph_around() -> None:
    small = gan()
    with torch.no_grad():
        slope = compute(small.game, nvn.gradient(small.D(small.x), small.x))
    x = BATCH["x"].clone().requires_grad_()
    (expected,) = torch.autograd.grad(small.D.module(x).sum(), x)
    assert_same(slope, expected)


# --- randomness ---------------------------------------------------------------------------------


def test_noise_is_standard_normal_and_as_long_as_the_batch() -> None:
    game = nvn.Game("game")
    x = game.batch("x")
    drawn = compute(game, game.noise("z", (100, 2), like=x), {"x": torch.zeros(50)})
    assert drawn.shape == (50, 100, 2)
    assert drawn.mean().abs() < 0.05
    assert drawn.std().sub(1).abs() < 0.05


def test_noise_is_drawn_once_for_each_draw_name_and_seed() -> None:
    game = nvn.Game("game")
    x = game.batch("x")
    z, w = game.noise("z", 3, like=x), game.noise("w", 3, like=x)
    first = compute(game, z)
    assert_same(compute(game, z), first)
    assert_same(compute(game, z, point=point(batches=9, steps={"G": 3})), first)
    others = [
        compute(game, w),
        compute(game, z, point=point(draws=2)),
        compute(game, z, point=point(seed=1)),
    ]
    assert not any(torch.equal(first, other) for other in others)


def test_a_sample_gets_a_generator_and_the_batch() -> None:
    def draw(generator: torch.Generator, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        order = torch.randperm(len(batch["x"]), generator=generator)
        return {"order": order, "x": batch["x"][order]}

    game = nvn.Game("game")
    game.batch("x")
    w = game.sample("w", draw)
    found = compute(game, w)
    assert_same(found["x"], BATCH["x"][found["order"]])
    assert_same(compute(game, w["order"]), found["order"])
    assert not torch.equal(compute(game, w, point=point(draws=2))["order"], found["order"])


def test_the_caller_may_give_noise_and_samples() -> None:
    small = gan()
    fixed = tensor(8, 3, seed=9)
    assert_same(compute(small.game, small.z, {**BATCH, "z": fixed}), fixed)


def masks(*modules: nn.Module) -> tuple[nvn.Value, ...]:
    """Values that show which dropout masks were drawn."""
    game = nvn.Game("game")
    x, y = game.batch("x", "y")
    values = []
    for number, module in enumerate(modules):
        player = game.player(f"P{number}", module)
        values += [player(x), player(y)]
    return game, *values


ONES = {"x": torch.ones(8, 8), "y": torch.ones(8, 8)}


def test_a_mask_is_drawn_once_for_each_value_and_version() -> None:
    game, first, second = masks(nn.Dropout(0.5))
    mask = compute(game, first, ONES)
    assert_same(compute(game, first, ONES), mask)
    assert_same(compute(game, first, ONES, point(steps={"other": 1})), mask)
    others = [compute(game, second, ONES)]
    others += [compute(game, first, ONES, point(**change)) for change in VERSIONS]
    assert not any(torch.equal(mask, other) for other in others)


VERSIONS = [{"steps": {"P0": 1}}, {"batches": 2}, {"draws": 2}, {"seed": 1}]


def test_masks_do_not_depend_on_what_else_is_computed() -> None:
    game, first, second, third, _ = masks(nn.Dropout(0.5), nn.Dropout(0.5))
    alone = compute(game, third, ONES)
    together = interpreter(game).values([first, second, third], ONES, START, training=True)
    assert_same(together[third], alone)


def test_the_callers_random_stream_is_left_alone() -> None:
    game, first, _ = masks(nn.Dropout(0.5))
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    compute(game, first, ONES)
    assert_same(torch.rand(3), expected)


# --- gradients ----------------------------------------------------------------------------------


def test_each_player_gets_its_own_gradient_of_its_own_objective() -> None:
    small = gan()
    found = move_gradients(small.game, {"G": 2 * small.fool, "D": small.judge - small.fool})
    G, D, z = small.G.module, small.D.module, compute(small.game, small.z)
    fool, judge = D(G(z)).square().mean(), D(BATCH["x"]).square().mean()
    by_hand = {
        "G": torch.autograd.grad(2 * fool, [*G.parameters()], retain_graph=True),
        "D": torch.autograd.grad(judge - fool, [*D.parameters()]),
    }
    assert_same(found.gradients, by_hand)
    assert_same(found.objectives, {"G": (2 * fool).detach(), "D": (judge - fool).detach()})
    assert_same(dict(found.energies), {small.fool: fool.detach(), small.judge: judge.detach()})


def test_an_energy_is_reported_as_it_is_and_not_as_it_is_weighed() -> None:
    small = gan()
    found = move_gradients(small.game, {"D": 3 * small.judge})
    assert_same(found.objectives["D"], 3 * found.energies[small.judge])


def test_stop_gradient_makes_a_constant() -> None:
    game = nvn.Game("game")
    P = game.player("P", Own(3.0))
    product = nvn.energy(lambda a, b: (a * b).sum())(P(), P().stop_gradient())
    assert move_gradients(game, {"P": product}, {}).gradients["P"][0].tolist() == [3.0]


def test_a_scalar_value_weighs_as_a_constant() -> None:
    game = nvn.Game("game")
    P = game.player("P", Own(3.0))
    weight = nvn.value(lambda p: (5 * p).sum())(P())
    found = move_gradients(game, {"P": 2 * (weight * square(P()))}, {})
    assert found.objectives["P"].item() == 2 * 15 * 9
    assert found.gradients["P"][0].tolist() == [2 * 15 * 6.0]


def test_weights_are_functions_of_the_step() -> None:
    game = nvn.Game("game")
    P = game.player("P", Own(3.0))
    energy = (lambda step: 10.0 * step) * square(P())
    found = move_gradients(game, {"P": energy}, {}, number=7)
    assert found.gradients["P"][0].tolist() == [70 * 6.0]


def test_a_parameter_without_a_path_has_no_gradient() -> None:
    class Spare(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 3)
            self.spare = nn.Parameter(torch.ones(1))

    game = nvn.Game("game")
    x = game.batch("x")
    G = game.player("G", Spare())
    gradients = move_gradients(game, {"G": mean(G(x))}).gradients["G"]
    names = [name for name, _ in G.module.named_parameters()]
    assert [name for name, g in zip(names, gradients, strict=True) if g is None] == ["spare"]


def test_a_gradient_can_be_differentiated() -> None:
    small = gan()
    found = move_gradients(small.game, {"D": en.r1(small.D(small.x), small.x)}).gradients["D"]
    x = BATCH["x"].clone().requires_grad_()
    D = small.D.module
    (slope,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    by_hand = torch.autograd.grad(
        0.5 * slope.square().sum() / len(x), [*D.parameters()], allow_unused=True
    )
    assert_same(found, by_hand)


def test_a_penalty_on_what_is_made_reaches_its_maker() -> None:
    small = gan()
    found = move_gradients(small.game, {"G": en.r2(small.D(small.fake), small.fake)}).gradients["G"]
    G, D, z = small.G.module, small.D.module, compute(small.game, small.z)
    fake = G(z)
    (slope,) = torch.autograd.grad(D(fake).sum(), fake, create_graph=True)
    by_hand = torch.autograd.grad(0.5 * slope.square().sum() / len(z), [*G.parameters()])
    assert_same(found, by_hand)


def test_no_parameter_keeps_a_gradient_or_loses_its_flag() -> None:
    small = gan()
    move_gradients(small.game, {"D": small.judge})
    for module in (small.G.module, small.D.module):
        assert all(p.grad is None and p.requires_grad for p in module.parameters())


def test_what_the_user_froze_stays_frozen_and_is_not_asked_for() -> None:
    generator = mlp()
    generator[0].requires_grad_(False)
    small = gan(generator)
    found = move_gradients(small.game, {"G": small.fool})
    assert len(found.gradients["G"]) == 2
    assert [p.requires_grad for p in generator.parameters()] == [False, False, True, True]


class Detaching(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


@pytest.mark.parametrize("movers", [["G"], ["G", "D"]])
def test_a_module_that_detaches_is_found(movers: list[str]) -> None:
    small = gan(generator=Detaching(3, 3))
    with pytest.raises(RunError, match=r"the objective of `G` has no gradient.*detaches"):
        move_gradients(small.game, dict.fromkeys(movers, small.fool))


# --- buffers ------------------------------------------------------------------------------------


def normed(inputs: int = 3, outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm1d(inputs), linear(inputs, outputs))


def test_buffers_advance_only_where_they_are_kept() -> None:
    small = gan(normed(), normed(3, 1))
    G, D = small.G.module[0], small.D.module[0]
    move_gradients(small.game, {"D": small.judge + small.fool}, keep=["D"])
    assert (G.num_batches_tracked.item(), D.num_batches_tracked.item()) == (0, 2)
    assert not G.running_mean.any()
    move_gradients(small.game, {"G": small.fool, "D": small.judge})
    compute(small.game, small.fool)
    assert (G.num_batches_tracked.item(), D.num_batches_tracked.item()) == (0, 2)


def test_running_statistics_are_those_of_the_calls_in_order() -> None:
    small = gan(normed(), normed(3, 1))
    twin = normed(3, 1)
    move_gradients(small.game, {"D": small.judge + small.fool}, keep=["D"])
    twin(compute(small.game, small.fake))
    twin(BATCH["x"])
    stats, expected = small.D.module[0], twin[0]
    # Nodes are computed in the order declared: D(fake) stands first.
    assert_same(stats.running_mean, expected.running_mean)
    assert_same(stats.running_var, expected.running_var)


@pytest.mark.parametrize("eval_first", [True, False])
def test_calls_in_eval_mode_use_the_statistics_of_the_start(eval_first: bool) -> None:
    game = nvn.Game("game")
    x = game.batch("x")
    P = game.player("P", normed())
    still = P.method("forward", training=False)
    if not eval_first:
        P(x)  # declared first, and so computed first
    energy = square(still(x))
    found = move_gradients(game, {"P": energy + square(P(x))}, keep=["P"])
    assert P.module[0].num_batches_tracked.item() == 1
    twin = normed().eval()
    expected = twin(BATCH["x"]).square().mean()
    gradient = torch.autograd.grad(expected, twin[1].weight)[0]
    assert_same(found.energies[energy], expected.detach())
    twin.train()
    other = torch.autograd.grad(twin(BATCH["x"]).square().mean(), twin[1].weight)[0]
    torch.testing.assert_close(found.gradients["P"][2], gradient + other)


def test_buffers_do_not_advance_when_a_move_fails() -> None:
    small = gan(normed(), normed(3, 1))
    broken = nvn.energy(lambda d: torch.linalg.inv(d).mean(), name="broken")(small.D(small.x))
    with pytest.raises(RuntimeError):
        move_gradients(small.game, {"D": broken}, keep=["D"])
    assert small.D.module[0].num_batches_tracked.item() == 0


@pytest.mark.parametrize("norm", [parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_power_iterations_advance_only_where_they_are_kept(
    norm: Callable[[nn.Module], nn.Module],
) -> None:
    small = gan(critic=norm(linear(3, 3)))
    for parameter in small.D.module.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    before = {name: buffer.clone() for name, buffer in small.D.module.named_buffers()}
    move_gradients(small.game, {"G": small.fool}, keep=["G"])
    assert_same(dict(small.D.module.named_buffers()), before)
    move_gradients(small.game, {"D": small.fool}, keep=["D"])
    assert before
    for name, buffer in small.D.module.named_buffers():
        assert not torch.equal(buffer, before[name])


# --- failures -----------------------------------------------------------------------------------


class Failing(nn.Linear):
    class Error(Exception):
        pass

    def forward(self, x: Tensor) -> Tensor:
        raise self.Error("too dark")


def test_an_error_keeps_its_type_and_names_the_call() -> None:
    small = gan(generator=Failing(3, 3))
    with pytest.raises(Failing.Error, match="^too dark") as caught:
        compute(small.game, small.fool)
    (note,) = caught.value.__notes__
    assert note.startswith("while computing `G(z)` (small.py:")
    assert note.endswith("from z: (8, 3)")


def test_a_call_without_inputs_is_named_too() -> None:
    game = nvn.Game("game")
    P = game.player("P", Failing(1, 1))
    with pytest.raises(TypeError) as caught:
        compute(game, P(), {})
    assert caught.value.__notes__[0].startswith("while computing `P()` (test_interpreter.py:")
    assert "from" not in caught.value.__notes__[0]


def test_shapes_are_described() -> None:
    assert describe(torch.ones(2, 3)) == "(2, 3)"
    assert describe({"a": [torch.ones(1), None]}) == "{'a': [(1,), NoneType]}"
