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
    from nvn.console import progress as progress
    from nvn.engine import Engine as Engine
    from nvn.errors import GameError as GameError
    from nvn.errors import GameWarning as GameWarning
    from nvn.errors import NvnError as NvnError
    from nvn.game import Energy as Energy
    from nvn.game import Game as Game
    from nvn.game import Player as Player
    from nvn.game import Team as Team
    from nvn.game import Value as Value
    from nvn.game import energy as energy
    from nvn.game import gradient as gradient
    from nvn.game import value as value
    from nvn.planner import Plan as Plan
    from nvn.planner import plan as plan
    from nvn.recipe import Config as Config
    from nvn.recipe import Evaluation as Evaluation
    from nvn.recipe import Phase as Phase
    from nvn.recipe import Preview as Preview
    from nvn.recipe import Recipe as Recipe
    from nvn.records import Record as Record
    from nvn.schedule import Schedule as Schedule
    from nvn.schedule import alternating as alternating
    from nvn.schedule import move as move
    from nvn.schedule import simultaneous as simultaneous
    from nvn.optimizers import Optimizer as Optimizer
    from nvn.optimizers import Plateau as Plateau
    from nvn.training import Run as Run
    from nvn.training import train as train

# Public name → the module that defines it. Submodules that are names of their own stand below.
_HOME = {
    "Config": "recipe",
    "Energy": "game",
    "Engine": "engine",
    "Evaluation": "recipe",
    "Game": "game",
    "GameError": "errors",
    "GameWarning": "errors",
    "NvnError": "errors",
    "Optimizer": "optimizers",
    "Phase": "recipe",
    "Plan": "planner",
    "Plateau": "optimizers",
    "Player": "game",
    "Preview": "recipe",
    "Recipe": "recipe",
    "Record": "records",
    "Run": "training",
    "Schedule": "schedule",
    "Team": "game",
    "Value": "game",
    "alternating": "schedule",
    "energy": "game",
    "gradient": "game",
    "move": "schedule",
    "plan": "planner",
    "progress": "console",
    "simultaneous": "schedule",
    "train": "training",
    "value": "game",
}
_SUBMODULES = ("data", "energies")

__all__ = [*_HOME, *_SUBMODULES]


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
