"""Liveness: how long slots live, and that programs keep to it.

Before: `a = batch["a"]`, `b = f(a)`, `return b`. After: `a = batch["a"]`, `b = f(a)`, `free a`,
`return b`, `free b`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nvn import pytree
from nvn.planner.ir import Constant, Free, Instruction, Program, Scale, Slot


def verify(program: Program) -> None:
    """Hold a program to what every program must be.

    Raises:
        AssertionError: A slot is written twice, read before it is written or after it is freed,
            held though nobody reads it, freed twice, early or never; or a constant is missing.
    """
    written: dict[Slot, int] = {}
    read: dict[Slot, int] = {}
    freed: dict[Slot, int] = {}
    for position, instruction in enumerate(program.instructions):
        for slot in instruction.reads:
            assert slot in written, f"{slot} is read before it is written: {instruction}"
            assert slot not in freed, f"{slot} is read after it is freed: {instruction}"
            read[slot] = position
        for slot in instruction.writes:
            assert slot not in written, f"{slot} is written twice: {instruction}"
            written[slot] = position
        for slot in instruction.slots if isinstance(instruction, Free) else ():
            assert slot in written, f"{slot} is freed, but was never written"
            assert slot not in freed, f"{slot} is freed twice"
            freed[slot] = position
    assert read.keys() == written.keys(), f"nobody reads {written.keys() - read.keys()}"
    assert freed.keys() == written.keys(), f"never freed: {written.keys() - freed.keys()}"
    for slot, position in freed.items():
        between = program.instructions[read[slot] + 1 : position]
        assert all(isinstance(x, Free) for x in between), f"{slot} is freed late"
    for constant in _constants(program.instructions):
        assert constant.name in program.constants, f"no constant {constant}"


def freed(instructions: Iterable[Instruction]) -> Iterator[Instruction]:
    """Yield instructions, each slot freed after the last that mentions it: its liveness ends there.

    What is returned is freed at the end: it leaves the program.
    """
    instructions = [*instructions]
    mentions = [(*x.reads, *x.writes) for x in instructions]
    last = {slot: i for i, slots in enumerate(mentions) for slot in slots}
    for i, (instruction, slots) in enumerate(zip(instructions, mentions, strict=True)):
        yield instruction
        if done := tuple(dict.fromkeys(slot for slot in slots if last[slot] == i)):
            yield Free(done)


def _constants(instructions: Iterable[Instruction]) -> Iterator[Constant]:
    for instruction in instructions:
        for leaf in pytree.leaves([*vars(instruction).values()]):
            if isinstance(leaf, Constant):
                yield leaf
            elif isinstance(leaf, Scale):
                yield from (fn for factor in leaf.factors for fn in factor.functions)
