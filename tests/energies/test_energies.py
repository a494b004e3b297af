"""The energy library: against formulas written out, by finite differences, and in the graph."""

import dataclasses
import inspect
import math
import pickle
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from nvn import energies as en
from nvn import pytree
from nvn.energies import adversarial, classification, penalties, reconstruction
from nvn.errors import GameError
from nvn.game.functions import gradient
from nvn.game.game import Game
from nvn.game.ops import Apply, Batch, Call, Gradient, Item, Sample, StopGradient
from nvn.game.values import Energy, Value

FAMILIES = [
    en.Minimax(),
    en.NonSaturating(),
    en.Hinge(),
    en.LeastSquares(),
    en.LeastSquares(a=-1.0, b=1.0, c=0.0),
    en.Wasserstein(),
]
PAIRED = en.RelativisticPaired()
# Large enough that exp overflows a naive formula in float32, and that 1 − σ(l) is 0 in float64.
EXTREME = [-800.0, -50.0, -20.5, -1.0, -0.25, 0.0, 0.25, 1.0, 20.5, 50.0, 800.0]

properties = settings(deadline=None, max_examples=50)
few = settings(deadline=None, max_examples=10)
seeds = st.integers(0, 2**32 - 1)
logits_lists = st.lists(st.floats(-60, 60), min_size=1, max_size=12)


