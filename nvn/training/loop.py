"""The training loop: read this first.

    recipe → Game → LossGraph → Plan → Engine → records, checkpoints, pictures

`train` takes a recipe through all of it. It prints nothing and writes nothing: it steps the engine
and calls hooks (hooks.py). The run folder, the watch for losses that are not finite, and the
progress bars are plugins. What a step does is in nvn/engine, what a game means in nvn/game.

(The module is not called train: `nvn.train` is the function.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nvn.engine.engine import Engine
from nvn.engine.module_state import mode
from nvn.engine.seeding import seeded
from nvn.errors import ConfigError
from nvn.recipe.build import PhaseData, check_data, feed, make_engines, step_metrics
from nvn.recipe.recipe import MAIN, Evaluation, Phase, Preview, Recipe
from nvn.training.fabric import make_fabric
from nvn.training.finite_guard import FiniteGuard, NotFiniteError
from nvn.training.hooks import plugin_manager
from nvn.training.run import Outcome, Run
from nvn.training.run_folder import RunFolder, new_folder, picture_path
from nvn.training.stopping import Stop, stop_on_signals

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["train"]


def train(
    recipe: Recipe | Callable[[], Recipe],
    *,
    seed: int = 0,
    max_steps: int | None = None,
    max_time: float | None = None,
    out: Path | str | None = None,
    fabric: Fabric | None = None,
    compile: Collection[str] = (),
    plugins: Iterable[object] = (),
    files: Mapping[str, str] = MappingProxyType({}),
    origin: str | None = None,
) -> Run:
    """Train a recipe: its phases, then its game.

    Ctrl-C ends the run after the current step, with everything saved; a second one ends it in the
    middle of the step. SIGTERM and SIGHUP do the same. Either way what was learnt is saved, which
    no signal ends, and the run is returned, as "interrupted".

    Args:
        recipe: A recipe; or a function that builds it, called after seeding, so that the seed
            decides the initial weights too.
        seed: Of everything random, from 0 up.
        max_steps: At most so many steps of each phase.
        max_time: After so many seconds no further step begins; evaluations at the end still run.
        out: The run's folder, new or empty; `runs/<recipe>/<time>/` if None.
        fabric: Where and how precisely to compute; one device in 32-true if None.
        compile: Names of players that torch.compile shall have.
        plugins: Objects with hooks.
        files: Further texts for the run's folder, by name.
        origin: Where the recipe comes from, a file or the name of an installed one: `nvn.trained`
            builds it again from there.

    Raises:
        GameError: Listing every problem with the game.
        NvnError: If something else does not fit, or if an objective is no longer finite. Like any
            error from the recipe's own code, it is raised after what was learnt has been saved.

    >>> from functools import partial
    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> def line() -> nvn.Recipe:
    ...     game = nvn.Game("line")
    ...     x, y = game.batch("x", "y")
    ...     f = game.player("f", torch.nn.Linear(1, 1))
    ...     f.minimizes(en.mse(f(x), y))
    ...     inputs = torch.linspace(-1.0, 1.0, 64)[:, None]
    ...     return nvn.Recipe(
    ...         name="line",
    ...         game=game,
    ...         schedule=nvn.alternating(f),
    ...         optimizers=partial(torch.optim.SGD, lr=0.5),
    ...         data=nvn.data.TensorBatches({"x": inputs, "y": 2 * inputs}, batch_size=16),
    ...         steps=200,
    ...     )

    >>> run = nvn.train(line, out="a line")
    >>> run.outcome, run.steps, run.weights["f"]["weight"].round(decimals=3)
    ('finished', {'main': 200}, tensor([[2.]]))
    """
    stop = Stop(max_time)
    manager = plugin_manager(plugins)
    fabric = fabric or make_fabric()
    _seed_everything(seed)
    recipe = _shortened(recipe if isinstance(recipe, Recipe) else recipe(), max_steps)
    engines = make_engines(recipe, fabric, seed, compile)
    folder, guard = new_folder(recipe.name, Path(out) if out else None), FiniteGuard()
    for plugin in (guard, RunFolder(folder, files, origin)):
        manager.register(plugin)  # after the others, so called before them
    loop = _Loop(recipe, engines, manager.hook, stop, guard, folder, seed, fabric.device)
    with stop_on_signals(stop):
        return loop.run()


@dataclass
class _Loop:
    """The loop, and the little that it remembers."""

    recipe: Recipe
    engines: Mapping[str, Engine]
    hook: Any  # pluggy makes the hooks' callers at run time
    stop: Stop
    guard: FiniteGuard
    folder: Path
    seed: int
    device: torch.device
    started: float = field(default_factory=time.monotonic)
    steps: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)

    def run(self) -> Run:
        """Play, and save what was learnt however that ends."""
        try:
            try:
                outcome = self._play()
            finally:
                self.stop.save()
        except KeyboardInterrupt:
            outcome = "interrupted"
        except BaseException as error:
            with _noting_on(error):
                self._finish("failed", error)
            raise
        return self._finish(outcome)

    def _play(self) -> Outcome:
        self.hook.run_started(recipe=self.recipe, engines=self.engines, seed=self.seed)
        data = PhaseData(self.recipe)
        with self.stop.at_once():
            check_data(self.engines, data, self.recipe.all_phases)
        for phase in self.recipe.all_phases:
            if self.stop.reason is None:
                self._play_phase(phase, data)
        if self.stop.reason != "interrupted":
            self._look(final=True)
        return self.stop.reason or "finished"

    def _finish(self, outcome: Outcome, error: BaseException | None = None) -> Run:
        self.stop.save()  # again: a signal may have come just before it was said
        now = {name: m.state_dict() for name, m in self.engines[MAIN].modules.items()}
        run = Run(
            recipe=self.recipe,
            folder=self.folder,
            outcome=outcome,
            engine=self.engines[MAIN],
            weights=self.guard.good if isinstance(error, NotFiniteError) else now,
            steps=self.steps,
            metrics=self.metrics,
            pictures=self.pictures,
            seconds=time.monotonic() - self.started,
            error=error,
        )
        self.hook.run_finished(run=run)
        return run

    def _play_phase(self, phase: Phase, data: PhaseData) -> None:
        engine = self.engines[phase.name]
        self.hook.phase_started(phase=phase, engine=engine)
        batches = data.of(phase)
        watched = step_metrics(self.recipe, engine.plan)
        step = 0
        while step < phase.steps and self.stop.reason is None:
            record = engine.step(batches)
            step = self.steps[phase.name] = record.step
            self.hook.step_done(phase=phase, record=record, engine=engine)
            feed(engine, record, watched)
            if phase.name == MAIN and step < phase.steps and self.stop.reason is None:
                self._look()
        self.hook.phase_finished(phase=phase, step=step, engine=engine)

    def _look(self, *, final: bool = False) -> None:
        """Run the evaluations and previews that are due."""
        step = self.steps.get(MAIN, 0)
        for evaluation in self.recipe.evaluations:
            if final or _is_due(evaluation, step):
                self._evaluate(evaluation, step)
        for preview in self.recipe.previews:
            if final or _is_due(preview, step):
                with self._aside():
                    image = preview.picture(self.engines[MAIN])
                self.hook.previewed(step=step, name=preview.name, image=image)
                self.pictures[preview.name] = picture_path(self.folder, preview.name, step)

    def _evaluate(self, evaluation: Evaluation, step: int) -> None:
        engine = self.engines[MAIN]
        with self._aside():
            metrics = evaluation.numbers(engine)
        self.metrics[evaluation.name] = metrics
        self.hook.evaluated(step=step, name=evaluation.name, metrics=metrics)
        for name, value in metrics.items():
            engine.metric(name, value)

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Let something look at the players without changing how training goes on."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.stop.at_once())
            stack.enter_context(seeded(self.seed, self.device))
            for module in self.engines[MAIN].modules.values():
                stack.enter_context(mode(module, training=False))
            yield


# --- small things ---------------------------------------------------------------------------------


def _seed_everything(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed = {seed}: expected a whole number from 0 to 2^63 - 1")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _shortened(recipe: Recipe, max_steps: int | None) -> Recipe:
    if max_steps is None:
        return recipe
    if max_steps < 1:
        raise ConfigError(f"max_steps = {max_steps}: expected at least 1")
    phases = tuple(
        dataclasses.replace(phase, steps=min(phase.steps, max_steps)) for phase in recipe.phases
    )
    return recipe.replace(phases=phases, steps=min(recipe.steps, max_steps))


def _is_due(item: Evaluation | Preview, step: int) -> bool:
    return item.every is not None and step % item.every == 0


@contextlib.contextmanager
def _noting_on(error: BaseException) -> Iterator[None]:
    """Let a second error, on the way out, not hide the first."""
    try:
        yield
    except Exception as second:  # noqa: BLE001  (whatever it is, the first one matters more)
        error.add_note(f"then: {str(second) or type(second).__name__}")
