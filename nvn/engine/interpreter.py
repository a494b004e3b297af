"""The plain interpreter of a loss graph: values and gradients at the players' current parameters.

Every value is computed from the batch up, each time it is asked for, and every player has a
backward pass of its own. Slow and obviously right: the oracle that a cleverer engine is held to.
Nothing is changed by computing, except that buffers advance where `keep` says so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nvn import pytree
from nvn.engine.counters import Counters
from nvn.engine.iteration import Iteration, Outcome, no_path
from nvn.engine.module_state import learning, preserved_buffers, with_buffers
from nvn.engine.operations import Operations, where
from nvn.engine.runtime import (
    Buffers,
    alias,
    buffers_at,
    copied,
    mapped,
    places_of,
    recorded,
    tensors,
)
from nvn.engine.seeding import seeded
from nvn.errors import RunError
from nvn.game.graph import fingerprints, hashed
from nvn.game.ops import Call, Noise, Sample
from nvn.game.traversal import ancestors, called_players, gradients_of, reads, roots
from nvn.game.values import Energy, Term, Value, WeightedSum
from nvn.planner.pulling import PullPlan
from nvn.planner.turns import Turn
from nvn.records import Scalar

Values = dict[Value, Any]


@dataclass(frozen=True)
class MoveResult:
    """What one move finds: energies, objectives, and each mover's gradient (None: no path)."""

    energies: Mapping[Energy, Tensor]
    objectives: Mapping[str, Tensor]
    gradients: Mapping[str, Sequence[Tensor | None]]


class PullRows(NamedTuple):
    """The gradients of weight·energy, energy by energy, each as one vector.

    Attributes:
        own: In the parameters of each player.
        met: At values where teammates' gradients meet: of each player and energy.
    """

    own: Mapping[str, Mapping[Energy, Tensor]]
    met: Mapping[Value, Mapping[tuple[str, Energy], Tensor]]


@dataclass(frozen=True)
class Evaluation:
    """What is computed for some wanted values, and what that needs to know of the graph."""

    nodes: tuple[Value, ...]
    players: tuple[str, ...]  # whose modules are called
    differentiated: frozenset[Value]  # what a gradient node differentiates with respect to
    seeds: Mapping[Value, tuple[int, tuple[str, ...]]]  # a call's key, and the players it reads
    met: frozenset[Value] = frozenset()  # where gradients with respect to values are taken

    @staticmethod
    def of(wanted: Iterable[Value], batch: Collection[str]) -> Evaluation:
        """Find all that `wanted` is computed from; nothing for samples that the batch gives."""
        every = ancestors(wanted)
        read = reads(every)
        keys = fingerprints(every)
        nodes = ancestors(wanted, given={n for n in every if _sample_name(n) in batch})
        calls = [node for node in nodes if isinstance(node.op, Call)]
        return Evaluation(
            nodes,
            tuple(sorted({*called_players(nodes)})),
            frozenset(node.args[1] for node in gradients_of(nodes)),
            {node: (keys[node], tuple(sorted(read[node]))) for node in calls},
        )


