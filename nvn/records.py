"""What one iteration leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

GROUPS = ("energies", "objectives", "gradient_norms")


class Pending(NamedTuple):
    """A number that is worked out when it is read: `combine` of some scalar tensors' numbers."""

    tensors: Sequence[Tensor]
    combine: Callable[[Sequence[float]], float]


Scalar: TypeAlias = Tensor | Pending
Groups: TypeAlias = tuple[Mapping[str, Scalar], Mapping[str, Scalar], Mapping[str, Scalar]]


class Record:
    """The numbers of one iteration, left on the device until somebody reads them.

    An energy's value is the one that the iteration's last move with it saw. An objective is the
    sum of a player's weighted energies that depend on the player, at the player's last move; a
    gradient norm is the 2-norm of its gradient over all its parameters, before clipping.

    Attributes:
        step: How many iterations were done, this one included.

    >>> record = Record(
    ...     3,
    ...     energies={"mse(f(x), y)": torch.tensor(0.25)},
    ...     objectives={"f": torch.tensor(0.5)},
    ...     gradient_norms={"f": torch.tensor(1.0)},
    ... )
    >>> record.step, record.energies, record.objectives
    (3, {'mse(f(x), y)': 0.25}, {'f': 0.5})
    """

    def __init__(
        self,
        step: int,
        energies: Mapping[str, Scalar],
        objectives: Mapping[str, Scalar],
        gradient_norms: Mapping[str, Scalar],
    ) -> None:
        self.step = step
        self._given: Callable[[], Groups] = lambda: (energies, objectives, gradient_norms)

    @staticmethod
    def deferred(step: int, given: Callable[[], Groups]) -> Record:
        """Return a record whose energies, objectives and norms are put together when it is read."""
        record = Record(step, {}, {}, {})
        record._given = given
        return record

    @cached_property
    def _pending(self) -> tuple[dict[str, Pending], ...]:
        return tuple({n: _pending(x) for n, x in group.items()} for group in self._given())

    @property
    def energies(self) -> dict[str, float]:
        """Value of each energy computed, by name."""
        return self._fetched[0]

    @property
    def objectives(self) -> dict[str, float]:
        """Value of each moved player's objective, by player."""
        return self._fetched[1]

    @property
    def gradient_norms(self) -> dict[str, float]:
        """Norm of each moved player's gradient, by player."""
        return self._fetched[2]

    @cached_property
    def _fetched(self) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        """Bring everything over in one transfer, a tensor that several numbers need once."""
        parts = [x for group in self._pending for x in group.values()]
        scalars = {id(t): t.detach().to(torch.float64) for x in parts for t in x.tensors}
        moved = torch.stack(list(scalars.values())).tolist() if scalars else []
        numbers = dict(zip(scalars, moved, strict=True))
        energies, objectives, norms = (
            {n: float(x.combine([numbers[id(t)] for t in x.tensors])) for n, x in group.items()}
            for group in self._pending
        )
        return energies, objectives, norms

    def over(self, before: Record | None) -> Record:
        """Return this record with the numbers of an earlier one where it has none of its own."""
        if before is None:
            return self
        pairs = [*zip(before._pending, self._pending, strict=True)]
        if all(old.keys() <= new.keys() for old, new in pairs):
            return self
        return Record(self.step, *(old | new for old, new in pairs))

    def state_dict(self) -> dict[str, Any]:
        """Return what `Record.of_state` makes an equal record from."""
        groups = (self.energies, self.objectives, self.gradient_norms)
        return {"step": self.step, **dict(zip(GROUPS, groups, strict=True))}

    @staticmethod
    def of_state(state: Mapping[str, Any]) -> Record:
        """Return the record whose `state_dict` this is."""
        groups = ({n: _number(x) for n, x in state[group].items()} for group in GROUPS)
        return Record(state["step"], *groups)

    def __repr__(self) -> str:
        return f"<Record of step {self.step}>"


def _pending(x: Scalar) -> Pending:
    return x if isinstance(x, Pending) else Pending((x,), _only)


def _only(numbers: Sequence[float]) -> float:
    return numbers[0]


def _number(x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)
