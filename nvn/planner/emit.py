"""Emission: from a program to Python source, the loop that an expert would write.

One line an instruction, more or less. Of a GAN's D:

    # D
    batch = run.next_batch()
    real = batch["real"]
    z = run.noise("z", (16,), real, 0x84413a1e8e6e7330)
    G_z = G(z)
    G_z_const = detached(G_z)
    D_G_z_const = D(G_z_const)
    fake_D_G_z_const = fake(D_G_z_const)
    …
    [D_grads] = vjp([real_D_real, fake_D_G_z_const], [1.0, 1.0], [D_params])
    del real_D_real, fake_D_G_z_const
    run.step("D", D_grads)

Modules go by their players' names; `vjp`, `detached` and the other functions called stand in
nvn/engine/runtime.py. The engine runs this source (nvn/engine/compiled.py); `nvn plan --source`
prints it, and `nvn eject` writes it to a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nvn.planner import ir
from nvn.planner.ir import Instruction, Program, Scale, Slot, arguments, quoted

INDENT = "    "
WIDTH = 100


@dataclass(frozen=True)
class Source:
    """A function, written out.

    Attributes:
        text: Its source.
        lines: Which instruction of the program each line belongs to, by the line's number from 1.
    """

    text: str
    lines: dict[int, int]


class Emitter:
    """Writes a program as a function of `run`, the engine's side of an iteration.

    Derived classes write the loop for other surroundings: they replace the few lines in which the
    loop meets its engine.
    """

    head = "def iteration(run):"

    def __init__(self, program: Program) -> None:
        self.program = program

    def emit(self) -> Source:
        """Return the function's source."""
        lines = [self.head, *(INDENT + line for line in self.prologue())]
        owners: dict[int, int] = {}
        turn = -1
        for position, instruction in enumerate(self.program.instructions):
            begins = isinstance(instruction, ir.Comment)
            if turn >= 0 and (begins or isinstance(instruction, ir.Return)):
                lines += [INDENT + line for line in self.move(turn, begins=False)]
            if begins and position:
                lines.append("")
            for line in self.instruction(instruction, position):
                lines.append(INDENT + line)
                owners[len(lines)] = position
            if begins:  # a turn begins with what is said of it, and ends where the next begins
                turn += 1
                lines += [INDENT + line for line in self.move(turn, begins=True)]
        return Source("\n".join(lines) + "\n", owners)

    def prologue(self) -> Iterator[str]:
        """Yield what stands before the first instruction."""
        if self.program.depends_on_step:
            yield "step = run.number"

    def instruction(self, x: Instruction, position: int) -> Iterator[str]:
        """Yield the lines of one instruction."""
        match x:
            case ir.Comment(said):
                yield from (f"# {line}" for line in said)
            case ir.NextBatch():
                yield from self.next_batch(x)
            case ir.Entry(out, name):
                yield f"{out} = batch[{quoted(name)}]"
            case ir.Noise() | ir.Sample():
                yield from self.draw(x)
            case ir.Seed():
                yield from self.seed(x)
            case ir.Call():
                yield from self.call(x)
            case ir.Apply():
                yield from self.apply(x)
            case ir.Item(out, source, index):
                yield f"{out} = {source}[{ir.index(index)}]"
            case ir.Gradient():
                outs = ", ".join(map(str, x.outs)) + ("," if len(x.outs) == 1 else "")
                xs = ", ".join(map(str, x.xs))
                yield f"{outs} = gradient({x.y}, [{xs}], create_graph={x.create_graph})"
            case ir.Detach(out, source):
                yield f"{out} = detached({source})"
            case ir.Leaf(out, source):
                yield f"{out} = leaf({source})"
            case ir.Alias(out, source):
                yield f"{out} = alias({source})"
            case ir.RequiresGrad(player, value):
                yield f"for p in {self.name(player)}_params:"
                yield f"{INDENT}p.requires_grad = {value}"
            case ir.Backward():
                yield from self.backward(x)
            case ir.Accumulate(out, total, scale, part):
                yield f"{out} = accumulate({total}, {amount(scale)}, {part})"
            case ir.Record():
                yield from self.record(x)
            case ir.Mean(out, source):
                yield f"{out} = run.mean({source})"
            case ir.Average(player, gradients):
                along = "" if gradients is None else f", {gradients}"
                yield f"run.average({quoted(player)}, {self.name(player)}_params{along})"
            case ir.Arrive(player, out):
                yield f"{'' if out is None else f'{out} = '}run.arrive({quoted(player)})"
            case ir.Means(outs, sources):
                yield from folded(f"{_list(outs)} = run.means({_list(sources)})")
            case ir.RequirePaths():
                yield from self.require_paths(x)
            case ir.Step():
                yield from self.step(x)
            case ir.CommitBuffers(player, buffers):
                yield f"commit({self.name(player)}_places, {buffers})"
            case ir.Free(slots):
                if position + 1 < len(self.program.instructions):  # else the function ends here
                    yield from self.free(slots)
            case ir.Return():
                yield from self.returned(x)
            case _:
                raise AssertionError(x)

    # --- where the loop meets its engine ---

    def move(self, number: int, begins: bool) -> Iterator[str]:
        """Yield what stands where a turn begins, or has ended; `number` counts turns from 0."""
        yield from ()

    def next_batch(self, x: ir.NextBatch) -> Iterator[str]:
        """Yield what takes a batch, or draws samples anew."""
        yield "batch = run.next_batch()" if x.fresh is True else "run.redraw()"

    def draw(self, x: ir.Noise | ir.Sample) -> Iterator[str]:
        """Yield what draws noise or a sample."""
        if isinstance(x, ir.Noise):
            yield f"{x.out} = run.noise({quoted(x.name)}, {x.shape}, {x.like}, 0x{x.key:X})"
        else:
            yield f"{x.out} = run.sample({quoted(x.name)}, {x.function}, 0x{x.key:X})"

    def seed(self, x: ir.Seed) -> Iterator[str]:
        """Yield what starts the global random streams."""
        yield f"run.seed(0x{x.key:X}, {', '.join(map(quoted, x.players))})"

    def record(self, x: ir.Record) -> Iterator[str]:
        """Yield what keeps a number for the record."""
        yield f"{x.out} = recorded({x.source})"

    def require_paths(self, x: ir.RequirePaths) -> Iterator[str]:
        """Yield what makes sure that every mover has a gradient, before anybody steps."""
        for player, gradients in x.gradients:
            own = f"[p.grad for p in {self.name(player)}_params]"
            yield f"run.require_path({quoted(player)}, {own if gradients is None else gradients})"

    def step(self, x: ir.Step) -> Iterator[str]:
        """Yield what steps a player."""
        optimizer = "" if x.optimizer == x.player else f", optimizer={quoted(x.optimizer)}"
        along = "" if x.gradients is None else f", {x.gradients}"
        yield f"run.step({quoted(x.player)}{along}{optimizer})"

    def returned(self, x: ir.Return) -> Iterator[str]:
        """Yield what the function returns: what `x` reads, in that order."""
        yield from folded(f"return {_list(x.reads)}")

    # --- lines ---

    def name(self, player: str) -> str:
        """Return the identifier of a player."""
        return self.program.players.get(player, player)

    def call(self, x: ir.Call) -> Iterator[str]:
        """Yield the call of a module."""
        player = self.name(x.player)
        name = player if x.method == "forward" else f"{player}.{x.method}"
        line = f"{x.out} = {name}({arguments(x.args, x.kwargs)})"
        if contexts := self.contexts(x):
            entered = f"with {', '.join(contexts)}:"
            if len(entered) + len(INDENT) > WIDTH:
                entered = f"with ({', '.join(contexts)}):"
            yield from folded(entered)
            line = INDENT + line
        yield line

    def contexts(self, x: ir.Call) -> list[str]:
        """Return the context managers that a call runs in."""
        player = self.name(x.player)
        found = [f"evaluating({player})"] if x.evaluating else []
        if x.copies:
            start = "" if x.buffers is None else f", {x.buffers}"
            end = "" if x.becomes is None else f" as {x.becomes}"
            found.append(f"on_copies({player}_places{start}){end}")
        return found

    def apply(self, x: ir.Apply) -> Iterator[str]:
        """Yield the call of a function."""
        yield f"{x.out} = {x.function}({arguments(x.args, x.kwargs)})"

    def backward(self, x: ir.Backward) -> Iterator[str]:
        """Yield one call of autograd."""
        outputs = [*(slot for _, slot in x.energies), *(slot for slot, _ in x.values)]
        cotangents = [amount(scale) for scale, _ in x.energies]
        cotangents += [mixed(mixture) for _, mixture in x.values]
        into = [f"*{self.name(player)}_params" for player in x.into]
        own = _list(into) if len(into) != 1 else into[0].removeprefix("*")
        parts = [_list(outputs), _list(cotangents), *([] if x.alone else [own])]
        parts += (
            [_list(f"{self.name(player)}_params" for player, _ in x.players)] if x.writes else []
        )
        parts += [_list(leaf for leaf, _ in x.leaves)] if x.leaves else []
        parts += ["retain_graph=True"] if x.retain_graph else []
        if x.writes:
            yield from folded(f"{_list(x.writes)} = vjp({', '.join(parts)})")
        else:
            yield from folded(f"backward({', '.join(parts)})")

    def free(self, slots: Sequence[Slot]) -> Iterator[str]:
        """Yield what forgets slots."""
        yield f"del {', '.join(map(str, slots))}"


