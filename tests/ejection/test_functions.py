"""Where functions come from, or why they cannot come along."""

from __future__ import annotations

import math
import operator
import posixpath
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nvn.ejection.functions import RefusedError, Taken

FACTOR = 3.0
NAMES: tuple[str, ...] = ("a", "b")
STATE = torch.zeros(2)


def scaled(x: Tensor) -> Tensor:
    return FACTOR * x


def both(x: Tensor, y: float = math.pi) -> Tensor:
    """Uses others: a function, constants, modules under other names."""
    assert NAMES
    return scaled(x) + F.relu(x) * y + operator.neg(len(NAMES))


def stateful(x: Tensor) -> Tensor:
    return x + STATE


def relative(x: Tensor) -> str:
    return posixpath.basename(str(x))


@cache
def decorated(x: int) -> int:
    return x


def recursive(x: int) -> int:
    return x and recursive(x - 1)


@dataclass(frozen=True)
class Ramp:
    """A weight."""

    over: int
    by: Callable[[float], float] = math.sqrt

    def __call__(self, step: int) -> float:
        return self.by(step / self.over)


@dataclass
class Changing:
    over: int = 1

    def __call__(self, step: int) -> float:
        return float(step)


class Plain:
    def __call__(self, step: int) -> float:
        return float(step)

    def method(self, step: int) -> float:
        return float(step)


def inner() -> Callable[[Tensor], Tensor]:
    def nested(x: Tensor) -> Tensor:
        return x

    return nested


def ran(taken: Taken) -> dict[str, Any]:
    """What the names mean where all that was taken along has run."""
    names: dict[str, Any] = {"__name__": __name__}
    lines = ["from __future__ import annotations", *taken.imports.values()]
    exec("\n".join([*lines, *taken.definitions.values()]), names)
    return names


def named(x: Any) -> str:
    """Name a case, without addresses: workers have to agree on names."""
    return re.sub(r" at 0x\w+", "", str(x))[:40]


@pytest.mark.parametrize(
    ("thing", "written", "line"),
    [
        (torch.mean, "torch.mean", "import torch"),
        (F.mse_loss, "F.mse_loss", "import torch.nn.functional as F"),
        (torch.linalg.norm, "torch.linalg.norm", "import torch"),
        (math.sqrt, "math.sqrt", "import math"),
        (textwrap.dedent, "dedent", "from textwrap import dedent"),
        (numpy.linalg.norm, "norm", "from numpy.linalg import norm"),
        (torch.float64, "torch.float64", "import torch"),
        (partial(torch.sum, dim=1), "partial(torch.sum, dim=1)", "from functools import partial"),
    ],
    ids=named,
)
def test_what_is_installed_is_imported(thing: Any, written: str, line: str) -> None:
    taken = Taken()
    assert taken.written(thing) == written
    assert line in taken.imports.values()
    assert not taken.definitions
    ran(taken)


def test_a_builtin_needs_nothing() -> None:
    taken = Taken()
    assert taken.written(abs) == "abs"
    assert not taken.imports


def test_what_is_the_users_comes_as_source_with_all_that_it_uses() -> None:
    taken = Taken()
    assert taken.written(both) == "both"
    assert [*taken.definitions] == ["NAMES", "FACTOR", "scaled", "both"]
    assert taken.definitions["NAMES"] == 'NAMES: tuple[str, ...] = ("a", "b")'
    x = torch.linspace(-1, 1, 5)
    assert torch.equal(ran(taken)["both"](x), both(x))


def test_a_frozen_dataclass_is_made_again() -> None:
    taken = Taken()
    name = taken.constant(Ramp(4), "ramp")
    assert taken.definitions[name] == "ramp = Ramp(over=4, by=math.sqrt)"
    assert ran(taken)[name](1) == 0.5
    assert taken.constant(Ramp(4), "ramp") == name
    assert taken.constant(Ramp(5), "ramp") == "ramp_2"


def test_a_partial_of_the_users_is_a_constant() -> None:
    taken = Taken()
    assert taken.constant(partial(both, y=2.0), "partial") == "partial_2"
    found = ran(taken)["partial_2"]
    assert torch.equal(found(torch.ones(1)), both(torch.ones(1), 2.0))


def test_names_that_are_taken_are_changed() -> None:
    taken = Taken(frozenset(["scaled", "from"]))
    assert taken.name(scaled) == "scaled_2"
    assert taken.definitions["scaled_2"].startswith("def scaled_2(x: Tensor)")
    assert taken.name(scaled) == "scaled_2"
    assert taken.constant(Ramp(1), "from") == "from_"


@pytest.mark.parametrize(
    ("thing", "found", "edit"),
    [
        (lambda x: x, "a lambda", "def name"),
        (inner(), "`nested`, which is defined inside of `inner`", "top level"),
        (Plain().method, "`method`, a method of an object of Plain", "a function"),
        (Plain(), "a Plain", "@dataclass(frozen=True)"),
        (Changing(), "an object of Changing, whose attributes may change", "frozen=True"),
        (stateful, "`STATE`, a Tensor", "pass it as an argument"),
        (decorated, "a _lru_cache_wrapper|`decorated`, decorated by `@cache`", ""),
        (partial(scaled, lambda: 1), "a lambda", "def name"),
        (torch.ones(2), "a Tensor", ""),
    ],
    ids=named,
)
def test_what_cannot_come_along_is_refused(thing: Any, found: str, edit: str) -> None:
    """With where, what was found, what was expected, and the edit."""
    with pytest.raises(RefusedError) as caught:
        Taken().written(thing)
    problem = caught.value.problem
    assert any(each in problem.found for each in found.split("|")), problem
    assert edit in problem.edit
    assert problem.expected
    if not isinstance(thing, Tensor):
        assert "test_functions.py:" in problem.where


def test_a_function_that_calls_itself_keeps_its_name() -> None:
    assert ran_recursive(Taken()) == "recursive"
    with pytest.raises(RefusedError, match="calls itself by a name that is taken"):
        Taken(frozenset(["recursive"])).name(recursive)


def ran_recursive(taken: Taken) -> str:
    name = taken.name(recursive)
    assert ran(taken)[name](3) == 0
    return name


def test_a_module_of_the_standard_library_may_be_used() -> None:
    taken = Taken()
    taken.name(relative)
    assert ran(taken)["relative"]("a/b") == "b"
