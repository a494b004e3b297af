"""A folder of recipes as a package: a recipe imports its neighbors, and only its own.

Neighbors are imported relatively (`from .common import mlp`), or by their bare names, as
`python recipe.py` would (`from common import mlp`). Either way it is one module, under the name of
the folder's package: two folders may each have a `common`, and recipes of both may be loaded.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import partial
from importlib.machinery import (
    BuiltinImporter,
    FrozenImporter,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["NeighborLoader", "folder_of", "made_packages", "make_package"]

_PREFIX = "nvn_recipes_in_"
_OURS = ("nvn", "nvn_recipes")  # a recipe may lie beside a checkout of them


def make_package(folder: Path) -> str:
    """Register a folder as a package, under a name of its own, and return the name."""
    digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    name = f"{_PREFIX}{digest}"
    if name not in sys.modules:
        package = ModuleType(name, f"The recipes in {folder}.")
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    return name


def made_packages() -> list[Path]:
    """Return the folders that were registered in this process."""
    modules = [*sys.modules.items()]
    made = [m for name, m in modules if name.startswith(_PREFIX) and "." not in name]
    return [Path(folder) for module in made for folder in module.__path__]


def folder_of(module: str) -> Path | None:
    """Return the folder whose package a module is of, by its name; None if it is of none."""
    package = sys.modules.get(module.partition(".")[0])
    made = package is not None and package.__name__.startswith(_PREFIX)
    return Path(package.__path__[0]) if package is not None and made else None


class NeighborLoader(SourceFileLoader):
    """Runs a module of such a package: its bare imports look beside the recipe first."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        # A module looks up `__import__` in the builtins of its own: no other module is changed.
        package = module.__name__.partition(".")[0]
        own = {**vars(builtins), "__import__": partial(_import, package)}
        module.__dict__["__builtins__"] = own
        super().exec_module(module)


class _Finder:
    """Has neighbors loaded in the same way as the recipe, wherever they are imported from."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(_PREFIX) or path is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = NeighborLoader(name, spec.loader.path)
        return spec


def _import(
    package: str,
    name: str,
    globals: Any = None,
    locals: Any = None,
    fromlist: Any = (),
    level: int = 0,
) -> ModuleType:
    """Import as the statement does, a neighbor where there is one; an `__import__`."""
    top = name.partition(".")[0]
    if level or not _is_neighbor(package, top):
        return builtins.__import__(name, globals, locals, fromlist, level)
    found = builtins.__import__(f"{package}.{name}", globals, locals, fromlist, 0)
    # `import a.b` binds a; with names to take from it, the statement wants a.b itself.
    return found if fromlist else sys.modules[f"{package}.{top}"]


def _is_neighbor(package: str, top: str) -> bool:
    # What Python itself has built in is never looked for in a file.
    if top in _OURS or BuiltinImporter.find_spec(top) or FrozenImporter.find_spec(top):
        return False
    full = f"{package}.{top}"
    if full in sys.modules:
        return True
    spec = PathFinder.find_spec(full, sys.modules[package].__path__)
    if spec is None or spec.loader is not None:
        return spec is not None
    # A folder without __init__.py comes last, wherever it is, as for Python.
    return top not in sys.modules and importlib.util.find_spec(top) is None
