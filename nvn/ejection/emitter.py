"""A program as the training loop that one would write by hand.

It is the engine's loop, line for line, where it matters: what is computed, in which order, and by
which operations. What differs is how the loop meets its surroundings:

    the engine's                                  written out
    batch = run.next_batch()                      counters.next_batch()
    z = run.noise("z", (16,), real, 0x8441)       z = torch.randn(len(real), 16, generator=…, …)
    run.seed(0x25c8, "E") / f = E(weak)           with seeded(counters.call_seed(0x25c8, "E"), …):
    real_D_real = real(D_real)                    real_D_real = -F.logsigmoid(D_real).mean()
    backward([…], [1.0, 0.5])                     loss = … + 0.5 * …
                                                  loss.backward()
    run.step("D")                                 optimizers["D"].step()

Passes that go on from values, by cotangents, call the engine's own `backward` and `vjp`.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nvn.ejection.followers import Followers
from nvn.energies.formula import formula_of
from nvn.planner import ir
from nvn.planner.emit import INDENT, WIDTH, Emitter, amount, folded
from nvn.planner.ir import Program, Scale, Slot, quoted

ONE = Scale((ir.Factor(1.0),))
Clipping = tuple[float | None, float | None]


@dataclass(frozen=True)
class Surroundings:
    """What a loop is written for.

    Attributes:
        batch: A batch like those that it will get.
        values: What the game's values are of that batch, by their names.
        clippings: How the gradients of each optimizer are clipped: by value, by norm.
        scheduled: The optimizers whose learning rates change with every step.
        warmups: In how many steps optimizers warm up, of those that do.
        followers: The players who follow others.
        draws: Whether anything is drawn at random.
        several: Whether iterations take several batches.
    """

    batch: Mapping[str, Any]
    values: Mapping[str, Any]
    clippings: Mapping[str, Clipping]
    scheduled: Collection[str]
    warmups: Mapping[str, int]
    followers: Followers
    draws: bool
    several: bool


class LoopEmitter(Emitter):
    """Writes a program as the body of a function of modules, optimizers and a batch."""

    def __init__(self, program: Program, around: Surroundings) -> None:
        super().__init__(program)
        self._around = around
        self._examples = _examples(program, around)
        self._plain = frozenset(s for s, x in self._examples.items() if isinstance(x, Tensor))
        self._names = _energy_names(program)
        self._by_formula = {
            x.out for x in program.instructions if isinstance(x, ir.Apply) and self._formula(x)
        }
        self._small = _small(program)
        self._unread = self._only_for_shape()
        self._dead: list[Slot] = []
        self._seed: ir.Seed | None = None
        self._losses = 0
        self._movers = {x.player for x in program.instructions if isinstance(x, ir.Step)}

    def body(self) -> list[str]:
        """Return the lines of the function, not indented."""
        lines: list[str] = []
        for position, instruction in enumerate(self.program.instructions):
            if isinstance(instruction, ir.Comment):
                lines += [*self._forgotten(), ""]
            lines += self.instruction(instruction, position)
        return [*self._beginning(lines), *lines]

    # --- the beginning ---

    def _beginning(self, body: Collection[str]) -> Iterator[str]:
        """Yield what gives names to modules, and to what of theirs a body uses."""
        used = {*re.findall(r"\w+", "\n".join(body))}
        for player in self.program.called:
            yield f"{self.name(player)} = modules[{quoted(player)}]"
        for player in map(self.name, self.program.players):
            if f"{player}_params" in used:
                yield f"{player}_params = [p for p in {player}.parameters() if p.requires_grad]"
        for player in map(self.name, self.program.players):
            if f"{player}_places" in used:
                yield f"{player}_places = places_of({player})"
        if "devices" in used:
            yield "devices = {p.device for module in modules.values() for p in module.parameters()}"
        yield "energies: dict[str, Tensor] = {}"
        yield from self._around.followers.begin(self._movers)

    def _only_for_shape(self) -> frozenset[Slot]:
        """Return the entries that noise is shaped like which the batch gives, and nothing else."""
        given = [x for x in self.program.instructions if self._is_given(x)]
        others = [x for x in self.program.instructions if not self._is_given(x)]
        read = {slot for x in others for slot in x.reads}
        return frozenset({slot for x in given for slot in x.reads} - read)

    def _is_given(self, x: ir.Instruction) -> bool:
        return isinstance(x, ir.Noise | ir.Sample) and x.name in self._around.batch

    # --- where the loop meets its surroundings ---

    def next_batch(self, x: ir.NextBatch) -> Iterator[str]:
        """Yield what takes a batch, or draws samples anew."""
        if x.fresh is True and self._around.several:
            yield "batch = next(batches)"
        if self._around.draws:
            yield f"counters.{'next_batch' if x.fresh is True else 'next_draws'}()"

    def draw(self, x: ir.Noise | ir.Sample) -> Iterator[str]:
        """Yield what draws noise or a sample: its own generator, and the draw."""
        if self._is_given(x):
            yield f"{x.out} = batch[{quoted(x.name)}]"
            return
        device = f"{x.like}.device" if isinstance(x, ir.Noise) else self._device()
        seed = f"counters.draw_seed(0x{x.key:X})"
        yield f"generator = torch.Generator({device}).manual_seed({seed})"
        if isinstance(x, ir.Noise):
            floating = self._examples[x.like].is_floating_point()
            dtype = f"{x.like}.dtype" if floating else "torch.get_default_dtype()"
            size = ", ".join([f"len({x.like})", *map(str, x.shape)])
            how = f"generator=generator, dtype={dtype}, device={x.like}.device"
            yield from folded(f"{x.out} = torch.randn({size}, {how})")
            return
        function = self.program.constants[x.function.name]
        formula = formula_of(function, ("generator", "batch"))
        if formula is None:
            yield f"{x.out} = {x.function}(generator, batch)"
        else:
            written = formula.written({"generator": "generator", "batch": "batch"})
            yield f"{x.out} = {written.replace('tensors(batch)[0]', self._first())}"

    def _device(self) -> str:
        """Return where samples are drawn: where the batch is."""
        return f"{self._first()}.device"

    def _first(self) -> str:
        """Return the batch's first tensor."""
        first = next(iter(self._around.batch.items()), ("", None))
        simple = isinstance(first[1], Tensor)
        return f"batch[{quoted(first[0])}]" if simple else "tensors(batch)[0]"

    def seed(self, x: ir.Seed) -> Iterator[str]:
        """Yield nothing: the call that follows is seeded."""
        self._seed = x
        yield from ()

    def contexts(self, x: ir.Call) -> list[str]:
        """Return what a call runs in."""
        found = super().contexts(x)
        if self._seed is not None:
            given = ", ".join([f"0x{self._seed.key:X}", *map(quoted, self._seed.players)])
            found = [f"seeded(counters.call_seed({given}), *devices)", *found]
            self._seed = None
        return found

    def record(self, x: ir.Record) -> Iterator[str]:
        """Yield what keeps the number of an energy, to return it."""
        own = "" if x.source in self._by_formula else ".clone()"
        for name in self._names.get(x.out, ()):
            yield f"energies[{quoted(name)}] = {x.source}.detach(){own}"

    def require_paths(self, x: ir.RequirePaths) -> Iterator[str]:
        """Yield nothing: the plan was tried when the loop was written."""
        yield from ()

    def step(self, x: ir.Step) -> Iterator[str]:
        """Yield what steps a player."""
        parameters, optimizer = f"{self.name(x.player)}_params", quoted(x.optimizer)
        if x.gradients is not None:
            yield f"assign({parameters}, {x.gradients})"
        by_value, by_norm = self._around.clippings.get(x.optimizer, (None, None))
        if by_value is not None:
            yield f"torch.nn.utils.clip_grad_value_({parameters}, {by_value!r})"
        if by_norm is not None:
            yield f"torch.nn.utils.clip_grad_norm_({parameters}, {by_norm!r})"
        if x.optimizer in self._around.warmups:
            yield f"step_warming_up(optimizers[{optimizer}], {self._around.warmups[x.optimizer]})"
        else:
            yield f"optimizers[{optimizer}].step()"
        yield f"optimizers[{optimizer}].zero_grad()"
        if x.optimizer in self._around.scheduled:
            yield f"schedulers[{optimizer}].step()"
        if self._around.draws:
            yield f"counters.stepped({quoted(x.player)})"

    def returned(self, x: ir.Return) -> Iterator[str]:
        """Yield what brings followers up to date, and returns the energies."""
        after = [*self._around.followers.end(self._movers)]
        yield from [*after, ""] if after else []
        yield "return energies"

    # --- lines ---

    def instruction(self, x: ir.Instruction, position: int) -> Iterator[str]:
        """Yield the lines of one instruction."""
        match x:
            case ir.Comment(said):
                for line in said:
                    yield from textwrap.wrap(
                        f"# {line}", WIDTH - len(INDENT), subsequent_indent="#     "
                    )
            case ir.Gradient():
                yield from self._gradient(x)
            case ir.Detach(out, source) if source in self._plain:
                yield f"{out} = {source}.detach()"
            case ir.Leaf(out, source) if source in self._plain:
                yield f"{out} = {source}.detach().requires_grad_()"
            case ir.Entry(out) if out in self._unread:
                pass
            case _:
                yield from super().instruction(x, position)

    def _gradient(self, x: ir.Gradient) -> Iterator[str]:
        outs = f"({x.outs[0]},)" if len(x.outs) == 1 else ", ".join(map(str, x.outs))
        how = "create_graph=True" if x.create_graph else "retain_graph=True"
        xs = ", ".join(map(str, x.xs))
        yield from folded(f"{outs} = torch.autograd.grad({x.y}.sum(), [{xs}], {how})")

    def apply(self, x: ir.Apply) -> Iterator[str]:
        """Yield the call of a function, or its formula."""
        formula = self._formula(x)
        if formula is None:
            yield from super().apply(x)
            return
        given = self._arguments(x)
        trees = not all(isinstance(arg, Slot) and arg in self._plain for arg in given.values())
        trees = trees and formula.together is not None
        written = formula.written({k: ir.written(v) for k, v in given.items()}, trees=trees)
        yield from _assigned(str(x.out), written)

    def _formula(self, x: ir.Apply) -> Any:
        return formula_of(self.program.constants[x.function.name], self._arguments(x))

    def _arguments(self, x: ir.Apply) -> dict[str, ir.Operand]:
        return bound(self.program.constants[x.function.name], x.args, x.kwargs)

    def backward(self, x: ir.Backward) -> Iterator[str]:
        """Yield a backward pass."""
        if x.values or x.writes:
            yield from super().backward(x)
            return
        loss = _sum(x.energies)
        if not loss.isidentifier():
            yield from _assigned("loss", loss)
            loss = "loss"
        into = [f"{self.name(player)}_params" for player in x.into]
        given = (
            []
            if x.alone
            else [f"inputs={into[0]}" if len(into) == 1 else f"inputs=[*{', *'.join(into)}]"]
        )
        given += ["retain_graph=True"] if x.retain_graph else []
        yield f"{loss}.backward({', '.join(given)})"

    # --- forgetting ---

    def free(self, slots: Sequence[Slot]) -> Iterator[str]:
        """Yield nothing: what is large is forgotten when its move is over."""
        self._dead += slots
        yield from ()

    def _forgotten(self) -> Iterator[str]:
        """Yield what forgets the large tensors that are not needed any more."""
        large = [str(slot) for slot in self._dead if self._is_large(slot)]
        self._dead.clear()
        if large:
            yield from _chunks("del ", large)

    def _is_large(self, slot: Slot) -> bool:
        """Tell whether forgetting a slot frees anything: not numbers, not what the batch holds."""
        return slot not in self._small