class Interpreter:
    """Computes values and gradients of a game.

    Args:
        modules: The players' modules.
        parameters: Each player's parameters that learn.
        operations: Compute nodes.
        recomputing: The players whose buffers backward passes would advance.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        parameters: Mapping[str, Sequence[nn.Parameter]],
        operations: Operations,
        recomputing: Iterable[str] = (),
    ) -> None:
        self._modules = modules
        self._recomputing = {name: modules[name] for name in recomputing}
        self._operations = operations
        self._parameters = parameters
        self._evaluations: dict[Hashable, Evaluation] = {}

    def values(
        self,
        wanted: Iterable[Value],
        batch: Mapping[str, Any],
        counters: Counters,
        *,
        training: bool,
    ) -> Values:
        """Return the values of `wanted` and of all they are computed from, as constants."""
        evaluation = self._evaluation(wanted, batch)
        modules = self._called(evaluation)
        with torch.enable_grad(), preserved_buffers(modules), learning(self._parameters, ()):
            found = self._forward(evaluation, batch, counters, training)
        return {node: mapped(recorded, value) for node, value in found.items()}

    def move_gradients(
        self,
        terms: Mapping[str, tuple[Term, ...]],
        batch: Mapping[str, Any],
        counters: Counters,
        number: int,
        *,
        keep: Collection[str] = (),
    ) -> MoveResult:
        """Return each player's gradient of the sum of its terms, all at one point.

        Args:
            terms: What each mover descends.
            batch: The minibatch.
            counters: What draws depend on.
            number: The iteration, from 0: what weights are functions of.
            keep: The players whose buffers advance.
        """
        evaluation = self._evaluation(roots(WeightedSum(t) for t in terms.values()), batch)
        with (
            torch.enable_grad(),  # also where the caller has switched it off
            preserved_buffers(self._called(evaluation)) as advance,
            learning(self._parameters, terms),
        ):
            values = self._forward(evaluation, batch, counters, training=True)
            objectives = {p: _objective(p, t, values, number) for p, t in terms.items() if t}
            advance(keep)
            with preserved_buffers(self._recomputing):
                gradients = self._gradients(objectives)
        energies = {t.energy: values[t.energy].detach() for group in terms.values() for t in group}
        return MoveResult(energies, {p: v.detach() for p, v in objectives.items()}, gradients)

    def play(
        self,
        turns: Iterable[Turn],
        names: Mapping[Value, str],
        run: Iteration,
        *,
        keep: bool = True,
    ) -> Outcome:
        """Play an iteration, turn by turn; `keep`: whether the movers' buffers advance."""
        energies: dict[str, Scalar] = {}
        objectives: dict[str, Scalar] = {}
        batch: Mapping[str, Any] = {}
        try:
            for number, turn in enumerate(turns):
                run.moving(number)
                if turn.takes == "noise":
                    run.redraw()
                elif turn.takes:
                    batch = run.next_batch()
                movers = turn.terms if keep else ()
                move = self.move_gradients(turn.terms, batch, run.counters, run.number, keep=movers)
                for player, gradients in move.gradients.items():
                    run.step(player, gradients, turn.optimizer(player))
                run.moved(number)
                energies |= {names[energy]: value for energy, value in move.energies.items()}
                objectives |= move.objectives
        finally:
            run.restore()
        return Outcome(lambda: (energies, objectives), {})

    def look(self, turn: Turn, run: Iteration) -> Outcome:
        """Take the gradients of a turn, and let nobody step."""
        try:
            move = self.move_gradients(turn.terms, run.next_batch(), run.counters, run.number)
        finally:
            run.restore()
        return Outcome(lambda: ({}, move.objectives), move.gradients)

    def pulls(
        self, planned: PullPlan, batch: Mapping[str, Any], counters: Counters, number: int
    ) -> PullRows:
        """Return each energy's part of each player's gradient, all at one point.

        Args:
            planned: The passes that tell it.
            batch: The minibatch.
            counters: What draws depend on.
            number: The iteration, from 0: what weights are functions of.
        """
        evaluation = replace(
            self._evaluation(planned.wanted, batch), met=frozenset(planned.meetings)
        )
        with (
            torch.enable_grad(),
            preserved_buffers(self._called(evaluation)),
            learning(self._parameters, planned.terms),
        ):
            values = self._forward(evaluation, batch, counters, training=True)
            with preserved_buffers(self._recomputing):
                return self._rows(planned, values, number)

    # --- backward ---

    def _rows(self, planned: PullPlan, values: Values, number: int) -> PullRows:
        own: dict[str, dict[Energy, Tensor]] = {player: {} for player in planned.terms}
        met: dict[Value, dict[tuple[str, Energy], Tensor]] = {v: {} for v in planned.meetings}
        for energy, players in planned.passes:
            terms = {player: planned.terms[player][energy] for player in players}
            factors: dict[str, float | Tensor]
            factors = {p: _factor(p, group, values, number) for p, group in terms.items()}
            at = [v for v in planned.meetings if not {*players}.isdisjoint(planned.meetings[v])]
            starts = [
                *(self._parameters[player] for player in players),
                *([t for t in tensors(values[v]) if t.requires_grad] for v in at),
            ]
            start = values[energy]
            if planned.apart:  # not linear: it matters what a pass starts with
                start = factors[players[0]] * start
                factors = dict.fromkeys(players, 1.0)
            found = self._back_to(starts, start)
            for player, vector in zip(players, found, strict=False):
                own[player][energy] = vector * factors[player]
            for value, vector in zip(at, found[len(players) :], strict=True):
                for player in {*players} & {*planned.meetings[value]}:
                    met[value][player, energy] = vector * factors[player]
        return PullRows(own, met)

    def _back_to(self, starts: Sequence[Sequence[Tensor]], energy: Tensor) -> list[Tensor]:
        """Return the gradient of an energy in each group of tensors, as a vector."""
        every = [tensor for group in starts for tensor in group]
        slopes: Iterable[Tensor | None] = [None] * len(every)
        if energy.requires_grad and every:
            slopes = torch.autograd.grad(energy, every, retain_graph=True, allow_unused=True)
        found = iter(slopes)
        return [
            torch.cat([_flat(next(found), tensor) for tensor in group] or [energy.new_zeros(1)])
            for group in starts
        ]

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

    def _evaluation(self, wanted: Iterable[Value], batch: Mapping[str, Any]) -> Evaluation:
        key = (tuple(wanted), frozenset(batch))
        if key not in self._evaluations:
            self._evaluations[key] = Evaluation.of(*key)
        return self._evaluations[key]

    def _called(self, evaluation: Evaluation) -> dict[str, nn.Module]:
        """Return the modules that are called."""
        return {name: self._modules[name] for name in evaluation.players}

    def _forward(
        self, evaluation: Evaluation, batch: Mapping[str, Any], counters: Counters, training: bool
    ) -> Values:
        values: Values = {}
        # Calls in eval mode use the buffers of the start, whatever others make of these meanwhile,
        # and leave them as they were.
        start = {p: copied(buffers_at(places_of(self._modules[p]))) for p in evaluation.players}
        for node in evaluation.nodes:
            seed = self._seed(node, evaluation, counters)
            buffers: Buffers = {}
            if isinstance(node.op, Call) and not (training and node.op.training):
                buffers = copied(start[node.op.player])
            try:
                with with_buffers(buffers):
                    value = self.compute(node, values, batch, seed, training)
            except Exception as error:
                error.add_note(where(node, values))
                raise
            value = alias(value) if node in evaluation.differentiated else value
            values[node] = mapped(_own, value) if node in evaluation.met else value
        return values

    def _seed(self, node: Value, evaluation: Evaluation, counters: Counters) -> int:
        """Return the seed of a node's randomness: one draw for each value and version."""
        match node.op:
            case Noise(name) | Sample(name):
                return counters.draw_seed(hashed(name))
            case Call():
                key, players = evaluation.seeds[node]
                return counters.call_seed(key, *players)
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


