"""Differences of features, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from matplotlib.figure import Figure
from nvn_recipes.groupgan.evaluation import differences
from nvn_recipes.groupgan.evaluation.differences import (
    Differences,
    by_lot,
    lit_share,
    scaled,
    shape_of,
)
from nvn_recipes.groupgan.evaluation.figures import picture
from torch import Tensor

from tests.recipes.groupgan.evaluation.seen import flat_pairs, seeing, unseen
from tests.recipes.groupgan.some import some_pairs

PAIRS = flat_pairs(
    weak=[0.2, -0.2, 0.2], peak=[1.0, 1.0, 1.0], label=[1, 1, 0], classes=("calm", "happy", "no")
)


def four(pictures: Tensor) -> Tensor:
    """Features (N, 4) that differ by 1, 0.5, 0.05 and 0 of their span between −0.2 and 0.2."""
    return pictures.flatten(1).mean(dim=1, keepdim=True) * torch.tensor([1.0, 0.5, 0.05, 0.0])


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return figures as they are, not as pictures."""
    monkeypatch.setattr(differences, "picture", lambda figure: figure)


def lit(figure: Figure) -> list[list[float]]:
    """The cells of each network, in the order in which they are drawn."""
    shown = [each.collections[0].get_array() for each in figure.axes if each.collections]
    return [array.compressed().tolist() for array in shown]


@pytest.mark.parametrize(("threshold", "expected"), [(0.1, 2), (0.6, 1), (0.01, 3)])
def test_what_differs_by_more_than_the_threshold_is_lit(threshold: float, expected: int) -> None:
    engine, weak, (features,) = seeing(four)
    drawn = Differences(unseen(PAIRS), weak, {"E": features}, threshold)(engine)
    (cells,) = lit(drawn)  # one class has two people
    assert cells == [1.0] * expected + [0.0] * (4 - expected)
    assert drawn.axes[2].get_xlabel() == f"{expected} of 4 lit, {25 * expected:.1f} %"
    assert drawn.axes[2].yaxis_inverted()  # the first feature is above


def test_each_network_has_cells_of_its_own() -> None:
    engine, weak, (features, same) = seeing(four, lambda x: four(x) * 0)
    drawn = Differences(unseen(PAIRS), weak, {"E": features, "dead": same})(engine)
    assert lit(drawn) == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert [each.get_title() for each in drawn.axes] == ["one", "another", "E", "dead"]


def test_it_is_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "picture", picture)
    engine, weak, (features,) = seeing(four)
    assert min(Differences(unseen(PAIRS), weak, {"E": features})(engine).size) > 200


def test_the_unit_and_origin_of_features_do_not_matter() -> None:
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(scaled(features), scaled(40 * features - 7), atol=1e-5)
    assert (scaled(features).min(), scaled(features).max()) == (0, 1)


def test_two_people_are_compared_by_lot() -> None:
    pairs = some_pairs(60, subject=torch.arange(60) // 4)
    alike, unlike = by_lot(pairs)
    for lot in (alike, unlike):
        assert (pairs.subject[lot[:, 0]] != pairs.subject[lot[:, 1]]).all()
    assert (pairs.label[alike[:, 0]] == pairs.label[alike[:, 1]]).all()
    assert (pairs.label[unlike[:, 0]] != pairs.label[unlike[:, 1]]).all()
    assert torch.equal(alike, by_lot(pairs)[0])


def test_the_share_of_lit_cells_is_the_mean_over_couples() -> None:
    features = torch.tensor([[0.0, 0.0], [0.5, 0.05], [1.0, 1.0]])
    assert lit_share(features, torch.tensor([[0, 1], [2, 0]]), 0.1) == 0.75


@pytest.mark.parametrize(
    ("features", "shape"),
    [(256, (8, 32)), (128, (4, 32)), (512, (16, 32)), (6, (2, 3)), (1, (1, 1))],
)
def test_cells_stand_in_rows(features: int, shape: tuple[int, int]) -> None:
    assert shape_of(features) == shape


def test_one_person_cannot_be_compared_and_the_picture_says_so() -> None:
    engine, weak, (features,) = seeing(four)
    alone = unseen(replace(PAIRS, subject=torch.zeros(3, dtype=torch.int64)))
    drawn = Differences(alone, weak, {"E": features})(engine)
    assert not drawn.axes
    assert "no two people" in drawn.texts[-1].get_text()


def test_averages_are_said_of_what_there_is() -> None:
    engine, weak, (features,) = seeing(four)
    two = PAIRS.take(torch.tensor([0, 1]))  # of one class
    said = Differences(unseen(two), weak, {"E": features})(engine).get_suptitle().splitlines()
    assert said[1] == "E: on average lit 50.0 % between two people of one class"
    others = replace(PAIRS, label=torch.tensor([1, 1, 0, 0]), weak=torch.tensor([0, 1, 0, 0]))
    others = replace(others, peak=others.weak, subject=torch.tensor([0, 1, 1, 1]))
    said = Differences(unseen(others), weak, {"E": features})(engine).get_suptitle().splitlines()
    assert said[1].endswith("one class, 0.0 % of different classes")
