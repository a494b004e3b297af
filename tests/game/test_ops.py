"""Operations: how each is written, for people and for random streams."""

import pytest

from nvn.game.ops import (
    LONGEST,
    Apply,
    Batch,
    Call,
    Gradient,
    Item,
    Noise,
    Op,
    Sample,
    StopGradient,
)

OPS = {  # with its notation on the arguments "x" and "2", and its signature
    Batch("weak"): ("weak", "Batch(weak)"),
    Noise("z", (64,)): ("z", "Noise(z)"),
    Sample("w", max): ("w", "Sample(w)"),
    Call("G", "forward", True): ("G(x, 2)", "Call(G.forward, True)"),
    Call("G", "forward", False): ("G.eval(x, 2)", "Call(G.forward, False)"),
    Call("C", "forward", False, frozen=True): ("C(x, 2)", "Call(C.forward, False)"),
    Call("G", "encode", True): ("G.encode(x, 2)", "Call(G.encode, True)"),
    Apply(max, "most"): ("most(x, 2)", "Apply(most)"),
    Item("features"): ("x['features']", "Item('features')"),
    Item((0, None)): ("x[0, None]", "Item((0, None))"),
    StopGradient(): ("stop_gradient(x, 2)", "StopGradient()"),
    Gradient(): ("gradient(x, 2)", "Gradient()"),
}


@pytest.mark.parametrize(("op", "spelled"), OPS.items(), ids=map(repr, OPS))
def test_an_operation_spells_itself(op: Op, spelled: tuple[str, str]) -> None:
    assert (op.notation(["x", "2"]), op.signature()) == spelled


def test_long_arguments_are_left_out() -> None:
    short, long = "x" * (LONGEST - 2), "x" * LONGEST
    assert Apply(max, "m").notation([short]) == f"m({short})"
    assert Apply(max, "m").notation([long]) == "m(…)"
