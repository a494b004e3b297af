"""What the first thing is that is not finite in an iteration, found by playing it slowly.

The plain interpreter computes value by value; every value, every output of a submodule, every
gradient on the way back, every step and every buffer is looked at as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nvn.engine.counters import Counters
from nvn.engine.interpreter import Interpreter, MoveResult, Values
from nvn.engine.iteration import Gradients
from nvn.engine.operations import Operations
from nvn.engine.optimizers import PlayerOptimizer
from nvn.engine.runtime import tensors
from nvn.game.values import Term, Value

__all__ = ["Finding", "WatchedInterpreter", "is_finite", "numbers_of", "ranges"]

Kind = Literal["data", "forward", "backward", "step", "buffer"]

_ADVICE: Mapping[Kind, str] = {
    "data": "Look at the data: no learning rate mends that.",
    "forward": "A lower learning rate, clipping (nvn.Optimizer(…, clip_norm=…)) or a bounded loss "
    "may help.",
    "backward": "What is differentiated there has no finite derivative at these values: a square "
    "root or a norm at 0, a logarithm or a division behind a `where`. Keep its input away from "
    "there (`clamp`, `+ eps`); clipping does not help against NaN.",
    "step": "The step itself was too large: a lower learning rate may help.",
    "buffer": "Statistics of a module have become infinite: look at what it is given.",
}


@dataclass(frozen=True)
class Finding:
    """The first thing that was not finite.

    Attributes:
        kind: Where it was: in the data, forward, backward, in a step, in a buffer.
        move: The move, from 1, and who moved.
        what: What it was, and from what.
        player: The player whose gradient, step, module or buffer it was; "" if none's.
        module: The submodule's path, beginning with the player's name; "" if it was none's.
    """

    kind: Kind
    move: str
    what: str
    player: str = ""
    module: str = ""

    def __str__(self) -> str:
        return f"{self.move}: {self.what}. {_ADVICE[self.kind]}"


class WatchedInterpreter(Interpreter):
    """Plays an iteration, and notes the first thing that is not finite.

    Args:
        modules: The players' modules.
        parameters: Each player's parameters that learn, by name.
        operations: How functions and modules are called.
        optimizers: The optimizers that step.

    Attributes:
        finding: The first thing that was not finite; None if everything was.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        parameters: Mapping[str, Mapping[str, nn.Parameter]],
        operations: Operations,
        optimizers: Mapping[str, PlayerOptimizer],
    ) -> None:
        super().__init__(modules, {n: [*own.values()] for n, own in parameters.items()}, operations)
        self.finding: Finding | None = None
        self._named = parameters
        self._optimizers = optimizers
        self._bad_buffers = {name for name, _ in self._infinite_buffers(modules)}
        self._moves = 0
        self._move = ""
        self._player = ""
        self._bad_data = ""
        self._back_at = 0
        self._back = ("", "")  # what the way back has passed last, and its submodule

    # --- what the interpreter does, watched ---

    def move_gradients(
        self,
        terms: Mapping[str, tuple[Term, ...]],
        batch: Mapping[str, Any],
        counters: Counters,
        number: int,
        *,
        keep: Collection[str] = (),
    ) -> MoveResult:
        """Return each player's gradient, as the interpreter does."""
        self._moves += 1
        self._move = f"move {self._moves} ({', '.join(terms)})"
        bad = {name: x for name, x in batch.items() if not is_finite(x)}
        self._bad_data = ", ".join(f"{name!r} {ranges(x)}" for name, x in bad.items())
        handles: list[RemovableHandle] = []
        try:
            self._add_hooks(handles)
            result = super().move_gradients(terms, batch, counters, number, keep=keep)
        finally:
            for handle in handles:
                handle.remove()
        for path, buffer in self._infinite_buffers({name: self._modules[name] for name in keep}):
            if path not in self._bad_buffers:
                what = f"the buffer {path} is not finite: {ranges(buffer)}"
                self._note("buffer", what, path.split(".")[0], path)
        return result

    def compute(
        self, node: Value, values: Values, batch: Mapping[str, Any], seed: int, training: bool
    ) -> Any:
        """Compute one node, as the interpreter does."""
        found = super().compute(node, values, batch, seed, training)
        if not is_finite(found) and node.inputs:
            given = ", ".join(f"`{x}` {ranges(values[x])}" for x in node.inputs if x in values)
            self._note("forward", f"`{node}` is not finite: {ranges(found)}, from {given}")
        for tensor in tensors(found):
            if tensor.requires_grad:
                _on_gradient(tensor, partial(self._came_back, f"`{node}` {ranges(found)}", ""))
        return found

    def _gradients(self, objectives: Mapping[str, Tensor]) -> dict[str, Sequence[Tensor | None]]:
        found: dict[str, Sequence[Tensor | None]] = {}
        for self._player, objective in objectives.items():
            self._back = ("the objective", "")
            found[self._player] = torch.autograd.grad(
                objective, self._parameters[self._player], retain_graph=True, allow_unused=True
            )
        return found

    def step(self, player: str, optimizer: str, gradients: Gradients | None) -> None:
        """Step a player, as an iteration does."""
        assert gradients is not None
        own = self._named[player]
        for (name, parameter), gradient in zip(own.items(), gradients, strict=True):
            if gradient is not None and not is_finite(gradient):
                where = f"{player}.{name}"
                what = (
                    f"the gradient of {where} is not finite: {ranges(gradient)}; the parameter is "
                    f"{ranges(parameter)}"
                )
                self._note("backward", what, player, where)
        self._optimizers[optimizer].step(gradients, norm=False)
        for name, parameter in own.items():
            if not is_finite(parameter):
                given = dict(zip(own, gradients, strict=True))[name]
                rate = self._optimizers[optimizer].optimizer.param_groups[0]["lr"]
                what = (
                    f"the step of {player} made {player}.{name} {ranges(parameter)}, along a "
                    f"gradient {ranges(given)} at a learning rate of {float(rate):.3g}"
                )
                self._note("step", what, player, f"{player}.{name}")

    # --- noting ---

    def _note(self, kind: Kind, what: str, player: str = "", module: str = "") -> None:
        if self.finding is not None:
            return
        if self._bad_data:
            kind, what = "data", f"the batch has {self._bad_data}; {what}"
        self.finding = Finding(kind, self._move, what, player, module)

    def _came_back(self, what: str, module: str, gradient: Tensor) -> None:
        if is_finite(gradient):
            # Of several names for one tensor, the first is that of the innermost submodule.
            if gradient.data_ptr() != self._back_at:
                self._back, self._back_at = (what, module), gradient.data_ptr()
        else:
            before, through = self._back
            self._note(
                "backward",
                f"going back from the objective of {self._player}, the gradient with respect to "
                f"{what} is the first that is not finite: {ranges(gradient)}. It had just come "
                f"through {before}",
                self._player,
                through,
            )

    def _add_hooks(self, handles: list[RemovableHandle]) -> None:
        for player, module in self._modules.items():
            for path, part in module.named_modules():
                if not isinstance(part, torch.jit.ScriptModule):
                    name = f"{player}.{path}" if path else player
                    handles.append(part.register_forward_hook(self._hook(player, name)))

    def _hook(self, player: str, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(part: nn.Module, given: Any, found: Any) -> None:
            kind = type(part).__name__
            if not is_finite(found) and is_finite(given):
                what = f"{name} ({kind}) gives {ranges(found)}, of an input {ranges(given)}"
                weights = [p for p in part.parameters(recurse=False) if not is_finite(p)]
                more = "; its own weights are not finite" if weights else ""
                self._note("forward", what + more, player, name)
            for tensor in tensors(found):
                if tensor.requires_grad:
                    what = f"the output of {name} ({kind}) {ranges(tensor)}"
                    _on_gradient(tensor, partial(self._came_back, what, name))

        return look

    def _infinite_buffers(self, modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, Tensor]]:
        for player, module in modules.items():
            for name, buffer in module.named_buffers():
                if not is_finite(buffer):
                    yield f"{player}.{name}", buffer


