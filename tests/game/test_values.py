"""Values: which are one, what arithmetic is theirs, how sums of energies add up and read."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import nvn
from nvn import energies as en
from nvn.callsite import call_site
from nvn.errors import GameError
from nvn.game.ops import LONGEST, Item
from nvn.game.values import (
    Term,
    Value,
    Weight,
    WeightedSum,
    as_sum,
    expression,
    written,
)
from tests.small import linear, mean, noted, square


@pytest.fixture
def a(v: Value) -> nvn.Energy:
    return mean(v).named("a")


@pytest.fixture
def b(v: Value) -> nvn.Energy:
    return square(v).named("b")


def factors(total: object) -> dict[str, float]:
    return {str(t.energy): t.weight.factor for t in as_sum(total).terms}


# --- sums and weights ---------------------------------------------------------------------------


def test_energies_add_up_and_weigh(a: nvn.Energy, b: nvn.Energy) -> None:
    assert factors(2 * a - b / 4 + a) == {"a": 3.0, "b": -0.25}
    assert factors(-(a + b) * 2) == {"a": -2.0, "b": -2.0}
    assert factors(-a) == {"a": -1.0}


def test_an_energy_stands_once_in_a_sum(a: nvn.Energy, b: nvn.Energy) -> None:
    total = a + b + a
    assert total.energies == (a, b)
    assert factors(a - a) == {"a": 0.0}


def test_pythons_sum_works(a: nvn.Energy, b: nvn.Energy) -> None:
    assert sum([a, b, 2 * a]) == 3 * a + b
    assert sum([2 * a]) == 2 * a


@pytest.mark.parametrize("two", [2, 2.0, np.float32(2), np.float64(2), np.int64(2)])
def test_weights_are_numbers_numpys_too(a: nvn.Energy, two: float) -> None:
    for weighed in (two * a, a * two, two * as_sum(a), as_sum(a) * two):
        assert weighed == WeightedSum((Term(Weight(2.0), a),))


def test_division_is_not_multiplication_by_a_rounded_reciprocal(a: nvn.Energy) -> None:
    assert factors(a / 49 * 49) == {"a": 1 / 49 * 49}
    assert factors(3 * a / 10) == {"a": 0.3}


def test_weights_are_functions_of_the_step(a: nvn.Energy) -> None:
    def rise(step: int) -> float:
        return step / 10

    (term,) = (3 * (rise * a)).terms
    assert [term.weight.known_at(step) for step in (0, 5, 10)] == [0.0, 1.5, 3.0]
    assert factors(rise * a + rise * a) == {"a": 2.0}  # the same function: one term
    assert len((rise * a + a).terms) == 2


def test_the_order_of_symbols_does_not_matter(a: nvn.Energy) -> None:
    f, g = (lambda step: 2.0), (lambda step: 3.0)
    (term,) = (f * (g * a) + g * (f * a)).terms
    assert term.weight.known_at(0) == 12.0


def test_weights_are_scalar_values(a: nvn.Energy, b: nvn.Energy, v: Value) -> None:
    for weighed in (v * a, a * v, v * as_sum(a), as_sum(a) * v, 2 * (v * a) / 2):
        (term,) = weighed.terms
        assert term.weight.values == (v,)
        assert term.weight.known_at(0) == 1.0
    (term,) = (a.stop_gradient() * b).terms
    assert term.energy is b


def test_a_failing_step_function_is_named(a: nvn.Energy) -> None:
    def wrong() -> float:
        return 1.0

    (term,) = (wrong * a).terms
    with pytest.raises(TypeError, match="0 positional arguments") as caught:
        term.weight.known_at(7)
    assert caught.value.__notes__ == ["while computing the weight wrong(step) of iteration 7"]


@pytest.mark.parametrize("weight", ["2", None, True, torch.tensor(2.0), [1.0], linear()])
def test_other_weights_are_refused(a: nvn.Energy, weight: object) -> None:
    with pytest.raises(GameError, match="as a weight") as caught:
        as_sum(a) * weight
    (problem,) = caught.value.problems
    assert problem.where.startswith("test_values.py:")
    assert problem.expected == "a number, a function of the step, or a scalar value of the game"


def test_players_are_no_weights(game: nvn.Game, G: nvn.Player, a: nvn.Energy) -> None:
    """Though they can be called, as functions of the step can."""
    for weight in (G, game.team("critics", D=linear())):
        with pytest.raises(GameError, match=f"<{type(weight).__name__} .*> as a weight"):
            weight * a


def test_an_energy_as_a_weight_is_told_how(a: nvn.Energy, b: nvn.Energy) -> None:
    with pytest.raises(GameError, match=r"write `a\.stop_gradient\(\) \* b`"):
        a * b


@pytest.mark.parametrize("divisor", [0, 0.0, "2", None])
def test_other_divisors_are_refused(a: nvn.Energy, divisor: object) -> None:
    with pytest.raises(GameError, match=f"a division by {divisor!r}"):
        a / divisor


def test_a_sum_is_empty_or_not(a: nvn.Energy) -> None:
    assert not WeightedSum()
    assert a - a  # zero, but of something


# --- what can't be written ----------------------------------------------------------------------

REFUSED = {
    "v + 1": lambda v: v + 1,
    "1 + v": lambda v: 1 + v,
    "v - v": lambda v: v - v,
    "2 * v": lambda v: 2 * v,
    "v * 2": lambda v: v * 2,
    "v / 2": lambda v: v / 2,
    "1 / v": lambda v: 1 / v,
    "v ** 2": lambda v: v**2,
    "-v": lambda v: -v,
    "abs(v)": lambda v: abs(v),
    "v @ v": lambda v: v @ v,
    "v < 1": lambda v: v < 1,
    "sum([v])": lambda v: sum([v]),
}
JOINED = {  # with what is left of each
    "v + e": (lambda v, e: v + e, 1.0),
    "e + v": (lambda v, e: e + v, 1.0),
    "2 * e + v": (lambda v, e: 2 * e + v, 2.0),
    "v + 2 * e": (lambda v, e: v + 2 * e, 2.0),
    "e - v": (lambda v, e: e - v, 1.0),
    "v - e": (lambda v, e: v - e, -1.0),
    "v - 2 * e": (lambda v, e: v - 2 * e, -2.0),
    "2 * e - v": (lambda v, e: 2 * e - v, 2.0),
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED)
def test_arithmetic_with_values_says_what_to_write(
    v: Value, wrong: Callable[[Value], object]
) -> None:
    with pytest.raises(GameError, match="arithmetic with `v`, which is no energy") as caught:
        wrong(v)
    (problem,) = caught.value.problems
    assert problem.where.startswith("test_values.py:")
    assert "`nvn.value(fn)(v)`" in problem.edit
    assert "`nvn.energy(fn)(v)`" in problem.edit


@pytest.mark.parametrize(("wrong", "left"), JOINED.values(), ids=JOINED)
def test_a_value_in_a_sum_of_energies_is_left_out_and_told(
    game: nvn.Game, v: Value, a: nvn.Energy, wrong: Callable[..., object], left: float
) -> None:
    """The declaration goes on, so that one error tells this and all the other problems."""
    assert wrong(v, a) == left * a
    (problem,) = game.problems
    assert problem.where.startswith("test_values.py:")
    assert problem.found.startswith("a sum of energies and `v`, which is no energy")
    assert "`nvn.energy(fn)(v)`" in problem.edit


def test_a_constant_in_an_objective_is_refused(a: nvn.Energy) -> None:
    for wrong in (lambda: a + 1, lambda: 1 + a, lambda: sum([a], 1), lambda: 2 * a + 0.5):
        with pytest.raises(GameError, match="a constant has no gradient") as caught:
            wrong()
        assert caught.value.problems[0].where.startswith("test_values.py:")


@pytest.mark.parametrize("wrong", [lambda a: 10**400 * a, lambda a: a / 10**400])
def test_a_number_beyond_all_floats_is_refused(a: nvn.Energy, wrong: Any) -> None:
    with pytest.raises(GameError, match="a weight beyond all floats"):
        wrong(a)


def test_values_have_no_truth_value(v: Value) -> None:
    with pytest.raises(TypeError, match="v has no truth value"):
        bool(v)


def test_values_cannot_be_unpacked(v: Value) -> None:
    with pytest.raises(TypeError, match=r"write v\[0\], v\[1\]"):
        _first, _second = v
    with pytest.raises(TypeError, match="cannot be unpacked"):
        print(*v)


def test_only_energies_can_be_minimised(v: Value) -> None:
    with pytest.raises(GameError, match=r"<Value v>, which is no energy") as caught:
        as_sum(v)
    assert "`nvn.energy(fn)(v)` makes an energy" in caught.value.problems[0].edit
    with pytest.raises(GameError, match="a float"):
        as_sum(1.0)


# --- parts --------------------------------------------------------------------------------------


def test_equal_parts_are_one_value(v: Value) -> None:
    assert v[0] is v[0]
    assert v["k"] is v["k"]
    assert v[1:3] is v[1:3]
    assert v[:, 0, ..., None] is v[:, 0, ..., None]
    assert v[0] is not v[1]
    assert v[1] is not v[True]
    assert v[0] is not v[0:1]


def test_parts_read_as_written(v: Value) -> None:
    assert [str(x) for x in (v[0], v["k"], v[1:3], v[::2], v[:, 0, ...])] == [
        "v[0]",
        "v['k']",
        "v[1:3]",
        "v[::2]",
        "v[:, 0, ...]",
    ]


def test_an_index_is_a_constant(v: Value) -> None:
    for wrong in (lambda: v[v], lambda: v[0, v], lambda: v[v:]):
        with pytest.raises(GameError, match="a value as an index"):
            wrong()


# --- the same call is the same value --------------------------------------------------------------


def add(x: Tensor, y: Tensor) -> Tensor:
    return x + y


def test_the_same_call_is_the_same_value(G: nvn.Player, v: Value) -> None:
    lift = nvn.value(add)
    assert G(v) is G(v)
    assert G(v, 1, [v, {"k": 2}], flag=True) is G(v, 1, [v, {"k": 2}], flag=True)
    assert lift(G(v), v) is nvn.value(add)(G(v), v)
    assert G(v).stop_gradient() is G(v).stop_gradient()
    assert nvn.gradient(G(v), v) is nvn.gradient(G(v), v)
    assert G.method("encode")(v) is G.method("encode")(v)


def test_the_order_of_keywords_does_not_matter(G: nvn.Player, v: Value) -> None:
    assert G(v, a=1, b=2) is G(v, b=2, a=1)


def test_other_calls_are_other_values(game: nvn.Game, G: nvn.Player, v: Value) -> None:
    w = game.batch("w")
    calls = [
        G(v),
        G(w),
        G(v, w),
        G(w, v),
        G(v, x=w),
        G(v, 1),
        G(v, 1.0),
        G(v, True),
        G([v]),
        G((v,)),
    ]
    calls += [G.method("encode")(v), G.method("forward", training=False)(v), G({"v": v})]
    assert len(set(calls)) == len(calls)


def test_changing_an_argument_later_does_not_change_the_graph(G: nvn.Player, v: Value) -> None:
    parts = [v, v]
    joined = G(parts)
    parts.append(v)
    assert joined.args == ([v, v],)
    assert G(parts) is not joined


# --- names and expressions ----------------------------------------------------------------------


def test_expressions_read_as_written(game: nvn.Game, v: Value) -> None:
    G = game.player("G", linear())
    C = game.frozen("C", linear())
    scale = nvn.value(torch.mul, name="scale")
    assert str(G(v, 2, k="x", w=[v, None])) == "G(v, 2, k='x', w=(v, None))"
    assert str(G.method("encode")(v)) == "G.encode(v)"
    assert str(G.method("forward", training=False)(v)) == "G.eval(v)"
    assert str(C(v)) == "C(v)"
    assert str(scale(v, {"by": v})) == "scale(v, {by: v})"
    assert str(G(v).stop_gradient()) == "stop_gradient(G(v))"
    assert str(nvn.gradient(G(v), v)) == "gradient(G(v), v)"
    assert str(scale(v, torch.ones(2))) == "scale(v, Tensor)"
    assert repr(mean(G(v))) == "<Energy mean(G(v))>"


def test_names_stand_for_expressions(game: nvn.Game, v: Value) -> None:
    G = game.player("G", linear())
    fake = G(v).named("fake")
    assert fake is G(v)
    assert str(fake) == fake.name == "fake"
    assert v.name is None
    assert str(mean(fake)) == "mean(fake)"
    assert written(fake) == "G(v)"
    assert isinstance(mean(fake).named("adv"), nvn.Energy)
    assert str(mean(fake)) == "adv"


def test_long_expressions_are_cut(v: Value) -> None:
    together = nvn.value(torch.stack, name="together")
    assert str(together([v] * 100)) == "together(…)"


def test_deep_graphs_have_expressions(v: Value) -> None:
    step = nvn.value(torch.neg, name="n")
    x = v
    for _ in range(5000):
        x = step(x)
    assert len(expression(x)) <= 2 * LONGEST


def test_sums_read_as_written(a: nvn.Energy, b: nvn.Energy, v: Value) -> None:
    def rise(step: int) -> float:
        return 1.0

    assert str(a - 0.5 * b) == "a - 0.5 b"
    assert str(-a + rise * b + 2 * (rise * a)) == "- a + rise(step) b + 2·rise(step) a"
    assert str(v * a) == "[v] a"
    assert str(Weight(math.inf)) == "inf"


def test_the_inputs_of_a_value_are_each_given_once(v: Value, game: nvn.Game) -> None:
    w = game.batch("w")
    x = nvn.value(torch.stack)([v, w, v], scale=w, dim=0)
    assert x.inputs == (v, w)


def test_a_value_knows_the_line_that_declared_it(v: Value) -> None:
    here, value = call_site(), mean(v)
    assert value.where == here
    assert str(here).startswith("test_values.py:")
    assert mean(v).where == here  # the first time it was written


def test_the_line_is_the_users_also_behind_the_library(game: nvn.Game, v: Value) -> None:
    D = game.player("D", linear())
    here, energy = call_site(), en.r1(D(v), v)
    assert energy.where == here
    assert energy.args[0].where == here


def test_an_index_is_part_of_the_operation(v: Value) -> None:
    assert v["features"].op == Item("features")
    assert v["features"].args == (v,)


def test_a_values_name_is_used_once(game: nvn.Game, v: Value) -> None:
    mean(v).named("loss")
    mean(v).named("loss")  # the same value
    assert not game.problems
    square(v).named("loss")
    assert "a second value named 'loss'" in noted(game)


def test_a_value_has_one_name(game: nvn.Game, v: Value) -> None:
    mean(v).named("loss")
    mean(v).named("cost")
    assert "'cost' for the value already named 'loss'" in noted(game)
    assert str(mean(v)) == "loss"
