"""Loading a recipe from a file, or an installed one by its name.

The folder of a recipe file becomes a package, so that a recipe imports its neighbors.
The recipes that come with nvn are the package `nvn_recipes`; a file in its folder is loaded as a
module of that package, so that no file is imported twice under two names. Other packages have
recipes by their entry points `nvn.recipes`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from nvn.errors import ConfigError, did_you_mean
from nvn.files import content_of
from nvn.folder_package import NeighborLoader, make_package
from nvn.recipe.config import Config, as_yaml
from nvn.recipe.recipe import Recipe

__all__ = [
    "INSTALLED",
    "RecipeSource",
    "Summary",
    "importable",
    "installed_folder",
    "installed_recipes",
    "is_installed_name",
    "load_recipe",
    "module_file",
    "module_of",
    "recipe_file",
]

INSTALLED = "nvn_recipes"


@dataclass(frozen=True)
class RecipeSource:
    """A loaded recipe, not built yet.

    Attributes:
        name: The file's name without its ending.
        path: The file.
        config_class: Its `Config`; one without settings if its recipe takes none.
        function: Its function `recipe`.
    """

    name: str
    path: Path
    config_class: type[Config]
    function: Callable[..., Recipe]

    @property
    def origin(self) -> str:
        """The argument of `load_recipe` that finds it again: an installed name, or a full path."""
        path = self.path.resolve()
        return next((i.name for i in _installed() if i.path.resolve() == path), str(path))

    def build(self, config: Config) -> Recipe:
        """Build the modules and declare the game."""
        recipe = self.function(config) if _takes_config(self.function) else self.function()
        if not isinstance(recipe, Recipe):
            raise ConfigError(
                f"{self.path}: recipe(config) returned {type(recipe).__name__}, not an nvn.Recipe: "
                "end it with `return nvn.Recipe(name=…, game=…, …)`"
            )
        return recipe

    def files(self, config: Config) -> dict[str, str]:
        """Return the files that a run folder keeps of its recipe: name → text."""
        return {
            # To the byte, whatever its encoding: what is written is encoded in the same way.
            "recipe.py": content_of(self.path).decode("utf-8", "surrogateescape"),
            "config.yaml": as_yaml(config),
        }


@dataclass(frozen=True)
class Summary:
    """A recipe's name, and the first line of its docstring."""

    name: str
    line: str


def load_recipe(path_or_name: str) -> RecipeSource:
    """Load a recipe from a file, or an installed one by its name.

    Raises:
        ConfigError: If there is none, if it is not valid Python, or if it has no `Config` or
            `recipe`. Errors raised by the file's own code are not caught.
    """
    path = recipe_file(path_or_name)
    return _source(path, module_of(path))


def _marked(error: SyntaxError) -> list[str]:
    """Return the lines in which Python shows where an error is."""
    return "".join(traceback.format_exception_only(error)).splitlines()[1:-1]


@dataclass(frozen=True)
class _Installed:
    """A recipe that is found by its name: the file, and the module that it is."""

    name: str
    path: Path
    module: str


def installed_recipes() -> tuple[Summary, ...]:
    """Return the recipes that are found by name, without importing them.

    They are those that come with nvn, and those of other packages: their entry points in the group
    `nvn.recipes`, each a name and a module (`rings = "my_package.rings"`).
    """
    summaries = ((each.name, _summary(each.path)) for each in _installed())
    return tuple(Summary(name, found.line) for name, found in summaries if found is not None)


def _installed() -> Iterator[_Installed]:
    folder = installed_folder()
    taken = set()
    for path in sorted(folder.glob("*.py")) if folder else []:
        taken.add(path.stem)
        yield _Installed(path.stem, path, f"{INSTALLED}.{path.stem}")
    for entry in sorted(entry_points(group="nvn.recipes"), key=lambda entry: entry.name):
        file = module_file(entry.value)
        if entry.name not in taken and file is not None:  # (nvn's own come first)
            taken.add(entry.name)
            yield _Installed(entry.name, file, entry.value)


def importable(name: str) -> str | None:
    """Return the module that an installed recipe is; None of a file."""
    return next((each.module for each in _installed() if each.name == name), None)


def module_file(module: str) -> Path | None:
    """Return the file of a module that is installed; nothing is imported, nor its packages."""
    name, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    for part in rest:
        # (importlib.util.find_spec would run the package's code.)
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    found = spec is not None and spec.has_location and spec.origin is not None
    return Path(str(spec.origin)) if spec is not None and found else None


def installed_folder() -> Path | None:
    """Return the folder of the recipes that come with nvn; None if they are not installed."""
    spec = importlib.util.find_spec(INSTALLED)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return Path(locations[0]) if locations else None


def is_installed_name(path_or_name: str) -> bool:
    """Return whether `recipe_file` takes a text for an installed recipe's name, or for a path."""
    path = Path(path_or_name)
    return path.suffix != ".py" and len(path.parts) == 1


