"""The program of an iteration: a flat list of instructions over named slots.

A program is what a plan is lowered to (lowering.py), and what the loop is written from (emit.py).
It stands by itself: instructions name slots, constants, players and methods, and nothing of the
declaration. `print(program)` shows it. Of a GAN with a noise `z`, where D moves, and then G:

    batch = next batch
    real = batch["real"]
    z = noise "z" of (16,) like real
    G_z = G(z)
    D_real = D(real)
    …
    D_grads = backward from 1 real_D_real, 1 fake_D_G_z to D
    step D along D_grads
    requires_grad of D: False
    …

Every slot is written once, read after that, and freed once, after its last use; nothing is held
that nobody reads. `verify` (liveness.py) holds a program to that.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from nvn import pytree

Fresh: TypeAlias = Literal[True, "noise"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A variable of a program: a value, a cotangent, a player's gradients or its buffers."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Constant:
    """The name of something that a program is given: a function of the user's, most often."""

    name: str

    def __str__(self) -> str:
        return self.name


Operand: TypeAlias = Any
"""A tree of slots, constants, and what Python can write down: numbers, strings, None."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A number, times functions of the step, times scalar values in slots."""

    number: float
    functions: tuple[Constant, ...] = ()
    slots: tuple[Slot, ...] = ()

    def __str__(self) -> str:
        parts = [*(f"{fn}(step)" for fn in self.functions), *map(str, self.slots)]
        if self.number != 1.0 or not parts:
            parts.insert(0, f"{self.number:g}")
        return "·".join(parts)


