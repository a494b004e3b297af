"""Instructions print, and operands as Python writes them."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import pytest

from nvn.planner import ir
from nvn.planner.ir import Constant, Factor, Scale, Slot

A, B = Slot("a"), Slot("b")
Pair = namedtuple("Pair", "x y")


@pytest.mark.parametrize(
    ("operand", "text"),
    [
        (A, "a"),
        ((A,), "(a,)"),
        ([A, 1, "x"], '[a, 1, "x"]'),
        ({"k": A}, '{"k": a}'),
        (Pair(A, 2), "Pair(a, 2)"),
        (OrderedDict(k=A), 'OrderedDict({"k": a})'),
        (..., "..."),
        (None, "None"),
    ],
)
def test_operands_are_written_as_python_writes_them(operand: Any, text: str) -> None:
    assert ir.written(operand) == text


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (0, "0"),
        ("key", '"key"'),
        (slice(1, None, 2), "1::2"),
        ((slice(None), 0), ":, 0"),
        ((0,), "0,"),
        ((..., None), "..., None"),
        ((), "()"),
    ],
)
def test_indices_are_written_as_between_brackets(index: Any, text: str) -> None:
    assert ir.index(index) == text
    if not isinstance(index, str):
        assert eval(f"Probe()[{text}]", {"Probe": Probe}) == index


class Probe:
    def __getitem__(self, index: Any) -> Any:
        return index


def test_scales_print_and_tell_whether_they_vary() -> None:
    ramp = Constant("ramp")
    assert str(Scale((Factor(0.5), Factor(2.0, (ramp,), (A,))))) == "(0.5 + 2·ramp(step)·a)"
    assert str(Scale((Factor(1.0, (), (A,)),))) == "a"
    assert Scale((Factor(0.5), Factor(2.0))).number == 2.5
    assert Scale((Factor(0.5, (ramp,)),)).number is None
    assert Scale((Factor(0.5, (), (A, B)),)).slots == (A, B)


def test_every_instruction_prints() -> None:
    """A line each, with what it reads and writes in it."""
    one = Scale((Factor(1.0),))
    examples = [
        ir.NextBatch("noise"),
        ir.Noise(A, "z", (16,), B, 1),
        ir.Sample(A, "w", Constant("draw"), 1),
        ir.Seed(255, ("D", "G")),
        ir.Call(A, "D", "forward", (B,), {"k": 1}, True, True, Slot("s"), Slot("t")),
        ir.Item(A, B, (0, slice(2))),
        ir.Gradient((A,), B, (Slot("x"),), True),
        ir.Leaf(A, B),
        ir.Alias(A, B),
        ir.RequiresGrad("D", False),
        ir.Backward("G", ((one, A),), ((B, ((one, B),)),), ("D",), (("G", B),), (), True),
        ir.Accumulate(A, B, one, Slot("p")),
        ir.Record(A, B),
        ir.Step("D", A, "D:slow"),
        ir.CommitBuffers("D", A),
        ir.Return({"e": A}, {"D": ((one, B),)}, {}),
    ]
    for example in examples:
        text = str(example)
        assert all(slot.name in text for slot in (*example.reads, *example.writes))
