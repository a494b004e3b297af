"""What written-out loops call: passes that start, mix and end as told; values of any form."""

from __future__ import annotations

import ast
import inspect
from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nvn.engine import runtime
from nvn.engine.runtime import (
    NoPathError,
    accumulate,
    alias,
    backward,
    can_learn,
    commit,
    detached,
    evaluating,
    gradient,
    leaf,
    on_copies,
    places_of,
    recorded,
    tensors,
    total,
    vjp,
)

Pair = namedtuple("Pair", "a b")


def parameter(*numbers: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(numbers))


def lists(found: list[list[Tensor | None]]) -> list[list[Any]]:
    return [[None if t is None else t.tolist() for t in group] for group in found]


# --- values of any form -----------------------------------------------------------------------


def test_trees_keep_their_form() -> None:
    value = {"a": (torch.ones(1), [torch.zeros(2), "text", None]), "b": Pair(torch.ones(3), 4)}
    doubled = runtime.mapped(lambda t: 2 * t, value)
    assert [t.tolist() for t in tensors(doubled)] == [[2.0], [0.0, 0.0], [2.0, 2.0, 2.0]]
    assert doubled["a"][1][1:] == ["text", None]
    assert type(doubled["b"]) is Pair
    assert type(runtime.mapped(lambda t: t, OrderedDict(x=torch.ones(1)))) is OrderedDict


class Output(dict):
    """A dict whose constructor wants something else."""

    def __init__(self, *, entries: dict[str, Any]) -> None:
        super().__init__(entries)


def test_a_dict_of_an_unusual_class_becomes_a_plain_one() -> None:
    doubled = runtime.mapped(lambda t: 2 * t, Output(entries={"a": torch.ones(1)}))
    assert type(doubled) is dict
    assert doubled["a"].tolist() == [2.0]


def test_what_a_gradient_can_be_taken_of() -> None:
    assert can_learn(torch.ones(1))
    assert can_learn(torch.ones(1, dtype=torch.complex64))
    assert not can_learn(torch.ones(1, dtype=torch.long))


def test_stand_ins_of_a_value() -> None:
    w = parameter(3.0)
    value = (w.square(), torch.tensor(2))
    assert not detached(value)[0].requires_grad
    cut, number = leaf(value)
    assert cut.is_leaf
    assert cut.requires_grad
    assert number.tolist() == 2
    own = alias(value[0])
    assert own is not value[0]
    assert own.grad_fn is not None


def test_a_record_shares_no_memory_with_a_parameter() -> None:
    w = nn.Parameter(torch.tensor(1.0))
    kept = [recorded(w), recorded(w.view(())), recorded(2 * w)]
    with torch.no_grad():
        w += 1
    assert [t.item() for t in kept] == [1.0, 1.0, 2.0]
    assert not any(t.requires_grad for t in kept)


# --- passes -------------------------------------------------------------------------------------


def test_a_pass_starts_with_weights_and_ends_at_parameters() -> None:
    """2·w² + 3·w at w = 5."""
    w = parameter(5.0)
    assert lists(vjp([w.square().sum(), w.sum()], [2.0, 3.0], [], [[w]])) == [[[23.0]]]


def test_a_weight_may_be_a_tensor_of_another_dtype() -> None:
    w = parameter(5.0)
    assert lists(vjp([w.sum()], [torch.tensor(2.0, dtype=torch.float64)], [], [[w]])) == [[[2.0]]]


def test_a_pass_ends_at_leaves_and_the_next_goes_on_from_them() -> None:
    """d(w²)²/dw by hand: a leaf in the middle, −2 times what arrives there."""
    w = parameter(3.0)
    middle = w.square()
    cut = leaf(middle)
    [cotangent] = vjp([cut.square().sum()], [1.0], [], [], [cut])
    assert lists([cotangent]) == [[[18.0]]]
    assert lists(vjp([middle], [total((-2.0, cotangent))], [], [[w]])) == [[[-2.0 * 18.0 * 6.0]]]


def test_leaves_may_be_trees_and_some_of_them_unused() -> None:
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    tree = {"a": a, "n": torch.tensor(3), "b": b}
    assert lists(vjp([(2 * a).sum()], [1.0], [], [], [tree])) == [[[2.0, 2.0], None]]


def test_cotangents_of_nothing_are_left_out() -> None:
    """A way that no pass has come by adds nothing, and starts nothing."""
    w = parameter(2.0)
    made = w.square()
    mixed = total((1.0, [None]), (1.0, [torch.tensor([1.0])]))
    assert lists(vjp([made], [mixed], [], [[w]])) == [[[4.0]]]
    assert lists(vjp([made], [total((1.0, [None]))], [], [[w]])) == [[None]]


