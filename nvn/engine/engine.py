"""The engine: plays a plan, step by step.

    engine = nvn.Engine(nvn.plan(game, schedule), partial(torch.optim.Adam, lr=1e-4))
    for batch in loader:
        record = engine.step(batch)

In a move, every player's gradient is taken at the point where the move starts; then all step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nvn.engine.costs import Costs, measured
from nvn.engine.dry_run import check_batch
from nvn.engine.executor import Executor, check_paths
from nvn.engine.feed import Minibatch, Supply
from nvn.engine.frame import Bound, Frame
from nvn.engine.interpreter import Interpreter
from nvn.engine.operations import Operations
from nvn.engine.optimizers import Optimizers
from nvn.engine.placement import Placement
from nvn.engine.state import TrainState
from nvn.engine.steppers import add_steppers, slot_of
from nvn.engine.torch_compile import compiled_forwards
from nvn.errors import GameError, Problem, RunError, did_you_mean
from nvn.game.game import Player, Team
from nvn.game.graph import ancestors, batch_names, owner, roots
from nvn.game.schedule import Move
from nvn.game.values import Term, Value
from nvn.planner.compiler import compiled
from nvn.planner.instructions import Keep
from nvn.planner.planner import Pattern, Plan
from nvn.planner.turns import Turn
from nvn.records import Record, Scalar

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Engine:
    """Plays a plan.

    Args:
        plan: What to play.
        optimizers: For each player a function from its parameters to a torch optimizer, or an
            `nvn.Optimizer`; or one such for all players. Names that moves give with `optimizer=`
            are looked up here too.
        fabric: Places and casts modules and batches; without one they stay as and where they are.
        seed: All randomness of samples, dropout and the like is made from it.
        state: The state of another engine of the same game, to share (phases of one run).
        phase: The name under which the state counts this engine's iterations.
        compile: Names of players whose forward torch.compile makes faster (or not: measure it).
        plain: Play with the plain interpreter, every move from the batch up: much slower, and what
            the planned way is held to.

    Raises:
        ConfigError: A player that moves has no optimizer; or one cannot be compiled soundly.
    """

    def __init__(
        self,
        plan: Plan,
        optimizers: Optimizers,
        fabric: Fabric | None = None,
        *,
        seed: int = 0,
        state: TrainState | None = None,
        phase: str = "main",
        compile: Collection[str] = (),
        plain: bool = False,
    ) -> None:
        self.plan = plan
        self.phase = phase
        self._placement = Placement(fabric)
        self.state = TrainState.of(plan.graph.players, seed) if state is None else state
        if state is None:
            self._place_modules()
        self._parameters = {n: list(ps.values()) for n, ps in self.state.parameters.items()}
        operations = Operations(self.state.modules, self._placement)
        self._interpreter = Interpreter(self.state.modules, self._parameters, operations)
        forwards = compiled_forwards(plan, self.state.modules, compile)
        faster = Operations(self.state.modules, self._placement, forwards)
        self._executor = Executor(plan.graph, self.state.modules, self._parameters, faster)
        self._plain = plain
        self._bound: dict[Hashable, Bound] = {}
        add_steppers(plan, optimizers, self.state)
        self._checked = False

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Each player's module: the very one that was declared."""
        return self.state.modules

    # --- training ---

    def step(self, batch: Minibatch | Iterator[Minibatch]) -> Record:
        """Play one iteration: every move of the schedule that happens in it, in order.

        Args:
            batch: A dict of tensors, or an iterator of them if moves take batches of their own.

        Raises:
            GameError: The first batch does not fit the game (what `check` tells).
            DataError: The iteration takes more batches than there are.
            StopIteration: The iterator was empty.
        """
        if torch.is_inference_mode_enabled():
            raise RunError("engine.step in torch.inference_mode: nothing can be learnt there")
        done = self.state.iterations.get(self.phase, 0)
        pattern = self.plan.pattern(done, self.state.records.get(self.phase))
        wanted = self.plan.batches(pattern)
        supply = Supply(batch, wanted, self._placed, self.state, self.phase)
        norms: dict[str, Scalar] = {}

        def step(player: str, move: Move, gradients: Sequence[Tensor | None]) -> None:
            norms[player] = self.state.steppers[slot_of(player, move)].step(gradients)
            self.state.steps[player] = self.state.steps.get(player, 0) + 1

        frame = Frame(self.state.point(self.phase), supply.take, step)
        self._iteration(pattern)(frame)
        self.state.iterations[self.phase] = done + 1
        record = Record(done + 1, frame.energies, frame.objectives, norms)
        self.state.records[self.phase] = record.over(self.state.records.get(self.phase))
        return record

    def _iteration(self, pattern: Pattern) -> Bound:
        """Return what plays an iteration of a pattern; compiled when it first comes up."""
        if pattern not in self._bound:
            turns = self.plan.turns(pattern)
            graph, names = self.plan.graph, self.plan.graph.names
            self._bound[pattern] = (
                partial(self._interpreter.play, turns, names)
                if self._plain
                else self._executor.bind(compiled(graph, turns))
            )
        return self._bound[pattern]

    def _placed(self, batch: Minibatch) -> Minibatch:
        """Return a batch in its place, and in the run's precision; the first one is checked."""
        found = self._placement.batch(batch)
        if not self._checked:
            self._check_placed(found)
        return found

    def metric(self, name: str, value: float) -> None:
        """Tell learning-rate schedules that wait for the metric `name` its new value."""
        for stepper in self.state.steppers.values():
            stepper.metric(name, value)

    # --- looking, without changing anything ---

    def gradients(
        self, batch: Minibatch, players: Iterable[Player | Team | str] | Player | Team | str
    ) -> dict[str, dict[str, Tensor]]:
        """Return ∂V_p/∂θ_p of each player's objective at the present point.

        Samples and dropout are drawn as the next `step` will draw them.

        Args:
            batch: The minibatch.
            players: Whose gradients: players or their names.

        Returns:
            For each player, the gradient of each of its parameters, zero where the objective does
            not depend on it.

        Raises:
            GameError: A player is unknown, frozen, or has no objective.
        """
        names = self._names(players)
        iteration = self.state.iterations.get(self.phase, 0)
        terms = {name: self._objective_terms(name, iteration) for name in names}
        terms = {name: group for name, group in terms.items() if group}
        frame = Frame(self.state.next_point(self.phase))
        frame.batch = self._placement.batch(batch)
        self._looking(terms, batch)(frame)
        check_paths({name: frame.gradients.get(name, []) for name in terms})
        return {name: self._filled(name, frame.gradients.get(name)) for name in names}

    def _looking(self, terms: Mapping[str, tuple[Term, ...]], batch: Minibatch) -> Bound:
        turn = Turn(Move(()), terms, takes=False)
        # The plain way needs nothing that samples given in the batch are drawn from.
        lacking = any(name not in batch for name in batch_names(ancestors(turn.wanted)))
        if self._plain or lacking:
            return partial(self._interpreter.look, turn)
        key = tuple((name, tuple(map(id, group))) for name, group in terms.items())
        if key not in self._bound:
            program = compiled(self.plan.graph, [turn], steps=False)
            self._bound[key] = self._executor.bind(program)
        return self._bound[key]

    def values(self, batch: Minibatch, wanted: Sequence[Value], *, training: bool = False) -> Any:
        """Return the values of `wanted`, as constants, in the same order.

        A sample or noise is drawn, unless `batch` has an entry of its name.

        Args:
            batch: The minibatch; it needs only the names that `wanted` is computed from.
            wanted: Values of the game, energies among them.
            training: Whether modules run in training mode (their buffers stay as they are).

        Raises:
            GameError: A value is of another game.
        """
        self._refuse_foreign(wanted)
        placed = self._placement.batch(batch)
        point = self.state.next_point(self.phase)
        found = self._interpreter.values(wanted, placed, point, training=training)
        return [found[value] for value in wanted]

    def check(self, batch: Minibatch) -> None:
        """Check the game against a batch: names, shapes, scalars, hidden parameters, purity.

        Raises:
            GameError: Listing every problem.
        """
        self._check_placed(self._placement.batch(batch))

    def _check_placed(self, batch: Minibatch) -> None:
        # Also the terms that don't depend on their player: one may hide the player's module.
        moves = self.plan.schedule.moves
        needed = ancestors(roots(move.objective(p) for move in moves for p in move.players))
        check_batch(self.plan.graph, needed, self._interpreter, self.state.parameters, batch)
        self._checked = True

    def costs(self, batch: Minibatch) -> dict[str, Costs]:
        """Return what an iteration costs in which every move happens, without changing anything.

        Returns:
            "planned", and "from scratch": every move computed from the batch up, and gone back
            through once for each player who moves.
        """
        turns, placed = self.plan.turns(self.plan.whole), self._placement.batch(batch)
        graph = self.plan.graph
        program = compiled(graph, turns)
        still = [x for x in program.instructions if not isinstance(x, Keep)]
        runs: dict[str, Callable[[Frame], object]] = {
            "planned": self._executor.bind(replace(program, instructions=tuple(still))),
            "from scratch": partial(self._interpreter.play, turns, graph.names, keep=False),
        }
        point = self.state.next_point(self.phase)
        costs = {}
        for name, run in runs.items():
            frame = Frame(point, lambda fresh: (point, placed), lambda *_: None)
            costs[name] = measured(partial(run, frame))
        return costs

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        """Return everything that evolves: modules, optimizers, counters, the seed."""
        return self.state.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, in an engine of the same plan."""
        self.state.load_state_dict(state)

    # --- set-up ---

    def _place_modules(self) -> None:
        for player in self.plan.graph.players:
            self._placement.module(player.module)
            player.module.train(not player.frozen)

    # --- small things ---

    def _refuse_foreign(self, wanted: Iterable[Value]) -> None:
        """Refuse values of another game, and of players who were not there yet."""
        game, name = self.plan.graph.nodes[0].game, self.plan.graph.name
        for value in ancestors(wanted):
            player = owner(value)
            if value.game is not game:
                found = f"`{value}`, a value of the game {value.game.name!r}"
                problem = Problem("values(…)", found, f"values of {name!r} alone", "")
                raise GameError([problem], name)
            if player is not None and player.name not in self.state.modules:
                found = f"`{value}`, of a player declared after the plan was made"
                problem = Problem("values(…)", found, "players of the plan", "plan the game anew")
                raise GameError([problem], name)

    def _names(self, players: Iterable[Player | Team | str] | Player | Team | str) -> list[str]:
        if isinstance(players, Player | str):
            players = [players]
        names: dict[str, None] = {}
        for player in players:
            members = player if isinstance(player, Team) else [player]
            names |= dict.fromkeys(m if isinstance(m, str) else m.name for m in members)
        return list(names)

    def _objective_terms(self, name: str, iteration: int) -> tuple[Term, ...]:
        graph = self.plan.graph
        player = next((p for p in graph.players if p.name == name), None)
        objective = graph.objectives.get(name)
        if player is None or not objective:
            known = tuple(n for n, o in graph.objectives.items() if o)
            hint = did_you_mean(name, known)
            found = f"no player {name!r} with an objective.{hint}"
            problem = Problem("gradients(…)", found, "a player that minimises something", "", known)
            raise GameError([problem], graph.name)
        terms = graph.moving_terms(player, objective)
        return tuple(term for term in terms if term.weight.known_at(iteration) != 0.0)

    def _filled(self, name: str, gradients: Sequence[Tensor | None] | None) -> dict[str, Tensor]:
        parameters = self.state.parameters[name]
        found = gradients or [None] * len(parameters)
        return {
            key: torch.zeros_like(parameter) if gradient is None else gradient
            for (key, parameter), gradient in zip(parameters.items(), found, strict=True)
        }