def double(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


# --- a tiny evaluator: enough of an engine to compute an energy ---------------------------------


MODULES = weakref.WeakKeyDictionary()  # the players' modules of each game that game_of made


def evaluate(value, batch, known=None):
    """Compute `value` from the batch up, every value once, with autograd."""
    known = {} if known is None else known
    if value not in known:
        args, kwargs = pytree.map_leaves(
            lambda x: evaluate(x, batch, known) if isinstance(x, Value) else x,
            (value.args, dict(value.kwargs)),
        )
        known[value] = _computed(value.op, args, kwargs, batch, MODULES.get(value.table))
    return known[value]


def _computed(op, args, kwargs, batch, modules):
    match op:
        case Batch(name):
            return batch[name].clone().requires_grad_(batch[name].is_floating_point())
        case Sample(_, fn):
            return fn(torch.Generator().manual_seed(7), batch)
        case Call(player, method, _):
            return getattr(modules[player], method)(*args, **kwargs)
        case Apply(fn):
            return fn(*args, **kwargs)
        case Item(index):
            return args[0][index]
        case StopGradient():
            return pytree.map_leaves(torch.Tensor.detach, args[0])
        case Gradient():
            return torch.autograd.grad(args[0].sum(), args[1], create_graph=True)[0]


def game_of(*names, **modules):
    game = Game("test")
    values = [game.batch(name) for name in names]
    players = [game.player(name, module) for name, module in modules.items()]
    MODULES[game.table] = modules
    return game, *values, *players


def energy_of(declare, *tensors):
    """Declare an energy of values and compute it on tensors (or trees of them)."""
    game = Game("test")
    batch, values = {}, []
    for i, tensor in enumerate(tensors):
        values.append(pytree.map_leaves(lambda t, i=i: _named(game, batch, t, i), tensor))
    declared = declare(*values)
    if isinstance(declared, Energy):
        return evaluate(declared, batch)
    (term,) = declared.terms
    return term.weight.factor * evaluate(term.energy, batch)


def _named(game, batch, tensor, index):
    name = f"x{index}_{len(batch)}"
    batch[name] = tensor
    return game.batch(name)


class Linear(nn.Module):
    """A critic l = x·w (+ b), whose gradient is w at every sample."""

    def __init__(self, weight, bias=0.0):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = bias

    def forward(self, x):
        return x.flatten(1) @ self.weight.flatten() + self.bias

    def features(self, x):
        return {"deep": self(x)[:, None], "shallow": [x, 2.0 * x]}


class Scales(nn.Module):
    def forward(self, x):
        return [x, x[:, ::2], x[:, :1]]


# --- adversarial: formulas ----------------------------------------------------------------------


def log_sigmoid(x):
    return -np.logaddexp(0.0, -x)


FORMULAS = {
    "minimax": (
        en.Minimax(),
        lambda x: -log_sigmoid(x),
        lambda x: -log_sigmoid(-x),
        lambda x: log_sigmoid(-x),
    ),
    "non-saturating": (
        en.NonSaturating(),
        lambda x: -log_sigmoid(x),
        lambda x: -log_sigmoid(-x),
        lambda x: -log_sigmoid(x),
    ),
    "hinge": (
        en.Hinge(),
        lambda x: np.maximum(0.0, 1.0 - x),
        lambda x: np.maximum(0.0, 1.0 + x),
        lambda x: -x,
    ),
    "least squares": (
        en.LeastSquares(),
        lambda x: (x - 1.0) ** 2 / 2,
        lambda x: x**2 / 2,
        lambda x: (x - 1.0) ** 2 / 2,
    ),
    "least squares, chi squared": (
        en.LeastSquares(a=-1.0, b=1.0, c=0.0),
        lambda x: (x - 1.0) ** 2 / 2,
        lambda x: (x + 1.0) ** 2 / 2,
        lambda x: x**2 / 2,
    ),
    "wasserstein": (en.Wasserstein(), lambda x: -x, lambda x: x, lambda x: -x),
}


@pytest.mark.parametrize("case", FORMULAS)
@pytest.mark.parametrize("part", ["real", "fake", "fool"])
def test_a_family_is_its_formula_even_where_the_critic_is_extremely_sure(case, part):
    family, *formulas = FORMULAS[case]
    formula = formulas[("real", "fake", "fool").index(part)]
    for logit in EXTREME:
        found = energy_of(getattr(family, part), double(logit))
        expected = formula(np.float64(logit))
        assert found.item() == pytest.approx(expected, rel=1e-14, abs=1e-300), logit


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("part", ["real", "fake", "fool"])
def test_a_family_means_over_all_elements_of_any_shape(family, part):
    logits = random(3, 1, 4, 5)
    flat = [energy_of(getattr(family, part), double(x)).item() for x in logits.flatten().tolist()]
    assert energy_of(getattr(family, part), logits).shape == ()
    assert energy_of(getattr(family, part), logits).item() == pytest.approx(np.mean(flat))


def test_log_losses_agree_with_probabilities_where_those_are_exact():
    logits = random(64)
    d = torch.sigmoid(logits)
    for family in (en.Minimax(), en.NonSaturating()):
        torch.testing.assert_close(energy_of(family.real, logits), -d.log().mean())
        torch.testing.assert_close(energy_of(family.fake, logits), -(1 - d).log().mean())
    torch.testing.assert_close(energy_of(en.Minimax().fool, logits), (1 - d).log().mean())
    torch.testing.assert_close(energy_of(en.NonSaturating().fool, logits), -d.log().mean())


def test_float32_is_stable_at_extreme_logits():
    for part in ("real", "fake", "fool"):
        for family in FAMILIES:
            logits = torch.tensor([-200.0, -50.0, 0.0, 50.0, 200.0], requires_grad=True)
            found = energy_of(getattr(family, part), logits)
            assert found.isfinite()
            assert found.dtype == torch.float32


def test_fool_pulls_where_the_critic_is_sure_and_minimax_does_not():
    def pull(declare):
        logits = double(-50.0).requires_grad_()
        value = energy_of(declare, logits)
        return torch.autograd.grad(value, logits)[0].item()

    assert pull(en.NonSaturating().fool) == pytest.approx(-1.0)
    assert pull(en.Hinge().fool) == -1.0
    assert 0 < abs(pull(en.Minimax().fool)) < 1e-20
    assert pull(en.Hinge().fake) == 0.0


@pytest.mark.parametrize("family", [en.Minimax(), en.NonSaturating()], ids=repr)
@properties
@given(size=st.integers(1, 9))
def test_log_4_remains_where_the_critic_says_one_half(family, size):
    undecided = torch.zeros(size, 1, dtype=torch.float64)
    total = energy_of(family.real, undecided) + energy_of(family.fake, undecided)
    assert total.item() == pytest.approx(math.log(4.0), rel=1e-15)


@properties
@given(p=st.floats(1e-3, 1.0), q=st.floats(1e-3, 1.0), step=st.floats(-3, 3))
def test_the_log_losses_are_least_at_the_optimal_critic(p, q, step):
    """With densities p of real and q of made samples at a point, D* = p/(p + q): l* = log p/q."""

    def cost(logit):
        real = energy_of(en.Minimax().real, double(logit))
        fake = energy_of(en.Minimax().fake, double(logit))
        return (p * real + q * fake).item()

    optimum = math.log(p / q)
    assert cost(optimum) <= cost(optimum + step) + 1e-12


@properties
@given(p=st.floats(1e-2, 1.0), q=st.floats(1e-2, 1.0), step=st.floats(-3, 3))
def test_least_squares_is_least_at_the_mixture_of_its_targets(p, q, step):
    """Mao et al. 2017, eq. 5: D* = (b·p + a·q)/(p + q)."""
    family = en.LeastSquares(a=-1.0, b=2.0, c=0.0)

    def cost(logit):
        real, fake = energy_of(family.real, double(logit)), energy_of(family.fake, double(logit))
        return (p * real + q * fake).item()

    optimum = (2.0 * p - 1.0 * q) / (p + q)
    assert cost(optimum) <= cost(optimum + step) + 1e-12


@properties
@given(margins=st.lists(st.floats(0, 100), min_size=1, max_size=9))
def test_hinge_costs_nothing_when_margins_hold(margins):
    margins = double(*margins)
    assert energy_of(en.Hinge().real, 1.0 + margins).item() == 0.0
    assert energy_of(en.Hinge().fake, -1.0 - margins).item() == 0.0


@properties
@given(real=logits_lists, fake=logits_lists, shift=st.floats(-30, 30))
def test_wasserstein_ignores_a_shift_of_all_scores(real, fake, shift):
    def gap(by):
        adv = en.Wasserstein()
        return energy_of(adv.real, double(*real) + by) + energy_of(adv.fake, double(*fake) + by)

    torch.testing.assert_close(gap(shift), gap(0.0), rtol=1e-9, atol=1e-9)


@properties
@given(logits=logits_lists)
def test_log_losses_mirror_each_other(logits):
    found = energy_of(en.NonSaturating().real, double(*logits))
    torch.testing.assert_close(found, energy_of(en.NonSaturating().fake, -double(*logits)))


@pytest.mark.parametrize("part", ["real", "fake", "fool"])
@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_every_scale_of_a_critic_counts_the_same(family, part):
    scales = [random(3, 1, 4, seed=1), random(3, 1, 2, seed=2)]
    declare = getattr(family, part)
    expected = (energy_of(declare, scales[0]) + energy_of(declare, scales[1])) / 2
    torch.testing.assert_close(energy_of(declare, scales), expected)
    torch.testing.assert_close(energy_of(declare, tuple(scales)), expected)
    torch.testing.assert_close(energy_of(declare, scales[:1]), energy_of(declare, scales[0]))


def test_a_critic_may_return_its_scales():
    _, x, D = game_of("x", D=Scales())
    declared = en.Hinge().real(D(x))
    one_by_one = [en.Hinge().real(D(x)[i]) for i in range(3)]
    batch = {"x": random(2, 6)}
    expected = sum(evaluate(e, batch) for e in one_by_one) / 3
    torch.testing.assert_close(evaluate(declared, batch), expected)


@pytest.mark.parametrize(
    "logits",
    [[torch.zeros(4), torch.zeros(4, 3)], [torch.zeros(4, 1), torch.zeros(3, 1)], []],
    ids=["features beside", "another batch", "empty"],
)
def test_what_is_no_list_of_scales_raises(logits):
    op = en.Hinge().real(Game("g").batch("x")).op
    with pytest.raises(ValueError, match="no scales of one critic"):
        op.fn(logits)


@pytest.mark.parametrize("logits", [{"a": torch.zeros(4)}, [[torch.zeros(4)]], 1.0])
def test_logits_that_are_no_tensors_raise(logits):
    op = en.Hinge().real(Game("g").batch("x")).op
    with pytest.raises(TypeError, match="logits are a tensor"):
        op.fn(logits)


# --- adversarial: pairs -------------------------------------------------------------------------


@pytest.mark.parametrize("gap", EXTREME)
def test_relativistic_is_its_formula(gap):
    real, fake = double(gap + 3.0), double(3.0)
    critic, fool = energy_of(PAIRED.critic, real, fake), energy_of(PAIRED.fool, fake, real)
    assert critic.item() == pytest.approx(-log_sigmoid(np.float64(gap)), rel=1e-13, abs=1e-300)
    assert fool.item() == pytest.approx(-log_sigmoid(np.float64(-gap)), rel=1e-13, abs=1e-300)


@properties
@given(seed=seeds, shift=st.floats(-30, 30))
def test_relativistic_sees_differences_alone(seed, shift):
    real, fake = random(5, 2, seed=seed), random(5, 2, seed=seed + 1)
    torch.testing.assert_close(
        energy_of(PAIRED.critic, real + shift, fake + shift), energy_of(PAIRED.critic, real, fake)
    )
    # Swapping the two samples swaps the two players.
    torch.testing.assert_close(
        energy_of(PAIRED.critic, fake, real), energy_of(PAIRED.fool, fake, real)
    )


def test_relativistic_pairs_element_by_element():
    real, fake = double(1.0, 5.0), double(4.0, 0.0)
    expected = -(log_sigmoid(np.float64(-3.0)) + log_sigmoid(np.float64(5.0))) / 2
    assert energy_of(PAIRED.critic, real, fake).item() == pytest.approx(expected)


def test_relativistic_takes_scales():
    real = [random(3, 4, seed=1), random(3, 2, seed=2)]
    fake = [random(3, 4, seed=3), random(3, 2, seed=4)]
    expected = sum(energy_of(PAIRED.critic, r, f) for r, f in zip(real, fake, strict=True)) / 2
    torch.testing.assert_close(energy_of(PAIRED.critic, real, fake), expected)
    with pytest.raises(ValueError, match="2 scales and 1"):
        energy_of(PAIRED.critic, real, fake[:1])


def test_relativistic_does_not_broadcast():
    with pytest.raises(ValueError, match=r"critic: .*\(4, 1\) and \(4,\)"):
        energy_of(PAIRED.critic, random(4, 1), random(4))
    with pytest.raises(ValueError, match=r"fool: .*\(4, 1\) and \(3, 1\)"):
        energy_of(PAIRED.fool, random(4, 1), random(3, 1))


# --- adversarial: what they are in the graph ----------------------------------------------------


@pytest.mark.parametrize("family", [en.Minimax(), en.Wasserstein()], ids=repr)
def test_fool_of_a_zero_sum_family_is_minus_fake_the_same_energy(family):
    _, x, D = game_of("x", D=nn.Identity())
    (term,) = family.fool(D(x)).terms
    assert term.energy is family.fake(D(x))
    assert (term.weight.factor, term.weight.symbols) == (-1.0, ())
    assert family.fool(D(x)) == -family.fake(D(x))


@pytest.mark.parametrize("part", ["real", "fake", "fool"])
@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_equal_families_give_the_same_energy(family, part):
    _, x, D = game_of("x", D=nn.Identity())
    again = dataclasses.replace(family)
    assert again == family
    assert getattr(family, part)(D(x)) == getattr(again, part)(D(x))


@pytest.mark.parametrize("part", ["real", "fake"])
def test_different_families_give_different_energies(part):
    _, x, D = game_of("x", D=nn.Identity())
    nodes = {getattr(family, part)(D(x)) for family in FAMILIES}
    assert len(nodes) == len(FAMILIES)


def test_parts_differ_and_so_do_logits():
    _, x, D = game_of("x", D=nn.Identity())
    adv = en.NonSaturating()
    assert len({adv.real(D(x)), adv.fake(D(x)), adv.fool(D(x)), adv.fool(x)}) == 4
    critic, fool = PAIRED.critic(D(x), x), PAIRED.fool(D(x), x)
    assert critic is en.RelativisticPaired().critic(D(x), x)
    assert len({critic, fool, PAIRED.critic(x, D(x))}) == 3


def test_a_list_of_scales_is_interned_too():
    _, x, y = game_of("x", "y")
    assert en.Hinge().real([x, y]) is en.Hinge().real([x, y])
    assert en.Hinge().real([x, y]).inputs == (x, y)


def test_only_what_is_flat_where_the_critic_is_sure_is_marked_saturating():
    _, x = game_of("x")
    marked = {
        (type(family).__name__, part)
        for family in FAMILIES
        for part in ("real", "fake", "fool")
        if isinstance(node := getattr(family, part)(x), Energy) and node.op.saturating
    }
    assert marked == {("Minimax", "fake"), ("NonSaturating", "fake"), ("Hinge", "fake")}
    assert PAIRED.critic(x, x).op.saturating
    assert not PAIRED.fool(x, x).op.saturating
    assert not en.mse(x, x).op.saturating


def test_energies_read_like_their_expressions():
    _, fake, peak, label, D = game_of("fake", "peak", "label", D=nn.Identity())
    adv = en.NonSaturating()
    written = {
        adv.fake(D(fake)): "fake(D(fake))",
        adv.real(D(peak)): "real(D(peak))",
        adv.fool(D(fake)): "fool(D(fake))",
        PAIRED.critic(D(peak), D(fake)): "critic(D(peak), D(fake))",
        PAIRED.fool(D(fake), D(peak)): "fool(D(fake), D(peak))",
        en.mse(fake, peak): "mse(fake, peak)",
        en.l1(fake, peak): "l1(fake, peak)",
        en.l2(fake, peak): "l2(fake, peak)",
        en.perceptual(D(fake), D(peak)): "perceptual(D(fake), D(peak))",
        en.feature_matching(D(fake), D(peak)): "feature_matching(D(fake), D(peak))",
        en.cross_entropy(D(fake), label): "cross_entropy(D(fake), label)",
        en.r1(D(peak), peak): "r1(gradient(D(peak), peak))",
        en.r2(D(fake), fake): "r2(gradient(D(fake), fake))",
        en.gradient_penalty(D(fake), fake): "gradient_penalty(gradient(D(fake), fake))",
    }
    assert {energy: str(energy) for energy in written} == written
    assert str(en.Minimax().fool(D(fake))) == "- fake(D(fake))"
    smooth = en.cross_entropy(D(fake), label, label_smoothing=0.1)
    assert str(smooth) == "cross_entropy(D(fake), label, label_smoothing=0.1)"
    assert str(en.gradient_penalty(D(fake), fake, 0)).endswith(", target=0.0)")


def test_a_family_of_ones_own():
    @dataclasses.dataclass(frozen=True)
    class Exponential(en.GeneralSum):
        rate: float = 1.0

        def on_real(self, logits):
            return torch.exp(-self.rate * logits)

        def on_fake(self, logits):
            return torch.exp(self.rate * logits)

        def on_fool(self, logits):
            return -logits

    _, x = game_of("x")
    assert Exponential(2.0).real(x) is Exponential(2.0).real(x)
    assert Exponential(2.0).real(x) is not Exponential(3.0).real(x)
    logits = random(5)
    torch.testing.assert_close(
        energy_of(Exponential(2.0).real, logits), torch.exp(-2 * logits).mean()
    )


def test_families_are_complete_or_abstract():
    for abstract in (en.Family, en.ZeroSum, en.GeneralSum):
        assert inspect.isabstract(abstract)
        with pytest.raises(TypeError):
            abstract()


# --- penalties ----------------------------------------------------------------------------------


@properties
@given(seed=seeds, samples=st.integers(1, 5), target=st.floats(0, 3))
def test_penalties_of_a_linear_critic_are_those_of_its_weights(seed, samples, target):
    weight = random(3, 2, 2, seed=seed)
    _, x, D = game_of("x", D=Linear(weight))
    batch = {"x": random(samples, 3, 2, 2, seed=seed + 1)}
    norm = weight.norm().item()
    expected = {
        en.r1(D(x), x): norm**2 / 2,
        en.r2(D(x), x): norm**2 / 2,
        en.gradient_penalty(D(x), x): (norm - 1.0) ** 2,
        en.gradient_penalty(D(x), x, target): (norm - target) ** 2,
    }
    for energy, number in expected.items():
        assert evaluate(energy, batch).item() == pytest.approx(number, rel=1e-12), energy


def test_penalties_are_means_over_samples():
    """Of the critic l = ½‖x‖², whose gradient at x is x."""

    class Bowl(nn.Module):
        def forward(self, x):
            return 0.5 * x.square().sum(dim=1, keepdim=True)

    _, x, D = game_of("x", D=Bowl())
    batch = {"x": double(3.0, 4.0, 0.0, 1.0).reshape(2, 2)}  # norms 5 and 1
    assert evaluate(en.r1(D(x), x), batch).item() == pytest.approx((25 + 1) / 2 / 2)
    assert evaluate(en.gradient_penalty(D(x), x), batch).item() == pytest.approx((16 + 0) / 2)
    zero_centred = evaluate(en.gradient_penalty(D(x), x, target=0.0), batch)
    assert zero_centred.item() == pytest.approx(2 * evaluate(en.r1(D(x), x), batch).item())


def test_penalties_reach_the_parameters_of_the_critic():
    weight = random(4)
    _, x, D = game_of("x", D=Linear(weight.clone()))
    batch = {"x": random(3, 4, seed=1)}
    for energy, expected in (
        (en.r1(D(x), x), weight),
        (en.gradient_penalty(D(x), x), 2 * (weight.norm() - 1) * weight / weight.norm()),
    ):
        (found,) = torch.autograd.grad(evaluate(energy, batch), D.module.parameters())
        torch.testing.assert_close(found, expected)


def test_r1_of_a_deep_critic_by_finite_differences():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    _, x, D = game_of("x", D=critic)
    batch = {"x": random(2, 3)}
    energies = (en.r1(D(x), x), en.gradient_penalty(D(x), x))

    def penalty(weight):
        with torch.no_grad():
            critic[0].weight.copy_(weight)
        return [evaluate(energy, batch) for energy in energies]

    start, step = critic[0].weight.detach().clone(), 1e-6
    exact = [torch.autograd.grad(p, critic[0].weight)[0] for p in penalty(start)]
    for i in range(3):
        nudge = torch.zeros_like(start)
        nudge[1, i] = step
        ahead, behind = penalty(start + nudge), penalty(start - nudge)
        for e, a, b in zip(exact, ahead, behind, strict=True):
            assert e[1, i].item() == pytest.approx(((a - b) / (2 * step)).item(), rel=1e-6)


def test_a_flat_critic_is_penalised_without_nan():
    _, x, D = game_of("x", D=Linear(torch.zeros(4, dtype=torch.float64)))
    penalty = evaluate(en.gradient_penalty(D(x), x), {"x": random(3, 4)})
    (slope,) = torch.autograd.grad(penalty, D.module.parameters())
    assert penalty.item() == 1.0
    assert slope.isfinite().all()


def test_penalties_stand_on_the_gradient_value():
    _, x, D = game_of("x", D=nn.Identity())
    assert en.r1(D(x), x).inputs == (gradient(D(x), x),)
    assert en.r1(D(x), x) is en.r1(D(x), x)
    assert en.gradient_penalty(D(x), x) is en.gradient_penalty(D(x), x, target=1)
    different = {en.r1(D(x), x), en.gradient_penalty(D(x), x), en.gradient_penalty(D(x), x, 0.0)}
    assert len(different) == 3


@properties
@given(seed=seeds)
def test_interpolate_mixes_each_sample_by_its_weight(seed):
    real, fake = random(3, 2, 4, seed=seed), random(3, 2, 4, seed=seed + 1)
    weights = torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = torch.stack(
        [w * r + (1 - w) * f for w, r, f in zip(weights, real, fake, strict=True)]
    )
    for shape in ((3,), (3, 1, 1), (3, 1)):
        found = penalties.between(real, fake, weights.reshape(shape))
        torch.testing.assert_close(found, expected)


def test_interpolate_ends_at_its_arguments_and_keeps_their_dtype():
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        real, fake = random(2, 3).to(dtype), random(2, 3, seed=1).to(dtype)
        assert torch.equal(penalties.between(real, fake, torch.ones(2)), real)
        assert torch.equal(penalties.between(real, fake, torch.zeros(2)), fake)
        assert penalties.between(real, fake, torch.rand(2)).dtype == dtype


def test_interpolate_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"\(4, 3\) and \(4, 1\)"):
        penalties.between(random(4, 3), random(4, 1), random(4))
    for weights in (random(3), random(1), random(4, 3)):  # (4, 3): a weight an element
        with pytest.raises(ValueError, match=r"weights of shape .* for samples \(4, 3\)"):
            penalties.between(random(4, 3), random(4, 3), weights)