class TellingEmitter(Emitter):
    """Writes the loop of an engine that has been asked to tell of its moves (`watch_moves`).

    Any other loop has no line of it, and so no cost.
    """

    def move(self, number: int, begins: bool) -> Iterator[str]:
        """Yield what tells of a turn."""
        yield f"run.{'moving' if begins else 'moved'}({number})"


class WrappingEmitter(TellingEmitter):
    """Writes the loop of an engine whose instructions are watched (`watch_instructions`)."""

    def instruction(self, x: Instruction, position: int) -> Iterator[str]:
        """Yield the lines of one instruction, inside what watches it."""
        lines = [*super().instruction(x, position)]
        if isinstance(x, ir.Comment | ir.Return) or not lines:
            yield from lines
        else:
            yield f"with run.inside({position}):"
            yield from (INDENT + line for line in lines)


class SuspendingEmitter(Emitter):
    """Writes a program as a generator, which suspends where processes exchange something.

    What it yields says what it has; it goes on with what all have together.
    """

    def instruction(self, x: Instruction, position: int) -> Iterator[str]:
        """Yield the lines of one instruction."""
        match x:
            case ir.Mean(out, source):
                yield f"{out} = yield run.mean({source})"
            case ir.Arrive(player, out):
                name = quoted(player)
                into = "" if out is None else f"{out} = "
                yield f"{into}run.take({name}, (yield run.arrive({name})))"
            case ir.Means(outs, sources):
                yield from folded(f"{_list(outs)} = yield run.means({_list(sources)})")
            case _:
                yield from super().instruction(x, position)


