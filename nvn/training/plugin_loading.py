"""Finding a plugin by a text: an installed one's name, a file or a module, and its settings.

    tensorboard    plugins/mine.py    my_package.plugin    tensorboard:every=10,folder=logs

A file or module of a plugin has a function `plugin` that makes it; with settings, as a recipe has:

    class Settings(nvn.Config): ...
    def plugin(settings: Settings) -> object: ...

Or its own functions are the hooks: then the module is the plugin.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from nvn.errors import ConfigError, did_you_mean
from nvn.recipe.config import Config, read_settings
from nvn.recipe.loading import module_file, module_of

__all__ = ["installed_plugins", "load_plugin"]

GROUP = "nvn.plugins"
_SPEC = re.compile(r"(?P<where>.*?)(:(?P<settings>[\w.]+=.*))?", re.DOTALL)


def installed_plugins() -> dict[str, EntryPoint]:
    """Return the plugins of installed packages, by name; nothing is imported."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def load_plugin(text: str) -> object:
    """Load a plugin: "NAME", "FILE.py" or "module", and after a colon its settings, "a=1,b=2".

    Raises:
        ConfigError: There is none, it is none, or its settings are not valid.
    """
    match = _SPEC.fullmatch(text)
    assert match is not None  # anything matches
    where, given = match["where"], match["settings"]
    settings = read_settings(given.split(",") if given else [], f"--plugin {where}:")
    return _made(where, _found(where), settings)


def _found(where: str) -> ModuleType:
    """Return the module of a plugin: of a file, of an entry point, or by its own name."""
    path, installed = Path(where), installed_plugins()
    if path.suffix == ".py":
        if not path.is_file():
            near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.py")])
            raise ConfigError(f"--plugin {where}: there is no such file.{near}")
        return module_of(path)
    name = installed[where].module if where in installed else where
    if module_file(name) is None:
        hint = did_you_mean(where, installed)
        raise ConfigError(
            f"--plugin {where}: there is no installed plugin of that name, and no module.{hint} "
            f"Installed: {', '.join(sorted(installed)) or 'none'}. One of your own is given by its "
            "file, FILE.py; settings come after a colon: FILE.py:every=10"
        )
    return importlib.import_module(name)


def _made(where: str, module: ModuleType, settings: dict[str, Any]) -> object:
    function = getattr(module, "plugin", None)
    if not callable(function):
        if settings:
            raise ConfigError(
                f"--plugin {where}: it has no settings: there is no function "
                "`plugin(settings: Settings)` in it"
            )
        return module
    kind = getattr(module, "Settings", Config)
    if not (isinstance(kind, type) and issubclass(kind, Config)):
        raise ConfigError(f"--plugin {where}: Settings is not a class `Settings(nvn.Config)`")
    try:
        chosen = kind.build(settings=settings)
    except ConfigError as error:
        raise ConfigError(f"--plugin {where}: {error}") from None
    return function(chosen) if _takes_settings(where, function, kind) else function()


def _takes_settings(where: str, function: Callable[..., object], kind: type[Config]) -> bool:
    signature = inspect.signature(function)
    takes = bool(signature.parameters)
    if not takes and kind.model_fields:
        raise ConfigError(
            f"--plugin {where}: plugin() has no argument, so its Settings would change nothing: "
            "write `def plugin(settings: Settings)`"
        )
    try:
        signature.bind(*([None] if takes else []))
    except TypeError as error:
        raise ConfigError(
            f"--plugin {where}: plugin{signature} cannot be called as plugin(settings): {error}"
        ) from None
    return takes