@dataclass(frozen=True, slots=True)
class Scale:
    """What a tensor is multiplied by: a sum of factors."""

    factors: tuple[Factor, ...]

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The scalar values that it is made with."""
        return tuple(slot for factor in self.factors for slot in factor.slots)

    @property
    def number(self) -> float | None:
        """The number that it is in every iteration; None if it depends on anything."""
        if any(factor.functions or factor.slots for factor in self.factors):
            return None
        return float(sum(factor.number for factor in self.factors))

    def __str__(self) -> str:
        text = " + ".join(map(str, self.factors))
        return f"({text})" if len(self.factors) > 1 else text


Mixture: TypeAlias = tuple[tuple[Scale, Slot], ...]
"""A weighted sum of what slots hold."""


# --- instructions -----------------------------------------------------------------------------


class Instruction(ABC):
    """A line of a program."""

    @property
    def reads(self) -> tuple[Slot, ...]:
        """The slots that must have been written before."""
        return ()

    @property
    def writes(self) -> tuple[Slot, ...]:
        """The slots that this instruction writes."""
        return ()

    @abstractmethod
    def __str__(self) -> str: ...


@dataclass(frozen=True)
class Comment(Instruction):
    """Says who moves from here on, and down what."""

    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(f"# {line}" for line in self.lines)


@dataclass(frozen=True)
class Assignment(Instruction):
    """An instruction that writes one slot.

    Attributes:
        out: The slot.
    """

    out: Slot

    @property
    def writes(self) -> tuple[Slot, ...]:
        return (self.out,)


@dataclass(frozen=True)
class Conversion(Assignment):
    """An assignment of something made of one value.

    Attributes:
        source: Where the value is.
    """

    source: Slot

    @property
    def reads(self) -> tuple[Slot, ...]:
        return (self.source,)


@dataclass(frozen=True)
class NextBatch(Instruction):
    """Take a new batch (True), or draw the samples anew from the same one ("noise")."""

    fresh: Fresh

    def __str__(self) -> str:
        return "batch = next batch" if self.fresh is True else "draw the samples anew"


@dataclass(frozen=True)
class Entry(Assignment):
    """Read an entry of the batch."""

    name: str

    def __str__(self) -> str:
        return f'{self.out} = batch["{self.name}"]'


@dataclass(frozen=True)
class Noise(Assignment):
    """Draw standard normal noise, (N, *shape), N the length of `like`.

    Attributes:
        name: Its name; an entry of the batch with that name replaces it.
        shape: Of a sample.
        like: Whose device, dtype and length it gets.
        key: What its random stream is keyed by, besides the draw.
    """

    name: str
    shape: tuple[int, ...]
    like: Slot
    key: int

    @property
    def reads(self) -> tuple[Slot, ...]:
        return (self.like,)

    def __str__(self) -> str:
        return f'{self.out} = noise "{self.name}" of {self.shape} like {self.like}'


@dataclass(frozen=True)
class Sample(Assignment):
    """Draw `function(generator, batch)`; an entry of the batch called `name` replaces it."""

    name: str
    function: Constant
    key: int

    def __str__(self) -> str:
        return f'{self.out} = sample "{self.name}" by {self.function}'


@dataclass(frozen=True)
class Seed(Instruction):
    """Start the global random streams for a call: dropout and the like are drawn from them.

    Attributes:
        key: A number that tells this call from all others.
        players: Whose steps the call's value depends on: the draw is another one after each.
    """

    key: int
    players: tuple[str, ...]

    def __str__(self) -> str:
        return f"seed {self.key:#x} at the steps of {', '.join(self.players)}"


@dataclass(frozen=True)
class Call(Instruction):
    """Call a player's module.

    Attributes:
        out: Where the result goes.
        player: Whose module.
        method: Which of its methods.
        args: Positional arguments.
        kwargs: Keyword arguments.
        evaluating: Whether a player that trains runs in eval mode for this call.
        copies: Whether the call works on copies of the module's buffers, so that these stay.
        buffers: What the copies are made of; None for the module's own buffers.
        becomes: Where to keep what the copies become; None if nobody asks.
        label: The call as it was declared, for errors.
        where: The line of code that declared it.
    """

    out: Slot
    player: str
    method: str
    args: Operand
    kwargs: Operand
    evaluating: bool = False
    copies: bool = False
    buffers: Slot | None = None
    becomes: Slot | None = None
    label: str = ""
    where: str = ""

    @property
    def reads(self) -> tuple[Slot, ...]:
        given = _slots((self.args, self.kwargs))
        return given if self.buffers is None else (*given, self.buffers)

    @property
    def writes(self) -> tuple[Slot, ...]:
        return (self.out,) if self.becomes is None else (self.out, self.becomes)

    def __str__(self) -> str:
        name = self.player if self.method == "forward" else f"{self.player}.{self.method}"
        how = ["in eval mode"] if self.evaluating else []
        if self.copies:
            how.append(f"on copies of {self.buffers or 'its buffers'}")
        how += [] if self.becomes is None else [f"which become {self.becomes}"]
        details = f"  # {', '.join(how)}" if how else ""
        return f"{self.out} = {name}({arguments(self.args, self.kwargs)}){details}"


@dataclass(frozen=True)
class Apply(Assignment):
    """Apply a pure function.

    Attributes:
        function: Of what.
        args: Positional arguments.
        kwargs: Keyword arguments.
        label: The value as it was declared, for errors.
        where: The line of code that declared it.
    """

    function: Constant
    args: Operand
    kwargs: Operand
    label: str = ""
    where: str = ""

    @property
    def reads(self) -> tuple[Slot, ...]:
        return _slots((self.args, self.kwargs))

    def __str__(self) -> str:
        return f"{self.out} = {self.function}({arguments(self.args, self.kwargs)})"


@dataclass(frozen=True)
class Item(Conversion):
    """Take an element of a tree, or of a tensor."""

    index: Operand
    label: str = ""
    where: str = ""

    def __str__(self) -> str:
        return f"{self.out} = {self.source}[{index(self.index)}]"


@dataclass(frozen=True)
class Gradient(Instruction):
    """Take ∂(sum of y)/∂x with respect to each of several x, in one backward pass.

    Attributes:
        outs: Where the gradients go.
        y: What is differentiated.
        xs: With respect to what.
        create_graph: Whether gradients flow through the results.
        label: The gradients as they were declared, for errors.
        where: The line of code that declared the first.
    """

    outs: tuple[Slot, ...]
    y: Slot
    xs: tuple[Slot, ...]
    create_graph: bool
    label: str = ""
    where: str = ""

    @property
    def reads(self) -> tuple[Slot, ...]:
        return (self.y, *self.xs)

    @property
    def writes(self) -> tuple[Slot, ...]:
        return self.outs

    def __str__(self) -> str:
        graph = ", with a graph" if self.create_graph else ""
        return f"{_listed(self.outs)} = gradient of {self.y} by {_listed(self.xs)}{graph}"


@dataclass(frozen=True)
class Detach(Conversion):
    """Make a constant of a value that has a graph."""

    def __str__(self) -> str:
        return f"{self.out} = {self.source}, detached"


@dataclass(frozen=True)
class Leaf(Conversion):
    """Make a leaf of a value: what is computed from it backpropagates to there, and no further."""

    def __str__(self) -> str:
        return f"{self.out} = {self.source}, as a leaf"


@dataclass(frozen=True)
class Alias(Conversion):
    """Make a tensor of its own of a value, graph included, for gradients with respect to it."""

    def __str__(self) -> str:
        return f"{self.out} = {self.source}, as a tensor of its own"


@dataclass(frozen=True)
class RequiresGrad(Instruction):
    """Let a player's parameters require gradients, or not: opponents store no graph of theirs."""

    player: str
    value: bool

    def __str__(self) -> str:
        return f"requires_grad of {self.player}: {self.value}"


