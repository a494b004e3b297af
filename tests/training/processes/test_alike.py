"""Processes that are not alike are named, with what differs."""

from functools import partial

import pytest
import torch

import nvn
from nvn.data import Share
from nvn.errors import RunError
from nvn.recipe.build import PhaseData
from nvn.recipe.loading import load_recipe
from nvn.training.fabric import make_fabric
from nvn.training.processes.alike import data_facts, differences, facts_of
from nvn.training.processes.orders import Facts
from tests.tiny import tiny


def of(recipe: nvn.Recipe, seed: int = 0, origin: str | None = None) -> Facts:
    return facts_of(recipe, make_fabric("cpu"), {"seed": seed}, origin)


def test_the_same_is_the_same() -> None:
    differences(of(tiny()), {1: of(tiny()), 2: of(tiny())})


def test_what_differs_is_named() -> None:
    with pytest.raises(RunError) as error:
        differences(of(tiny()), {1: of(tiny()), 2: of(tiny(name="other"), seed=3)})
    said = str(error.value)
    assert "process 2 (" in said
    assert "process 1" not in said
    assert "the recipe's name is other; in process 0" in said
    assert "the argument seed is 3" in said
    assert "nothing was trained" in said


def test_other_players_and_plans_are_named() -> None:
    larger, without = tiny(), tiny(phases=[])
    larger.game.players["G"].module.register_buffer("more", torch.zeros(2))
    with pytest.raises(RunError, match="the tensors of G is 2, of shapes"):
        differences(of(tiny()), {1: of(larger)})
    with pytest.raises(RunError, match="the plan of 'warmup' is missing"):
        differences(of(tiny()), {1: of(without)})


def test_other_code_is_named_where_both_have_it() -> None:
    load_recipe("gaussians")
    facts = of(tiny(), origin="gaussians")
    assert "gaussians.py" in facts.code
    changed = Facts("there", facts.facts, {**facts.code, "gaussians.py": "0" * 12, "late.py": "1"})
    with pytest.raises(RunError, match=r"the code of gaussians.py is 0{12}; in process 0"):
        differences(facts, {1: changed})
    differences(facts, {1: Facts("there", facts.facts, {"late.py": "1"})})


def test_a_game_with_problems_is_compared_as_well() -> None:
    """Its problems are told later, once."""
    broken = tiny()
    broken.game.player("idle", torch.nn.Linear(1, 1))
    differences(of(broken), {1: of(broken)})


def test_other_data_are_named() -> None:
    data = [{"x": torch.full((2, 3), float(i))} for i in range(4)]
    here = partial(_described, share=Share(0, 2))
    differences(here(data), {1: _described(data, Share(1, 2))})
    for other in (data[:3], [*reversed(data)]):
        with pytest.raises(RunError, match="the data of phase 'main' is . batches, the first one"):
            differences(here(data), {1: _described(other, Share(1, 2))})


def _described(data: list[dict[str, torch.Tensor]], share: Share) -> Facts:
    recipe = tiny(data=data)
    return data_facts(recipe, PhaseData(recipe, share=share))


def test_many_differences_are_not_all_shown() -> None:
    first = Facts("a", {str(i): "x" for i in range(50)}, {})
    with pytest.raises(RunError, match="… and 30 more"):
        differences(first, {1: Facts("b", {}, {})})
