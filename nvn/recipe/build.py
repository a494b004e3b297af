"""From a recipe to engines: one checked graph, and a plan and an engine for each phase."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nvn.checks import loss_graph, sound
from nvn.data import Batches, Share
from nvn.data.share import WHOLE
from nvn.ejection import eject
from nvn.engine.dry_run import batch_problems, drawn_names, replaced_draws
from nvn.engine.engine import Engine
from nvn.engine.optimizers import Optimizer, Optimizers, Plateau
from nvn.errors import ConfigError, GameError, Problem, did_you_mean
from nvn.game.graph import LossGraph, freeze
from nvn.game.traversal import ancestors, roots
from nvn.game.values import Value, WeightedSum
from nvn.planner.emit import Emitter
from nvn.planner.planner import Plan, plan_checked
from nvn.recipe.recipe import MAIN, Phase, Recipe
from nvn.records import Record
from nvn.show.plan import ExplainedPlan, explain

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = [
    "PhaseData",
    "check_data",
    "check_recipe",
    "make_copies",
    "make_engines",
    "make_graph",
    "make_plans",
    "report_metrics",
    "step_metrics",
]


def make_graph(recipe: Recipe) -> LossGraph:
    """Check a recipe's game together with all its schedules, and return the frozen graph.

    Raises:
        GameError: Listing every problem.
    """
    return loss_graph(recipe.game, [phase.schedule for phase in recipe.all_phases])


def make_plans(recipe: Recipe) -> dict[str, Plan]:
    """Check a recipe's game, and plan each of its phases.

    Raises:
        GameError: Listing every problem.
    """
    graph = make_graph(recipe)
    return {phase.name: plan_checked(graph, phase.schedule) for phase in recipe.all_phases}


def make_engines(
    recipe: Recipe,
    fabric: Fabric | None = None,
    seed: int = 0,
    compile: Collection[str] = (),
    accumulate: int = 1,
    *,
    skip: bool = False,
) -> dict[str, Engine]:
    """Make an engine for each phase of a recipe, all sharing one state.

    Raises:
        GameError: Listing every problem of the game; if its structure has problems, those of a
            first batch too.
        ConfigError: If a player has no optimizer, or if a learning-rate schedule needs a metric
            that nothing reports.
    """
    try:
        plans = make_plans(recipe)
    except GameError as error:
        more = _problems_with_data(recipe)
        raise GameError([*error.problems, *more], recipe.game.name) from None
    _check_watched(recipe, plans[MAIN])
    engine = partial(
        Engine,
        optimizers=recipe.optimizers,
        fabric=fabric,
        compile=compile,
        accumulate=accumulate,
        skip=skip,
    )
    main = engine(plans[MAIN], seed=seed, phase=MAIN)
    engines = {
        name: engine(plan, seed=seed, state=main.state, phase=name)
        for name, plan in plans.items()
        if name != MAIN
    }
    return {**engines, MAIN: main}


def check_recipe(recipe: Recipe, seed: int = 0) -> Engine:
    """Check a recipe without training it: the game, the optimizers, the data.

    Returns:
        The engine of the game, untrained.

    Raises:
        GameError: Listing every problem of the game, including those of each phase's first batch.
        ConfigError: If the optimizers or learning-rate schedules are invalid.
        DataError: If the data are not batches.
    """
    data = PhaseData(recipe, sampled=True)
    engines = make_engines(recipe, seed=seed)
    check_data(engines, data, recipe.all_phases)
    return engines[MAIN]


def _phase(recipe: Recipe, name: str) -> Phase:
    phases = {phase.name: phase for phase in recipe.all_phases}
    if name not in phases:
        hint = did_you_mean(name, phases)
        raise ConfigError(f"there is no phase {name!r}.{hint} Phases: {', '.join(phases)}")
    return phases[name]


def loop_source(recipe: Recipe, phase: str = MAIN) -> str:
    """Return the loop of a recipe's phase, as the engine runs it where every move happens.

    Raises:
        GameError: Listing every problem with the game, those of the first batch among them.
        ConfigError: If there is no such phase.
    """
    plan = _checked(recipe, phase, seed=0)[0].plan
    return Emitter(plan.program(plan.whole)).emit().text


def eject_recipe(recipe: Recipe, phase: str = MAIN) -> str:
    """Return the loop of a recipe's phase as a file that needs nothing of nvn.

    Raises:
        GameError: Listing every problem with the game, and all that cannot be taken along.
        ConfigError: If there is no such phase.
    """
    found = _phase(recipe, phase)
    plan, batch = make_plans(recipe)[phase], PhaseData(recipe, sampled=True).of(found).peek()
    return eject(plan, recipe.optimizers, batch, steps=found.steps)


def explain_recipe(recipe: Recipe, phase: str = MAIN, seed: int = 0) -> ExplainedPlan:
    """Explain what an iteration of a phase computes, and what it costs.

    Raises:
        GameError: Listing every problem with the game.
        ConfigError: If there is no such phase.
    """
    engine, batch = _checked(recipe, phase, seed)
    return explain(engine.plan, engine.costs(batch))


def _checked(recipe: Recipe, phase: str, seed: int) -> tuple[Engine, Mapping[str, Any]]:
    """Return the engine of a phase, which knows what its first batch tells, and that batch."""
    found = _phase(recipe, phase)
    engine = make_engines(recipe, seed=seed)[found.name]
    batch = PhaseData(recipe, sampled=True).of(found).peek()
    engine.check(batch)
    return engine, batch


def check_data(engines: Mapping[str, Engine], data: PhaseData, phases: Iterable[Phase]) -> None:
    """Load the data, and check each phase's first batch without consuming it.

    Raises:
        GameError: Listing every problem of all phases.
        DataError: If the data are not batches.
    """
    problems: dict[Problem, None] = {}  # a set in order: several phases may have the same problem
    for phase in phases:
        batch, engine = data.of(phase).peek(), engines[phase.name]
        computed = _computed(phase.schedule.objectives)
        problems |= dict.fromkeys(replaced_draws(computed, batch))
        try:
            engine.check(batch)
        except GameError as error:
            problems |= dict.fromkeys(error.problems)
        data.of(phase).refuse(drawn_names(computed))  # in later batches
    if problems:
        raise GameError(problems, engine.plan.graph.name)


def _problems_with_data(recipe: Recipe) -> list[Problem]:
    """Return the problems of first batches, for a game whose structure has problems.

    Errors in here are ignored: the problems of the structure are reported in any case.
    """
    phases, players = recipe.all_phases, recipe.game.players.values()
    graph = freeze(recipe.game, [phase.schedule for phase in phases])
    moving = {player for phase in phases for player in phase.schedule.players}
    idle = [player.objective for player in players if player not in moving]
    data = PhaseData(recipe, sampled=True)
    problems: dict[Problem, None] = {}
    with suppress(Exception):  # such as errors of the recipe's data
        for phase in phases:
            objectives = [*phase.schedule.objectives, *(idle if phase.name == MAIN else [])]
            nodes = [node for node in _computed(objectives) if node in graph.names]
            batch, needed = data.of(phase).peek(), sound(recipe.game, graph, nodes)
            problems |= dict.fromkeys(replaced_draws(needed, batch))
            problems |= dict.fromkeys(batch_problems(graph, needed, batch))
    return [*problems]


def _computed(objectives: Iterable[WeightedSum]) -> tuple[Value, ...]:
    """Return all values upstream of some objectives, themselves included."""
    return ancestors(roots(objectives))


class PhaseData:
    """The batches of each phase, loaded when first needed; phases may share a stream."""

    def __init__(
        self, recipe: Recipe, sampled: bool = False, seed: int = 0, share: Share = WHOLE
    ) -> None:
        self._recipe = recipe
        self._share = share
        self._sampled = sampled
        self._seed = seed
        self._made: dict[int, Batches] = {}

    def of(self, phase: Phase) -> Batches:
        """Return a phase's endless stream of batches."""
        data = self._recipe.data if phase.data is None else phase.data
        if id(data) not in self._made:
            self._made[id(data)] = Batches(
                data, sampled=self._sampled, seed=self._seed, share=self._share
            )
        return self._made[id(data)]

    def state_dict(self) -> dict[str, Any]:
        """Return how far each phase's data have been read."""
        return {phase.name: self.of(phase).state_dict() for phase in self._recipe.all_phases}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        for phase in self._recipe.all_phases:
            self.of(phase).load_state_dict(state[phase.name])