def bound(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by the names of the function's parameters.

    Names that the function does not tell are numbers.
    """
    try:
        names = [*inspect.signature(fn).parameters]
    except (TypeError, ValueError):
        names = []
    names += [str(i) for i in range(len(names), len(args))]
    return {**dict(zip(names, args, strict=False)), **kwargs}


# --- what is known of slots -------------------------------------------------------------------


def _examples(program: Program, around: Surroundings) -> dict[Slot, Any]:
    """Return what slots hold, of the batch that is an example."""
    found: dict[Slot, Any] = {}
    for x in program.instructions:
        match x:
            case ir.Entry(out, name):
                found[out] = around.batch[name]
            case ir.Noise(out, name) | ir.Sample(out, name):
                found[out] = around.values[name]
            case ir.Call(out) | ir.Apply(out) | ir.Item(out):
                found[out] = around.values[x.label]
            case ir.Detach(out, source) | ir.Leaf(out, source) | ir.Alias(out, source):
                found[out] = found[source]
            case ir.Gradient(outs, _, xs):
                found |= {out: found[source] for out, source in zip(outs, xs, strict=True)}
            case _:
                pass
    return found


def _energy_names(program: Program) -> dict[Slot, list[str]]:
    """Return the names of the energies that each recorded slot is the number of."""
    names: dict[Slot, list[str]] = {}
    for x in program.instructions:
        if isinstance(x, ir.Return):
            for name, slot in x.energies.items():
                names.setdefault(slot, []).append(name)
    return names


def _small(program: Program) -> frozenset[Slot]:
    """Return the slots that hold numbers, and those that hold what others hold too."""
    small: set[Slot] = set()
    for x in program.instructions:
        match x:
            case ir.Record(out, source):
                small |= {out, source}
            case ir.Backward():
                small |= {slot for _, slot in x.energies}
            case ir.Entry(out):
                small.add(out)
            case _:
                pass
    return frozenset(small)


# --- lines --------------------------------------------------------------------------------------


def _sum(energies: Sequence[tuple[Scale, Slot]]) -> str:
    """Return a weighted sum as one writes it.

    >>> half, minus = (Scale((ir.Factor(number),)) for number in (0.5, -1.0))
    >>> _sum([(ONE, Slot("a")), (minus, Slot("b")), (half, Slot("c"))])
    'a - b + 0.5 * c'
    """
    text = ""
    for scale, slot in energies:
        number = scale.number
        negative = number is not None and number < 0
        if number is not None:
            weight = "" if abs(number) == 1.0 else f"{abs(number)!r} * "
        else:
            weight = f"({amount(scale)}) * "
        sign = (" - " if negative else " + ") if text else ("-" if negative else "")
        text += f"{sign}{weight}{slot}"
    return text


def _assigned(out: str, expression: str) -> Iterator[str]:
    """Yield an assignment; of a sum that would be too long, a line a term."""
    line = f"{out} = {expression}"
    terms = [expression] if len(line) + len(INDENT) <= WIDTH else _terms(expression)
    if len(terms) == 1:
        yield from folded(line)
        return
    yield f"{out} = ("
    yield from (f"{INDENT}{term}" for term in terms)
    yield ")"


def _terms(expression: str) -> list[str]:
    """Return the terms of a sum, each with the sign in front of it.

    >>> _terms("a - 0.5 * (b + c) + d")
    ['a', '- 0.5 * (b + c)', '+ d']
    """
    terms = [""]
    for part in re.split(r" (?=[+-] )", expression):
        open_still = terms[-1].count("(") > terms[-1].count(")")
        terms[-1:] = [f"{terms[-1]} {part}"] if open_still else [*terms[-1:], part]
    return terms[1:]


def _chunks(start: str, parts: Sequence[str]) -> Iterator[str]:
    """Yield a statement several times, each with as many parts as fit a line."""
    line = ""
    for part in parts:
        if line and len(start) + len(line) + len(part) + 2 + len(INDENT) > WIDTH:
            yield start + line
            line = ""
        line += f", {part}" if line else part
    yield start + line
