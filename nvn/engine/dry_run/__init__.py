"""What is wrong with a game that only a batch can tell: one pass over the graph before training.

The pass is real: on copies of the first batch, whole. Fake tensors would cost less, but whatever a
module or a function keeps of them (in a cache of functools, say) would make training do nothing,
silently; and a few samples of the batch would hide that its tensors don't go together. Modules,
their buffers and modes, and random streams are as before afterwards.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from nvn.engine.dry_run.run import DryRun, Parameters
from nvn.engine.interpreter import Interpreter
from nvn.engine.iteration import device_of
from nvn.engine.module_state import Attributes, preserved_buffers
from nvn.engine.operations import Operations
from nvn.engine.precision import Precision
from nvn.engine.seeding import seeded
from nvn.errors import GameError, GameWarning, Problem
from nvn.game.graph import LossGraph
from nvn.game.ops import Batch, Noise, Sample
from nvn.game.traversal import batch_names
from nvn.game.values import Value
from nvn.streams import python_and_numpy


class Findings(NamedTuple):
    """What a dry run has found out, besides problems.

    Attributes:
        recomputing: The players who compute forward again in backward passes, and change their
            buffers there: activation checkpointing around a BatchNorm does.
        nonlinear: What gradients do not flow through linearly: players, and names of values.
    """

    recomputing: frozenset[str]
    nonlinear: tuple[str, ...]


def check_batch(
    graph: LossGraph,
    needed: Sequence[Value],
    interpreter: Interpreter,
    parameters: Parameters,
    batch: Mapping[str, Any],
) -> Findings:
    """Check a game against a first batch.

    What modules cache meanwhile is the engine's to undo.

    Args:
        graph: The game.
        needed: The nodes to check: what is computed from such a batch.
        interpreter: Computes them.
        parameters: Each player's, by name.
        batch: The batch.

    Returns:
        What the engine has to know of backward passes.

    Raises:
        GameError: Listing every problem: missing names, shapes that don't fit, energies that are
            no scalars, hidden parameters, inputs or parameters changed in place, randomness that
            nothing seeds.

    Warns:
        GameWarning: A module counts something in Python while it runs; pictures are in the range of
            bytes.
    """
    run = DryRun(graph, needed, interpreter, parameters)
    problems, counting = _problems(run, batch)
    for problem in counting:
        warnings.warn(str(problem), GameWarning, stacklevel=5)
    if problems:
        raise GameError(problems, graph.name)
    return Findings(frozenset(run.recomputing), tuple(run.nonlinear))


def batch_problems(
    graph: LossGraph, needed: Sequence[Value], batch: Mapping[str, Any]
) -> list[Problem]:
    """Return what a first batch tells of a game that has no engine yet, or can't have one.

    Args:
        graph: The game; its structure need not be in order.
        needed: The nodes to check. Those that can't be computed are left out, and so is then what
            takes them.
        batch: The batch.
    """
    modules = {player.name: player.module for player in graph.players}
    parameters = {
        name: {n: p for n, p in module.named_parameters() if p.requires_grad}
        for name, module in modules.items()
    }
    lists = {name: [*named.values()] for name, named in parameters.items()}
    interpreter = Interpreter(modules, lists, Operations(modules, Precision(None)))
    attributes = Attributes(modules.values())
    try:
        return _problems(DryRun(graph, needed, interpreter, parameters), batch)[0]
    finally:
        attributes.restore()


def drawn_names(nodes: Iterable[Value]) -> frozenset[str]:
    """Return the names of the noise and the samples among values."""
    return frozenset(node.op.name for node in nodes if isinstance(node.op, Noise | Sample))


def replaced_draws(nodes: Iterable[Value], batch: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the noise and the samples that nobody would draw, since data have their names."""
    for node in nodes:
        if isinstance(node.op, Noise | Sample) and node.op.name in batch:
            name = node.op.name
            yield Problem(
                str(node.where),
                f"the data yield {name!r}, which is the name of what is drawn at random here",
                "a name of its own for each: an entry of a batch replaces what is drawn",
                f"rename one of the two; to take it from the data, write `game.batch({name!r})`",
            )


def _problems(run: DryRun, batch: Mapping[str, Any]) -> tuple[list[Problem], list[Problem]]:
    """Return what is wrong with a game, and what is legal but probably not meant."""
    modules = run.modules
    with (
        preserved_buffers(modules),
        seeded(0, device_of(dict(batch))),
        python_and_numpy(),
    ):
        before = _numbers(modules)
        problems = [*_missing_names(run.needed, batch), *run.problems(batch)]
        unlikely = [] if problems else [*run.unlikely(batch)]
        changed = [key for key, number in _numbers(modules).items() if before.get(key) != number]
    return problems, [*unlikely, *(_counted(*key) for key in changed if key in before)]


def _numbers(modules: Mapping[str, nn.Module]) -> dict[tuple[str, str, str], float]:
    """Return the plain numbers that modules keep as attributes, by player, part and name."""
    return {
        (player, part_name, name): value
        for player, module in modules.items()
        for part_name, part in module.named_modules()
        for name, value in vars(part).items()
        if type(value) in (int, float)
    }


def _counted(player: str, part: str, name: str) -> Problem:
    path = f"{part}.{name}" if part else name
    return Problem(
        f"the module of `{player}`",
        f"its attribute {path!r} is a Python number that changes whenever the module is called",
        "state that nvn can keep apart: every call changes Python state, those in opponents' moves "
        "too, and no checkpoint holds it",
        f'make it a buffer, `self.register_buffer("{name}", torch.tensor(…))`, which changes in '
        f"moves of `{player}` alone",
    )


def _missing_names(nodes: Sequence[Value], batch: Mapping[str, Any]) -> Iterator[Problem]:
    for node in nodes:
        if isinstance(node.op, Batch) and node.op.name not in batch:
            yield Problem(
                str(node.where),
                f"the batch has no {node.op.name!r}",
                f"a dict with {', '.join(map(repr, batch_names(nodes)))}",
                "let the data yield it under this name, or correct game.batch(…)",
                tuple(map(str, batch)),
            )
