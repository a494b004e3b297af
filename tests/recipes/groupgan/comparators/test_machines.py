"""The declared machine and scikit-learn's: the same energy, and the same answers."""

from __future__ import annotations

import sys

import pytest
import torch
from nvn_recipes.groupgan.comparators import svm
from nvn_recipes.groupgan.comparators.machine import Machine, squared_hinge
from nvn_recipes.groupgan.comparators.svm import TRIED, Table, fitted, left_out

from nvn.errors import ConfigError, DataError


def table(people: int = 6, each: int = 12, noise: float = 1.0) -> Table:
    """Three classes around three corners, four features."""
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(people * each) % 3
    corners = torch.eye(3, 4)[label]
    features = corners + noise * torch.randn(corners.shape, generator=generator)
    return Table(features, label, torch.arange(people).repeat_interleave(each))


def test_the_squared_hinge_by_hand() -> None:
    scores = torch.tensor([[2.0, 0.0, -3.0], [0.5, 0.5, 0.0]])
    # 0 + (1 + 0)² + 0, and (1 + 0.5)² + (1 − 0.5)² + (1 + 0)²
    expected = (1 + (2.25 + 0.25 + 1)) / 2
    assert squared_hinge(scores, torch.tensor([0, 1])).item() == pytest.approx(expected)


def test_a_machine_begins_at_nought() -> None:
    machine = Machine(4, 3)
    assert machine(torch.randn(2, 4)).tolist() == [[0.0] * 3] * 2
    assert machine.half_squared_norm().item() == 0


def test_the_norm_by_hand() -> None:
    machine = Machine(2, 1)
    with torch.no_grad():
        machine.weight.copy_(torch.tensor([[3.0, 4.0]]))
        machine.bias.fill_(2)
    assert machine.half_squared_norm().item() == 0.5 * (9 + 16 + 4)


@pytest.mark.parametrize("C", [1e-3, 1e-1])
def test_scikit_learns_machine_is_where_the_energy_is_lowest(
    C: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = table()
    monkeypatch.setattr(svm, "TRIED", (C,))
    pipeline = fitted(seen).best_estimator_
    scaled = torch.from_numpy(pipeline["standardscaler"].transform(seen.features.numpy()))
    solved = pipeline["linearsvc"]
    machine = Machine(4, 3).double()

    def energy() -> torch.Tensor:
        hinge = squared_hinge(machine(scaled.double()), seen.label)
        return hinge + machine.half_squared_norm() / (C * len(seen))

    optimizer = torch.optim.LBFGS(machine.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = energy()
        value.backward()
        return value

    optimizer.step(closure)
    assert torch.allclose(machine.weight, torch.from_numpy(solved.coef_), atol=1e-2, rtol=1e-2)
    assert torch.allclose(machine.bias, torch.from_numpy(solved.intercept_), atol=1e-2, rtol=1e-2)
    lowest = energy().item()
    with torch.no_grad():
        machine.weight.copy_(torch.from_numpy(solved.coef_))
        machine.bias.copy_(torch.from_numpy(solved.intercept_))
    assert energy().item() == pytest.approx(lowest, rel=1e-3)


def test_nobody_is_on_both_sides_and_everybody_is_left_out_once() -> None:
    seen, parts = table(), []
    for rest, part in left_out(seen):
        assert not set(seen.subject[rest].tolist()) & set(seen.subject[part].tolist())
        assert len(rest) + len(part) == len(seen)
        parts += part.tolist()
    assert sorted(parts) == list(range(len(seen)))


def test_of_equally_good_ones_the_smallest_c_is_taken() -> None:
    assert fitted(table(noise=0.0)).best_params_["linearsvc__C"] == TRIED[0]


def test_a_c_is_chosen_that_tells_people_left_out() -> None:
    seen = table(people=8, each=30, noise=0.3)
    found = fitted(seen)
    assert found.best_params_["linearsvc__C"] in TRIED
    assert found.score(seen.features.numpy(), seen.label.numpy()) > 0.9


def test_two_people_are_enough() -> None:
    assert len([*left_out(table(people=2))]) == 2


def test_too_few_people_are_told() -> None:
    with pytest.raises(DataError, match="found 1 to learn from, expected 2 or more"):
        fitted(table(people=1))


def test_a_single_expression_is_told() -> None:
    seen = table()
    alone = Table(seen.features, torch.zeros_like(seen.label), seen.subject)
    with pytest.raises(DataError, match="a single expression remains"):
        fitted(alone)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(ConfigError, match=r'needs scikit-learn.*: pip install -e "\.\[svm\]" in '):
        fitted(table())
