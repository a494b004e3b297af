"""Declare an adversarial game; nvn checks it, plans it and runs it.

The public names, nothing else. They load when first used, so that `import nvn` and `nvn --help`
stay fast: torch and Fabric alone take seconds to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import nvn.data as data
    import nvn.energies as energies
    import nvn.files as files
    import nvn.folders as folders
    import nvn.images as images
    import nvn.lettering as lettering
    import nvn.packages as packages
    import nvn.plugins as plugins
    from nvn.console import Bar, progress
    from nvn.ejection import eject
    from nvn.engine.engine import Engine
    from nvn.engine.optimizers import Optimizer, OptimizerFactory, Plateau
    from nvn.errors import (
        ConfigError,
        DataError,
        GameError,
        GameWarning,
        IncompleteError,
        NvnError,
        NvnWarning,
        Problem,
        RunError,
    )
    from nvn.game import (
        Energy,
        Game,
        Move,
        Player,
        Schedule,
        Team,
        Value,
        WeightedSum,
        alternating,
        energy,
        gradient,
        move,
        simultaneous,
        value,
    )
    from nvn.metrics import Metrics, read_metrics
    from nvn.planner.planner import Plan, plan
    from nvn.pulls import Pull, Pulls
    from nvn.recipe.config import Config
    from nvn.recipe.goal import EarlyStopping
    from nvn.recipe.recipe import Application, Evaluation, Phase, Preview, Recipe, Sampling
    from nvn.records import Record
    from nvn.training.run import Run
    from nvn.training.saving import Saving
    from nvn.training.starting import train
    from nvn.training.trained import Trained, trained

# Public name → the module that defines it. Submodules that are names of their own stand below.
_HOME = {
    "Application": "recipe.recipe",
    "Bar": "console",
    "Config": "recipe.config",
    "ConfigError": "errors",
    "DataError": "errors",
    "EarlyStopping": "recipe.goal",
    "Energy": "game",
    "Engine": "engine.engine",
    "Evaluation": "recipe.recipe",
    "Game": "game",
    "GameError": "errors",
    "GameWarning": "errors",
    "IncompleteError": "errors",
    "Metrics": "metrics",
    "Move": "game",
    "NvnError": "errors",
    "NvnWarning": "errors",
    "Optimizer": "engine.optimizers",
    "OptimizerFactory": "engine.optimizers",
    "Phase": "recipe.recipe",
    "Plan": "planner.planner",
    "Plateau": "engine.optimizers",
    "Player": "game",
    "Preview": "recipe.recipe",
    "Problem": "errors",
    "Pull": "pulls",
    "Pulls": "pulls",
    "Recipe": "recipe.recipe",
    "Record": "records",
    "Run": "training.run",
    "RunError": "errors",
    "Sampling": "recipe.recipe",
    "Saving": "training.saving",
    "Schedule": "game",
    "Team": "game",
    "Trained": "training.trained",
    "Value": "game",
    "WeightedSum": "game",
    "alternating": "game",
    "eject": "ejection",
    "energy": "game",
    "gradient": "game",
    "move": "game",
    "plan": "planner.planner",
    "progress": "console",
    "read_metrics": "metrics",
    "simultaneous": "game",
    "train": "training.starting",
    "trained": "training.trained",
    "value": "game",
}
_SUBMODULES = ("data", "energies", "files", "folders", "images", "lettering", "packages", "plugins")

# Spelled out for type checkers; tests/test_layers.py holds it equal to the two above.
__all__ = [
    "Application",
    "Bar",
    "Config",
    "ConfigError",
    "DataError",
    "EarlyStopping",
    "Energy",
    "Engine",
    "Evaluation",
    "Game",
    "GameError",
    "GameWarning",
    "IncompleteError",
    "Metrics",
    "Move",
    "NvnError",
    "NvnWarning",
    "Optimizer",
    "OptimizerFactory",
    "Phase",
    "Plan",
    "Plateau",
    "Player",
    "Preview",
    "Problem",
    "Pull",
    "Pulls",
    "Recipe",
    "Record",
    "Run",
    "RunError",
    "Sampling",
    "Saving",
    "Schedule",
    "Team",
    "Trained",
    "Value",
    "WeightedSum",
    "alternating",
    "data",
    "eject",
    "energies",
    "energy",
    "files",
    "folders",
    "gradient",
    "images",
    "lettering",
    "move",
    "packages",
    "plan",
    "plugins",
    "progress",
    "read_metrics",
    "simultaneous",
    "train",
    "trained",
    "value",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        found: object = getattr(importlib.import_module(f"nvn.{_HOME[name]}"), name)
    elif name in _SUBMODULES:
        found = importlib.import_module(f"nvn.{name}")
    else:
        raise AttributeError(f"module 'nvn' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_SUBMODULES])
