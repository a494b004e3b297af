"""How a player steps, against what PyTorch does by hand."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

import nvn
from nvn.engine.optimizers import PlayerOptimizer, as_optimizer
from nvn.errors import ConfigError
from nvn.records import Pending
from tests.small import assert_same, mlp, tensor

sgd = partial(torch.optim.SGD, lr=0.1)
adam = partial(torch.optim.Adam, lr=0.1, betas=(0.5, 0.9))


def stepper(spec: Any, *parameters: Tensor, correction: float = 1.0) -> PlayerOptimizer:
    return PlayerOptimizer(as_optimizer(spec), [nn.Parameter(p) for p in parameters], correction)


def length(norm: Pending) -> float:
    return norm.combine([tensor.item() for tensor in norm.tensors])


def parameters(made: PlayerOptimizer) -> list[nn.Parameter]:
    return made.optimizer.param_groups[0]["params"]


# --- one step -----------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", [sgd, adam, torch.optim.Adam, partial(torch.optim.RMSprop)])
def test_a_step_is_the_optimizers(factory: Any) -> None:
    ours, theirs = mlp(), mlp()
    made, optimizer = (
        PlayerOptimizer(as_optimizer(factory), [*ours.parameters()]),
        factory(theirs.parameters()),
    )
    for seed in range(3):
        gradients = [tensor(*p.shape, seed=seed) for p in ours.parameters()]
        for parameter, gradient in zip(theirs.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
        made.step(gradients)
        optimizer.step()
    assert_same([*ours.parameters()], [*theirs.parameters()])


def test_a_step_returns_the_norm_of_the_gradient() -> None:
    made = stepper(sgd, torch.zeros(2), torch.zeros(1))
    assert length(made.step([torch.tensor([3.0, 0.0]), torch.tensor([4.0])])) == 5.0


def test_a_step_leaves_no_gradients_behind() -> None:
    made = stepper(sgd, torch.zeros(2))
    made.step([torch.ones(2)])
    assert parameters(made)[0].grad is None


def test_a_parameter_without_a_gradient_is_not_touched() -> None:
    made = stepper(partial(sgd, weight_decay=0.5), torch.ones(2), torch.ones(2))
    norm = made.step([None, torch.ones(2)])
    assert parameters(made)[0].tolist() == [1.0, 1.0]
    assert parameters(made)[1].tolist() == pytest.approx([0.85, 0.85])
    assert length(norm) == pytest.approx(2**0.5)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize(
    "options", [{"fused": True}, {"foreach": True}, {"foreach": False}], ids=str
)
def test_gradients_may_lie_in_memory_as_they_like(kind: Any, options: dict[str, bool]) -> None:
    """torch.autograd.grad may return views; fused optimizers read memory as it lies."""
    transposed = tensor(4, 3).t()
    expanded = torch.tensor(2.0).expand(3, 4)
    for gradient in (transposed, expanded, tensor(3, 8)[:, ::2]):
        ours = stepper(partial(kind, lr=0.1, **options), torch.zeros(3, 4))
        theirs = stepper(partial(kind, lr=0.1, foreach=False), torch.zeros(3, 4))
        ours.step([gradient])
        theirs.step([gradient.contiguous()])
        torch.testing.assert_close(parameters(ours)[0], parameters(theirs)[0])


def test_parameters_may_lie_in_memory_as_they_like() -> None:
    made = stepper(partial(torch.optim.SGD, lr=1.0, fused=True), torch.zeros(4, 3).t())
    gradient = tensor(3, 4)
    made.step([gradient])
    assert_same(parameters(made)[0].detach(), -gradient)


@pytest.mark.parametrize(
    "spec",
    [
        nvn.Optimizer(sgd, clip_norm=1.0),
        nvn.Optimizer(sgd, clip_value=0.5),
        partial(sgd, momentum=0.9, nesterov=True, foreach=True),
    ],
)
def test_two_parameters_may_have_one_gradient(spec: Any) -> None:
    """The gradients of a + b are one tensor, which must not be scaled twice."""
    one, other, same = (torch.full((2,), 3.0) for _ in range(3))
    shared, apart = (stepper(spec, torch.zeros(2), torch.zeros(2)) for _ in range(2))
    shared.step([same, same])
    apart.step([one, other])
    assert_same(parameters(shared), parameters(apart))


def test_a_gradient_that_is_a_view_can_be_clipped() -> None:
    gradient = torch.tensor(3.0)
    made = stepper(nvn.Optimizer(sgd, clip_norm=1.0), torch.zeros(4))
    made.step([gradient.expand(4)])
    assert gradient.item() == 3.0
    torch.testing.assert_close(parameters(made)[0].detach(), torch.full((4,), -0.05))


# --- clipping -----------------------------------------------------------------------------------


def clipped(gradient: list[float], **clip: float) -> list[float]:
    made = stepper(
        nvn.Optimizer(partial(torch.optim.SGD, lr=1.0), **clip), torch.zeros(len(gradient))
    )
    made.step([torch.tensor(gradient)])
    return (-parameters(made)[0]).tolist()


def test_a_long_gradient_is_scaled_down() -> None:
    assert clipped([3.0, 4.0], clip_norm=1.0) == pytest.approx([0.6, 0.8])
    assert clipped([3.0, 4.0], clip_norm=10.0) == [3.0, 4.0]


def test_large_elements_are_clamped() -> None:
    assert clipped([3.0, -4.0, 0.5], clip_value=1.0) == [1.0, -1.0, 0.5]


def test_clamping_comes_before_scaling() -> None:
    # (3, 4) → (3, 3) → of norm 1
    assert clipped([3.0, 4.0], clip_value=3.0, clip_norm=1.0) == pytest.approx([0.5**0.5] * 2)


def test_the_norm_reported_is_the_one_before_clipping() -> None:
    made = stepper(nvn.Optimizer(sgd, clip_norm=1.0, clip_value=0.1), torch.zeros(2))
    assert length(made.step([torch.tensor([3.0, 4.0])])) == 5.0


# --- learning rates -----------------------------------------------------------------------------


def rates(made: PlayerOptimizer, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(made.optimizer.param_groups[0]["lr"])
        made.step([torch.ones(1)])
    return found


def test_a_schedule_advances_with_every_step() -> None:
    spec = nvn.Optimizer(sgd, schedule=partial(StepLR, step_size=2, gamma=0.5))
    assert rates(stepper(spec, torch.zeros(1)), 5) == [0.1, 0.1, 0.05, 0.05, 0.025]


def test_a_plateau_lowers_the_rate_when_its_metric_stops_improving() -> None:
    watch = nvn.Plateau("loss", factor=0.5, patience=1, min_lr=0.03)
    made = stepper(nvn.Optimizer(sgd, schedule=watch), torch.zeros(1))
    found = []
    for value in (3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0):
        made.metric("loss", value)
        made.metric("other", 100.0)
        found.append(made.optimizer.param_groups[0]["lr"])
    assert found == [0.1, 0.1, 0.1, 0.05, 0.05, 0.03, 0.03, 0.03]
    assert rates(made, 2) == [0.03, 0.03]  # steps alone don't change it


def test_a_plateau_may_wait_for_a_maximum() -> None:
    watch = nvn.Plateau("accuracy", mode="max", factor=0.5, patience=0)
    made = stepper(nvn.Optimizer(sgd, schedule=watch), torch.zeros(1))
    for value in (0.5, 0.6, 0.4):
        made.metric("accuracy", value)
    assert made.optimizer.param_groups[0]["lr"] == 0.05


def test_a_plateau_reads_the_mean_of_several_values() -> None:
    watch = nvn.Plateau("loss", factor=0.5, patience=0, every=3)
    made = stepper(nvn.Optimizer(sgd, schedule=watch), torch.zeros(1))
    found = []
    for value in (1.0, 9.0, 2.0, 3.0, 3.0, 3.0, 9.0, 9.0, 9.0):  # means 4, 3, 9
        made.metric("loss", value)
        found.append(made.optimizer.param_groups[0]["lr"])
    assert found == [0.1] * 8 + [0.05]


def test_a_plateau_of_torch_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected schedule=nvn\.Plateau"):
        stepper(nvn.Optimizer(sgd, schedule=ReduceLROnPlateau), torch.zeros(1))


# --- lazy regularizers --------------------------------------------------------------------------


def test_the_correction_of_stylegan2() -> None:
    """Karras et al. 2020, appendix B: with c = k/(k+1), λ′ = c·λ, β₁′ = β₁^c, β₂′ = β₂^c."""
    c = 16 / 17
    group = stepper(adam, torch.zeros(1), correction=c).optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(0.1 * c)
    assert group["betas"] == pytest.approx((0.5**c, 0.9**c))


def test_the_correction_comes_before_the_schedule() -> None:
    spec = nvn.Optimizer(sgd, schedule=partial(StepLR, step_size=1, gamma=0.5))
    assert rates(stepper(spec, torch.zeros(1), correction=0.8), 2) == pytest.approx([0.08, 0.04])


# --- specifications -----------------------------------------------------------------------------


def test_a_function_of_parameters_is_enough() -> None:
    assert as_optimizer(sgd) == nvn.Optimizer(sgd)
    spec = nvn.Optimizer(sgd, clip_norm=1.0)
    assert as_optimizer(spec) is spec


def test_an_optimizer_that_is_already_made_is_refused() -> None:
    with pytest.raises(ConfigError, match="an optimizer is given as a SGD; expected a function"):
        as_optimizer(sgd([nn.Parameter(torch.ones(1))]))


# --- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        nvn.Optimizer(adam, schedule=partial(StepLR, step_size=2, gamma=0.5)),
        nvn.Optimizer(adam, schedule=nvn.Plateau("loss", factor=0.5, patience=0, every=2)),
        nvn.Optimizer(partial(torch.optim.Adam, lr=0.1, fused=True, amsgrad=True)),
    ],
)
def test_a_stepper_goes_on_where_it_was(spec: nvn.Optimizer) -> None:
    def go(made: PlayerOptimizer, seeds: range) -> None:
        for seed in seeds:
            made.step([tensor(3, seed=seed)])
            made.metric("loss", float(seed % 3))

    straight, first, second = (stepper(spec, torch.zeros(3)) for _ in range(3))
    go(straight, range(10))
    go(first, range(5))
    with torch.no_grad():
        parameters(second)[0].copy_(parameters(first)[0])
    second.load_state_dict(first.state_dict())
    go(second, range(5, 10))
    assert_same(parameters(second), parameters(straight))
    assert second.optimizer.param_groups[0]["lr"] == straight.optimizer.param_groups[0]["lr"]


# --- groups and warm-up -------------------------------------------------------------------------


def test_groups_have_options_of_their_own() -> None:
    ours, theirs = mlp(), mlp()
    spec = nvn.Optimizer(
        partial(torch.optim.SGD, lr=0.1, weight_decay=0.5),
        groups={"*.bias": {"weight_decay": 0.0}, "0.*": {"lr": 1.0}},
    )
    made = PlayerOptimizer(spec, dict(ours.named_parameters()))
    named = dict(theirs.named_parameters())
    bias = [p for name, p in named.items() if name.endswith("bias")]
    first = [named["0.weight"]]
    rest = [p for p in named.values() if not any(p is x for x in [*bias, *first])]
    hand = torch.optim.SGD(
        [{"params": rest}, {"params": bias, "weight_decay": 0.0}, {"params": first, "lr": 1.0}],
        lr=0.1,
        weight_decay=0.5,
    )
    for seed in range(3):
        gradients = [tensor(*p.shape, seed=seed) for p in ours.parameters()]
        for parameter, gradient in zip(theirs.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
        made.step(gradients)
        hand.step()
    assert_same({"f": ours.state_dict()}, {"f": theirs.state_dict()})


def test_a_pattern_that_fits_nothing_is_told() -> None:
    spec = nvn.Optimizer(sgd, groups={"0.wieght": {"lr": 1.0}})
    with pytest.raises(ConfigError, match=r"no parameter fits '0.wieght'.*'0.weight'"):
        PlayerOptimizer(spec, dict(mlp().named_parameters()))


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (
            {"*": {"lr": 1.0}, "*.bias": {"lr": 0.0}},
            r"all that fits '\*\.bias' .* narrower pattern",
        ),
        ({"*.bias": {"weight_decy": 0.0}}, "no option of SGD. Did you mean 'weight_decay'"),
        ({"*.bias": {"params": []}}, "'params', which is no option of SGD"),
        ({"*.bias": 0.0}, "has 0.0; expected options by name"),
        (["*.bias"], "expected options by patterns"),
    ],
)
def test_groups_that_are_none_are_told(groups: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PlayerOptimizer(nvn.Optimizer(sgd, groups=groups), dict(mlp().named_parameters()))


@pytest.mark.parametrize("make", [lambda ps: sgd([p.view(-1) for p in ps])])
def test_a_factory_that_takes_no_groups_is_told_of_them(make: Any) -> None:
    spec = nvn.Optimizer(make, groups={"*.bias": {"lr": 1.0}})
    with pytest.raises(AttributeError) as caught:
        spec.made(dict(mlp().named_parameters()))
    assert caught.value.__notes__ == [
        "with groups, a factory is given a list of groups, as torch.optim takes"
    ]


def test_an_optimizer_with_groups_can_be_hashed() -> None:
    assert len({nvn.Optimizer(sgd), nvn.Optimizer(sgd, groups={"a": {"lr": 1.0}})}) == 2


@pytest.mark.parametrize(
    "schedule", [partial(StepLR, step_size=2, gamma=0.5), nvn.Plateau("e", patience=0)]
)
def test_groups_have_schedules_and_warm_up_and_go_on(schedule: Any) -> None:
    def make() -> tuple[PlayerOptimizer, dict[str, nn.Parameter]]:
        found = dict(mlp().named_parameters())
        spec = nvn.Optimizer(adam, schedule=schedule, warmup=3, groups={"*.bias": {"lr": 1.0}})
        return PlayerOptimizer(spec, found), found

    def go(made: PlayerOptimizer, own: dict[str, nn.Parameter], steps: range) -> None:
        for step in steps:
            made.step([tensor(*p.shape, seed=step) for p in own.values()])
            made.metric("e", 1.0)

    (whole, all_of_it), (first, half), (second, rest) = make(), make(), make()
    go(whole, all_of_it, range(6))
    go(first, half, range(2))
    for name, parameter in rest.items():
        parameter.data.copy_(half[name].data)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    go(second, rest, range(2, 6))
    assert_same({"f": rest}, {"f": all_of_it})
    weights_rate, bias_rate = (group["lr"] for group in second.optimizer.param_groups)
    assert weights_rate == pytest.approx(0.1 * bias_rate)
    assert bias_rate < 1.0


def test_groups_are_of_the_players_parameters_by_name() -> None:
    game = nvn.Game("line")
    x = game.batch("x")
    f = game.player("f", nn.Linear(3, 3))
    f.minimizes(nvn.energies.mse(f(x), x))
    spec = nvn.Optimizer(sgd, groups={"bias": {"lr": 0.0}})
    engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), spec)
    before = f.module.bias.clone(), f.module.weight.clone()
    engine.step({"x": tensor(4, 3)})
    assert torch.equal(f.module.bias, before[0])
    assert not torch.equal(f.module.weight, before[1])


@pytest.mark.parametrize("cut", [0, 2, 7])
def test_a_warm_up_is_a_part_of_what_the_schedule_says(cut: int) -> None:
    schedule = partial(StepLR, step_size=3, gamma=0.5)
    spec = nvn.Optimizer(partial(torch.optim.SGD, lr=1.0), schedule=schedule, warmup=4)
    made = stepper(spec, torch.zeros(1))
    at, moved = parameters(made)[0], []
    for step in range(8):
        if step == cut:  # as a run that goes on
            state, value = made.state_dict(), at.detach().clone()
            made = stepper(spec, value)
            made.load_state_dict(state)
            at = parameters(made)[0]
        before = at.item()
        made.step([torch.ones(1)])
        moved.append(before - at.item())
    rates = [1.0 * 0.5 ** (step // 3) * min(1.0, (step + 1) / 4) for step in range(8)]
    assert moved == pytest.approx(rates)
    assert made.optimizer.param_groups[0]["lr"] == 0.5 ** (8 // 3)


@pytest.mark.parametrize("warmup", [-1, 0.5, "x"])
def test_a_warm_up_that_is_none(warmup: Any) -> None:
    with pytest.raises(ConfigError, match="expected a number of steps"):
        nvn.Optimizer(sgd, warmup=warmup)
