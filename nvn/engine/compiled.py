"""A program as a function: its source, compiled, with the modules and functions that it names."""

from __future__ import annotations

import hashlib
import linecache
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nvn.engine import runtime
from nvn.engine.iteration import Iteration, Outcome
from nvn.engine.module_state import preserved_buffers
from nvn.engine.operations import describe, slopes
from nvn.engine.precision import Precision
from nvn.planner import ir
from nvn.planner.emit import Emitter
from nvn.planner.ir import Program
from nvn.records import Pending, Scalar


class CompiledProgram:
    """Runs a program's source.

    Attributes:
        source: The source that runs. Tracebacks and debuggers show its lines.

    Args:
        program: The program.
        modules: What each player's name stands for: its module, most often.
        parameters: Each player's parameters that learn.
        modules_with_buffers: The modules themselves, for their buffers.
        precision: Says how functions are called.
        recomputing: The players whose buffers backward passes would advance.
        emitter: Writes the source.
    """

    def __init__(
        self,
        program: Program,
        modules: Mapping[str, Callable[..., Any]],
        parameters: Mapping[str, Sequence[nn.Parameter]],
        modules_with_buffers: Mapping[str, nn.Module],
        precision: Precision,
        recomputing: Collection[str] = (),
        emitter: type[Emitter] = Emitter,
    ) -> None:
        self.program = program
        emitted = emitter(program).emit()
        self.source = emitted.text
        self._lines = emitted.lines
        self._filename = _filename(self.source)
        self._function = _function(
            self.source,
            self._filename,
            _namespace(program, modules, parameters, modules_with_buffers)
            | _functions(program, precision)
            | _backward({name: modules_with_buffers[name] for name in recomputing}),
        )
        self.draws = any(isinstance(x, ir.Seed) for x in program.instructions)
        self._return = next(x for x in program.instructions if isinstance(x, ir.Return))
        self._outcome = _Outcome(program, self._return)

    def __call__(self, run: Iteration) -> Outcome:
        """Run the loop.

        Raises:
            Exception: Whatever modules and functions raise, with a note on which call it was.
        """
        run.draws = self.draws
        try:
            if torch.is_grad_enabled():  # nearly always
                values = self._function(run)
            else:
                with torch.enable_grad():
                    values = self._function(run)
        except BaseException as error:
            self.note(error)
            raise
        finally:
            run.restore()
        return self.outcome(values, run.number)

    def begin(self, run: Iteration) -> Any:
        """Return the loop of a program that suspends: a generator."""
        return self._function(run)

    def outcome(self, values: Sequence[Any], number: int) -> Outcome:
        """Return the outcome of an iteration, of what its loop returned."""
        return self._outcome.of(values, number)

    def note(self, error: BaseException) -> None:
        """Let an error say which call failed, and on what."""
        traceback = error.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if frame.f_code.co_filename == self._filename:
                position = self._lines.get(traceback.tb_lineno)
                if position is not None:
                    note = _called(self.program.instructions[position], frame.f_locals)
                    if note:
                        error.add_note(note)
                return
            traceback = traceback.tb_next


def _called(x: ir.Instruction, values: Mapping[str, Any]) -> str:
    """Say which call of the user's code an instruction is, and what it was given."""
    if not isinstance(x, ir.Call | ir.Apply | ir.Item | ir.Gradient):
        return ""
    given = [slot for slot in x.reads if not (isinstance(x, ir.Call) and slot is x.buffers)]
    shapes = ", ".join(f"{slot}: {describe(values.get(slot.name))}" for slot in given)
    return f"while computing `{x.label}` ({x.where})" + (f" from {shapes}" if shapes else "")


def _namespace(
    program: Program,
    modules: Mapping[str, Callable[..., Any]],
    parameters: Mapping[str, Sequence[nn.Parameter]],
    modules_with_buffers: Mapping[str, nn.Module],
) -> dict[str, Any]:
    """Return what the names of a program's source stand for."""
    space: dict[str, Any] = {
        name: getattr(runtime, name)
        for name in [
            "accumulate",
            "alias",
            "commit",
            "detached",
            "evaluating",
            "leaf",
            "on_copies",
            "recorded",
            "total",
        ]
    }
    for player in program.called:
        space[program.players[player]] = modules[player]
        places = runtime.places_of(modules_with_buffers[player])
        space[f"{program.players[player]}_places"] = places
    for player, own in parameters.items():
        space[f"{program.players[player]}_params"] = own  # itself: it follows who learns
    return space | dict(program.constants)


