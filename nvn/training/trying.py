"""What a run calls late, tried before it begins: a bug in it must not show after the training."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType

import torch

from nvn.engine.engine import Engine
from nvn.errors import ConfigError, NvnError
from nvn.game.values import Weight
from nvn.recipe.recipe import Application, Evaluation, Phase, Recipe
from nvn.training.evaluating import in_eval_mode
from nvn.training.finite_guard import copied
from nvn.training.traces import summary

__all__ = ["try_late"]

_SECONDS = 5.0  # for each: a bug in what takes longer mostly shows by then
_SIZE = (64, 48)  # pixels of the picture that an application is tried on


def try_late(recipe: Recipe, engine: Engine, seed: int = 0) -> list[str]:
    """Try each evaluation, preview and application once, and functions of the step at both ends.

    The players are untrained, and are afterwards as before. What has not ended after five seconds
    is ended.

    Returns:
        What was ended, and so tried in part only.

    Raises:
        ConfigError: Listing what fails, each with its error and the line that raised it.
    """
    problems = [p for phase in recipe.all_phases for p in _weight_problems(phase)]
    before = copied(engine.modules)
    partly = []
    try:
        for what, call in _late(recipe, engine):
            try:
                with in_eval_mode(engine, seed, torch.device("cpu")), _limited():
                    call()
            except _Enough:
                partly.append(what)
            except Exception as error:  # noqa: BLE001  (anybody's)
                problems.append(f"{what}: {summary(error)}")
    finally:
        for player, state in before.items():
            engine.modules[player].load_state_dict(state)
    if problems:
        count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        raise ConfigError(f"recipe {recipe.name!r}: {count}:\n  " + "\n  ".join(problems))
    return partly


def _late(recipe: Recipe, engine: Engine) -> Iterator[tuple[str, Callable[[], object]]]:
    for evaluation in recipe.evaluations:
        yield f"evaluation {evaluation.name!r}", partial(_evaluate, recipe, evaluation, engine)
    for preview in recipe.previews:
        yield f"preview {preview.name!r}", partial(preview.picture, engine)
    if (applied := recipe.application) is not None:
        yield f"application {applied.name!r}", partial(_apply, applied, engine)


def _evaluate(recipe: Recipe, evaluation: Evaluation, engine: Engine) -> None:
    metrics = evaluation.numbers(engine)
    if recipe.early_stopping is not None:
        recipe.early_stopping.goal.of(evaluation.name, metrics)  # refuses one that is not there


def _apply(application: Application, engine: Engine) -> None:
    import PIL.Image

    image = PIL.Image.effect_noise(_SIZE, 64).convert("RGB")
    result = None
    with contextlib.suppress(NvnError):  # it may refuse a picture, for this is nobody's
        result = application.fn(engine, image)
    if result is not None:
        application.checked(result)


def _weight_problems(phase: Phase) -> list[str]:
    """Try what weights are at the first and at the last step of a phase."""
    found: dict[str, None] = {}
    for objective in phase.schedule.objectives:
        for term in objective.terms:
            for step in (0, phase.steps - 1):
                problem = _weight_problem(term.weight, step)
                if problem:
                    found[f"phase {phase.name!r}: the weight {term.weight}: {problem}"] = None
                    break
    return [*found]


def _weight_problem(weight: Weight, step: int) -> str:
    try:
        number = weight.known_at(step)
    except Exception as error:  # noqa: BLE001  (anybody's)
        return f"at iteration {step}: {summary(error)}"
    return "" if math.isfinite(number) else f"at iteration {step} it is {number}"


class _Enough(BaseException):
    """Ends what takes long; no Exception, which a recipe's function may handle."""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """End what is in here after a while, where the system has a timer for that."""
    if not hasattr(signal, "setitimer") or (
        threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise _Enough

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
