"""When a slot is forgotten: after the last instruction that mentions it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from nvn import pytree
from nvn.planner.instructions import (
    Cut,
    Detach,
    Drop,
    Evaluate,
    Factor,
    Forward,
    Instruction,
    Keep,
    Pull,
    Report,
    Slot,
    View,
)


def with_drops(instructions: Sequence[Instruction]) -> Iterator[Instruction]:
    """Yield the instructions, each slot forgotten after the last that mentions it."""
    last = {slot: i for i, x in enumerate(instructions) for slot in _mentioned(x)}
    for i, instruction in enumerate(instructions):
        yield instruction
        if done := tuple(dict.fromkeys(s for s in _mentioned(instruction) if last[s] == i)):
            yield Drop(done)


def _mentioned(instruction: Instruction) -> Iterable[Slot]:
    """Return every slot that an instruction reads or writes."""
    match instruction:
        case Evaluate(_, slot, inputs):
            return [slot, *inputs.values()]
        case Forward(_, _, slot, inputs, _, state, becomes):
            return [slot, *inputs.values(), *(s for s in (state, becomes) if s is not None)]
        case Detach(source, slot) | Cut(source, slot) | View(source, slot):
            return [source, slot]
        case Keep(_, state):
            return [state]
        case Pull() | Report():
            return [*_slots_of(tuple(getattr(instruction, f.name) for f in fields(instruction)))]
        case _:
            return []


def _slots_of(part: Any) -> Iterator[Slot]:
    for leaf in pytree.leaves(part):
        if isinstance(leaf, Factor):
            yield from leaf.slots
        elif isinstance(leaf, int) and not isinstance(leaf, bool):
            yield leaf