def suspending(emitter: type[Emitter]) -> type[Emitter]:
    """Return what writes a loop as an emitter does, but as one that suspends."""
    return type(f"Suspending{emitter.__name__}", (SuspendingEmitter, emitter), {})


def amount(scale: Scale) -> str:
    """Return what something is multiplied by, as Python.

    >>> amount(Scale((ir.Factor(0.5, (ir.Constant("ramp"),), (Slot("w"),)),)))
    'w * (0.5 * float(ramp(step)))'
    """
    if scale.number is not None:
        return repr(scale.number)
    return " + ".join(map(_factor, scale.factors))


def _factor(factor: ir.Factor) -> str:
    functions = [f"float({fn}(step))" for fn in factor.functions]
    number = " * ".join([repr(factor.number), *functions])
    if not factor.slots:
        return number
    slots = " * ".join(map(str, factor.slots))
    if not functions:
        return slots if factor.number == 1.0 else f"{slots} * {number}"
    return f"{slots} * ({number})"


def mixed(mixture: ir.Mixture) -> str:
    """Return the cotangents that a pass goes on from at a value, as Python."""
    if len(mixture) == 1 and mixture[0][0].number == 1.0:
        return str(mixture[0][1])
    return f"total({', '.join(f'({amount(scale)}, {slot})' for scale, slot in mixture)})"


def _list(items: object) -> str:
    return f"[{', '.join(map(str, items))}]"  # type: ignore[call-overload]


def folded(line: str, width: int = WIDTH - len(INDENT)) -> Iterator[str]:
    """Yield a line of code, over several lines where it would be too long: an argument a line.

    >>> for each in folded("[a, b] = vjp([first, second], [1.0, 2.0])", 24):
    ...     print(each)
    [a, b] = vjp(
        [first, second],
        [1.0, 2.0],
    )
    """
    opened = _last_brackets(line) if len(line) > width else None
    if opened is None:
        yield line
        return
    start, end = opened
    parts = _split(line[start + 1 : end])
    # A comma would make a tuple of what is only held together.
    alone = line[start] == "(" and not _is_called(line[:start])
    holding = len(parts) == 1 and (alone or " for " in parts[0])
    yield line[: start + 1]
    for part in parts:
        item = part if holding else f"{part},"
        yield from (INDENT + each for each in folded(item, width - len(INDENT)))
    yield line[end:]


def _is_called(before: str) -> bool:
    """Tell whether a parenthesis after some text calls something."""
    return before[-1:].isidentifier() or before[-1:].isdigit() or before[-1:] in ("]", ")")


def _last_brackets(line: str) -> tuple[int, int] | None:
    """Return where the last outermost brackets with anything in them open and close."""
    depth, opened = 0, 0
    found: tuple[int, int] | None = None
    for position, char, quoted_here in _characters(line):
        if quoted_here:
            continue
        if char in "([{":
            opened = opened if depth else position
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0 and position > opened + 1:
                found = (opened, position)
    return found


def _split(text: str) -> list[str]:
    """Return what the outermost commas of a text are between; a comprehension is one thing."""
    depth, parts = 0, [""]
    if re.search(r" for \w+(, \w+)* in ", text):
        return [text]
    for _, char, quoted_here in _characters(text):
        depth += 0 if quoted_here else (char in "([{") - (char in ")]}")
        if char == "," and not depth and not quoted_here:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def _characters(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield each character, where it is, and whether it is in a string."""
    quote, escaped = "", False
    for position, char in enumerate(text):
        inside = bool(quote)
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = inside
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote, inside = char, True
        yield position, char, inside