def test_uniform_weights_are_seeded_by_the_generator_and_one_a_sample():
    batch = {"real": random(5, 3), "label": torch.arange(5), "scale": torch.tensor(2.0)}

    def draw(seed):
        return en.uniform_weights(torch.Generator().manual_seed(seed), batch)

    assert draw(0).shape == (5,)
    assert draw(0).dtype == torch.float32
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    many = en.uniform_weights(torch.Generator().manual_seed(0), {"x": torch.zeros(4000)})
    assert 0 <= many.min() < 0.01 < 0.99 < many.max() < 1
    assert many.mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("batch", [{}, {"n": torch.tensor(1.0)}, {"a": random(2), "b": random(3)}])
def test_uniform_weights_need_one_number_of_samples(batch):
    with pytest.raises(ValueError, match="uniform_weights: the number of samples"):
        en.uniform_weights(torch.Generator(), batch)


def test_wgan_gp_as_a_whole():
    """Gulrajani et al. 2017, algorithm 1, written by hand and declared."""
    weight, bowl = random(4), random(4, 4, seed=5)

    class Quadratic(nn.Module):
        def __init__(self):
            super().__init__()
            self.bowl = nn.Parameter(bowl.clone())

        def forward(self, x):
            return ((x @ self.bowl) * x).sum(1) + x @ weight

    game, real, fake, D = game_of("real", "fake", D=Quadratic())
    between = en.interpolate(real, fake, game.sample("w", en.uniform_weights))
    adv, penalty = en.Wasserstein(), en.gradient_penalty(D(between), between)
    batch = {"real": random(6, 4, seed=1), "fake": random(6, 4, seed=2)}
    known = {}
    total = 10 * evaluate(penalty, batch, known)
    total = total + evaluate(adv.real(D(real)), batch, known)
    total = total + evaluate(adv.fake(D(fake)), batch, known)
    (found,) = torch.autograd.grad(total, D.module.parameters())

    w = en.uniform_weights(torch.Generator().manual_seed(7), batch)[:, None]
    x = w * batch["real"] + (1 - w) * batch["fake"]
    matrix = bowl.clone().requires_grad_()
    slopes = x @ (matrix + matrix.T) + weight  # of xᵀAx + wᵀx
    by_hand = 10 * (slopes.norm(dim=1) - 1).square().mean()
    score = [((b @ matrix) * b).sum(1) + b @ weight for b in (batch["real"], batch["fake"])]
    by_hand = by_hand - score[0].mean() + score[1].mean()
    torch.testing.assert_close(total, by_hand)
    torch.testing.assert_close(found, torch.autograd.grad(by_hand, matrix)[0])


