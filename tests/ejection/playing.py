"""Playing a game twice: by the engine, and by the loop that was ejected, where nvn is not."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from types import ModuleType
from typing import Any

import torch
from torch import nn

import nvn

Batches = Callable[[], Iterator[Mapping[str, Any]]]


@contextmanager
def without_nvn() -> Iterator[None]:
    """Let every import of nvn fail."""
    held = {name: m for name, m in sys.modules.items() if name.partition(".")[0] == "nvn"}
    for name in held:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.update(held)


def loaded(source: str) -> ModuleType:
    """The module that a source is, where there is no nvn."""
    module = ModuleType("ejected")
    sys.modules["ejected"] = module  # dataclasses look their module up
    with without_nvn():
        exec(compile(source, "ejected.py", "exec"), vars(module))
    return module


def play_both(
    plan: nvn.Plan,
    optimizers: Any,
    batches: Batches,
    *,
    steps: int = 20,
    said: Callable[[int], Mapping[str, bool]] = lambda step: {},
    source: str | None = None,
) -> str:
    """Play a plan by its engine, and by its loop on copies; hold the two to the same bits."""
    modules = {player.name: player.module for player in plan.graph.players}
    copies = copy.deepcopy(modules)
    source = source or nvn.eject(plan, optimizers, next(batches()), steps=steps)
    before = {name: copy.deepcopy(module.state_dict()) for name, module in modules.items()}
    engine = nvn.Engine(plan, optimizers)
    supply = batches()
    several = any(f"batches: {each}" in source for each in ("Iterator",))
    for step in range(steps):
        engine.step(supply if several else next(supply))
        del step
    play_alone(plan, copies, optimizers, source, batches(), steps, said)
    assert_same(copies, modules)
    assert not same(before, {name: m.state_dict() for name, m in modules.items()}), "nobody moved"
    return source


def play_alone(
    plan: nvn.Plan,
    modules: Mapping[str, nn.Module],
    optimizers: Any,
    source: str,
    batches: Iterator[Mapping[str, Any]],
    steps: int,
    said: Callable[[int], Mapping[str, bool]],
) -> None:
    """Play the loop alone."""
    for player in plan.graph.players:
        modules[player.name].train(not player.frozen)
    loop = loaded(source)
    given: dict[str, Any] = {}
    if hasattr(loop, "make_optimizers"):
        steppers = loop.make_optimizers(modules)
    else:
        (engine,) = [nvn.Engine(plan_of(plan, modules), optimizers)]
        steppers = {key: made.optimizer for key, made in engine.state.optimizers.items()}
    if "schedulers:" in source:
        given["schedulers"] = loop.make_schedulers(steppers)
    if "counters:" in source:
        given["counters"] = loop.Counters(seed=0)
    several = "batches: Iterator" in source
    state = torch.get_rng_state()
    with without_nvn():
        for step, batch in enumerate(islice(batches, steps) if not several else range(steps)):
            data = batches if several else batch
            loop.train_step(modules, steppers, data, step, **given, **said(step))
    assert torch.equal(state, torch.get_rng_state()), "the global random stream was drawn from"


def plan_of(plan: nvn.Plan, modules: Mapping[str, nn.Module]) -> nvn.Plan:
    """The same plan, of other modules."""
    made: nvn.Plan = copy.deepcopy(
        plan, {id(p.module): modules[p.name] for p in plan.graph.players}
    )
    return made


def assert_same(ours: Mapping[str, nn.Module], theirs: Mapping[str, nn.Module]) -> None:
    """Parameters and buffers are the same bits."""
    for name, module in theirs.items():
        state = ours[name].state_dict()
        for key, value in module.state_dict().items():
            assert torch.equal(state[key], value), f"{name}.{key} differs"


def same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return all(
        torch.equal(value, theirs[name][key])
        for name, state in ours.items()
        for key, value in state.items()
    )
