"""Hooks: the functions that a run calls on its plugins, and the check of a plugin's functions.

A plugin is an object (or a module) with functions marked `@hook`, named as below, each taking as
many of the arguments as it needs.

The training loop (loop.py) does nothing but step the engine and call these hooks; the run folder
and the progress bars are plugins themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import pluggy

from nvn.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from nvn.engine.engine import Engine
    from nvn.pulls import Pulls
    from nvn.recipe.recipe import Phase, Recipe
    from nvn.records import Record
    from nvn.training.run import Run

__all__ = ["Hooks", "hook", "plugin_manager"]

_specification = pluggy.HookspecMarker("nvn")
hook = pluggy.HookimplMarker("nvn")


class Hooks:
    """The specification of all hooks. An error raised in one ends the run; weights are saved.

    A plugin for `nvn.train(recipe, plugins=[Printer()])`, called here by hand:

    >>> import nvn
    >>> class Printer:
    ...     @nvn.plugins.hook
    ...     def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
    ...         print(step, metrics)
    >>> manager = plugin_manager([Printer()])
    >>> _ = manager.hook.evaluated(step=50, name="line", metrics={"slope": 2.0})
    50 {'slope': 2.0}
    """

    @_specification
    def run_started(
        self, recipe: Recipe, engines: Mapping[str, Engine], seed: int, resumed: str, folder: Path
    ) -> None:
        """Before the first step, before data are loaded. `engines` has one engine per phase.

        `resumed` is the name of the checkpoint that an earlier run goes on from, else "". `folder`
        is the run's.
        """

    @_specification
    def phase_started(self, phase: Phase, engine: Engine) -> None:
        """Before a phase; the last phase is the game itself."""

    @_specification
    def step_done(self, phase: Phase, record: Record, engine: Engine) -> None:
        """After a step; `record.step` counts from 1 within the phase.

        Reading a record waits for the device: collect records, and read several at a time.
        """

    @_specification
    def pulled(self, phase: Phase, pulls: Pulls) -> None:
        """After a look at who pulls (`pulls.step` counts as `record.step` does)."""

    @_specification
    def evaluated(self, step: int, name: str, metrics: Mapping[str, float]) -> None:
        """After an evaluation."""

    @_specification
    def previewed(self, step: int, name: str, image: Image, phase: str, path: Path) -> None:
        """After a preview, at a step of a phase; `path` is the file that it is written to."""

    @_specification
    def phase_finished(self, phase: Phase, step: int, engine: Engine) -> None:
        """After a phase; `step` is the number of steps done, fewer if the run was stopped."""

    @_specification
    def run_finished(self, run: Run) -> None:
        """At the end of a run, however it ended (`run.outcome`, `run.error`)."""


def plugin_manager(plugins: Iterable[object] = ()) -> pluggy.PluginManager:
    """Check all plugins, then register them; hooks are called in the order of the plugins.

    Raises:
        ConfigError: Naming every problem of every plugin. None is registered.
    """
    manager = pluggy.PluginManager("nvn")
    manager.add_hookspecs(Hooks)
    wanted = list(plugins)
    problems = [problem for plugin in wanted for problem in _problems(manager, plugin)]
    problems += [
        f"{_name(plugin)} is given twice"
        for index, plugin in enumerate(wanted)
        if any(plugin is earlier for earlier in wanted[:index])
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    for plugin in reversed(wanted):  # pluggy calls the last one registered first
        manager.register(plugin)
    return manager


def _problems(manager: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    if inspect.isclass(plugin):
        yield f"{_name(plugin)} is a class: pass an instance of it"
        return
    hooks = _signatures()
    functions = {
        name: function
        for name, function in inspect.getmembers(plugin, inspect.isroutine)
        if not name.startswith("__")
    }
    marked = [name for name in functions if manager.parse_hookimpl_opts(plugin, name) is not None]
    if not marked:
        yield (
            f"{_name(plugin)} has no function marked @nvn.plugins.hook; "
            f"the hooks are {', '.join(hooks)}"
        )
    for name, function in functions.items():
        if name in marked:
            yield from _hook_problems(f"{_name(plugin)}.{name}", name, function, hooks)
        elif name in hooks:
            yield (
                f"{_name(plugin)}.{name} has the name of a hook but is not marked: "
                "mark it @nvn.plugins.hook, or give it another name"
            )


def _hook_problems(
    where: str, name: str, function: Callable[..., object], hooks: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    if name not in hooks:
        yield (
            f"{where}: there is no hook {name!r}.{did_you_mean(name, hooks)} "
            f"The hooks are {', '.join(hooks)}"
        )
        return
    for argument in _arguments(function):
        if argument not in hooks[name]:
            yield (
                f"{where}: this hook has no argument {argument!r}."
                f"{did_you_mean(argument, hooks[name])} It has {', '.join(hooks[name])}"
            )


def _arguments(function: Callable[..., object]) -> list[str]:
    """Return the arguments that pluggy passes: those without a default."""
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and parameter.default is parameter.empty
    ]


def _signatures() -> dict[str, tuple[str, ...]]:
    """Return the arguments of each hook, in the order of declaration."""
    return {
        name: tuple(inspect.signature(function).parameters)[1:]
        for name, function in vars(Hooks).items()
        if inspect.isfunction(function)
    }


def _name(plugin: object) -> str:
    if inspect.ismodule(plugin) or inspect.isclass(plugin):
        return f"plugin {plugin.__name__}"
    return f"plugin {type(plugin).__name__}"