# --- reconstruction -----------------------------------------------------------------------------


@properties
@given(seed=seeds, samples=st.integers(1, 4))
def test_distances_are_their_formulas(seed, samples):
    a, b = random(samples, 2, 3, seed=seed), random(samples, 2, 3, seed=seed + 1)
    difference = (a - b).numpy()
    assert energy_of(en.l1, a, b).item() == pytest.approx(np.abs(difference).mean())
    assert energy_of(en.mse, a, b).item() == pytest.approx((difference**2).mean())
    squares = (difference**2).reshape(samples, -1).sum(axis=1)
    assert energy_of(en.l2, a, b).item() == pytest.approx(squares.mean())


def test_sum_and_mean_differ_by_the_number_of_pixels():
    a, b = random(4, 3, 8, 8), random(4, 3, 8, 8, seed=1)
    torch.testing.assert_close(energy_of(en.l2, a, b), 192 * energy_of(en.mse, a, b))


@pytest.mark.parametrize("distance", [en.l1, en.mse, en.l2, en.perceptual, en.feature_matching])
@properties
@given(seed=seeds)
def test_distances_are_symmetric_not_negative_and_zero_at_home(distance, seed):
    a, b = random(3, 4, seed=seed), random(3, 4, seed=seed + 1)
    torch.testing.assert_close(energy_of(distance, a, b), energy_of(distance, b, a))
    assert energy_of(distance, a, b) >= 0
    assert energy_of(distance, a, a).item() == 0


