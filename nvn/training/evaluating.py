"""The evaluations and previews of a run: which are due, and running them without a trace.

What they measure and draw is beside the training: one that fails is told of, and the run goes on.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nvn.engine.engine import Engine
from nvn.engine.module_state import mode
from nvn.engine.seeding import seeded
from nvn.errors import ConfigError, NvnWarning, did_you_mean
from nvn.recipe.goal import Goal
from nvn.recipe.recipe import MAIN, Evaluation, Preview, Recipe
from nvn.streams import python_and_numpy
from nvn.training.determinism import has_no_deterministic_form
from nvn.training.finite_guard import FiniteGuard
from nvn.training.processes.leading import ALONE, Lead
from nvn.training.processes.orders import Metric
from nvn.training.progress import Best, Progress
from nvn.training.run_folder import picture_path
from nvn.training.stopping import Stop
from nvn.training.traces import own_traceback

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Evaluations", "check_goals", "in_eval_mode"]


def check_goals(recipe: Recipe, goals: Collection[Goal]) -> None:
    """Refuse a goal of an evaluation that there is not; its metrics are known once it has run.

    Raises:
        ConfigError: Naming the evaluation.
    """
    known = [evaluation.name for evaluation in recipe.evaluations]
    for goal in goals:
        if goal.evaluation not in known:
            raise ConfigError(
                f"{goal}: there is no evaluation {goal.evaluation!r}."
                f"{did_you_mean(goal.evaluation, known)} Evaluations: {', '.join(known) or 'none'}"
            )


@dataclass
class Evaluations:
    """Runs the evaluations and previews of a recipe.

    Attributes:
        recipe: The recipe.
        engine: The engine of the game itself.
        hook: Calls the hooks.
        stop: Interrupts one that a signal comes in.
        progress: Takes metrics, pictures and the best values.
        goals: The metrics whose best value is kept track of.
        folder: The run's folder.
        seed: The seed of what they draw.
        device: The device whose random stream they may draw from.
        guard: Knows whether something is not finite, which may be why one fails.
        lead: Passes metrics on to other processes.
        failed: The first error of each that has failed in this part of the run, by what it is
            called.
        missing: What has failed since it was last run.
    """

    recipe: Recipe
    engine: Engine
    hook: Any  # pluggy makes the hooks' callers at run time
    stop: Stop
    progress: Progress
    goals: Collection[Goal]
    folder: Path
    seed: int
    device: torch.device
    guard: FiniteGuard
    lead: Lead = ALONE
    failed: dict[str, Exception] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def run_due(self, step: int, *, final: bool = False) -> frozenset[Goal]:
        """Run those that are due after `step` steps of the game; all that have not yet, if final.

        Returns:
            The goals that have never been closer.
        """
        reached: set[Goal] = set()
        for evaluation in self.recipe.evaluations:
            if self._is_due(evaluation, step, final):
                reached |= self._evaluate(evaluation, step)
        self.draw_due(MAIN, step, final=final)
        return frozenset(reached)

    def draw_due(self, phase: str, step: int, *, final: bool = False) -> None:
        """Make the previews that are due after `step` steps of a phase; all, if final."""
        for preview in self.recipe.previews:
            looked = self.progress.looked.get(_key(preview, phase)) == step
            if not looked and (final or preview.is_due(phase, step)):
                self._preview(preview, phase, step)

    def _is_due(self, item: Evaluation, step: int, final: bool) -> bool:
        # One that has run at this step is not run again by a part of the run that begins here.
        if self.progress.looked.get(_key(item)) == step:
            return False
        return final or (item.every is not None and step > 0 and step % item.every == 0)

    def _evaluate(self, evaluation: Evaluation, step: int) -> set[Goal]:
        metrics: Mapping[str, float] | None = None
        with self._looking(f"evaluation {evaluation.name!r}", MAIN, step):
            metrics = evaluation.numbers(self.engine)
        if metrics is None:
            return set()
        self.progress.metrics[evaluation.name] = metrics
        reached = set()
        for goal in self.goals:
            value = goal.of(evaluation.name, metrics)
            best = self.progress.best.setdefault(str(goal), Best())
            if value is not None and best.see(value, step, goal):
                reached.add(goal)
        for name, value in metrics.items():
            self.engine.metric(name, value)
            self.lead.order(Metric(name, value))
        self.progress.looked[_key(evaluation)] = step
        self.hook.evaluated(step=step, name=evaluation.name, metrics=metrics)
        return reached

    def _preview(self, preview: Preview, phase: str, step: int) -> None:
        image: Image | None = None
        with self._looking(f"preview {preview.name!r}", phase, step):
            image = preview.picture(self.engine)
        if image is None:
            return
        path = picture_path(Path(), preview.name, step, phase)
        self.progress.pictures[preview.name] = path.as_posix()
        self.progress.looked[_key(preview, phase)] = step
        self.hook.previewed(
            step=step, name=preview.name, image=image, phase=phase, path=self.folder / path
        )

    @contextlib.contextmanager
    def _looking(self, what: str, phase: str, step: int) -> Iterator[None]:
        """Run one without a trace; its errors are told of, and go no further."""
        try:
            with self.stop.at_once(), in_eval_mode(self.engine, self.seed, self.device):
                yield
        except Exception as error:  # (anybody's)
            # What is not finite may be why, and then the run is not sound. And a run held to
            # deterministic algorithms ends by what has none, wherever that is.
            if self.guard.infinite(self.engine.modules) or has_no_deterministic_form(error):
                raise
            self.missing.add(what)
            if what not in self.failed:  # once: it may fail at every look
                self.failed[what] = error
                warnings.warn(
                    f"{what} failed at step {step} of phase {phase!r}; the run goes on, and tries "
                    f"it again when it is due. {own_traceback(error)}",
                    NvnWarning,
                    stacklevel=2,
                )
        else:
            self.missing.discard(what)


@contextlib.contextmanager
def in_eval_mode(engine: Engine, seed: int, device: torch.device) -> Iterator[None]:
    """Run with all players in eval mode, without gradients, and random streams from a seed on.

    Modes and streams are afterwards as before.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(seeded(seed, device))
        stack.enter_context(python_and_numpy(seed))
        for module in engine.modules.values():
            stack.enter_context(mode(module, training=False))
        yield


def _key(item: Evaluation | Preview, phase: str = MAIN) -> str:
    kind = "evaluation" if isinstance(item, Evaluation) else "preview"
    return f"{kind}/{item.name}" if phase == MAIN else f"{kind}/{item.name}/{phase}"
