"""Trees: order, form and keys."""

from collections import OrderedDict, defaultdict
from typing import NamedTuple

import torch
from torch.nn.utils.rnn import pack_sequence

from nvn import pytree


class Point(NamedTuple):
    x: object
    y: object


class Opaque(dict):
    """A dict that can't be built from a dict."""

    def __init__(self, *, size: int) -> None:
        super().__init__(size=size)


NESTED = {"b": (1, [2, Point(3, 4)]), "a": 5}


def test_leaves_come_depth_first_and_dicts_in_the_order_written() -> None:
    assert list(pytree.leaves(NESTED)) == [1, 2, 3, 4, 5]


def test_a_leaf_alone_is_a_tree() -> None:
    assert list(pytree.leaves(7)) == [7]
    assert pytree.map_leaves(str, 7) == "7"


def test_mapping_keeps_the_form_and_changes_the_leaves() -> None:
    mapped = pytree.map_leaves(lambda x: x * 10, NESTED)
    assert mapped == {"b": (10, [20, Point(30, 40)]), "a": 50}
    assert type(mapped["b"][1][1]) is Point
    assert NESTED["a"] == 5


def test_mapping_keeps_dict_subclasses_where_they_can_be_rebuilt() -> None:
    assert type(pytree.map_leaves(str, OrderedDict(a=1))) is OrderedDict
    counted = pytree.map_leaves(str, defaultdict(int, a=1))
    assert counted == {"a": "1"}
    assert pytree.map_leaves(str, Opaque(size=3)) == {"size": "3"}


def test_mapping_keeps_what_torch_returns() -> None:
    largest = pytree.map_leaves(lambda t: t + 1, torch.tensor([[1, 3]]).max(dim=1))
    assert (largest.values.item(), largest.indices.item()) == (4, 2)
    packed = pack_sequence([torch.ones(2), torch.ones(1)])
    doubled = pytree.map_leaves(lambda t: 2 * t if t is packed.data else t, packed)
    assert doubled.data.tolist() == [2.0, 2.0, 2.0]
    assert doubled.batch_sizes.tolist() == [2, 1]


def test_equal_trees_have_equal_keys() -> None:
    assert pytree.key(NESTED, repr) == pytree.key({"b": (1, [2, Point(3, 4)]), "a": 5}, repr)
    assert hash(pytree.key(NESTED, repr)) == hash(pytree.key(NESTED, repr))


def test_keys_tell_form_and_leaves_apart() -> None:
    trees = [(1, 2), [1, 2], {"a": 1, "b": 2}, Point(1, 2), (1, 3), ((1, 2),), (1, (2,)), 1, (1,)]
    assert len({pytree.key(t, repr) for t in trees}) == len(trees)
