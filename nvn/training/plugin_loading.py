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

__all__ = ["installed_plugins", "load_plugin", "plugin_file", "whole"]

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
    where, given = _parts(text)
    settings = read_settings(given.split(",") if given else [], f"--plugin {where}:")
    try:
        return _made(where, _found(where), settings)
    except ConfigError:
        raise
    except Exception as error:  # of the plugin's own code
        error.add_note(f"raised by --plugin {where}, which was being loaded")
        raise


def plugin_file(text: str) -> Path | None:
    """Return the file whose code `load_plugin` would run, or None if there is none."""
    where, _ = _parts(text)
    entry = installed_plugins().get(where)
    is_file = Path(where).suffix == ".py"
    return Path(where) if is_file else module_file(where if entry is None else entry.module)


def whole(text: str) -> str:
    """Return a text that finds the same plugin from any folder.

    >>> whole("tensorboard:every=10")
    'tensorboard:every=10'
    """
    where, _ = _parts(text)
    return text if Path(where).suffix != ".py" else f"{Path(where).resolve()}{text[len(where) :]}"


def _parts(text: str) -> tuple[str, str | None]:
    """Return where a plugin is, and its settings."""
    match = _SPEC.fullmatch(text)
    assert match is not None  # anything matches
    return match["where"], match["settings"]


def _found(where: str) -> ModuleType:
    """Return the module of a plugin: of a file, of an entry point, or by its own name."""
    path = Path(where)
    if path.suffix == ".py":
        if not path.is_file():
            near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.py")])
            raise ConfigError(f"--plugin {where}: there is no such file.{near}")
        return module_of(path)
    name = _module_of_entry(where) or where
    if module_file(name) is None:
        installed = installed_plugins()
        hint = did_you_mean(where, installed)
        raise ConfigError(
            f"--plugin {where}: there is no installed plugin of that name, and no module.{hint} "
            f"Installed: {', '.join(sorted(installed)) or 'none'}. One of your own is given by its "
            "file, FILE.py; settings come after a colon: FILE.py:every=10"
        )
    return importlib.import_module(name)


def _module_of_entry(where: str) -> str | None:
    """Return the module of an entry point of a name, or None if there is none of it."""
    values = sorted({entry.value for entry in entry_points(group=GROUP, name=where)})
    if len(values) > 1:
        raise ConfigError(
            f"--plugin {where}: several installed packages have a plugin of that name: give the "
            f"module of one of them, {' or '.join(f'--plugin {value}' for value in values)}"
        )
    if not values:
        return None
    if module_file(values[0]) is None:
        raise ConfigError(
            f"--plugin {where}: its package says that it is the module {values[0]}, and there is "
            "none of that name: install the package again, or tell whoever made it"
        )
    return values[0]


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
    made = function(chosen) if _takes_settings(where, function, kind) else function()
    if made is None:
        raise ConfigError(f"--plugin {where}: plugin() returned None: end it with `return …`")
    return made


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