@dataclass(frozen=True)
class Backward(Instruction):
    """One vector–Jacobian product: one call of autograd.

    Attributes:
        name: What the pass carries: a player's row of weights, or one energy.
        energies: The energies that it starts from, with the weights that it carries.
        values: The values that it goes on from, each with the cotangents to mix.
        into: The players whose parameters it ends at, their gradients added up in `.grad`.
        alone: Whether these are all the leaves that the graph has: then nobody need name them.
        players: Those whose gradients are kept apart, to be scaled, and where they go.
        leaves: The leaves that it ends at, and where their cotangents go.
        retain_graph: Whether another pass goes through the same graph.
    """

    name: str
    energies: tuple[tuple[Scale, Slot], ...]
    values: tuple[tuple[Slot, Mixture], ...]
    into: tuple[str, ...]
    players: tuple[tuple[str, Slot], ...] = ()
    leaves: tuple[tuple[Slot, Slot], ...] = ()
    retain_graph: bool = False
    alone: bool = False

    @property
    def reads(self) -> tuple[Slot, ...]:
        mixed = [(value, _read_by(mixture)) for value, mixture in self.values]
        return (
            *_read_by(self.energies),
            *(slot for value, slots in mixed for slot in (value, *slots)),
            *(leaf for leaf, _ in self.leaves),
        )

    @property
    def writes(self) -> tuple[Slot, ...]:
        return (*(slot for _, slot in self.players), *(slot for _, slot in self.leaves))

    def __str__(self) -> str:
        starts = [f"{scale} {slot}" for scale, slot in self.energies]
        starts += [f"{value} by {_mixture(mixture)}" for value, mixture in self.values]
        ends = [*self.into, *(player for player, _ in self.players)]
        ends += [str(leaf) for leaf, _ in self.leaves]
        kept = ", keeping the graph" if self.retain_graph else ""
        found = f"{_listed(self.writes)} = " if self.writes else ""
        return f"{found}backward from {', '.join(starts)} to {_listed(ends)}{kept}"


@dataclass(frozen=True)
class Accumulate(Assignment):
    """Add a player's gradients from one pass to those from the passes before, if any."""

    total: Slot | None
    scale: Scale
    part: Slot

    @property
    def reads(self) -> tuple[Slot, ...]:
        before = () if self.total is None else (self.total,)
        return (*before, self.part, *self.scale.slots)

    def __str__(self) -> str:
        before = "" if self.total is None else f"{self.total} + "
        return f"{self.out} = {before}{self.scale} {self.part}"


@dataclass(frozen=True)
class Record(Conversion):
    """Keep the number of an energy or of a weight, as a constant, for the record."""

    def __str__(self) -> str:
        return f"{self.out} = record {self.source}"


@dataclass(frozen=True)
class Mean(Conversion):
    """Take the mean of a constant over all processes: what weighs energies is the same in each."""

    def __str__(self) -> str:
        return f"{self.out} = mean of {self.source} over all processes"


@dataclass(frozen=True)
class Average(Instruction):
    """Begin to average a player's gradients over all processes: they are complete now.

    Attributes:
        player: Whose.
        gradients: Which; None for what has been added up in `.grad`.
    """

    player: str
    gradients: Slot | None

    @property
    def reads(self) -> tuple[Slot, ...]:
        return () if self.gradients is None else (self.gradients,)

    def __str__(self) -> str:
        return f"begin to average {self.gradients or f'gradients of {self.player}'}"