def test_energies_without_a_graph_start_nothing() -> None:
    w = parameter(2.0)
    assert lists(vjp([torch.tensor(1.0), w.sum()], [1.0, 1.0], [], [[w]])) == [[[1.0]]]
    assert lists(vjp([torch.tensor(1.0)], [1.0], [], [[w]])) == [[None]]


def test_a_pass_is_one_call_of_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    plain = torch.autograd.grad

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs["retain_graph"])
        return plain(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    w = parameter(2.0)
    made = w.square()
    found = vjp([w.sum(), made], [1.0, [torch.tensor([1.0])]], [], [[w]], retain_graph=True)
    assert lists(found) == [[[5.0]]]
    assert calls == [True]


def test_passes_add_up_in_grad() -> None:
    w, u = parameter(2.0), parameter(1.0)
    backward([w.square().sum()], [0.5], [w])
    backward([w.sum(), u.sum()], [3.0, 1.0], [w])
    assert w.grad is not None
    assert w.grad.tolist() == [2.0 + 3.0]
    assert u.grad is None


def test_a_pass_may_add_up_return_and_end_at_leaves_at_once() -> None:
    w, u = parameter(2.0), parameter(3.0)
    cut = leaf(u.detach())
    [of_u, at_cut] = vjp([(w * u * cut).sum()], [1.0], [w], [[u]], [cut])
    assert w.grad is not None
    assert (w.grad.tolist(), of_u[0].tolist(), at_cut[0].tolist()) == ([9.0], [6.0], [6.0])
    [again] = vjp([(w * cut).sum()], [1.0], [w], [], [cut])
    assert (w.grad.tolist(), again[0].tolist()) == ([12.0], [2.0])
    assert cut.grad is None


def test_what_is_added_up_is_laid_out_like_the_parameter() -> None:
    w = nn.Parameter(torch.ones(2, 3))
    for _ in range(2):
        vjp([(w.t() @ torch.ones(2, 2)).sum()], [1.0], [w], [[parameter(1.0)]])
        assert w.grad is not None
        assert w.grad.stride() == w.stride()


def test_several_passes_add_up() -> None:
    before = [torch.tensor([10.0]), None, torch.tensor([1.0])]
    part = [torch.tensor([3.0]), torch.tensor([2.0]), None]
    assert lists([accumulate(before, -1.0, part)]) == [[[7.0], [-2.0], [1.0]]]
    assert lists([accumulate(None, torch.tensor(2.0), part)]) == [[[6.0], [4.0], None]]
    assert lists([total((0.5, part), (1.0, part))]) == [[[4.5], [3.0], None]]


def test_gradients_by_several_values_take_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    plain = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: calls.append(1) or plain(*a, **k))
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    by_a, by_b = gradient(a * b * b, [a, b], create_graph=True)
    assert (by_a.tolist(), by_b.tolist()) == ([1.0, 1.0], [2.0, 2.0])
    assert by_b.requires_grad
    assert calls == [1]


def test_a_gradient_along_no_path_is_an_error() -> None:
    a = torch.ones(2, requires_grad=True)
    for y in (torch.ones(2), torch.ones(2, requires_grad=True) * 2):
        with pytest.raises(NoPathError, match="was not computed from x"):
            gradient(y, [a], create_graph=False)


# --- modules ------------------------------------------------------------------------------------


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return x + self.calls


def test_a_call_on_copies_leaves_buffers_alone_until_they_are_committed() -> None:
    module = Counting()
    places = places_of(module)
    with on_copies(places) as first:
        assert module(torch.zeros(())).item() == 1.0
    with on_copies(places, first) as second:
        assert module(torch.zeros(())).item() == 2.0
    assert module.calls.item() == 0.0
    commit(places, second)
    assert module.calls.item() == 2.0


def test_buffers_are_back_after_an_error() -> None:
    module = Counting()
    own = module.calls
    with pytest.raises(TypeError), on_copies(places_of(module)):
        module(None)
    assert module.calls is own


def test_each_part_gets_its_own_mode_back() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Dropout())
    module[1].eval()
    with evaluating(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == [True, True, False]


def test_these_functions_need_nothing_of_nvn() -> None:
    """An ejected loop takes them along as they are."""
    tree = ast.parse(inspect.getsource(runtime))
    imported = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [line for line in imported if "nvn" in line]