def _backward(recomputing: Mapping[str, nn.Module]) -> dict[str, Callable[..., Any]]:
    """Return the functions that backpropagate."""
    filled = _Filled()
    functions: dict[str, Callable[..., Any]] = {
        "gradient": slopes,
        "backward": partial(runtime.backward, filled=filled),
        "vjp": partial(runtime.vjp, filled=filled),
    }
    if not recomputing:
        return functions
    return {name: partial(_on_copies, recomputing, fn) for name, fn in functions.items()}


def _on_copies(modules: Mapping[str, nn.Module], fn: Callable[..., Any], *args: Any) -> Any:
    """Call a function that backpropagates; modules that compute forward again do so on copies."""
    with preserved_buffers(modules):
        return fn(*args)


def _functions(program: Program, precision: Precision) -> dict[str, Callable[..., Any]]:
    """Return what a program's functions are called as."""
    names = {x.function.name for x in program.instructions if isinstance(x, ir.Apply)}
    return {name: precision.applying(program.constants[name]) for name in names}


class _Filled:
    """What passes start with at energies: made once for each number, as long as dtypes stay."""

    def __init__(self) -> None:
        self._made: dict[float, Tensor] = {}

    def __call__(self, energy: Tensor, amount: float | Tensor) -> Tensor:
        if type(amount) is not float:
            return runtime.filled(energy, amount)
        made = self._made.get(amount)
        if made is None or made.dtype is not energy.dtype or made.device != energy.device:
            made = self._made[amount] = runtime.filled(energy, amount)
        return made


def _filename(source: str) -> str:
    digest = hashlib.blake2b(source.encode(), digest_size=6).hexdigest()
    return f"<nvn loop {digest}>"


def _function(source: str, filename: str, namespace: dict[str, Any]) -> Callable[..., Any]:
    """Return the function that a source defines, its lines known to tracebacks and debuggers."""
    # Nobody's file: linecache keeps what it is told, for as long as the process lives.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), namespace)
    function: Callable[..., Any] = namespace["iteration"]
    return function


# --- what is left behind ----------------------------------------------------------------------


class _Outcome:
    """Makes an outcome of the values that a program returns."""

    def __init__(self, program: Program, returned: ir.Return) -> None:
        position = {slot: i for i, slot in enumerate(returned.reads)}
        self._energies = [(name, position[slot]) for name, slot in returned.energies.items()]
        self._objectives = [
            (player, _Sum(program, mixture, position))
            for player, mixture in returned.objectives.items()
        ]
        self._gradients = [(p, position[slot]) for p, slot in returned.gradients.items()]

    def of(self, values: Sequence[Any], step: int) -> Outcome:
        return Outcome(
            partial(self._numbers, values, step),
            {player: values[i] for player, i in self._gradients},
        )

    def _numbers(
        self, values: Sequence[Any], step: int
    ) -> tuple[Mapping[str, Scalar], Mapping[str, Scalar]]:
        return (
            {name: values[i] for name, i in self._energies},
            {player: weighed.of(values, step) for player, weighed in self._objectives},
        )


class _Sum:
    """An objective: a sum of products of recorded numbers, worked out when it is read."""

    def __init__(
        self, program: Program, mixture: ir.Mixture, position: Mapping[ir.Slot, int]
    ) -> None:
        parts = [(f, (source, *f.slots)) for scale, source in mixture for f in scale.factors]
        self._positions = [position[slot] for _, slots in parts for slot in slots]
        self._lengths = [len(slots) for _, slots in parts]
        self._numbers = [
            (factor.number, [program.constants[fn.name] for fn in factor.functions])
            for factor, _ in parts
        ]

    def of(self, values: Sequence[Tensor], step: int) -> Pending:
        return Pending([values[i] for i in self._positions], partial(self._added_up, step))

    def _added_up(self, step: int, values: Sequence[float]) -> float:
        total, position = 0.0, 0
        for (number, functions), length in zip(self._numbers, self._lengths, strict=True):
            number = math.prod((float(fn(step)) for fn in functions), start=number)
            total += number * math.prod(values[position : position + length])
            position += length
        return total
