import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import nvn
from nvn.recipe.recipe import Phase
from nvn.training.finite_guard import FiniteGuard, NotFiniteError, copied
from tests.tiny import tiny


class Engine:
    """As much of an engine as a guard looks at."""

    def __init__(self) -> None:
        self.modules = {"G": nn.Linear(1, 1)}
        self.state = SimpleNamespace(iterations={})


def record(step: int, **objectives: float) -> nvn.Record:
    tensors = {name: torch.tensor(value) for name, value in objectives.items()}
    return nvn.Record(step, {"adv": tensors["G"]}, tensors, {})


@pytest.fixture
def phase() -> Phase:
    return tiny().all_phases[-1]


def play(guard: FiniteGuard, phase: Phase, engine: Any, records: list[nvn.Record]) -> None:
    for each in records:
        guard.step_done(phase=phase, record=each, engine=engine)
    guard.phase_finished(phase=phase, engine=engine)


def test_finite_objectives_pass(phase: Phase) -> None:
    play(FiniteGuard(), phase, Engine(), [record(i, G=1e30) for i in range(200)])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_step_and_every_objective_that_is_not_finite_is_named(
    phase: Phase, bad: Any
) -> None:
    records = [record(1, G=0, D=0), record(2, G=bad, D=0, E=bad), record(3, G=bad, D=bad)]
    with pytest.raises(NotFiniteError) as error:
        play(FiniteGuard(), phase, Engine(), records)
    bad = f"the objective of G is {bad} (and the objective of E is {bad}, the energy adv is {bad})"
    assert str(error.value) == f"{bad} at step 2 of phase 'main'."


def test_the_weights_kept_are_copies_and_finite(phase: Phase) -> None:
    engine, guard = Engine(), FiniteGuard()
    guard.run_started(engines={"main": engine})  # type: ignore[dict-item]
    before = copied(engine.modules)
    nn.init.constant_(engine.modules["G"].weight, math.nan)
    with pytest.raises(NotFiniteError):
        play(guard, phase, engine, [record(1, G=math.nan)])
    assert torch.equal(guard.good["G"]["weight"], before["G"]["weight"])


def test_weights_that_are_not_finite_are_not_kept_though_the_objective_is(phase: Phase) -> None:
    engine, guard = Engine(), FiniteGuard()
    play(guard, phase, engine, [record(1, G=0.0)])
    nn.init.constant_(engine.modules["G"].weight, math.nan)
    with pytest.raises(NotFiniteError, match=r"G\.weight is not finite after step"):
        play(guard, phase, engine, [record(2, G=0.0)])
    assert torch.isfinite(guard.good["G"]["weight"]).all()