def make_copies(recipe: Recipe, phase: Phase, engine: Engine) -> None:
    """Make the copies that the phase before one ends with, if this one has not begun.

    Not when that ends: an interruption just then would leave a checkpoint without them. Before the
    first step it makes no difference how often it is done. Each process of a run does it by itself.
    """
    if engine.state.iterations.get(phase.name, 0) > 0:
        return
    for before, after in pairwise(recipe.all_phases):
        for name, of in before.copies.items() if after.name == phase.name else ():
            engine.modules[name].load_state_dict(engine.modules[of].state_dict())


# --- learning-rate schedules that depend on a metric ---


def step_metrics(recipe: Recipe, plan: Plan) -> frozenset[str]:
    """Return the metrics of a step that learning-rate schedules need."""
    return _watched(recipe.optimizers) & _step_names(plan)


def report_metrics(engine: Engine, record: Record, names: frozenset[str]) -> None:
    """Report metrics of a step to learning-rate schedules.

    Without names the record is not read: reading waits for the device.
    """
    if not names:
        return
    metrics = {**record.energies, **record.objectives}
    for name in sorted(names & metrics.keys()):
        engine.metric(name, metrics[name])


def _watched(optimizers: Optimizers) -> frozenset[str]:
    specs = optimizers.values() if isinstance(optimizers, Mapping) else [optimizers]
    schedules = (spec.schedule for spec in specs if isinstance(spec, Optimizer))
    return frozenset(schedule.metric for schedule in schedules if isinstance(schedule, Plateau))


def _step_names(plan: Plan) -> frozenset[str]:
    """Return the names of the energies and objectives in a step's record."""
    energies = (plan.graph.names[energy] for energy in plan.graph.energies)
    return frozenset(energies) | frozenset(plan.graph.objectives)


def _check_watched(recipe: Recipe, plan: Plan) -> None:
    """Refuse a metric that nothing reports. Those of evaluations are known only once they run."""
    unknown = _watched(recipe.optimizers) - _step_names(plan)
    if unknown and not recipe.evaluations:
        known = ", ".join(sorted(_step_names(plan)))
        raise ConfigError(
            f"a learning-rate schedule needs the metric {min(unknown)!r}, which nothing reports. "
            f"Metrics of a step: {known}; evaluations report others"
        )
