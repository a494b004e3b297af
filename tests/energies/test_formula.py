"""Each function of the library is the formula that it carries: to the bit, values and gradients."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nvn import energies as en
from nvn.energies import classification, penalties, reconstruction
from nvn.energies.adversarial import LogitLoss, PairedLoss
from nvn.energies.formula import Formula, formula_of, mean_of
from nvn.engine.runtime import tensors

PAGE = Path(__file__).parents[2] / "docs" / "declaring.md"


def named(x: Any) -> str:
    """Name a case, without addresses: workers have to agree on names."""
    return re.sub(r" at 0x\w+", "", str(x))[:40]


FAMILIES = [
    en.Minimax(),
    en.NonSaturating(),
    en.Hinge(),
    en.LeastSquares(),
    en.LeastSquares(a=-1.0, b=1.0, c=0.0),
    en.Wasserstein(),
]
PARTS = ("real", "fake", "fool")


def logit_loss(family: en.Family, part: str) -> LogitLoss | None:
    method = getattr(type(family), f"on_{part}", None)
    return None if method is None else LogitLoss(family, method)


def random(*shape: int, seed: int = 0) -> Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (5 * made).requires_grad_()


LABELS = torch.tensor([0, 2, 1, 1])
FUNCTIONS: list[tuple[Callable[..., Tensor], dict[str, Any]]] = [
    (reconstruction.mean_absolute_error, {"a": random(4, 3), "b": random(4, 3, seed=1)}),
    (reconstruction.mean_squared_error, {"a": random(4, 3), "b": random(4, 3, seed=1)}),
    (reconstruction.mean_squared_distance, {"a": random(4, 3), "b": random(4, 3, seed=1)}),
    (reconstruction.sum_of_squared_errors, {"a": random(4, 3), "b": random(4, 3, seed=1)}),
    (reconstruction.squared_distance_of_means, {"a": random(4, 3), "b": random(7, 3, seed=1)}),
    (penalties.half_squared_norm, {"g": random(4, 3, 2)}),
    (penalties.squared_excess_of_norm, {"g": random(4, 3, 2)}),
    (penalties.squared_excess_of_norm, {"g": random(4), "target": 0.5}),
    (
        penalties.between,
        {"real": random(4, 3, 2), "fake": random(4, 3, 2, seed=1), "weights": random(4, seed=2)},
    ),
    (classification.mean_cross_entropy, {"logits": random(4, 3), "labels": LABELS}),
    (
        classification.mean_cross_entropy,
        {"logits": random(4, 3), "labels": random(4, 3, seed=1), "label_smoothing": 0.1},
    ),
    (PairedLoss("critic"), {"winner": random(4, 1), "loser": random(4, 1, seed=1)}),
    *(
        (found, {"logits": random(4, 2, 2, seed=i)})
        for i, family in enumerate(FAMILIES)
        for part in PARTS
        if (found := logit_loss(family, part)) is not None
    ),
]
MANY: list[tuple[Callable[..., Tensor], dict[str, Any]]] = [
    (
        fn,
        {name: [random(4, 3, seed=i), (random(4, 2, seed=i + 9),)] for i, name in enumerate(given)},
    )
    for fn, given in FUNCTIONS
    if fn in (reconstruction.sum_of_squared_errors, reconstruction.squared_distance_of_means)
]
MANY += [
    (fn, {name: [random(4, 3, seed=i), random(4, 2, seed=i + 9)] for i, name in enumerate(given)})
    for fn, given in FUNCTIONS
    if isinstance(fn, LogitLoss | PairedLoss)
]


def evaluated(formula: Formula, arguments: dict[str, Any], *, trees: bool = False) -> Tensor:
    names = {**formula.names, **arguments, "torch": torch, "F": F, "tensors": tensors}
    written = formula.written({name: name for name in arguments}, trees=trees)
    result = eval(written, names)
    assert isinstance(result, Tensor)
    return result


def assert_same(found: Tensor, expected: Tensor, arguments: dict[str, Any]) -> None:
    assert torch.equal(found, expected)
    leaves = [t for t in tensors(arguments) if t.requires_grad]
    for ours, theirs in zip(
        torch.autograd.grad(found.sum(), leaves),
        torch.autograd.grad(expected.sum(), leaves),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("fn", "arguments"), FUNCTIONS, ids=named)
def test_a_function_is_its_formula(fn: Callable[..., Tensor], arguments: dict[str, Any]) -> None:
    formula = formula_of(fn, arguments)
    assert formula is not None
    assert_same(evaluated(formula, arguments), fn(**arguments), arguments)


@pytest.mark.parametrize(("fn", "arguments"), MANY, ids=named)
def test_so_it_is_of_scales_and_layers(
    fn: Callable[..., Tensor], arguments: dict[str, Any]
) -> None:
    formula = formula_of(fn, arguments)
    assert formula is not None
    assert_same(evaluated(formula, arguments, trees=True), fn(**arguments), arguments)


def test_every_function_of_the_library_has_one() -> None:
    """But for those that are made of values, and call one of the others."""
    modules = (reconstruction, penalties, classification)
    functions = [
        fn
        for module in modules
        for name, fn in vars(module).items()
        if getattr(fn, "__module__", "") == module.__name__ and "Tensor" in str(fn.__annotations__)
        if not name.startswith("_") and name != "blended"
    ]
    assert {fn for fn in functions if not hasattr(fn, "formulas")} == set()
    assert {*functions} - {fn for fn, _ in FUNCTIONS} == {penalties.uniform_weights}


def test_uniform_weights_are_their_formula() -> None:
    batch = {"x": torch.zeros(5, 2)}
    seeded = [torch.Generator().manual_seed(3) for _ in range(2)]
    formula = formula_of(penalties.uniform_weights, ("generator", "batch"))
    assert formula is not None
    found = evaluated(formula, {"generator": seeded[0], "batch": batch})
    assert torch.equal(found, penalties.uniform_weights(seeded[1], batch))


# --- families of one's own ----------------------------------------------------------------------

STEEPNESS = 3.0


@dataclass(frozen=True)
class Own(en.ZeroSum):
    """A family of one's own: one method is a line, the other is not."""

    margin: float = 0.5

    def on_real(self, logits: Tensor) -> Tensor:
        """A line."""
        return -STEEPNESS * (self.margin - logits).exp()

    def on_fake(self, logits: Tensor) -> Tensor:
        shifted = logits + self.margin
        return shifted.exp()


