"""From the turns of an iteration to its program: a flat list of instructions."""

from __future__ import annotations

from collections.abc import Sequence

from nvn.game.graph import LossGraph
from nvn.planner.analysis import Attachments
from nvn.planner.instructions import Instruction, Take
from nvn.planner.lifetimes import with_drops
from nvn.planner.program import Played, Program
from nvn.planner.turns import Turn
from nvn.planner.writing import Slots, Writer


def compiled(graph: LossGraph, turns: Sequence[Turn], *, steps: bool = True) -> Program:
    """Compile the turns of an iteration.

    Args:
        graph: The game.
        turns: Who descends what, one after the other.
        steps: Whether players step; else gradients are only taken.
    """
    iteration, slots = Attachments(graph, turns, steps=steps), Slots()
    out: list[Instruction] = []
    for index, turn in enumerate(turns):
        if turn.takes:
            out.append(Take(turn.takes))
        Writer(iteration, slots, out, index).write()
    return Program(tuple(with_drops(out)), tuple(slots.names), _played(iteration))


def _played(iteration: Attachments) -> tuple[Played, ...]:
    parts = (iteration.turns, iteration.computed, iteration.versions, iteration.backward_plans)
    return tuple(
        Played(turn, tuple(now), tuple(n for n in version.numbers if n not in now), back)
        for turn, now, version, back in zip(*parts, strict=True)
    )
