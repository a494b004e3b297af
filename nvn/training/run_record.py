"""What run.yaml says of a run from its start on: enough to build it again as it was."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nvn.errors import ConfigError
from nvn.packages import version
from nvn.recipe.code import code_of, commit_of
from nvn.recipe.loading import recipe_file
from nvn.recipe.recipe import Recipe
from nvn.training.saving import Saving

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["file_of", "run_record"]


def run_record(
    recipe: Recipe,
    run: str,
    fabric: Fabric,
    saving: Saving,
    origin: str | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what run.yaml says of a run, but for its parts and its end.

    Args:
        recipe: The recipe, built: its code has been imported.
        run: The run's id.
        fabric: Its device and precision.
        saving: When it saves.
        origin: The recipe's file, or its name if installed.
        options: The further arguments of `nvn.train`: seed, numbers of steps.
    """
    file = file_of(origin)
    return {
        "recipe": recipe.name,
        "origin": origin,
        "run": run,
        **options,
        "accelerator": fabric.device.type,
        "precision": fabric._precision.precision,
        "processes": fabric.world_size,
        "num_nodes": getattr(fabric.strategy, "num_nodes", 1),
        "saving": {k: v for k, v in dataclasses.asdict(saving).items() if v is not None},
        "phases": {phase.name: phase.steps for phase in recipe.all_phases},
        "code": {} if file is None else code_of(file),
        "commit": None if file is None else commit_of(file),
        "machine": _machine(fabric),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {
            "nvn": version(),
            **{name: metadata.version(name) for name in ("torch", "lightning-fabric")},
            "python": platform.python_version(),
        },
    }


def file_of(origin: str | None) -> Path | None:
    """Return the file of a recipe that is built; None if it is unknown, or gone meanwhile.

    Args:
        origin: The recipe's file, or its name if installed.
    """
    try:
        return None if origin is None else recipe_file(origin)
    except ConfigError:
        return None


def _machine(fabric: Fabric) -> dict[str, Any]:
    device = fabric.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"system": platform.platform(), "device": name, "threads": torch.get_num_threads()}
