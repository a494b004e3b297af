"""What the leading process orders the others to do, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from nvn.training.run import Outcome

__all__ = [
    "Alike",
    "Begin",
    "Check",
    "End",
    "Facts",
    "Failed",
    "Load",
    "Metric",
    "Order",
    "Step",
]


@dataclass(frozen=True)
class Begin:
    """Build this recipe, and train it together.

    Attributes:
        origin: Its file, or its name if installed.
        config: Its configuration, as YAML.
        options: Further arguments of `nvn.train`, as plain values.
    """

    origin: str
    config: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Load:
    """Go on from a state.

    Attributes:
        parts: The state, by the parts of a checkpoint.
        data: Whether the data are to be read from there, too.
    """

    parts: Mapping[str, Any]
    data: bool


@dataclass(frozen=True)
class Check:
    """Check the first batches, and answer with `Facts`."""


@dataclass(frozen=True)
class Alike:
    """Go on: all processes have the same `Facts`."""


@dataclass(frozen=True)
class Step:
    """Play an iteration of a phase."""

    phase: str


@dataclass(frozen=True)
class Metric:
    """Tell learning-rate schedules a metric's new value."""

    name: str
    value: float


@dataclass(frozen=True)
class End:
    """The run has ended.

    Attributes:
        outcome: How; None if the leading process has failed.
        folder: The run's folder.
        metrics: As an `nvn.Run` has them; so the others.
        pictures: The files of pictures.
        best: The best values.
        seconds: How long it took.
    """

    outcome: Outcome | None = None
    folder: Path = Path()
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)
    best: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float = 0.0


Order: TypeAlias = Load | Check | Alike | Step | Metric | End


@dataclass(frozen=True)
class Facts:
    """What has to be the same in all processes.

    Attributes:
        host: The machine's name.
        facts: What each is called, and what it is here.
        code: The files of code that it has imported, by name, and a digest of each. (Some may be
            imported late, or by the first process alone.)
    """

    host: str
    facts: Mapping[str, str]
    code: Mapping[str, str]


@dataclass(frozen=True)
class Failed:
    """An error has ended a process.

    Attributes:
        text: The error, as it is shown to a person.
    """

    text: str
