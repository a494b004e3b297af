"""Penalties on gradients: on critics whose gradient is known, and by finite differences."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nvn import energies as en
from nvn.energies import penalties
from nvn.game.functions import gradient
from tests.energies.evaluating import Linear, double, evaluate, game_of, properties, random, seeds


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
