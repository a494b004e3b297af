"""Optimizers, as calls of torch.optim; and what else a step needs to know of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from nvn.ejection.functions import RefusedError, Taken
from nvn.engine.groups import Groups
from nvn.engine.optimizers import Optimizer, Optimizers, Plateau, corrected
from nvn.engine.state import stepping
from nvn.planner.emit import INDENT, WIDTH, folded
from nvn.planner.ir import quoted
from nvn.planner.planner import Plan
from nvn.planner.turns import optimizer_key


@dataclass(frozen=True)
class Stepping:
    """How the players of a plan step.

    Attributes:
        players: The player of each optimizer, by the optimizer's key.
        specs: How each steps, by the same keys.
        corrections: What each learning rate is corrected by: 1 without lazy regularizers.
    """

    players: Mapping[str, str]
    specs: Mapping[str, Optimizer]
    corrections: Mapping[str, float]

    @staticmethod
    def of(plan: Plan, optimizers: Optimizers) -> Stepping:
        """Find all that a plan steps with."""
        found: dict[str, tuple[str, Optimizer, float]] = {}
        for move in plan.schedule.moves:
            for player in move.players:
                key = optimizer_key(player.name, move)
                found[key] = (player.name, *stepping(plan, optimizers, player, move))
        return Stepping(
            {key: player for key, (player, _, _) in found.items()},
            {key: spec for key, (_, spec, _) in found.items()},
            {key: correction for key, (_, _, correction) in found.items()},
        )

    @property
    def clippings(self) -> dict[str, tuple[float | None, float | None]]:
        """How each optimizer's gradients are clipped: by value, by norm."""
        return {key: (spec.clip_value, spec.clip_norm) for key, spec in self.specs.items()}

    @property
    def scheduled(self) -> list[str]:
        """The optimizers whose learning rates change with every step."""
        specs = self.specs.items()
        return [
            k for k, s in specs if s.schedule is not None and not isinstance(s.schedule, Plateau)
        ]

    @property
    def warmups(self) -> dict[str, int]:
        """In how many steps optimizers warm up, of those that do."""
        return {key: spec.warmup for key, spec in self.specs.items() if spec.warmup}

    @property
    def waiting(self) -> dict[str, str]:
        """The optimizers whose learning rates wait for a metric, and for which."""
        return {
            key: spec.schedule.metric
            for key, spec in self.specs.items()
            if isinstance(spec.schedule, Plateau)
        }

    # --- written out ---

    def made(self, taken: Taken) -> list[str] | None:
        """Return a function that makes the optimizers; None if it cannot be written."""
        lines: list[str] = []
        try:
            for key, spec in self.specs.items():
                options = _options(spec.factory, self.corrections[key])
                if options is None:
                    return None
                kind, keywords = options
                given = [f"{name}={taken.written(value)}" for name, value in keywords.items()]
                own = f"learning({quoted(self.players[key])})"
                if spec.groups:
                    split = _groups(kind, keywords, spec.groups, self.corrections[key])
                    own = f"grouped(named({quoted(self.players[key])}), {taken.written(split)})"
                arguments = ", ".join([own, *given])
                line = f"{quoted(key)}: torch.optim.{kind.__name__}({arguments}),"
                lines += folded(line, WIDTH - 2 * len(INDENT))
        except RefusedError:
            return None
        return [
            "def make_optimizers(modules: Mapping[str, Any]) -> dict[str, torch.optim.Optimizer]:",
            f'{INDENT}"""Return the optimizers to step with."""',
            "",
            *self._parameters(),
            f"{INDENT}return {{",
            *(INDENT * 2 + line for line in lines),
            f"{INDENT}}}",
        ]

    def _parameters(self) -> Iterator[str]:
        """Yield the functions that return what players' optimizers are given."""
        if not all(spec.groups for spec in self.specs.values()):
            yield f"{INDENT}def learning(player: str) -> list[nn.Parameter]:"
            learning = "[p for p in modules[player].parameters() if p.requires_grad]"
            yield from (f"{INDENT * 2}return {learning}", "")
        if any(spec.groups for spec in self.specs.values()):
            yield f"{INDENT}def named(player: str) -> dict[str, nn.Parameter]:"
            yield f"{INDENT * 2}found = modules[player].named_parameters()"
            yield f"{INDENT * 2}return {{name: p for name, p in found if p.requires_grad}}"
            yield ""

    def made_schedulers(self, taken: Taken) -> list[str] | None:
        """Return a function that makes the learning-rate schedulers; None if it cannot be."""
        lines: list[str] = []
        try:
            for key in self.scheduled:
                schedule = self.specs[key].schedule
                call = _flat(schedule)
                if call is None or not _is_of(call[0], LRScheduler, torch.optim.lr_scheduler):
                    return None
                kind, args, keywords = call
                given = [*map(taken.written, args)]
                given += [f"{name}={taken.written(value)}" for name, value in keywords.items()]
                arguments = ", ".join([f"optimizers[{quoted(key)}]", *given])
                taken.imports[kind.__name__] = (
                    f"from torch.optim.lr_scheduler import {kind.__name__}"
                )
                line = f"{quoted(key)}: {kind.__name__}({arguments}),"
                lines += folded(line, WIDTH - 2 * len(INDENT))
        except RefusedError:
            return None
        return [
            "def make_schedulers(",
            f"{INDENT}optimizers: Mapping[str, torch.optim.Optimizer],",
            ") -> dict[str, LRScheduler]:",
            f'{INDENT}"""Return what changes the learning rates, step by step."""',
            f"{INDENT}return {{",
            *(INDENT * 2 + line for line in lines),
            f"{INDENT}}}",
        ]


def _options(factory: Any, correction: float) -> tuple[type, dict[str, Any]] | None:
    """Return the class of optimizers that a factory makes, and with which options."""
    call = _flat(factory)
    if call is None or not _is_of(call[0], torch.optim.Optimizer, torch.optim) or call[1]:
        return None
    kind, _, keywords = call
    if correction != 1.0:
        optimizer = kind([nn.Parameter(torch.zeros(1))], **keywords)
        (group,) = corrected(optimizer, correction).param_groups
        keywords |= {name: group[name] for name in ("lr", "betas") if name in group}
    return kind, keywords


def _groups(
    kind: type[torch.optim.Optimizer], keywords: dict[str, Any], groups: Groups, correction: float
) -> dict[str, dict[str, Any]]:
    """Return the options of groups, corrected as those of the optimizer are."""
    if correction == 1.0:
        return {pattern: dict(own) for pattern, own in groups.items()}
    split = [{"params": [nn.Parameter(torch.zeros(1))], **own} for own in groups.values()]
    found = corrected(kind(split, **keywords), correction).param_groups
    return {
        pattern: {name: group[name] for name in own}
        for (pattern, own), group in zip(groups.items(), found, strict=True)
    }


def _flat(call: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
    """Return the class that is called, and with what, of a class or a partial one."""
    if isinstance(call, functools.partial):
        return call.func, call.args, dict(call.keywords)
    return (call, (), {}) if isinstance(call, type) else None


def _is_of(kind: Any, base: type, module: Any) -> bool:
    known = isinstance(kind, type) and issubclass(kind, base) and kind is not ReduceLROnPlateau
    return known and getattr(module, kind.__name__, None) is kind
