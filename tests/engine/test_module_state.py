"""Computing without leaving a trace."""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nvn.engine.module_state import (
    Attributes,
    learning,
    mode,
    preserved_buffers,
    with_buffers,
)
from nvn.engine.runtime import buffers_at, copied, places_of
from nvn.engine.seeding import seeded
from tests.small import linear, mlp, tensor


class BoomError(Exception):
    pass


# --- buffers ------------------------------------------------------------------------------------


def normed() -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm1d(3), linear(), nn.BatchNorm1d(3))


def test_buffers_come_back() -> None:
    module = normed()
    before = dict(module.named_buffers())
    copies = {name: b.clone() for name, b in before.items()}
    with preserved_buffers({"G": module}):
        module(tensor(4, 3))
        assert not torch.equal(module[0].running_mean, copies["0.running_mean"])
    for name, buffer in module.named_buffers():
        assert buffer is before[name]
        assert torch.equal(buffer, copies[name])


def test_buffers_come_back_after_a_failure() -> None:
    module = normed()
    before = dict(module.named_buffers())
    with pytest.raises(BoomError), preserved_buffers({"G": module}):
        raise BoomError
    assert all(module.get_buffer(name) is buffer for name, buffer in before.items())


def test_buffers_of_the_named_are_kept() -> None:
    G, D, twin = normed(), normed(), normed()
    twin.load_state_dict(G.state_dict())
    kept = G[0].running_mean
    with preserved_buffers({"G": G, "D": D}) as keep:
        G(tensor(4, 3)), D(tensor(4, 3))
        keep(["G", "nobody"])
    twin(tensor(4, 3))
    assert G[0].running_mean is kept
    for name, buffer in twin.named_buffers():
        assert torch.equal(G.get_buffer(name), buffer)
    assert not D[0].num_batches_tracked.any()


def test_a_buffer_with_two_owners_stays_one() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Module(), nn.Module()
            shared = torch.zeros(1)
            self.a.register_buffer("count", shared)
            self.b.register_buffer("count", shared)
            self.b.register_buffer("alias", shared)

    module = Pair()
    shared = module.a.count
    with preserved_buffers({"G": module}) as keep:
        module.a.count += 1
        module.b.count += 1
        assert module.b.alias.item() == 2
        keep(["G"])
    assert module.a.count is module.b.count is module.b.alias is shared
    assert shared.item() == 2


def test_a_buffer_may_grow() -> None:
    module = nn.Module()
    module.register_buffer("queue", torch.zeros(0, 3))
    with preserved_buffers({"E": module}) as keep:
        module.queue = torch.ones(2, 3)
        keep(["E"])
    assert torch.equal(module.queue, torch.ones(2, 3))


def test_a_module_may_go_back_to_earlier_buffers_for_a_while() -> None:
    module = normed()
    start = copied(buffers_at(places_of(module)))
    module(tensor(4, 3))
    moved = module[0].running_mean
    with with_buffers(start):
        assert not module[0].running_mean.any()
    assert module[0].running_mean is moved
    assert moved.any()


def test_a_graph_that_saved_a_buffer_stays_valid() -> None:
    module = nn.Module()
    module.register_buffer("scale", torch.ones(3))
    x = torch.ones(3, requires_grad=True)
    y = (module.scale * x).sum()
    with preserved_buffers({"G": module}):
        module.scale.mul_(5)
    (gradient,) = torch.autograd.grad(y, x)
    assert gradient.tolist() == [1.0, 1.0, 1.0]


# --- attributes ---------------------------------------------------------------------------------