def _factor(player: str, terms: Sequence[Term], values: Values, number: int) -> float | Tensor:
    """Return what a player weighs an energy with: of several terms with it, the sum."""
    products: list[float | Tensor] = []
    for term in terms:
        product: float | Tensor = _finite(player, term, number)
        for symbol in term.weight.values:
            product = product * values[symbol].detach()
        products.append(product)
    return sum(products[1:], start=products[0])


def _flat(gradient: Tensor | None, like: Tensor) -> Tensor:
    """Return a gradient as a vector of real numbers, in single precision at least."""
    if gradient is None:
        gradient = torch.zeros_like(like)
    dense = (gradient.to_dense() if gradient.layout is not torch.strided else gradient).detach()
    real = torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense
    return real.reshape(-1).to(torch.promote_types(real.dtype, torch.float32))


def _own(tensor: Tensor) -> Tensor:
    """Return a tensor as one of its own, to take gradients by (see `alias`), if it has a graph."""
    return tensor.view_as(tensor) if tensor.requires_grad else tensor


def _weighted(player: str, term: Term, values: Values, step: int) -> Tensor:
    energy: Tensor = values[term.energy]
    number = _finite(player, term, step)
    for symbol in term.weight.values:
        energy = values[symbol].detach() * energy
    return energy if number == 1.0 else number * energy


# --- small things -------------------------------------------------------------------------------


def _finite(player: str, term: Term, step: int) -> float:
    """Return the part of a weight that is known before anything is computed."""
    number = term.weight.known_at(step)
    if not math.isfinite(number):
        raise RunError(
            f"the weight {term.weight} of `{player}` on `{term.energy}` is {number} in "
            f"iteration {step}; expected a finite number"
        )
    return number


def _sample_name(node: Value) -> str | None:
    return node.op.name if isinstance(node.op, Noise | Sample) else None
