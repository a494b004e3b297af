"""Families of adversarial energies: against formulas written out, and in the graph."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nvn import energies as en
from nvn.game.game import Game
from nvn.game.values import Energy
from tests.energies.evaluating import (
    EXTREME,
    FAMILIES,
    PAIRED,
    Scales,
    double,
    energy_of,
    evaluate,
    game_of,
    logits_lists,
    properties,
    random,
    seeds,
)


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


# --- pairs ---


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


# --- what they are in the graph ---


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
