"""Trees of values: tuples, named tuples, lists and dicts, with anything else as a leaf."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

Tree = Any


def leaves(tree: Tree) -> Iterator[Any]:
    """Yield the leaves of `tree`, depth first, dicts in insertion order."""
    if isinstance(tree, dict):
        for branch in tree.values():
            yield from leaves(branch)
    elif isinstance(tree, tuple | list):
        for branch in tree:
            yield from leaves(branch)
    else:
        yield tree


def map_leaves(fn: Callable[[Any], Any], tree: Tree) -> Tree:
    """Return a tree of the same form as `tree`, with `fn` applied to every leaf."""
    if isinstance(tree, dict):
        mapped = {key: map_leaves(fn, branch) for key, branch in tree.items()}
        return mapped if type(tree) is dict else _same_mapping(tree, mapped)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_leaves(fn, branch) for branch in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(map_leaves(fn, branch) for branch in tree)
    return fn(tree)


def _same_mapping(original: dict[Any, Any], mapped: dict[Any, Any]) -> dict[Any, Any]:
    """Rebuild a dict subclass (an OrderedDict, a model's output class) around new leaves."""
    try:
        return type(original)(mapped)
    except TypeError:  # its constructor wants something else: a plain dict keeps the keys
        return mapped


def key(tree: Tree, leaf_key: Callable[[Any], Hashable]) -> Hashable:
    """Return a hashable description of `tree`: equal trees of equal leaves have equal keys."""
    if isinstance(tree, dict):
        return ("dict", tuple((name, key(branch, leaf_key)) for name, branch in tree.items()))
    if isinstance(tree, tuple | list):
        return (type(tree).__name__, tuple(key(branch, leaf_key) for branch in tree))
    return leaf_key(tree)