@pytest.mark.parametrize("distance", [en.l1, en.mse, en.l2, en.perceptual])
@pytest.mark.parametrize("shape", [(4, 1, 3), (4, 3, 1), (4, 9), (1, 3, 3), (3, 3)])
def test_distances_do_not_broadcast(distance, shape):
    with pytest.raises(ValueError, match="nothing is broadcast") as caught:
        energy_of(distance, random(4, 3, 3), random(*shape))
    assert "(4, 3, 3)" in str(caught.value)
    assert str(shape) in str(caught.value)
    assert distance.__name__ in str(caught.value)


def test_perceptual_is_the_sum_over_layers_of_means():
    a = {"conv1": random(2, 3, 4, 4), "conv2": [random(2, 5, seed=1)]}
    b = {"conv1": random(2, 3, 4, 4, seed=2), "conv2": [random(2, 5, seed=3)]}
    expected = sum(
        (x - y).square().sum() / x[0].numel() / len(x)
        for x, y in ((a["conv1"], b["conv1"]), (a["conv2"][0], b["conv2"][0]))
    )
    torch.testing.assert_close(energy_of(en.perceptual, a, b), expected)


def test_feature_matching_compares_means_over_samples():
    a, b = [random(5, 3), random(5, 2, 2, seed=1)], [random(4, 3, seed=2), random(4, 2, 2, seed=3)]
    expected = sum((x.mean(0) - y.mean(0)).square().sum() for x, y in zip(a, b, strict=True))
    torch.testing.assert_close(energy_of(en.feature_matching, a, b), expected)
    shuffled = [a[0][torch.randperm(5)], a[1][torch.randperm(5)]]
    torch.testing.assert_close(energy_of(en.feature_matching, shuffled, b), expected)


