"""GroupGAN's generator and critics: shapes, and what they promise."""

from __future__ import annotations

import pytest
import torch
from nvn_recipes.groupgan.networks import (
    Critic,
    FineGenerator,
    Generator,
    PatchCritic,
    initialize_as_published,
    moved,
    standardized,
)


@pytest.mark.parametrize("size", [16, 48])
@pytest.mark.parametrize("residual", [True, False])
def test_the_generator_keeps_the_size(size: int, residual: bool) -> None:
    pictures, features = torch.rand(3, 3, size, size), torch.rand(3, 5)
    assert Generator(4, 5, residual=residual)(pictures, features).shape == pictures.shape
    assert Generator(4, 0, residual=residual)(pictures).shape == pictures.shape


@pytest.mark.parametrize("residual", [True, False])
def test_sketches_have_one_channel(residual: bool) -> None:
    pictures, features = torch.rand(2, 1, 16, 16), torch.rand(2, 5)
    assert Generator(4, 5, residual=residual, channels=1)(pictures, features).shape == (
        2,
        1,
        16,
        16,
    )
    assert Critic([4, 8], 5, 16, channels=1)(pictures, features).shape == (2, 1)


def test_a_painting_generator_stays_in_range() -> None:
    made = Generator(4, 0, residual=False)(10 * torch.randn(2, 3, 16, 16))
    assert made.abs().max() <= 1


def test_an_editing_generator_begins_as_the_identity() -> None:
    pictures, features = torch.rand(2, 3, 16, 16), torch.rand(2, 5)
    made = Generator(4, 5, residual=True)(pictures, features)
    assert torch.allclose(made, pictures, atol=1e-6)


def test_the_fine_generator_keeps_the_size_and_the_range() -> None:
    pictures, features = torch.randn(2, 1, 48, 32), torch.rand(2, 5)
    made = FineGenerator(4, 5, channels=1)(pictures, features)
    assert made.shape == pictures.shape
    assert made.abs().max() <= 1
    assert FineGenerator(4, 0, channels=3)(torch.rand(2, 3, 16, 16)).shape == (2, 3, 16, 16)


def test_the_fine_generator_begins_by_leaving_ink_ink_and_paper_paper() -> None:
    pictures = torch.tensor([-1.0, 1.0]).repeat(2, 1, 16, 8)
    assert torch.allclose(FineGenerator(4, 0, channels=1)(pictures), pictures, atol=0.04)


def test_a_critic_of_patches_judges_each_by_what_is_near() -> None:
    pictures = torch.rand(1, 1, 64, 64, requires_grad=True)
    logits = PatchCritic([4, 8, 12], 5, channels=1)(pictures, torch.rand(1, 5))
    assert logits.shape == (1, 1, 8, 8)
    (gradient,) = torch.autograd.grad(logits[0, 0, 4, 4], pictures)
    rows, columns = gradient[0, 0].nonzero(as_tuple=True)
    assert int(rows.max() - rows.min()) + 1 == int(columns.max() - columns.min()) + 1 == 22


def test_the_features_matter_to_generator_and_critic() -> None:
    pictures, features = torch.rand(2, 3, 16, 16), torch.rand(2, 5, requires_grad=True)
    fine = FineGenerator(4, 5)
    torch.nn.init.normal_(fine.last.weight)  # at the start it changes nothing, whatever it is told
    critics = (Critic([4, 8], 5, 16), PatchCritic([4, 8], 5))
    for network in (Generator(4, 5, residual=False), fine, *critics):
        (gradient,) = torch.autograd.grad(network(pictures, features).sum(), features)
        assert gradient.abs().sum() > 0


def test_light_and_contrast_tell_nothing() -> None:
    pictures = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    assert torch.allclose(standardized(pictures), standardized(0.5 * pictures - 0.2), atol=1e-3)


def test_no_flow_moves_nothing() -> None:
    pictures = torch.rand(2, 3, 6, 8, dtype=torch.float64)
    assert torch.allclose(moved(pictures, torch.zeros(2, 2, 6, 8, dtype=torch.float64)), pictures)


def test_a_flow_takes_pixels_from_where_it_points() -> None:
    pictures = torch.rand(1, 1, 4, 8, dtype=torch.float64)
    flow = torch.zeros(1, 2, 4, 8, dtype=torch.float64)
    flow[:, 0] = 2 / 8  # one pixel of eight to the right
    assert torch.allclose(moved(pictures, flow)[..., :-1], pictures[..., 1:])
    flow = torch.zeros(1, 2, 4, 8, dtype=torch.float64)
    flow[:, 1] = 2 / 4  # one pixel of four down
    assert torch.allclose(moved(pictures, flow)[..., :-1, :], pictures[..., 1:, :])


def test_the_published_initialization() -> None:
    critic = Critic([32, 64], 16, 32).apply(initialize_as_published)
    for name, parameter in critic.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 1).all()
        elif parameter.numel() > 1000:
            assert parameter.std().item() == pytest.approx(0.01, rel=0.1)
