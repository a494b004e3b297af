"""Playing a game twice: by the engine, and by the loop that was ejected, where nvn is not."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
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
    moved: bool = True,
) -> str:
    """Play a plan by its engine, and by its loop on copies; hold the two to the same bits.

    Args:
        plan: What to play.
        optimizers: How to step.
        batches: Makes the data: the same each time.
        steps: How many iterations.
        said: What the caller of the loop says of moves with a condition.
        moved: Whether everybody who can is to have moved: equality of idle modules proves nothing.

    Returns:
        The loop's source.
    """
    modules = {player.name: player.module for player in plan.graph.players}
    copies = copy.deepcopy(modules)
    before = {name: copy.deepcopy(module.state_dict()) for name, module in modules.items()}
    source = nvn.eject(plan, optimizers, next(batches()), steps=steps)
    engine = nvn.Engine(plan, optimizers)
    supply = batches()
    for _ in range(steps):
        engine.step(supply if takes_several(source) else next(supply))
    loop = loaded(source)
    play_alone(loop, copies, batches(), steps=steps, said=said, plan=plan)
    assert_same(copies, modules)
    if moved:
        assert_moved(before, modules, {p.name for p in plan.schedule.players})
    return source


def takes_several(source: str) -> bool:
    return "batches: Iterator" in source


def play_alone(
    loop: ModuleType,
    modules: Mapping[str, nn.Module],
    batches: Iterator[Mapping[str, Any]],
    *,
    steps: int,
    said: Callable[[int], Mapping[str, bool]],
    plan: nvn.Plan,
) -> None:
    """Play the loop alone, where nvn cannot be imported."""
    for player in plan.graph.players:
        modules[player.name].train(not player.frozen)
    given: dict[str, Any] = {}
    optimizers = loop.make_optimizers(modules)
    if hasattr(loop, "make_schedulers"):
        given["schedulers"] = loop.make_schedulers(optimizers)
    if hasattr(loop, "Counters"):
        given["counters"] = loop.Counters(seed=0)
    if hasattr(loop, "make_pasts"):
        given["pasts"] = loop.make_pasts(modules)
    state = torch.get_rng_state()
    with without_nvn():
        for step in range(steps):
            data = batches if "batches" in signature(loop.train_step).parameters else next(batches)
            loop.train_step(modules, optimizers, data, step, **given, **said(step))
    assert torch.equal(state, torch.get_rng_state()), "the global random stream was drawn from"


def assert_same(ours: Mapping[str, nn.Module], theirs: Mapping[str, nn.Module]) -> None:
    """Parameters and buffers are the same bits."""
    for name, module in theirs.items():
        state = ours[name].state_dict()
        for key, value in module.state_dict().items():
            assert torch.equal(state[key], value), f"{name}.{key} differs"


def assert_moved(
    before: Mapping[str, Mapping[str, Any]], modules: Mapping[str, nn.Module], players: set[str]
) -> None:
    """The players are not where they began."""
    for name in players:
        state = modules[name].state_dict()
        assert not all(torch.equal(value, state[key]) for key, value in before[name].items()), name
