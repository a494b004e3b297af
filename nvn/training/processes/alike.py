"""What has to be the same in all processes of a run, compared before the first step."""

from __future__ import annotations

import hashlib
import platform
import socket
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nvn.errors import GameError, RunError
from nvn.packages import version
from nvn.recipe.build import PhaseData, make_plans
from nvn.recipe.code import code_of
from nvn.recipe.recipe import Recipe
from nvn.training.processes.orders import Facts
from nvn.training.run_record import file_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["data_facts", "differences", "facts_of"]


def facts_of(
    recipe: Recipe, fabric: Fabric, options: Mapping[str, Any], origin: str | None
) -> Facts:
    """Return what has to be the same in all processes before players are placed.

    Args:
        recipe: The recipe.
        fabric: The device and precision.
        options: The arguments of `nvn.train` that what is computed depends on.
        origin: The recipe's file, or its name if installed; None if unknown.
    """
    facts = {
        "Python": platform.python_version(),
        "nvn": version(),
        "torch": torch.__version__,
        "lightning-fabric": metadata.version("lightning-fabric"),
        "the device": fabric.device.type,
        "the precision": fabric._precision.precision,
        "the recipe's name": recipe.name,
        **{f"the argument {name}": str(value) for name, value in options.items()},
        **{f"the plan of {name!r}": plan for name, plan in _plans(recipe)},
    }
    for name, player in recipe.game.players.items():
        state = player.module.state_dict()
        shapes = {key: (list(x.shape), str(x.dtype)) for key, x in state.items()}
        facts[f"the tensors of {name}"] = f"{len(shapes)}, of shapes {_digest(shapes)}"
    return Facts(socket.gethostname(), facts, dict(_code(origin)))


def data_facts(recipe: Recipe, data: PhaseData) -> Facts:
    """Return what the data of each phase are; their first batches are read."""
    facts = {
        f"{name} of phase {phase.name!r}": described
        for phase in recipe.all_phases
        for name, described in data.of(phase).described().items()
    }
    return Facts(socket.gethostname(), facts, {})


def differences(first: Facts, others: Mapping[int, Facts]) -> None:
    """Refuse processes that are not as the first is.

    Args:
        first: The facts of the first process.
        others: Those of the others, by their rank.

    Raises:
        RunError: Naming all that differs, and where.
    """
    problems = [
        f"process {rank} ({other.host}): {name} is {_shown(here)}; in process 0 ({first.host}) "
        f"it is {_shown(there)}"
        for rank, other in others.items()
        for name, there, here in _unlike(first, other)
    ]
    if problems:
        told = "\n".join(problems[:_MOST])
        more = f"\n… and {len(problems) - _MOST} more" if len(problems) > _MOST else ""
        raise RunError(
            f"{told}{more}\nprocesses that train one game have to be alike: nothing was trained"
        )


_MOST = 20  # differences that are shown


def _unlike(first: Facts, other: Facts) -> Iterator[tuple[str, str | None, str | None]]:
    for name in dict.fromkeys((*first.facts, *other.facts)):
        if first.facts.get(name) != other.facts.get(name):
            yield name, first.facts.get(name), other.facts.get(name)
    for name in first.code.keys() & other.code.keys():
        if first.code[name] != other.code[name]:
            yield f"the code of {name}", first.code[name], other.code[name]


def _shown(value: str | None) -> str:
    return "missing" if value is None else value


def _code(origin: str | None) -> Iterator[tuple[str, str]]:
    """Yield the files of a recipe's code, by what they are called from its folder."""
    recipe = file_of(origin)
    if recipe is None:
        return
    folder = recipe.resolve().parent
    for path, digest in code_of(recipe).items():
        inside = Path(path).is_relative_to(folder)
        yield str(Path(path).relative_to(folder)) if inside else path, digest[:12]


def _plans(recipe: Recipe) -> Iterator[tuple[str, str]]:
    try:
        plans = make_plans(recipe)
    except GameError as error:  # which all have, or it differs
        yield "main", _digest(error)
        return
    for name, plan in plans.items():
        yield name, _digest(plan.program(plan.whole))


def _digest(value: object) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:12]
