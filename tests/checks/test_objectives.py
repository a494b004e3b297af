"""Objectives that move nobody, or by no number: each problem alone."""

import math

import pytest
import torch

import nvn
from tests.small import gan, linear, mean, problem

HERE = "test_objectives.py:"


def test_an_objective_that_does_not_depend_on_its_player(game: nvn.Game, x: nvn.Value) -> None:
    G, D = game.player("G", linear()), game.player("D", linear())
    G.minimizes(2 * mean(D(x)))
    D.minimizes(mean(D(G(x).stop_gradient())) + mean(D(x)))
    found = problem(game, D, G)
    assert found.where == "`G.minimizes(…)`"
    assert found.found == "`G` minimises `2 mean(D(x))`, which does not depend on it"
    assert found.expected == "an energy computed from a call of `G`, no stop_gradient between"


def test_a_goal_that_does_not_depend_on_who_moves() -> None:
    small = gan()
    found = problem(small.game, small.D, small.G, nvn.move(small.G, toward=small.judge))
    assert found.where.startswith(HERE)
    assert found.where.endswith("a move of `G`")
    assert "`G` minimises `judge`, which does not depend on it" in found.found


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, torch.inf])
def test_a_weight_that_is_not_finite(game: nvn.Game, x: nvn.Value, weight: float) -> None:
    G = game.player("G", linear())
    G.minimizes(weight * mean(G(x)))
    found = problem(game, G)
    assert found.where == "`G.minimizes(…)`"
    assert found.found == f"the weight {weight} on `mean(G(x))`"
    assert found.expected == "a finite weight"


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_step_function_that_is_not_finite_is_found_when_it_is_so(weight: float) -> None:
    def explode(step: int) -> float:
        return 1.0 if step < 2 else weight

    small = gan()
    small.G.minimizes(explode * mean(small.fake))
    engine = small.engine()
    batch = {"x": torch.ones(2, 3)}
    engine.step(batch)
    engine.step(batch)
    with pytest.raises(
        nvn.NvnError, match=rf"explode\(step\) of `G` on .* is {weight} in iteration 2"
    ):
        engine.step(batch)
