"""The meter: exact operations, forward and back, and what is held at once."""

import torch
from torch import nn

from nvn.engine.costs import measured


def test_a_linear_layer_costs_what_it_multiplies() -> None:
    layer, x = nn.Linear(3, 5), torch.randn(7, 3)
    assert measured(lambda: layer(x)).flops == 2 * 7 * 3 * 5


def test_going_back_to_the_weights_costs_once_more_and_to_the_input_again() -> None:
    layer, x = nn.Linear(3, 5), torch.randn(7, 3)
    forward = 2 * 7 * 3 * 5
    assert measured(lambda: layer(x).sum().backward()).flops == 2 * forward
    leaf = x.clone().requires_grad_()
    assert measured(lambda: layer(leaf).sum().backward()).flops == 3 * forward
    layer.requires_grad_(False)
    assert measured(lambda: layer(leaf).sum().backward()).flops == 2 * forward


def test_the_peak_is_what_is_held_at_once() -> None:
    def one_after_the_other() -> None:
        for _ in range(3):
            torch.zeros(1000)

    def together() -> list[torch.Tensor]:
        return [torch.zeros(1000) for _ in range(3)]

    assert measured(one_after_the_other).peak <= 2 * 4000
    assert measured(together).peak == 3 * 4000


def test_views_and_what_was_there_before_are_not_counted() -> None:
    x = torch.zeros(1000)
    assert measured(lambda: x[:500].view(2, 250)).peak == 0
    assert measured(lambda: x.add_(1)).peak == 0
