"""Values made by functions of tensors."""

from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor

import nvn
from nvn import energies as en
from nvn.errors import GameError
from nvn.game.ops import Gradient
from nvn.game.values import (
    Energy,
    Value,
)
from tests.small import mean


def add(x: Tensor, y: Tensor) -> Tensor:
    return x + y


@dataclass(frozen=True)
class Scaled:
    """A function that is compared by equality."""

    by: float

    def __call__(self, x: Tensor) -> Tensor:
        return (self.by * x).mean()


def test_a_function_has_a_name(v: Value) -> None:
    assert str(nvn.value(add)(v, v)) == "add(v, v)"
    assert str(nvn.value(Scaled(1.0))(v)) == "Scaled(v)"
    assert str(nvn.energy(partial(add, y=1))(v)) == "partial(v)"
    assert str(nvn.value(add, name="plus")(v, v)) == "plus(v, v)"


def test_only_energies_said_to_saturate_do(v: Value) -> None:
    flat = nvn.energy(add, saturating=True)(v, v)
    assert flat.op.saturating
    assert not nvn.energy(add)(v, v).op.saturating
    assert str(flat) == "add(v, v)"


def test_a_function_needs_a_value_among_its_arguments(v: Value) -> None:
    with pytest.raises(GameError, match=r"add\(…\) of no value"):
        nvn.value(add)(1, 2)
    assert nvn.value(sum)([1, {"k": v}]).inputs == (v,)


def test_functions_are_compared_by_equality(v: Value) -> None:
    assert nvn.energy(Scaled(2.0))(v) is nvn.energy(Scaled(2.0))(v)
    assert nvn.energy(Scaled(2.0))(v) is not nvn.energy(Scaled(3.0))(v)
    assert nvn.value(lambda x: x)(v) is not nvn.value(lambda x: x)(v)


def test_zeros_of_both_signs_are_different_constants(game: nvn.Game, v: Value) -> None:
    sign = nvn.value(torch.copysign)
    assert sign(v, 0.0) is not sign(v, -0.0)
    assert sign(v, -0.0) is sign(v, -0.0)
    assert sign(v, 0j) is not sign(v, 0.0)
    assert sign(v, float("nan")) is sign(v, float("nan"))


def test_families_of_energies_are_compared_by_equality(G: nvn.Player, v: Value) -> None:
    assert en.NonSaturating().real(G(v)) is en.NonSaturating().real(G(v))
    assert en.LeastSquares(a=-1).fake(G(v)) is not en.LeastSquares().fake(G(v))
    assert en.mse(G(v), v) is en.mse(G(v), v)


@pytest.mark.parametrize("family", [en.Minimax(), en.Wasserstein()])
def test_a_zero_sum_makers_energy_is_the_critics(
    family: en.Family, G: nvn.Player, v: Value
) -> None:
    assert family.fool(G(v)) == -family.fake(G(v))
    (term,) = family.fool(G(v)).terms
    assert term.energy is family.fake(G(v))


def test_a_value_and_an_energy_of_one_function_are_two(v: Value) -> None:
    value, energy = nvn.value(torch.mean)(v), nvn.energy(torch.mean)(v)
    assert type(value) is Value
    assert type(energy) is Energy
    assert value is not energy


def test_a_gradient_is_of_one_value_with_respect_to_another(G: nvn.Player, v: Value) -> None:
    assert nvn.gradient(G(v), v).op == Gradient()
    assert nvn.gradient(G(v), v).args == (G(v), v)
    with pytest.raises(GameError, match=r"with a list as y"):
        nvn.gradient([G(v)], v)
    with pytest.raises(GameError, match=r"with a WeightedSum as x"):
        nvn.gradient(G(v), 2 * mean(v))