@dataclass(frozen=True)
class Arrive(Instruction):
    """Wait for a player's averaged gradients.

    Attributes:
        player: Whose.
        out: Where they go; None for `.grad`.
    """

    player: str
    out: Slot | None

    @property
    def writes(self) -> tuple[Slot, ...]:
        return () if self.out is None else (self.out,)

    def __str__(self) -> str:
        return f"{self.out or f'gradients of {self.player}'} = averages, arrived"


@dataclass(frozen=True)
class Means(Instruction):
    """Take the means of recorded numbers over all processes, all at once.

    Attributes:
        outs: Where they go.
        sources: The numbers.
    """

    outs: tuple[Slot, ...]
    sources: tuple[Slot, ...]

    @property
    def reads(self) -> tuple[Slot, ...]:
        return self.sources

    @property
    def writes(self) -> tuple[Slot, ...]:
        return self.outs

    def __str__(self) -> str:
        return f"{_listed(self.outs)} = means of {_listed(self.sources)} over all processes"


@dataclass(frozen=True)
class Step(Instruction):
    """Step a player along its gradients.

    Attributes:
        player: Who.
        gradients: Along what; None for what has been added up in `.grad`.
        optimizer: The name of the optimizer that steps.
    """

    player: str
    gradients: Slot | None
    optimizer: str

    @property
    def reads(self) -> tuple[Slot, ...]:
        return () if self.gradients is None else (self.gradients,)

    def __str__(self) -> str:
        along = "" if self.gradients is None else f" along {self.gradients}"
        how = "" if self.optimizer == self.player else f" with {self.optimizer}"
        return f"step {self.player}{along}{how}"


@dataclass(frozen=True)
class RequirePaths(Instruction):
    """Hold every mover to having a gradient, before anybody steps.

    Attributes:
        gradients: Each mover, and its gradients; None for what has been added up in `.grad`.
    """

    gradients: tuple[tuple[str, Slot | None], ...]

    @property
    def reads(self) -> tuple[Slot, ...]:
        return tuple(slot for _, slot in self.gradients if slot is not None)

    def __str__(self) -> str:
        return f"require gradients of {_listed(slot or player for player, slot in self.gradients)}"


@dataclass(frozen=True)
class CommitBuffers(Instruction):
    """Let a player's buffers become what its calls made of the copies."""

    player: str
    buffers: Slot

    @property
    def reads(self) -> tuple[Slot, ...]:
        return (self.buffers,)

    def __str__(self) -> str:
        return f"buffers of {self.player} become {self.buffers}"


@dataclass(frozen=True)
class Free(Instruction):
    """Forget what nothing reads any more."""

    slots: tuple[Slot, ...]

    def __str__(self) -> str:
        return f"free {_listed(self.slots)}"


@dataclass(frozen=True)
class Return(Instruction):
    """What an iteration leaves behind.

    Attributes:
        energies: The last recorded value of each energy, by its name.
        objectives: Of each mover: the recorded values that it descends, with its weights.
        gradients: Of each player, where nobody steps: its gradients.
    """

    energies: Mapping[str, Slot]
    objectives: Mapping[str, Mixture]
    gradients: Mapping[str, Slot]

    @property
    def reads(self) -> tuple[Slot, ...]:
        weighed = (slot for mixture in self.objectives.values() for slot in _read_by(mixture))
        return (*dict.fromkeys([*self.energies.values(), *weighed, *self.gradients.values()]),)

    def __str__(self) -> str:
        sums = [f"objective of {p}: {_mixture(m)}" for p, m in self.objectives.items()]
        named = [f"{name}: {slot}" for name, slot in self.energies.items()]
        found = [f"gradients of {p}: {slot}" for p, slot in self.gradients.items()]
        return "\n".join(f"return {line}" for line in [*named, *sums, *found]) or "return"


