"""The evaluations and previews of a run: which are due, and running them without a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nvn.engine.engine import Engine
from nvn.engine.module_state import mode
from nvn.engine.seeding import seeded
from nvn.errors import ConfigError, did_you_mean
from nvn.recipe.goal import Goal
from nvn.recipe.recipe import Evaluation, Preview, Recipe
from nvn.streams import python_and_numpy
from nvn.training.progress import Best, Progress
from nvn.training.run_folder import picture_path
from nvn.training.stopping import Stop

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

    def run_due(self, step: int, *, final: bool = False) -> frozenset[Goal]:
        """Run those that are due after `step` steps of the game; all that have not yet, if final.

        Returns:
            The goals that have never been closer.
        """
        reached: set[Goal] = set()
        for evaluation in self.recipe.evaluations:
            if self._is_due(evaluation, step, final):
                reached |= self._evaluate(evaluation, step)
        for preview in self.recipe.previews:
            if self._is_due(preview, step, final):
                self._preview(preview, step)
        return frozenset(reached)

    def _is_due(self, item: Evaluation | Preview, step: int, final: bool) -> bool:
        # One that has run at this step is not run again by a part of the run that begins here.
        if self.progress.looked.get(_key(item)) == step:
            return False
        return final or (item.every is not None and step > 0 and step % item.every == 0)

    def _evaluate(self, evaluation: Evaluation, step: int) -> set[Goal]:
        with self._looking():
            metrics = evaluation.numbers(self.engine)
        self.progress.metrics[evaluation.name] = metrics
        reached = set()
        for goal in self.goals:
            value = goal.of(evaluation.name, metrics)
            best = self.progress.best.setdefault(str(goal), Best())
            if value is not None and best.see(value, step, goal):
                reached.add(goal)
        for name, value in metrics.items():
            self.engine.metric(name, value)
        self.progress.looked[_key(evaluation)] = step
        self.hook.evaluated(step=step, name=evaluation.name, metrics=metrics)
        return reached

    def _preview(self, preview: Preview, step: int) -> None:
        with self._looking():
            image = preview.picture(self.engine)
        self.progress.pictures[preview.name] = picture_path(Path(), preview.name, step).as_posix()
        self.progress.looked[_key(preview)] = step
        self.hook.previewed(step=step, name=preview.name, image=image)

    @contextlib.contextmanager
    def _looking(self) -> Iterator[None]:
        with self.stop.at_once(), in_eval_mode(self.engine, self.seed, self.device):
            yield


@contextlib.contextmanager
def in_eval_mode(engine: Engine, seed: int, device: torch.device) -> Iterator[None]:
    """Run with all players in eval mode, and random streams that begin at a seed.

    Modes and streams are afterwards as before.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(seeded(seed, device))
        stack.enter_context(python_and_numpy(seed))
        for module in engine.modules.values():
            stack.enter_context(mode(module, training=False))
        yield


def _key(item: Evaluation | Preview) -> str:
    kind = "evaluation" if isinstance(item, Evaluation) else "preview"
    return f"{kind}/{item.name}"
