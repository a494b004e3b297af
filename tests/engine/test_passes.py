"""Pulls: one call of autograd each, that starts, mixes and ends as it is told to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nvn.engine.frame import Frame, Point
from nvn.engine.passes import amount_of, bound_pull, can_learn, scaling
from nvn.planner.instructions import Factor, Pull

ONE = (Factor(1.0),)


def frame(*slots: Any, step: int = 0) -> Frame:
    made = Frame(Point(0, step, 0, 0, {}))
    made.slots = [*slots, None, None]
    return made


def parameter(*numbers: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(numbers))


def pull(**parts: Any) -> Pull:
    empty: dict[str, Any] = {"seeds": (), "cotangents": (), "players": (), "leaves": ()}
    return Pull(label="P", retain=False, **(empty | parts))


def run(instruction: Pull, on: Frame, **players: nn.Parameter) -> dict[str, list[Tensor | None]]:
    """Run a pull; return the gradients it has found."""
    bound_pull(instruction, {p: [own] for p, own in players.items()}, lambda *_: None)(on)
    return on.gradients


# --- what things are multiplied by ------------------------------------------------------------


def test_numbers_are_added_up_once() -> None:
    assert scaling((Factor(0.5), Factor(2.0))) == 2.5


def test_functions_see_the_step() -> None:
    scale = scaling((Factor(3.0, (float,)), Factor(1.0)))
    assert [amount_of(scale, frame(step=step)) for step in (0, 2)] == [1.0, 7.0]


def test_values_multiply() -> None:
    scale = scaling((Factor(2.0, (lambda step: step + 1.0,), (0, 1)),))
    amount = amount_of(scale, frame(torch.tensor(3.0), torch.tensor(5.0), step=1))
    assert float(amount) == 2.0 * 2.0 * 3.0 * 5.0


def test_what_a_gradient_can_be_taken_of() -> None:
    assert can_learn(torch.ones(1))
    assert can_learn(torch.ones(1, dtype=torch.complex64))
    assert not can_learn(torch.ones(1, dtype=torch.long))


# --- pulls ------------------------------------------------------------------------------------


def test_a_pass_starts_with_weights_and_ends_at_players_times_factors() -> None:
    """(2·w² + 3·w) at w = 5, and half of it for Q, who has the same parameter."""
    w = parameter(5.0)
    on = frame(w.square().sum(), w.sum())
    seeds = ((0, (Factor(2.0),)), (1, (Factor(3.0),)))
    found = run(pull(seeds=seeds, players=(("P", ONE), ("Q", (Factor(0.5),)))), on, P=w, Q=w)
    assert {p: g[0].tolist() for p, g in found.items() if g[0] is not None} == {
        "P": [23.0],
        "Q": [11.5],
    }


def test_several_passes_add_up() -> None:
    w = parameter(1.0)
    on = frame(3 * w.sum())
    on.gradients["P"] = [torch.tensor([10.0])]
    assert run(pull(seeds=((0, ONE),), players=(("P", (Factor(-1.0),)),)), on, P=w) == {
        "P": [torch.tensor([7.0])]
    }


def test_a_pass_ends_at_leaves_and_the_next_goes_on_from_them() -> None:
    """d(w²)²/dw by hand: cut in the middle, −2 times what arrives there."""
    w = parameter(3.0)
    middle = w.square()
    leaf = middle.detach().requires_grad_()
    on = frame(middle, leaf, leaf.square().sum())
    run(pull(seeds=((2, ONE),), leaves=((1, 3),)), on)
    assert [t.tolist() for t in on.slots[3]] == [[18.0]]
    mixed = ((0, ((3, (Factor(-2.0),)),)),)
    assert run(pull(cotangents=mixed, players=(("P", ONE),)), on, P=w) == {
        "P": [torch.tensor([-2.0 * 18.0 * 6.0])]
    }


def test_leaves_may_be_trees_and_some_of_them_unused() -> None:
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    on = frame({"a": a, "n": torch.tensor(3), "b": b}, (2 * a).sum())
    run(pull(seeds=((1, ONE),), leaves=((0, 2),)), on)
    found = on.slots[2]
    assert found[1] is None
    assert found[0].tolist() == [2.0, 2.0]


def test_cotangents_of_nothing_are_left_out() -> None:
    """A way that no pass has come by adds nothing, and starts nothing."""
    w = parameter(2.0)
    made = w.square()
    on = frame(made, [None], [torch.tensor([1.0])])
    mixed = ((0, ((1, ONE), (2, ONE))),)
    assert run(pull(cotangents=mixed, players=(("P", ONE),)), on, P=w) == {
        "P": [torch.tensor([4.0])]
    }
    assert run(pull(cotangents=((0, ((1, ONE),)),), players=(("P", ONE),)), on, Q=w, P=w)


def test_energies_without_a_graph_start_nothing() -> None:
    w = parameter(2.0)
    on = frame(torch.tensor(1.0), w.sum())
    seeds = ((0, ONE), (1, ONE))
    assert run(pull(seeds=seeds, players=(("P", ONE),)), on, P=w) == {"P": [torch.tensor([1.0])]}


def test_a_pull_is_one_call_of_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    plain = torch.autograd.grad

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs["retain_graph"])
        return plain(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    w = parameter(2.0)
    made = w.square()
    on = frame(made, [torch.tensor([1.0])], w.sum())
    both = pull(seeds=((2, ONE),), cotangents=((0, ((1, ONE),)),), players=(("P", ONE),))
    assert run(both, on, P=w) == {"P": [torch.tensor([5.0])]}
    assert calls == [False]
