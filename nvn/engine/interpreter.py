"""The plain interpreter of a loss graph: values and gradients at the players' current parameters.

Every value is computed from the batch up, each time it is asked for, and every player goes back
through the graph by itself. Slow and obviously right: the oracle that a cleverer engine is held to.
Nothing is changed by computing, except that buffers advance where `keep` says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nvn import pytree
from nvn.engine.frame import Frame, Point
from nvn.engine.module_state import (
    buffers_at,
    copied,
    learning,
    lent_buffers,
    places_of,
    seeded,
    with_buffers,
)
from nvn.engine.operations import Operations, apart, differentiable, mixed, no_path, where
from nvn.errors import RunError
from nvn.game.graph import (
    ancestors,
    called_players,
    fingerprints,
    gradients_of,
    hashed,
    reads,
    roots,
)
from nvn.game.values import Call, Energy, Noise, Sample, Term, Value, WeightedSum
from nvn.planner.turns import Turn

Values = dict[Value, Any]


@dataclass(frozen=True)
class Pull:
    """What one move finds: energies, objectives, and each mover's gradient (None: no path)."""

    energies: Mapping[Energy, Tensor]
    objectives: Mapping[str, Tensor]
    gradients: Mapping[str, Sequence[Tensor | None]]


@dataclass(frozen=True)
class Program:
    """What is computed for some wanted values, and what that needs to know of the graph."""

    nodes: tuple[Value, ...]
    players: tuple[str, ...]  # whose modules are called
    still: Mapping[Value, str]  # calls in eval mode of players who are called in training mode too
    differentiated: frozenset[Value]  # what a gradient node differentiates with respect to
    seeds: Mapping[Value, tuple[int, tuple[str, ...]]]  # a call's key, and the players it reads

    @staticmethod
    def of(wanted: Iterable[Value], batch: Collection[str]) -> Program:
        """Find all that `wanted` is computed from; nothing for samples that the batch gives."""
        every = ancestors(wanted)
        read = reads(every)
        keys = fingerprints(every)
        nodes = ancestors(wanted, given={n for n in every if _sample_name(n) in batch})
        calls = [node for node in nodes if isinstance(node.op, Call)]
        return Program(
            nodes,
            tuple(sorted({player.name for player in called_players(nodes)})),
            _still(nodes),
            frozenset(node.args[1] for node in gradients_of(nodes)),
            {node: (keys[node], tuple(sorted(read[node]))) for node in calls},
        )


