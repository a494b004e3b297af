"""Settings that have to fit together: what does not is said before anything is read or made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Self, TypeAlias

from pydantic import Field, model_validator

import nvn

MOST = 10**9  # steps; more are a slip of the finger
HEAVIEST = 1e6  # of the weights of energies

Presets: TypeAlias = Mapping[str, Mapping[str, object]]
Steps: TypeAlias = Annotated[int, Field(ge=1, le=MOST)]
Rate: TypeAlias = Annotated[float, Field(gt=0, le=10)]  # of learning
Weight: TypeAlias = Annotated[float, Field(ge=0, le=HEAVIEST)]  # of an energy
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]


def extended(presets: Presets, **more: Mapping[str, object]) -> Presets:
    """Return presets with more settings in some of them, by the preset's name."""
    names = {**presets, **more}
    return {name: {**presets.get(name, {}), **more.get(name, {})} for name in names}


class Fitting(nvn.Config):
    """Settings with `_problems` of their own, all of them told at once."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        """Say what does not fit together, a line each that begins with the setting's name."""
        yield from ()


class Folds(Fitting):
    """How data are split in those to learn from and those to test on."""

    folds: int = Field(
        5, ge=2, le=100_000, description="parts that the data are split into, one to test on"
    )
    fold: int = Field(0, ge=0, le=100_000, description="which part to test on; the first is 0")

    def _problems(self) -> Iterator[str]:
        if self.fold >= self.folds:
            yield f"fold = {self.fold}: the folds are 0 to {self.folds - 1} (folds = {self.folds})"
