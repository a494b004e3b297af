"""The Self-Cure Network: its energies by hand, and what it learns from when."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from nvn_recipes import expression_scn
from nvn_recipes.groupgan.comparators.selfcure import (
    From,
    Ranks,
    Relabeling,
    SelfCuring,
    Until,
    important,
    weighted,
)
from torch import Tensor, tensor

import nvn
from nvn.energies.classification import mean_cross_entropy
from nvn.recipe.build import make_engines, make_plans
from nvn.recipe.groups import settings
from tests.golden.curves import Pictures

TINY = {
    "data": {"subjects": 10, "levels": 1, "size": 16},
    "networks": {"width": 4, "features": 8},
    "training": {"batch": 6, "steps": 6},
}


def config(**rules: Any) -> expression_scn.Config:
    return expression_scn.Config.build(settings={**TINY, "game": rules})


# --- the energies ---


def test_weighted_cross_entropy_by_hand() -> None:
    logits, importance = tensor([[2.0, 0.0], [0.0, 4.0]]), tensor([0.5, 0.25])
    found = mean_cross_entropy(weighted(logits, importance), tensor([0, 0]))
    e = math.e
    expected = -(math.log(e / (e + 1)) + math.log(1 / (1 + e))) / 2  # α·W x: (1, 0) and (0, 1)
    assert found.item() == pytest.approx(expected)


def test_what_is_not_important_pulls_little() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    mean_cross_entropy(weighted(logits, tensor([1.0, 0.01])), tensor([0, 0])).backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad[1], 0.01 * logits.grad[0])


def test_ranks_by_hand() -> None:
    ranks = Ranks(share=0.75, margin=0.3)
    # The three largest: 0.9, 0.6 and 0.6; the other: 0.5.
    assert ranks(tensor([0.6, 0.5, 0.9, 0.6])).item() == pytest.approx(0.3 - (0.7 - 0.5))
    assert ranks(tensor([0.9, 0.1, 0.9, 0.9])).item() == 0  # far enough apart


def test_ranks_push_the_groups_apart() -> None:
    importance = tensor([0.6, 0.5, 0.9, 0.6], requires_grad=True)
    Ranks(0.75, 0.3)(importance).backward()
    assert importance.grad is not None
    assert importance.grad.tolist() == pytest.approx([-1 / 3, 1, -1 / 3, -1 / 3])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.7, 0.99])
@pytest.mark.parametrize("count", [2, 3, 10])
def test_ties_have_finite_gradients(share: float, count: int) -> None:
    importance = torch.full((count,), 0.5, requires_grad=True)
    cost = Ranks(share, 0.15)(importance)
    cost.backward()
    assert cost.item() == pytest.approx(0.15)
    assert importance.grad is not None
    assert importance.grad.isfinite().all()
    assert importance.grad.sum().item() == pytest.approx(0, abs=1e-6)


def test_a_batch_of_one_has_no_ranks() -> None:
    importance = tensor([0.4], requires_grad=True)
    cost = Ranks(0.7, 0.15)(importance)
    cost.backward()
    assert cost.item() == 0
    assert importance.grad is not None
    assert importance.grad.tolist() == [0]
    assert Relabeling(0.7, 0.0)(tensor([0]), tensor([[0.0, 9.0]]), importance).tolist() == [0]


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(10, 0.7, 7), (10, 0.99, 9), (10, 0.01, 1), (2, 0.7, 1)]
)
def test_each_group_has_a_member(count: int, share: float, expected: int) -> None:
    assert important(count, share) == expected


def logits_of(*likelihoods: list[float]) -> Tensor:
    return tensor(likelihoods).log()


def test_labels_are_replaced_where_a_class_is_likelier_by_the_margin() -> None:
    logits = logits_of([0.1, 0.9], [0.1, 0.9], [0.41, 0.59], [0.9, 0.1])
    importance = tensor([0.9, 0.2, 0.1, 0.3])
    label = tensor([0, 0, 0, 0])
    # Doubted: all but the most important. 0.59 − 0.41 is less than the margin; 0.9 is the label's.
    assert Relabeling(0.25, 0.2)(label, logits, importance).tolist() == [0, 1, 0, 0]
    assert Relabeling(0.25, 0.1)(label, logits, importance).tolist() == [0, 1, 1, 0]
    assert Relabeling(0.75, 0.1)(label, logits, importance).tolist() == [0, 0, 1, 0]
    assert label.tolist() == [0, 0, 0, 0]


def test_relabeling_ties_doubt_as_many() -> None:
    logits = logits_of(*[[0.1, 0.9]] * 10)
    found = Relabeling(0.7, 0.2)(torch.zeros(10, dtype=torch.long), logits, torch.full((10,), 0.5))
    assert found.sum().item() == 3


def test_weights_change_at_a_step() -> None:
    assert [Until(2)(step) for step in range(4)] == [1, 1, 0, 0]
    assert [From(2)(step) for step in range(4)] == [0, 0, 1, 1]


# --- the network and the game ---


def test_the_network_says_how_important_each_picture_is() -> None:
    network = config().network(SelfCuring)
    features = network(torch.randn(5, 3, 16, 16))
    importance = network.importance(features)
    assert network.recognize(features).shape == (5, 6)
    assert importance.shape == (5,)
    assert ((importance > 0) & (importance < 1)).all()


def test_the_objective_is_gamma_ranks_and_the_rest_expression() -> None:
    C = expression_scn.recipe(config(rank_weight=0.3)).game.players["C"]
    found = {str(t.energy): (t.weight.factor, t.weight.symbols) for t in C.objective.terms}
    assert found == {
        "ranks(importance)": (0.3, ()),
        "cross_entropy(answer, label)": (0.7, (Until(3),)),
        "cross_entropy(answer, corrected)": (0.7, (From(3),)),
    }


def test_the_defaults_are_the_articles() -> None:
    default = expression_scn.Config().game
    assert (default.share, default.rank_margin) == (0.7, 0.15)
    assert (default.relabel_margin, default.rank_weight) == (0.2, 0.5)


@pytest.mark.parametrize("preset", ["quick", "gpu", "paper"])
def test_presets_are_complete(preset: str) -> None:
    chosen = expression_scn.Config.build(
        preset, settings={"networks": {"width": 4, "backbone_width": 1 / 16}}
    )
    assert [*make_plans(expression_scn.recipe(chosen))] == ["main"]
    assert all(each.field.description for each in settings(expression_scn.Config))


def batch() -> dict[str, Tensor]:
    pictures = next(iter(Pictures(16)))
    return {k: v.float() if v.is_floating_point() else v for k, v in pictures.items()}


def test_labels_are_believed_first_and_then_corrected() -> None:
    engine = make_engines(expression_scn.recipe(config()))["main"]
    records = [engine.step(batch()) for _ in range(6)]
    given, corrected = "cross_entropy(answer, label)", "cross_entropy(answer, corrected)"
    assert [given in r.energies for r in records] == [True] * 3 + [False] * 3
    assert [corrected in r.energies for r in records] == [False] * 3 + [True] * 3
    assert all(math.isfinite(x) for r in records for x in r.objectives.values())


def test_its_gradient_is_that_of_the_energies_by_hand() -> None:
    recipe = expression_scn.recipe(config(relabel_after=0.0, relabel_margin=0.0, share=0.5))
    recipe.game.players["C"].module.trunk.dense[1].p = 0.0  # a mask would be drawn twice
    engine = make_engines(recipe)["main"]
    seen = batch()
    network = engine.modules["C"].train()
    x = network(seen["weak"])
    importance = network.importance(x)
    answer = importance[:, None] * network.recognize(x)
    ranked, order = importance.sort(descending=True)
    label = seen["label"].clone()
    label[order[3:]] = answer.argmax(dim=1)[order[3:]]  # the three that are not important
    assert not torch.equal(label, seen["label"])
    ranks = (0.15 - ranked[:3].mean() + ranked[3:].mean()).clamp(min=0)
    cost = 0.5 * ranks + 0.5 * torch.nn.functional.cross_entropy(answer, label)
    expected = torch.autograd.grad(cost, [*network.parameters()])
    found = engine.gradients(seen, [recipe.game.players["C"]])["C"]
    for one, other in zip(found.values(), expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVN_CACHE", str(tmp_path / "cache"))
    run = nvn.train(lambda: expression_scn.recipe(config()), out=tmp_path / "run")
    assert [*run.metrics["recognition"]] == ["accuracy (%)"]
    assert list((tmp_path / "run/images").glob("confusion-*.png"))
