"""What one iteration leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

GROUPS = ("energies", "objectives", "gradient_norms")


class Record:
    """The numbers of one iteration, left on the device until somebody reads them.

    An energy's value is the one that the iteration's last move with it saw. An objective is the
    sum of a player's weighted energies that depend on the player, at the player's last move; a
    gradient norm is the 2-norm of its gradient over all its parameters, before clipping.

    Attributes:
        step: How many iterations were done, this one included.
    """

    def __init__(
        self,
        step: int,
        energies: Mapping[str, Tensor],
        objectives: Mapping[str, Tensor],
        gradient_norms: Mapping[str, Tensor],
    ) -> None:
        self.step = step
        self._tensors = (dict(energies), dict(objectives), dict(gradient_norms))

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
        """Bring everything over in one transfer."""
        scalars = [t.detach().to(torch.float64) for group in self._tensors for t in group.values()]
        numbers = iter(torch.stack(scalars).tolist() if scalars else ())
        energies, objectives, norms = ({n: next(numbers) for n in g} for g in self._tensors)
        return energies, objectives, norms

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


def _number(x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)