# --- programs ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Program:
    """A lowered iteration.

    Attributes:
        title: The game and its moves, in words.
        instructions: What to do, in order.
        constants: What the program is given, by name.
        players: The identifier of each player: its name, where that is one.
    """

    title: str
    instructions: tuple[Instruction, ...]
    constants: Mapping[str, Any]
    players: Mapping[str, str]

    @property
    def called(self) -> tuple[str, ...]:
        """Every player whose module is called, in order of the first call."""
        return tuple(dict.fromkeys(x.player for x in self.instructions if isinstance(x, Call)))

    @property
    def exchanges(self) -> bool:
        """Whether several processes that play it exchange anything."""
        return any(isinstance(x, Mean | Arrive | Means) for x in self.instructions)

    @property
    def depends_on_step(self) -> bool:
        """Whether any weight that a pass carries is a function of the step."""
        scales = (
            leaf
            for x in self.instructions
            if isinstance(x, Backward | Accumulate)
            for leaf in pytree.leaves([*vars(x).values()])
            if isinstance(leaf, Scale)
        )
        return any(factor.functions for scale in scales for factor in scale.factors)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.title
        for position, instruction in enumerate(self.instructions):
            if isinstance(instruction, Comment):
                yield ""
            if isinstance(instruction, Free) and position + 1 == len(self.instructions):
                return  # what is returned leaves the program
            yield from (f"  {line}" for line in str(instruction).splitlines())


# --- operands ---------------------------------------------------------------------------------


def is_literal(leaf: object) -> bool:
    """Tell whether a leaf of an operand can be written down: repr gives it back.

    >>> is_literal(0.5), is_literal("sum"), is_literal(float("nan")), is_literal(len)
    (True, True, False, False)
    """
    if isinstance(leaf, float):
        return math.isfinite(leaf) and type(leaf) is float
    if isinstance(leaf, slice):
        return all(is_literal(end) for end in (leaf.start, leaf.stop, leaf.step))
    return leaf is None or leaf is Ellipsis or type(leaf) in (int, bool, str, bytes)


def arguments(args: Operand, kwargs: Operand) -> str:
    """Return arguments as they are written in a call.

    >>> arguments((Slot("fake"), (1, 2.0)), {"mode": "sum"})
    'fake, (1, 2.0), mode="sum"'
    """
    given = [written(arg) for arg in args]
    return ", ".join([*given, *(f"{name}={written(arg)}" for name, arg in kwargs.items())])


def written(operand: Operand) -> str:
    """Return an operand as Python writes it."""
    if isinstance(operand, dict):
        inside = ", ".join(f"{written(key)}: {written(branch)}" for key, branch in operand.items())
        return _of_kind(operand, dict, f"{{{inside}}}")
    if isinstance(operand, tuple) and hasattr(operand, "_fields"):
        return f"{type(operand).__name__}({', '.join(map(written, operand))})"
    if isinstance(operand, tuple):
        inside = ", ".join(map(written, operand))
        return _of_kind(operand, tuple, f"({inside},)" if len(operand) == 1 else f"({inside})")
    if isinstance(operand, list):
        return _of_kind(operand, list, f"[{', '.join(map(written, operand))}]")
    if isinstance(operand, Slot | Constant):
        return str(operand)
    if isinstance(operand, str):
        return quoted(operand)
    return "..." if operand is Ellipsis else repr(operand)


def quoted(text: str) -> str:
    """Return a string in double quotes, as Python.

    >>> print(quoted("it's"))
    "it's"
    """
    escaped = repr(text)[1:-1].replace('"', '\\"')
    return f'"{escaped}"'


def index(operand: Operand) -> str:
    """Return an index as it is written between brackets.

    >>> index((slice(None), slice(0, 2), 3))
    ':, 0:2, 3'
    """
    if isinstance(operand, slice):
        ends = ["" if end is None else written(end) for end in (operand.start, operand.stop)]
        return ":".join(ends if operand.step is None else [*ends, written(operand.step)])
    if type(operand) is tuple and operand:
        inside = ", ".join(map(index, operand))
        return f"{inside}," if len(operand) == 1 else inside
    return written(operand)


def _of_kind(operand: object, kind: type, text: str) -> str:
    """Write a container; one of a derived class by that class's name."""
    return text if type(operand) is kind else f"{type(operand).__name__}({text})"


def _slots(operand: Operand) -> tuple[Slot, ...]:
    return tuple(leaf for leaf in pytree.leaves(operand) if isinstance(leaf, Slot))


def _read_by(mixture: Iterable[tuple[Scale, Slot]]) -> tuple[Slot, ...]:
    return tuple(slot for scale, source in mixture for slot in (source, *scale.slots))


def _mixture(mixture: Mixture) -> str:
    return " + ".join(f"{scale} {slot}" for scale, slot in mixture)


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "nothing"
