"""What a compiled iteration consists of: a flat list of instructions over numbered slots.

A slot holds a tensor (or a tree of them), a cotangent, or a player's buffers. Instructions are
frozen, know nothing of tensors, and print as a person would say them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from nvn.game.schedule import Fresh, Move
from nvn.game.values import StepFunction, Value

Slot: TypeAlias = int


@dataclass(frozen=True)
class Factor:
    """A number, times functions of the step, times scalar values in slots."""

    number: float
    functions: tuple[StepFunction, ...] = ()
    slots: tuple[Slot, ...] = ()


Scale: TypeAlias = tuple[Factor, ...]
"""A sum of factors: what something is multiplied by."""


@dataclass(frozen=True)
class Take:
    """Take a new batch (True), or draw the samples anew ("noise")."""

    fresh: Fresh


@dataclass(frozen=True)
class Evaluate:
    """Compute a value that is no player's call.

    Attributes:
        node: What.
        slot: Where it goes.
        inputs: Where its inputs are.
        onward: Of a gradient: whether gradients flow through it.
        learners: Of a gradient: the players that it goes back through, and whether each learns
            through it.
    """

    node: Value
    slot: Slot
    inputs: Mapping[Value, Slot]
    onward: bool = False
    learners: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Forward:
    """Call a player's module.

    Attributes:
        node: The call.
        player: Whose.
        slot: Where the result goes.
        inputs: Where its inputs are.
        learns: Whether the parameters' gradient will be asked for through this call.
        state: The buffers that it starts with; None for the module's own.
        becomes: Where to keep what buffers become; None if nobody asks.
    """

    node: Value
    player: str
    slot: Slot
    inputs: Mapping[Value, Slot]
    learns: bool
    state: Slot | None = None
    becomes: Slot | None = None


@dataclass(frozen=True)
class Detach:
    """Make a constant of a value that has a graph."""

    source: Slot
    slot: Slot


@dataclass(frozen=True)
class Cut:
    """Make a leaf of a value: what takes it goes back to there, and no further."""

    source: Slot
    slot: Slot


@dataclass(frozen=True)
class View:
    """Make a tensor of its own of a value, graph included, for gradients with respect to it."""

    source: Slot
    slot: Slot


@dataclass(frozen=True)
class Pull:
    """Go back once: one call of autograd.

    Attributes:
        label: What the pass carries: a player's row of weights, or one energy.
        seeds: The energies that it starts from, with the weights that it carries.
        cotangents: The values that it goes on from, each with the cotangents to mix.
        players: The players whose gradients it adds to, with factors.
        leaves: The leaves that it ends at, and where their cotangents go.
        retain: Whether another pass goes through the same graph.
    """

    label: str
    seeds: tuple[tuple[Slot, Scale], ...]
    cotangents: tuple[tuple[Slot, tuple[tuple[Slot, Scale], ...]], ...]
    players: tuple[tuple[str, Scale], ...]
    leaves: tuple[tuple[Slot, Slot], ...]
    retain: bool


@dataclass(frozen=True)
class Report:
    """Note what a move descends: its energies, and each mover's weights on them."""

    energies: Mapping[str, Slot]
    objectives: Mapping[str, tuple[tuple[Slot, Scale], ...]]


@dataclass(frozen=True)
class Step:
    """Step the players of a move along their gradients."""

    players: tuple[str, ...]
    move: Move


@dataclass(frozen=True)
class Keep:
    """Let a player's buffers become what its calls made of them."""

    player: str
    state: Slot


@dataclass(frozen=True)
class Drop:
    """Forget what nothing asks for any more."""

    slots: tuple[Slot, ...]


Instruction: TypeAlias = (
    Take | Evaluate | Forward | Detach | Cut | View | Pull | Report | Step | Keep | Drop
)
