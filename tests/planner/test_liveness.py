"""Programs are held to what every program must be: slots written once, read, and freed in time."""

from __future__ import annotations

from typing import Any

import pytest

from nvn.planner import ir
from nvn.planner.ir import Constant, Free, Program, Slot
from nvn.planner.liveness import freed, verify

A, B = Slot("a"), Slot("b")


def program(*instructions: ir.Instruction, **constants: Any) -> Program:
    return Program("test", instructions, constants, {})


READ, USE = ir.Entry(A, "a"), ir.Detach(B, A)
END = ir.Return({"e": B}, {}, {})


def test_a_sound_program_is_let_through() -> None:
    verify(program(READ, USE, Free((A,)), END, Free((B,))))


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        ((USE, END), "read before it is written"),
        ((READ, READ, USE, END), "written twice"),
        ((READ, Free((A,)), USE, END), "read after it is freed"),
        ((READ, USE, Free((A,)), END), "never freed"),
        ((READ, USE, Free((A,)), Free((A,)), END, Free((B,))), "freed twice"),
        ((READ, USE, END, Free((A, B))), "freed late"),
        ((READ, Free((A,))), "nobody reads"),
        ((Free((A,)),), "never written"),
        ((READ, ir.Apply(B, Constant("f"), (A,), {}), Free((A,)), END, Free((B,))), "constant f"),
    ],
)
def test_an_unsound_program_is_refused(instructions: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        verify(program(*instructions))


def test_a_slot_is_freed_after_its_last_use() -> None:
    live = [*freed([READ, USE, END])]
    assert live == [READ, USE, Free((A,)), END, Free((B,))]