class Interpreter:
    """Computes values and gradients of a game."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        parameters: Mapping[str, Sequence[nn.Parameter]],
        operations: Operations,
    ) -> None:
        self._modules = modules
        self._operations = operations
        self._parameters = parameters
        self._programs: dict[Hashable, Program] = {}

    def values(
        self, wanted: Iterable[Value], batch: Mapping[str, Any], point: Point, *, training: bool
    ) -> Values:
        """Return the values of `wanted` and of all they are computed from, as constants."""
        program = self._program(wanted, batch)
        with self._computing(program):
            found = self._forward(program, batch, point, training)
        return {node: pytree.map_leaves(apart, value) for node, value in found.items()}

    def pull(
        self,
        terms: Mapping[str, tuple[Term, ...]],
        batch: Mapping[str, Any],
        point: Point,
        *,
        keep: Collection[str] = (),
    ) -> Pull:
        """Return each player's gradient of the sum of its terms, all at one point.

        Args:
            terms: What each mover descends.
            batch: The minibatch.
            point: The versions.
            keep: The players whose buffers advance.
        """
        program = self._program(roots(WeightedSum(t) for t in terms.values()), batch)
        with self._computing(program, movers=terms) as advance:
            values = self._forward(program, batch, point, training=True)
            objectives = {p: _objective(p, t, values, point.step) for p, t in terms.items() if t}
            gradients = self._gradients(objectives)
            advance(keep)
        energies = {t.energy: values[t.energy].detach() for group in terms.values() for t in group}
        return Pull(energies, {p: v.detach() for p, v in objectives.items()}, gradients)

    def play(
        self,
        turns: Iterable[Turn],
        names: Mapping[Value, str],
        frame: Frame,
        *,
        keep: bool = True,
    ) -> None:
        """Play an iteration, turn by turn; `keep`: whether the movers' buffers advance."""
        for turn in turns:
            if turn.takes:
                frame.point, frame.batch = frame.take(turn.takes)
            pull = self.pull(turn.terms, frame.batch, frame.point, keep=turn.terms if keep else ())
            for player, gradients in pull.gradients.items():
                frame.step(player, turn.move, list(gradients))
            frame.energies |= {names[energy]: value for energy, value in pull.energies.items()}
            frame.objectives |= pull.objectives

    def look(self, turn: Turn, frame: Frame) -> None:
        """Take the gradients of a turn, and let nobody step."""
        pull = self.pull(turn.terms, frame.batch, frame.point)
        frame.gradients = {player: list(found) for player, found in pull.gradients.items()}

    # --- back ---

    def _gradients(self, objectives: Mapping[str, Tensor]) -> dict[str, Sequence[Tensor | None]]:
        gradients: dict[str, Sequence[Tensor | None]] = {}
        for player, objective in objectives.items():
            if not objective.requires_grad:
                raise RunError(no_path(player))
            # The last player's pass may free the graph.
            more = len(gradients) + 1 < len(objectives)
            gradients[player] = torch.autograd.grad(
                objective, self._parameters[player], retain_graph=more, allow_unused=True
            )
            if all(gradient is None for gradient in gradients[player]):
                raise RunError(no_path(player))
        return gradients

    # --- forward ---

    def _program(self, wanted: Iterable[Value], batch: Mapping[str, Any]) -> Program:
        key = (tuple(wanted), frozenset(batch))
        if key not in self._programs:
            self._programs[key] = Program.of(*key)
        return self._programs[key]

    @contextmanager
    def _computing(
        self, program: Program, movers: Iterable[str] = ()
    ) -> Iterator[Callable[[Iterable[str]], None]]:
        """Let nothing be changed by what is computed; yields what lets players' buffers advance."""
        modules = {name: self._modules[name] for name in program.players}
        with (
            torch.enable_grad(),  # also where the caller has switched it off
            lent_buffers(modules) as keep,
            learning(self._parameters, movers),
        ):
            yield keep

    def _forward(
        self, program: Program, batch: Mapping[str, Any], point: Point, training: bool
    ) -> Values:
        values: Values = {}
        # Calls in eval mode use the buffers of the start, whatever others make of these meanwhile.
        players = set(program.still.values())
        start = {p: copied(buffers_at(places_of(self._modules[p]))) for p in players}
        for node in program.nodes:
            seed = self._seed(node, program, point)
            buffers = start[program.still[node]] if node in program.still else {}
            try:
                with with_buffers(buffers):
                    value = self.compute(node, values, batch, seed, training)
            except Exception as error:
                error.add_note(where(node, values))
                raise
            values[node] = differentiable(value) if node in program.differentiated else value
        return values

    def _seed(self, node: Value, program: Program, point: Point) -> int:
        """Return the seed of a node's randomness: one draw for each value and version."""
        match node.op:
            case Noise(name) | Sample(name):
                return mixed(point.seed, hashed(name), point.draws)
            case Call():
                key, players = program.seeds[node]
                steps = (point.steps.get(player, 0) for player in players)
                return mixed(point.seed, key, point.batches, point.draws, *steps)
            case _:
                return 0

    def compute(
        self, node: Value, values: Values, batch: Mapping[str, Any], seed: int, training: bool
    ) -> Any:
        """Compute one node from the values of its inputs; a sample that the batch gives is that."""
        if isinstance(node.op, Noise | Sample) and node.op.name in batch:
            return batch[node.op.name]
        args = pytree.map_leaves(lambda x: values[x] if isinstance(x, Value) else x, node.args)
        kwargs = pytree.map_leaves(lambda x: values[x] if isinstance(x, Value) else x, node.kwargs)
        if isinstance(node.op, Call):
            with seeded(seed, self._operations.device(node.op, args, kwargs)):
                return self._operations.call(node.op, training=training)(args, kwargs)
        return self._operations.other(node.op)(args, kwargs, batch, seed)


def _objective(player: str, terms: tuple[Term, ...], values: Values, step: int) -> Tensor:
    """Add up the weighted energies, in the order in which they were declared."""
    weighted = [_weighted(player, term, values, step) for term in terms]
    total = weighted[0]
    for summand in weighted[1:]:
        total = total + summand
    return total


def _weighted(player: str, term: Term, values: Values, step: int) -> Tensor:
    energy: Tensor = values[term.energy]
    number = term.weight.known_at(step)
    if not math.isfinite(number):
        raise RunError(
            f"the weight {term.weight} of `{player}` on `{term.energy}` is {number} in "
            f"iteration {step}; expected a finite number"
        )
    for symbol in term.weight.values:
        energy = values[symbol].detach() * energy
    return energy if number == 1.0 else number * energy


# --- small things -------------------------------------------------------------------------------


def _still(nodes: Iterable[Value]) -> dict[Value, str]:
    calls = [(node, node.op) for node in nodes if isinstance(node.op, Call)]
    moving = {op.player.name for _, op in calls if op.training}
    quiet = {node: op.player.name for node, op in calls if not op.training}
    return {node: player for node, player in quiet.items() if player in moving}


def _sample_name(node: Value) -> str | None:
    return node.op.name if isinstance(node.op, Noise | Sample) else None