@pytest.mark.parametrize("shapes", [((4, 3), (4, 1)), ((4, 3), (4, 3, 1)), ((), ())])
def test_feature_matching_does_not_broadcast(shapes):
    a, b = shapes
    with pytest.raises(ValueError, match="number of samples") as caught:
        energy_of(en.feature_matching, random(*a), random(*b))
    assert f"{a} and {b}" in str(caught.value)


@pytest.mark.parametrize("distance", [en.perceptual, en.feature_matching])
def test_features_of_different_form_raise(distance):
    x = random(2, 3)
    for a, b in (([x, x], [x]), ({"a": x}, {"b": x}), ([x], {"a": x}), (x, [x])):
        with pytest.raises(ValueError, match="two trees of the same form"):
            energy_of(distance, a, b)


def test_features_come_from_any_players_call():
    _, x, y, D = game_of("x", "y", D=Linear(random(3)))
    features = D.method("features")
    batch = {"x": random(4, 3, seed=1), "y": random(4, 3, seed=2)}
    found = evaluate(en.perceptual(features(x), features(y)), batch)
    deep = (batch["x"] - batch["y"]) @ random(3)
    difference = batch["x"] - batch["y"]
    expected = deep.square().mean() + 5 * difference.square().mean()
    torch.testing.assert_close(found, expected)
    assert en.perceptual(features(x), features(y)) is en.perceptual(features(x), features(y))