def test_what_a_module_remembers_is_forgotten() -> None:
    module = mlp()
    inner = module[0]
    inner.seen, inner.kept = [1], {"a": 1}
    seen, hooks, weight = inner.seen, inner._forward_hooks, inner.weight
    before = Attributes([module])
    inner.seen.append(2)
    inner.kept["b"] = 2
    inner.cache = torch.ones(1)
    inner.scale = nn.Parameter(torch.ones(1))
    del inner.weight
    before.restore()
    assert inner.seen is seen
    assert (inner.seen, inner.kept) == ([1], {"a": 1})
    assert not hasattr(inner, "cache")
    assert not hasattr(inner, "scale")
    assert inner.weight is weight
    assert inner._forward_hooks is hooks


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"in": {}},
        lambda: [{}],
        lambda: ({},),
        lambda: OrderedDict({"in": {}}),
        lambda: defaultdict(dict, {"in": {}}),
        lambda: {"in": {"deeper": {}}},
    ],
)
def test_what_it_remembers_deep_inside_is_forgotten(make: Callable[[], Any]) -> None:
    def innermost(held: Any) -> dict[str, Any]:
        while held:
            held = held[0] if isinstance(held, list | tuple) else next(iter(held.values()))
        return held

    module = linear()
    module.kept = make()
    kept, cache = module.kept, innermost(module.kept)
    before = Attributes([module])
    cache["grid"] = torch.ones(1)
    before.restore()
    assert module.kept is kept
    assert kept == make()
    assert cache == {}


def test_a_queue_is_as_before() -> None:
    module = linear()
    module.queue = deque([1, 2, 3], maxlen=3)
    queue = module.queue
    before = Attributes([module])
    queue.append(4)
    before.restore()
    assert module.queue is queue
    assert (list(queue), queue.maxlen) == ([1, 2, 3], 3)


def test_a_tensor_changed_in_place_is_as_before() -> None:
    module = linear()
    module.steps, module.kept = torch.zeros(2), [torch.zeros(2)]
    steps = module.steps
    before = Attributes([module])
    module.steps += 1
    module.kept[0][1] = 5
    before.restore()
    assert module.steps is steps
    assert module.steps.tolist() == module.kept[0].tolist() == [0, 0]


# --- modes --------------------------------------------------------------------------------------


def test_each_part_gets_its_own_mode_back() -> None:
    module = normed()
    module[0].eval()
    with mode(module, training=False):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == [True, False, True, True]


def test_a_mode_that_is_right_leaves_the_parts_alone() -> None:
    module = normed()
    module[0].eval()
    with mode(module, training=True):
        assert not module[0].training


def test_modes_come_back_after_a_failure() -> None:
    module = normed()
    with pytest.raises(BoomError), mode(module, training=False):
        raise BoomError
    assert all(part.training for part in module.modules())


# --- who learns ---------------------------------------------------------------------------------


def flags(*modules: nn.Module) -> list[bool]:
    return [all(p.requires_grad for p in module.parameters()) for module in modules]


def test_only_the_movers_learn() -> None:
    G, D, C = linear(), linear(), linear()
    parameters = {"G": list(G.parameters()), "D": list(D.parameters()), "C": list(C.parameters())}
    with learning(parameters, movers=["D"]):
        assert flags(G, D, C) == [False, True, False]
    assert flags(G, D, C) == [True, True, True]
    with pytest.raises(BoomError), learning(parameters, movers=[]):
        raise BoomError
    assert flags(G, D, C) == [True, True, True]


def test_who_did_not_learn_before_does_not_afterwards() -> None:
    G = linear()
    G.bias.requires_grad_(False)
    with learning({"G": [*G.parameters()]}, movers=[]):
        assert flags(G) == [False]
    assert [p.requires_grad for p in G.parameters()] == [True, False]


# --- random streams -----------------------------------------------------------------------------


def draw() -> Tensor:
    return torch.rand(3)


def test_a_seed_decides_and_the_stream_goes_on_as_before() -> None:
    torch.manual_seed(0)
    expected = [draw(), draw()]
    torch.manual_seed(0)
    found = [draw()]
    with seeded(7, torch.device("cpu")):
        inside = draw()
    with seeded(7, torch.device("cpu")):
        assert torch.equal(draw(), inside)
    with pytest.raises(BoomError), seeded(8, torch.device("cpu")):
        raise BoomError
    found.append(draw())
    assert all(map(torch.equal, found, expected))
