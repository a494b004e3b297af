"""A guard against NaN: it ends a run in which something is no longer finite.

Energies, objectives and gradient norms are read from the records, which wait on the device;
parameters and buffers are looked at several steps at a time. So nothing waits for the device each
step, and what is not finite is noticed within 50 steps, or a second and a step.

By then its gradient has moved the players, and saving them would save NaN. So copies of finite
weights are kept on the way, in at most 2 % of a run's time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nvn.engine.diagnosis import numbers_of
from nvn.errors import RunError
from nvn.records import GROUPS
from nvn.training.buffer import RecordBuffer
from nvn.training.hooks import hook
from nvn.training.weights import State

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.recipe.recipe import Phase
    from nvn.records import Record

__all__ = ["FiniteGuard", "NotFiniteError", "copied"]

_SHARE = 0.02  # of a run's time, at most, for copies
_MOST_SKIPPED = 100  # steps in a row; then nothing is learned any more


class NotFiniteError(RunError):
    """Something became infinite or NaN."""


class FiniteGuard:
    """The plugin that raises when something is not finite.

    Args:
        skips: Whether steps whose gradients are not finite are skipped: only what they have spared
            is held to be finite then, and that players step at all.

    Attributes:
        good: A copy of each player's weights, the latest in which everything was finite.
        checked: The phase, and the last step of it after which everything was finite.
        last: The record of that step, if there was one.
    """

    def __init__(self, skips: bool = False) -> None:
        self.good: Mapping[str, State] = {}
        self.checked: tuple[str, int] = ("", 0)
        self.last: Record | None = None
        self._skips = skips
        self._unread: RecordBuffer[Record] = RecordBuffer()
        self._in_a_row: dict[str, int] = {}
        self._infinite: frozenset[str] = frozenset()  # buffers that were so from the start
        self._cost = 0.0
        self._copied_at = -math.inf

    @hook
    def run_started(self, engines: Mapping[str, Engine]) -> None:
        """Check the initial weights, and copy them.

        Raises:
            RunError: They are not finite.
        """
        modules = next(iter(engines.values())).modules  # which they share
        self._infinite = frozenset(_bad([*_buffers(modules)]))
        bad = self.infinite(modules)
        if bad:
            raise RunError(
                f"{bad} is not finite before the first step: look at how it is initialized, or at "
                "the weights that were loaded"
            )
        self._copy(modules)

    @hook
    def step_done(self, phase: Phase, record: Record, engine: Engine) -> None:
        """Check what is not checked yet, several steps at a time."""
        if self._unread.add(record):
            self.check(phase, engine)

    @hook
    def phase_finished(self, phase: Phase, engine: Engine) -> None:
        """Check the remaining steps."""
        self.check(phase, engine)

    def check(self, phase: Phase, engine: Engine) -> None:
        """Check the steps since the last time, all of this phase.

        Raises:
            NotFiniteError: Something was not finite.
        """
        records = self._unread.take()
        for record in records:
            self._check_record(phase, record)
        bad = self.infinite(engine.modules)
        if bad:
            last = engine.state.iterations.get(phase.name, 0)
            raise NotFiniteError(f"{bad} is not finite after step {last} of phase {phase.name!r}.")
        self.checked = (phase.name, engine.state.iterations.get(phase.name, 0))
        self.last = records[-1] if records else self.last
        if time.monotonic() - self._copied_at > self._cost / _SHARE:
            self._copy(engine.modules)

    def infinite(self, modules: Mapping[str, nn.Module]) -> str:
        """Return the name of a parameter or buffer that has become infinite or NaN; "" if none."""
        held = [*_parameters(modules)]
        held += [(name, b) for name, b in _buffers(modules) if name not in self._infinite]
        return next(_bad(held), "")

    def forget(self) -> None:
        """Forget the steps that are not checked yet: they have been taken back."""
        self._unread.take()

    def _check_record(self, phase: Phase, record: Record) -> None:
        if self._skips:
            for player, norm in record.gradient_norms.items():
                row = 0 if math.isfinite(norm) else self._in_a_row.get(player, 0) + 1
                self._in_a_row[player] = row
                if row >= _MOST_SKIPPED:
                    raise NotFiniteError(
                        f"the gradient of {player} was not finite in {row} steps in a row, up to "
                        f"step {record.step} of phase {phase.name!r}."
                    )
            return
        bad = [*_infinite_numbers(record)]
        if bad:
            others = f" (and {', '.join(bad[1:])})" if len(bad) > 1 else ""
            raise NotFiniteError(f"{bad[0]}{others} at step {record.step} of phase {phase.name!r}.")

    def _copy(self, modules: Mapping[str, nn.Module]) -> None:
        begun = time.monotonic()
        self.good = copied(modules)
        self._copied_at = time.monotonic()
        self._cost = self._copied_at - begun


def copied(modules: Mapping[str, nn.Module]) -> dict[str, State]:
    """Return copies of the modules' states, on their devices."""
    return {
        name: {
            key: value.detach().clone() if isinstance(value, torch.Tensor) else value
            for key, value in module.state_dict().items()
        }
        for name, module in modules.items()
    }


_CALLED = dict(zip(GROUPS, ("energy", "objective of", "gradient norm of"), strict=True))


def _infinite_numbers(record: Record) -> Iterator[str]:
    """Say which numbers of a record are not finite: objectives first, then what explains them."""
    for group in ("objectives", "energies", "gradient_norms"):
        for name, value in getattr(record, group).items():
            if not math.isfinite(value):
                yield f"the {_CALLED[group]} {name} is {value}"


def _parameters(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, Tensor]]:
    for player, module in modules.items():
        for name, parameter in module.named_parameters():
            yield f"{player}.{name}", parameter


def _buffers(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, Tensor]]:
    for player, module in modules.items():
        for name, buffer in module.named_buffers():
            yield f"{player}.{name}", buffer


def _bad(held: Sequence[tuple[str, Tensor]]) -> Iterator[str]:
    """Yield the names of what is not finite; one wait for the device where all is."""
    if not _all_finite(tensor for _, tensor in held):
        yield from (name for name, tensor in held if not _all_finite([tensor]))


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether everything is finite: a kernel for all tensors of a device, and one wait."""
    held = (numbers_of(t.detach()) for t in tensors if t.is_floating_point() or t.is_complex())
    floating = [t.abs() if t.is_complex() else t for t in held if t.numel()]
    if not floating:
        return True
    # The largest absolute value of each: infinite where one is, NaN where one is.
    largest = torch._foreach_norm(floating, ord=math.inf)
    return bool(torch.stack([x.to("cpu", torch.float64) for x in largest]).isfinite().all())