def is_finite(value: Any) -> bool:
    """Whether every floating tensor in a value is finite.

    >>> is_finite({"x": torch.tensor([1.0, 2.0])}), is_finite([torch.tensor(float("nan"))])
    (True, False)
    """
    return all(bool(torch.isfinite(t).all()) for t in _floating(value))


def ranges(value: Any) -> str:
    """Say in what range the numbers of a value are, and how many are not finite.

    >>> ranges(torch.tensor([1.0, float("nan"), 3.0]))
    'in [1, 3], 1 of 3 NaN'
    """
    found = [t.detach().flatten() for t in _floating(value)]
    numbers = torch.cat([t.abs() if t.is_complex() else t.double() for t in found] or [_NONE])
    finite = numbers[torch.isfinite(numbers)]
    parts = [f"in [{finite.min():.4g}, {finite.max():.4g}]"] if len(finite) else []
    for name, count in (("NaN", numbers.isnan().sum()), ("infinite", numbers.isinf().sum())):
        if count:
            parts.append(f"{int(count)} of {len(numbers)} {name}")
    return ", ".join(parts) or "without numbers"


def _on_gradient(tensor: Tensor, look: Callable[[Tensor], None]) -> None:
    tensor.register_hook(look)  # type: ignore[no-untyped-call]


_NONE = torch.empty(0, dtype=torch.float64)


def numbers_of(tensor: Tensor) -> Tensor:
    """Return what a tensor has in memory: of a sparse one, the numbers that are there.

    >>> numbers_of(torch.ones(2))
    tensor([1., 1.])
    """
    if tensor.is_sparse:
        return tensor._values()
    return tensor if tensor.layout is torch.strided else tensor.values()


def _floating(value: Any) -> Iterable[Tensor]:
    found = [value] if isinstance(value, Tensor) else tensors(value)
    return (numbers_of(t) for t in found if t.is_floating_point() or t.is_complex())