# --- classification -----------------------------------------------------------------------------


def nats(logits, probabilities):
    logits = logits - logits.max(axis=1, keepdims=True)
    log_q = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -(probabilities * log_q).sum(axis=1).mean()


@properties
@given(seed=seeds, smoothing=st.floats(0, 1), scale=st.sampled_from([1.0, 50.0]))
def test_cross_entropy_is_its_formula(seed, smoothing, scale):
    logits = scale * random(6, 4, seed=seed)
    labels = torch.arange(6) % 4
    hard = np.eye(4)[labels.numpy()]
    smooth = (1 - smoothing) * hard + smoothing / 4

    def declare(x, y):
        return en.cross_entropy(x, y, label_smoothing=smoothing)

    expected = nats(logits.numpy(), smooth)
    assert energy_of(declare, logits, labels).item() == pytest.approx(expected, rel=1e-12)
    soft = torch.from_numpy(hard)
    assert energy_of(declare, logits, soft).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_labels_are_integers_of_any_size(dtype):
    labels = torch.tensor([0, 2, 1]).to(dtype)
    found = energy_of(en.cross_entropy, torch.zeros(3, 3, dtype=torch.float64), labels)
    assert found.item() == pytest.approx(math.log(3))


def test_cross_entropy_of_an_answer_per_position():
    logits, labels = random(2, 3, 4, 5), torch.arange(40).reshape(2, 4, 5) % 3
    rows = logits.permute(0, 2, 3, 1).reshape(-1, 3)
    flat = energy_of(en.cross_entropy, rows, labels.flatten())
    torch.testing.assert_close(energy_of(en.cross_entropy, logits, labels), flat)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (random(4, 3), torch.zeros(3, dtype=torch.long)),
        (random(4, 3), torch.zeros(4, 1, dtype=torch.long)),
        (random(4, 3), torch.zeros(4, 3, dtype=torch.long)),
        (random(4, 3), torch.zeros(4)),
        (random(4, 3), torch.zeros(4, 1)),
        (random(4), torch.zeros(4, dtype=torch.long)),
        (random(4), torch.zeros(4)),
    ],
    ids=lambda t: str(tuple(t.shape)),
)
def test_labels_that_do_not_fit_raise(logits, labels):
    with pytest.raises(ValueError, match="cross_entropy: found logits") as caught:
        energy_of(en.cross_entropy, logits, labels)
    assert str(tuple(logits.shape)) in str(caught.value)
    assert str(tuple(labels.shape)) in str(caught.value)


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, math.nan])
def test_a_smoothing_outside_of_0_to_1_is_a_problem_of_the_game(smoothing):
    _, x, y = game_of("x", "y")
    with pytest.raises(GameError, match=r"from 0 to 1") as caught:
        en.cross_entropy(x, y, label_smoothing=smoothing)
    assert "test_energies.py" in caught.value.problems[0].where


def test_no_smoothing_is_the_default():
    _, x, y = game_of("x", "y")
    assert en.cross_entropy(x, y) is en.cross_entropy(x, y, label_smoothing=0)
    assert en.cross_entropy(x, y) is not en.cross_entropy(x, y, label_smoothing=0.1)


# --- what all share -----------------------------------------------------------------------------