def recipe_file(path_or_name: str) -> Path:
    """Return the file of a recipe, given as to `load_recipe`.

    Raises:
        ConfigError: There is none.
    """
    path = Path(path_or_name)
    bare = is_installed_name(path_or_name)
    if bare and (known := next((i for i in _installed() if i.name == path_or_name), None)):
        return known.path
    if path.is_dir():
        near = ", ".join(sorted(str(p) for p in path.glob("*.py") if _summary(p)))
        raise ConfigError(
            f"{path_or_name or path} is a folder; a recipe is a file. "
            + (f"Recipes in it: {near}" if near else "There is no recipe in it")
        )
    if not bare and path.parts:
        if path.is_file():
            return path
        if path.exists():  # a pipe or a device: reading it might never end
            raise ConfigError(f"{path_or_name} is no regular file; expected a recipe's")
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.py") if p.is_file()])
        raise ConfigError(f"there is no recipe file {path_or_name}.{near}")
    broken = [entry for entry in entry_points(group="nvn.recipes") if entry.name == path_or_name]
    if broken:
        raise ConfigError(
            f"the installed recipe {path_or_name!r} is to be the module {broken[0].value}, and "
            "there is none: install its package again, or tell whoever made it"
        )
    names = [summary.name for summary in installed_recipes()]
    raise ConfigError(
        f"there is no installed recipe {path_or_name!r}.{did_you_mean(path_or_name, names)} "
        f"Installed: {', '.join(names) or 'none'}. A recipe of your own is given by its file, "
        f"{path_or_name}.py"
    )


def module_of(path: Path) -> ModuleType:
    """Import a file as a module of the package that its folder becomes, or is.

    Raises:
        ConfigError: It cannot be read, or is not valid Python. Errors of its own are not caught.
    """
    try:
        compile(content_of(path), str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        line = (error.text or "").strip()
        where = f"{path}, line {error.lineno}" if error.lineno else str(path)
        told = f"{where}: {error.msg}" + (f": `{line}`" if line else "")
        raise ConfigError("\n".join([told, *_marked(error)])) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    except (RecursionError, MemoryError):  # which are Python's for what is nested without end
        raise ConfigError(f"cannot read {path}: it is nested too deeply") from None
    folder = path.resolve().parent
    own = installed_folder()
    if own and own.resolve() == folder:  # a recipe, or a neighbor that is none
        return importlib.import_module(f"{INSTALLED}.{path.stem}")
    known = next((i for i in _installed() if i.path.resolve() == path.resolve()), None)
    if known is not None:
        return importlib.import_module(known.module)
    name = f"{make_package(folder)}.{path.stem.replace('.', '_')}"
    loader = NeighborLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look up the module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _source(path: Path, module: ModuleType) -> RecipeSource:
    config_class, function = getattr(module, "Config", None), getattr(module, "recipe", None)
    if config_class is None and callable(function) and not _takes_config(function):
        config_class = Config  # a recipe without settings
    problems = []
    if not (isinstance(config_class, type) and issubclass(config_class, Config)):
        problems.append("no class `Config(nvn.Config)`, the settings")
    if not callable(function):
        problems.append("no function `recipe(config: Config) -> nvn.Recipe`")
    if problems:
        raise ConfigError(f"{path} is not a recipe: it has " + " and ".join(problems))
    _check_call(path, config_class, function)  # type: ignore[arg-type]
    return RecipeSource(path.stem, path, config_class, function)  # type: ignore[arg-type]


def _takes_config(function: Callable[..., object]) -> bool:
    """Return whether a recipe function has an argument; settings go there."""
    try:
        return bool(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # no signature is known: as a recipe function should
        return True


def _check_call(path: Path, config_class: type[Config], function: Callable[..., object]) -> None:
    """Refuse a recipe function that cannot be called, or that would leave its settings unread."""
    if not _takes_config(function):
        if config_class.model_fields:
            raise ConfigError(
                f"{path}: recipe() has no argument, so the settings in Config would change "
                "nothing: write `def recipe(config: Config) -> nvn.Recipe`"
            )
        return
    with suppress(ValueError):  # no signature is known
        signature = inspect.signature(function)
        try:
            signature.bind(None)
        except TypeError as error:
            raise ConfigError(
                f"{path}: recipe{signature} cannot be called as recipe(config): {error}. Write "
                "`def recipe(config: Config) -> nvn.Recipe`"
            ) from None


def _summary(path: Path) -> Summary | None:
    """Return a file's name and first line, or None if it is no recipe."""
    try:
        tree = ast.parse(content_of(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not any(isinstance(node, ast.FunctionDef) and node.name == "recipe" for node in tree.body):
        return None
    return Summary(path.stem, (ast.get_docstring(tree) or "").partition("\n")[0])
