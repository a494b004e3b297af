"""A game played by hand: plain autograd on the data of a game, no line of nvn's engine.

Every evaluation starts from copies of the modules, computes what it needs once, in the order
declared, lets gradients flow everywhere, and takes one gradient, of one player's objective.

The meaning of a move (design.md, section 2): every mover gets ∂V_p/∂θ_p at the point where the move
starts, statistics included; then all of them step. Buffers advance in their owners' moves alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tests.games.specs import (
    FUNCTIONS,
    Applied,
    Called,
    GameSpec,
    Given,
    Ref,
    Sloped,
    Stopped,
    Summed,
    TermSpec,
    formula,
    slope,
    summed,
)

Batch = Mapping[str, Tensor]
State = dict[str, dict[str, Tensor]]

TOLERANCE = 1e-10


class Evaluation:
    """Everything that some terms need, computed once on copies of the modules."""

    def __init__(
        self, spec: GameSpec, modules: Mapping[str, nn.Module], batch: Batch, needed: Sequence[int]
    ) -> None:
        self.spec = spec
        self.nets = {name: copy.deepcopy(module) for name, module in modules.items()}
        self.starts = {name: _buffers(net) for name, net in self.nets.items()}
        self.ends = {name: _buffers(net) for name, net in self.nets.items()}
        self.batch = batch
        self.values: dict[int, Any] = {}
        self.parts: dict[Ref, Tensor] = {}
        for node in needed:
            self.values[node] = self._computed(node)

    def value(self, ref: Ref) -> Any:
        if ref.part is None:
            return self.values[ref.node]
        # A part is a value of its own, even where the module makes another part from it: a gradient
        # with respect to it follows the game's values alone.
        if ref not in self.parts:
            part = self.values[ref.node][ref.part]
            self.parts[ref] = part.view_as(part)
        return self.parts[ref]

    def energy(self, index: int) -> Tensor:
        energy = self.spec.energies[index]
        return formula(energy.formula).written(*(self.value(ref) for ref in energy.refs))

    def objective(self, terms: Sequence[TermSpec], step: int) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for term in terms:
            weight = term.known_at(step)
            if term.by is not None:
                weight = weight * self.energy(term.by).item()
            total = total + weight * self.energy(term.energy)
        return total

    def _computed(self, index: int) -> Any:
        node = self.spec.nodes[index]
        args = [self.value(ref) for ref in node.refs]
        match node:
            case Given(name):
                return self.batch[name].clone().requires_grad_()
            case Called():
                return self._call(node, *args)
            case Applied(function):
                return FUNCTIONS[function](*args)
            case Summed(_, scale):
                return summed(args, scale)
            case Stopped():
                return _constant(args[0])
            case Sloped():
                return slope(*args)
        raise AssertionError(node)

    def _call(self, node: Called, x: Tensor, side: Tensor | None = None) -> Any:
        name, net = node.player, self.nets[node.player]
        net.train(node.training)
        # In eval mode, the statistics are those found at the start of the move.
        lend(net, self.ends[name] if node.training else self.starts[name])
        result = net.encode(x) if node.method == "encode" else net(x, side=side)
        if node.training:
            self.ends[name] = _buffers(net)
        return result


def gradients(
    spec: GameSpec, modules: Mapping[str, nn.Module], batch: Batch, player: str, step: int
) -> dict[str, Tensor]:
    """Return ∂V_p/∂θ_p in iteration `step`: one evaluation, one call of autograd."""
    terms = spec.terms(player, step)
    evaluation = Evaluation(spec, modules, batch, spec.needed(terms))
    parameters = dict(evaluation.nets[player].named_parameters())
    if not terms:
        return {name: torch.zeros_like(p) for name, p in parameters.items()}
    objective = evaluation.objective(terms, step)
    found = torch.autograd.grad(objective, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g
        for (name, p), g in zip(parameters.items(), found, strict=True)
    }


def play_move(
    spec: GameSpec,
    modules: Mapping[str, nn.Module],
    batch: Batch,
    movers: Sequence[str],
    step: int,
    rates: Mapping[str, float],
) -> None:
    """Step all movers from one point, θ − rate·∂V/∂θ; then their buffers advance."""
    found = {name: gradients(spec, modules, batch, name, step) for name in movers}
    terms = {name: spec.terms(name, step) for name in movers}
    together = [term for group in terms.values() for term in group]
    ends = Evaluation(spec, modules, batch, spec.needed(together)).ends
    for name in (n for n in movers if terms[n]):
        with torch.no_grad():
            for key, parameter in modules[name].named_parameters():
                parameter.sub_(rates[name] * found[name][key])
            for key, buffer in modules[name].named_buffers():
                buffer.copy_(ends[name][key])


def play(
    spec: GameSpec,
    modules: Mapping[str, nn.Module],
    supply: Iterator[Batch],
    step: int,
    rates: Mapping[str, float],
) -> None:
    """Play iteration `step` of the schedule: the first move takes a batch, fresh ones their own."""
    batch = None
    for move in spec.schedule:
        if step % move.every == 0:
            for _ in range(move.times):
                batch = next(supply) if move.fresh or batch is None else batch
                play_move(spec, modules, batch, move.players, step, rates)


def state(modules: Mapping[str, nn.Module]) -> State:
    """Return copies of all parameters and buffers."""
    return {
        name: {key: t.detach().clone() for key, t in module.state_dict().items()}
        for name, module in modules.items()
    }


def assert_close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], label: str) -> None:
    """Compare to 1e-10 of the largest number in each tensor (at least 1e-10)."""
    assert found.keys() == expected.keys(), label
    for key, want in expected.items():
        scale = max(1.0, want.abs().max().item())
        error = (found[key] - want).abs().max().item()
        assert error <= TOLERANCE * scale, f"{label}.{key}: off by {error} of {scale}"


def lend(net: nn.Module, buffers: Mapping[str, Tensor]) -> None:
    """Give `net` copies of buffers to work on: nothing computed before holds on to them."""
    for key, buffer in buffers.items():
        owner, _, name = key.rpartition(".")
        setattr(net.get_submodule(owner), name, buffer.clone())


def _buffers(net: nn.Module) -> dict[str, Tensor]:
    return {key: buffer.clone() for key, buffer in net.named_buffers()}


def _constant(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _constant(branch) for key, branch in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map(_constant, tree))
    return tree.detach().requires_grad_()
