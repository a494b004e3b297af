"""Entries of a batch that something fails on, but would not if they were what they should be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

import torch
from torch import Tensor, nn

from nvn import pytree
from nvn.engine.dry_run.conversions import Conversion, conversions
from nvn.engine.dry_run.inspection import constant, is_tensor
from nvn.engine.dry_run.problems import ill_made, no_tensor
from nvn.errors import Problem
from nvn.game.graph import LossGraph
from nvn.game.ops import Batch, Sample
from nvn.game.traversal import ancestors, batch_names, owner
from nvn.game.values import Value

TRIALS = 60  # how many ways of converting entries are tried where something fails

Values = dict[Value, Any]
Computed = Callable[[Value, Values, Mapping[str, Any]], Any]


class Entries:
    """Says which entries of a batch are to blame for what fails: one problem for each.

    Args:
        graph: The game.
        needed: The nodes that are computed.
        modules: The players' modules.
        computed: Computes a node, from values and a batch.
        given: The batch as it came.

    Attributes:
        problems: What was found, by the entries' names.
        taken: What something could be computed from.
    """

    def __init__(
        self,
        graph: LossGraph,
        needed: Sequence[Value],
        modules: Mapping[str, nn.Module],
        computed: Computed,
        given: Mapping[str, Any],
    ) -> None:
        self.problems: dict[str, Problem] = {}
        self.taken: set[Value] = set()
        self._graph = graph
        self._needed = needed
        self._modules = modules
        self._computed = computed
        self._given = dict(given)
        self._entries = {v.op.name: v for v in needed if isinstance(v.op, Batch)}

    def mended(self, node: Value, values: Values, batch: dict[str, Any], error: Exception) -> bool:
        """Find out whether what fails would not, if entries of the batch were converted.

        Then these are what is wrong, here and wherever else they are used: it is told once, and all
        goes on with what they should have been, in `values` and in `batch`.
        """
        for trial in islice(self._trials(node), TRIALS):
            again = {**batch, **{name: conversion.value for name, conversion in trial.items()}}
            try:
                values.update(self._again(node, trial, values, again))
            except Exception:  # noqa: BLE001  (it was not this, or not this alone)
                continue
            batch.update(again)
            for name, conversion in trial.items():
                entry, given = self._entries[name], self._given[name]
                found = ill_made(self._graph, node, entry, given, conversion, error)
                self.problems[name] = found
            return True
        return False

    def refused(self, node: Value, values: Values, error: Exception) -> bool:
        """Find out whether what fails is given an entry of the batch that is no tensor at all.

        Then nothing that takes it is looked at any more.
        """
        for entry in node.inputs:
            if isinstance(entry.op, Batch) and entry not in self.taken:
                name = entry.op.name
                if not any(is_tensor(x) for x in pytree.leaves(self._given[name])):
                    self.problems[name] = no_tensor(self._graph, node, entry, values[entry], error)
                    del values[entry]
                    return True
        return False

    def _trials(self, node: Value) -> Iterator[dict[str, Conversion]]:
        """Yield what the entries that a node is computed from could be made into, few first."""
        behind = self._needed if isinstance(node.op, Sample) else ancestors([node])
        names = [name for name in batch_names(behind) if name in self._given]
        like = self._like(node)
        options = [[*conversions(name, self._given[name], like)] for name in names]
        for name, several in zip(names, options, strict=True):
            yield from ({name: one} for one in several)
        for chosen in product(*([None, *several] for several in options)):
            trial = {n: c for n, c in zip(names, chosen, strict=True) if c is not None}
            if len(trial) > 1:
                yield trial

    def _like(self, node: Value) -> Tensor:
        """Return a parameter of who takes the entries that a node is computed from."""
        player, modules = owner(node), [*self._modules.values()]
        if player is not None:
            modules.insert(0, self._modules[player])
        every = (p for m in modules for p in m.parameters() if p.is_floating_point())
        return next(every, torch.zeros(()))

    def _again(
        self,
        node: Value,
        changed: Collection[str],
        values: Values,
        batch: Mapping[str, Any],
    ) -> Values:
        """Compute a node once more, and all that lies between it and entries that are others."""
        found: Values = {}
        for step in ancestors([node]):
            drawn = isinstance(step.op, Sample)
            other = isinstance(step.op, Batch) and step.op.name in changed
            if step is node or drawn or other or any(v in found for v in step.inputs):
                found[step] = constant(self._computed(step, {**values, **found}, batch))
        return found
