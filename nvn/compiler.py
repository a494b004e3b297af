"""From the turns of an iteration to its program: a flat list of instructions."""

from __future__ import annotations

from collections.abc import Sequence

from nvn.attachments import Attachments
from nvn.graph import LossGraph
from nvn.instructions import Instruction, Take
from nvn.lifetimes import with_drops
from nvn.program import Played, Program
from nvn.versions import Turn
from nvn.writing import Slots, Writer


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
    parts = (iteration.turns, iteration.computed, iteration.versions, iteration.pullings)
    return tuple(
        Played(turn, tuple(now), tuple(n for n in version.numbers if n not in now), back)
        for turn, now, version, back in zip(*parts, strict=True)
    )