def test_a_family_of_ones_own_has_formulas_where_its_methods_are_one_line() -> None:
    found = mean_of(Own.on_real, Own(0.25))
    assert found is not None
    assert found.expression == "(-STEEPNESS * (0.25 - logits).exp()).mean()"
    assert found.names == {"STEEPNESS": STEEPNESS}
    assert mean_of(Own.on_fake, Own()) is None
    assert LogitLoss(Own(), Own.on_fake).formulas == ()


def test_trees_are_for_those_that_take_them() -> None:
    formula = formula_of(reconstruction.mean_squared_error, ("a", "b"))
    assert formula is not None
    with pytest.raises(ValueError, match="not of trees"):
        formula.written({"a": "x", "b": "y"}, trees=True)


# --- the docs -----------------------------------------------------------------------------------

SHOWN = [
    ("l1", reconstruction.mean_absolute_error, "ab"),
    ("mse", reconstruction.mean_squared_error, "ab"),
    ("l2", reconstruction.mean_squared_distance, "ab"),
    ("perceptual", reconstruction.sum_of_squared_errors, "ab"),
    ("feature_matching", reconstruction.squared_distance_of_means, "ab"),
    ("r1, r2", penalties.half_squared_norm, "g"),
    ("gradient_penalty", penalties.squared_excess_of_norm, "g"),
    ("RelativisticPaired", PairedLoss("critic"), ("winner", "loser")),
]


def table() -> str:
    """The formulas, as the page has them."""
    lines = ["| family | `real` | `fake` | `fool` |", "| --- | --- | --- | --- |"]
    for family in (f for f in FAMILIES if f != en.LeastSquares(-1.0, 1.0, 0.0)):
        cells = [type(family).__name__]
        for part in PARTS:
            found = logit_loss(family, part)
            cells.append(f"`{found.formulas[0].expression}`" if found else "−`fake`")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| energy | formula |", "| --- | --- |"]
    for name, fn, given in SHOWN:
        formula = formula_of(fn, tuple(given))
        assert formula is not None
        lines.append(f"| {name} | `{formula.expression}` |")
    formula = formula_of(classification.mean_cross_entropy, ("logits", "labels"))
    assert formula is not None
    lines.append(f"| cross_entropy | `{formula.expression}` |")
    return "\n".join(lines)


def test_the_formulas_in_the_docs_are_these() -> None:
    pattern = r"<!-- the formulas that energies carry -->\n(.*?)\n\n`player"
    (shown,) = re.findall(pattern, PAGE.read_text(), re.DOTALL)
    assert shown == table(), table()
