"""A folder of recipes as a package, so that a recipe imports its neighbors relatively."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["made_packages", "make_package"]

_PREFIX = "nvn_recipes_in_"


def make_package(folder: Path) -> str:
    """Register a folder as a package, under a name of its own, and return the name."""
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    name = f"{_PREFIX}{digest}"
    if name not in sys.modules:
        package = ModuleType(name, f"The recipes in {folder}.")
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def made_packages() -> list[Path]:
    """Return the folders that were registered in this process."""
    modules = [*sys.modules.items()]
    made = [m for name, m in modules if name.startswith(_PREFIX) and "." not in name]
    return [Path(folder) for module in made for folder in module.__path__]