def judgement(family, part):
    declared = getattr(family, part)(Game("g").batch("x"))
    node = declared if isinstance(declared, Energy) else declared.terms[0].energy
    return node.op.fn


# (function of tensors, shapes of its arguments); every one smooth where it is tested
SMOOTH = {
    **{
        f"{family!r}.{part}": (judgement(family, part), [(4, 3)])
        for family in FAMILIES
        for part in ("real", "fake", "fool")
    },
    "critic": (adversarial.Preference("critic"), [(4, 3), (4, 3)]),
    "half_squared_norm": (penalties.half_squared_norm, [(4, 3, 2)]),
    "squared_excess_of_norm": (penalties.squared_excess_of_norm, [(4, 3, 2)]),
    "between": (penalties.between, [(4, 3), (4, 3), (4,)]),
    "mean_absolute_error": (reconstruction.mean_absolute_error, [(4, 3), (4, 3)]),
    "mean_squared_error": (reconstruction.mean_squared_error, [(4, 3), (4, 3)]),
    "mean_squared_distance": (reconstruction.mean_squared_distance, [(4, 3), (4, 3)]),
    "sum_of_squared_errors": (reconstruction.sum_of_squared_errors, [(4, 3), (4, 3)]),
    "squared_distance_of_means": (reconstruction.squared_distance_of_means, [(4, 3), (5, 3)]),
    "mean_cross_entropy": (classification.mean_cross_entropy, [(4, 3), (4, 3)]),
}


@pytest.mark.parametrize("case", SMOOTH)
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_gradients_agree_with_finite_differences(case, scale):
    fn, shapes = SMOOTH[case]
    tensors = [(scale * random(*shape, seed=i)).requires_grad_() for i, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(fn, tensors)
    # A penalty on an energy's own gradient differentiates twice.
    assert torch.autograd.gradgradcheck(fn, tensors)


@pytest.mark.parametrize("case", sorted(SMOOTH.keys() - {"between"}))
def test_energies_are_scalars_of_at_least_float32(case):
    fn, shapes = SMOOTH[case]
    for dtype, expected in (
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ):
        tensors = [random(*shape, seed=i).to(dtype) for i, shape in enumerate(shapes)]
        found, exact = fn(*tensors), fn(*(t.double() for t in tensors))
        assert (found.shape, found.dtype) == ((), expected)
        # Rounded tensors, exact arithmetic: nothing was lost inside.
        assert found.item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("case", sorted(SMOOTH.keys() - {"between"}))
def test_energies_stay_precise_under_autocast(case):
    fn, shapes = SMOOTH[case]
    tensors = [random(*shape, seed=i).to(torch.bfloat16) for i, shape in enumerate(shapes)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = fn(*tensors)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, fn(*tensors))


@pytest.mark.parametrize("case", sorted(SMOOTH.keys() - {"between", "squared_distance_of_means"}))
@few
@given(seed=seeds)
def test_energies_are_means_over_equal_batches(case, seed):
    """So that N processes with batch B are one with N·B."""
    fn, shapes = SMOOTH[case]
    tensors = [random(*shape, seed=seed + i) for i, shape in enumerate(shapes)]
    halves = [fn(*(t[i::2] for t in tensors)) for i in range(2)]
    torch.testing.assert_close(fn(*tensors), (halves[0] + halves[1]) / 2)


@pytest.mark.parametrize("case", SMOOTH)
def test_functions_are_compared_by_equality_and_travel(case):
    fn, _ = SMOOTH[case]
    copy = pickle.loads(pickle.dumps(fn))
    assert copy == fn
    assert hash(copy) == hash(fn)
    assert not inspect.ismethod(fn)


def test_arguments_are_left_alone():
    for fn, shapes in SMOOTH.values():
        tensors = [random(*shape, seed=i) for i, shape in enumerate(shapes)]
        fn(*tensors)
        for i, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True)):
            assert torch.equal(tensor, random(*shape, seed=i))


@pytest.mark.parametrize("distance", [en.l1, en.mse, en.l2, en.perceptual, en.feature_matching])
def test_the_same_distance_is_the_same_energy(distance):
    _, x, y = game_of("x", "y")
    assert distance(x, y) is distance(x, y)
    assert isinstance(distance(x, y), Energy)
    assert distance(x, y) is not distance(y, x)


def test_different_distances_are_different_energies():
    _, x, y = game_of("x", "y")
    found = {en.l1, en.mse, en.l2, en.perceptual, en.feature_matching, en.cross_entropy}
    assert len({distance(x, y) for distance in found}) == len(found)


@pytest.mark.parametrize("case", sorted(SMOOTH.keys() - {"between"}))
def test_shapes_can_be_told_without_numbers(case):
    fn, shapes = SMOOTH[case]
    with FakeTensorMode():
        assert fn(*(torch.empty(shape) for shape in shapes)).shape == ()


def test_everything_public_is_described_and_what_has_a_paper_cites_it():
    without = {"Family", "ZeroSum", "GeneralSum", "interpolate", "uniform_weights", "mse", "l2"}
    for name in en.__all__:
        described = inspect.getdoc(getattr(en, name)) or ""
        assert described, name
        assert name in without or "arXiv" in described, name
