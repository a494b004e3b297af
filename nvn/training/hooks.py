"""Hooks: the functions that a run calls on its plugins, and the check of a plugin's functions.

A plugin is an object (or a module) with functions marked `@hook`, named as below, each taking as
many of the arguments as it needs.

The training loop (loop.py) does nothing but step the engine and call these hooks; the run folder
and the progress bars are plugins themselves. docs/plugins.md has an example of each.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pluggy

from nvn.errors import ConfigError, NvnWarning, RunError, did_you_mean
from nvn.training.traces import own_traceback

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from nvn.engine.engine import Engine
    from nvn.game import Energy, Game, WeightedSum
    from nvn.game.schedule import Move
    from nvn.pulls import Pulls
    from nvn.recipe.recipe import Evaluation, Phase, Preview, Recipe
    from nvn.records import Record
    from nvn.training.run import Run

__all__ = ["Hooks", "hook", "plugin_manager"]

_specification = pluggy.HookspecMarker("nvn")
hook = pluggy.HookimplMarker("nvn")


class Hooks:
    """The specification of all hooks. An error raised in one ends the run; weights are saved.

    A plugin that is not worth a run says so with an attribute, `essential = False`: if it raises an
    error it is switched off, with a warning, and the run goes on.

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

    # --- before a run: what it is to have besides ---

    @_specification
    def energies(self, game: Game) -> Mapping[str, Energy | WeightedSum]:  # type: ignore[empty-body]
        """What players are to minimize besides their objectives: by the player's name.

        Called when the recipe has been built, before its game is checked and planned. The values of
        the game are made as in a recipe: `game.players["D"](game.batch("real"))`.
        """

    @_specification
    def evaluations(self, recipe: Recipe) -> Sequence[Evaluation]:  # type: ignore[empty-body]
        """Evaluations to run besides the recipe's own."""

    @_specification
    def previews(self, recipe: Recipe) -> Sequence[Preview]:  # type: ignore[empty-body]
        """Previews to make besides the recipe's own."""

    # --- while it runs ---

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
    def move_started(self, phase: Phase, step: int, move: Move, engine: Engine) -> None:
        """Before a move of a step, which counts from 1 within the phase; of each repetition.

        Nothing may be changed here: what has been computed may be used in the move.
        """

    @_specification
    def move_done(self, phase: Phase, step: int, move: Move, engine: Engine) -> None:
        """After a move, once all its players (`move.players`) have stepped.

        Their parameters may be changed, such as clipped: nothing has been computed with them yet.
        This hook and `move_started` are called without gradients. When a run has diverged, they
        are called again for the steps that are replayed to find out why.
        """

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
    def checkpointed(self, phase: str, step: int, path: Path) -> None:
        """When the state after a step of a phase is whole on the disk, in the folder `path`.

        States are written in the background: this is told in the thread that trains, at the latest
        when the next one is due or the phase ends. `path` may be removed later.
        """

    @_specification
    def diverged(self, phase: Phase, error: Exception, policy: str) -> None:
        """When something is not finite; `error` says what, and where it began.

        What happens next is the `policy`: the run stops ("stop"; with "skip", too, if that did not
        help), or goes back to its last checkpoint ("rollback").
        """

    @_specification
    def phase_finished(self, phase: Phase, step: int, engine: Engine) -> None:
        """After a phase; `step` is the number of steps done, fewer if the run was stopped."""

    # --- at its end ---

    @_specification
    def failed(self, error: BaseException) -> None:
        """When a run ends by an error, before it is saved and finished; whosever error it is."""

    @_specification
    def run_finished(self, run: Run) -> None:
        """At the end of a run, however it ended (`run.outcome`, `run.error`)."""


def plugin_manager(plugins: Iterable[object] = ()) -> pluggy.PluginManager:
    """Check all plugins, then register them; hooks are called in the order of the plugins.

    An error of a plugin gets a note that says whose it is; one of a plugin that is not essential
    is warned of, and the plugin is called no more.

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
        manager.register(_named(manager, plugin))
    return manager


def _named(manager: pluggy.PluginManager, plugin: object) -> object:
    """Return a plugin's hooks, each of which says whose it is where it fails."""
    hooks = _Guarded()
    off = None if getattr(plugin, "essential", True) else partial(_switch_off, manager, hooks)
    for name, function in _functions(plugin).items():
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is not None:
            where = f"{_name(plugin)}, in its hook {name}"
            # (What passes through a wrapper may be somebody else's error.)
            wraps = options["wrapper"] or options["hookwrapper"]
            setattr(hooks, name, function if wraps else _calling(function, where, off))
    return hooks


class _Guarded:
    """What is registered of a plugin: its hooks, guarded."""


_Off: TypeAlias = Callable[[str, BaseException], None] | None


def _calling(function: Callable[..., Any], where: str, off: _Off) -> Callable[..., Any]:
    @functools.wraps(function)  # pluggy reads the arguments of what is wrapped, and the mark
    def called(*args: Any) -> Any:
        try:
            return function(*args)
        except (Exception, SystemExit) as error:
            if off is not None:
                off(where, error)
            elif isinstance(error, SystemExit):  # with its code, 0 maybe, the run would end unseen
                raise RunError(f"{where} called sys.exit: a hook raises an error") from error
            else:
                error.add_note(f"raised by {where}")
                raise
            return None

    return called


def _switch_off(
    manager: pluggy.PluginManager, hooks: object, where: str, error: BaseException
) -> None:
    if manager.is_registered(hooks):  # (a hook that is being called may call others)
        manager.unregister(hooks)
    warnings.warn(
        f"{where} failed, and is switched off; the run goes on. {own_traceback(error)}",
        NvnWarning,
        stacklevel=3,
    )


def _functions(plugin: object) -> dict[str, Callable[..., Any]]:
    """Return what may be hooks."""
    return {
        name: function
        for name, function in inspect.getmembers(plugin, inspect.isroutine)
        if not name.startswith("__")
    }


def _problems(manager: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    if inspect.isclass(plugin):
        yield f"{_name(plugin)} is a class: pass an instance of it"
        return
    hooks = _signatures()
    functions = _functions(plugin)
    marked = [name for name in functions if manager.parse_hookimpl_opts(plugin, name) is not None]
    if not marked:
        yield (
            f"{_name(plugin)} has no function marked @nvn.plugins.hook; "
            f"the hooks are {', '.join(hooks)}"
        )
    for name, function in functions.items():
        if name in marked:
            options = manager.parse_hookimpl_opts(plugin, name)
            wraps = options is not None and (options["wrapper"] or options["hookwrapper"])
            yield from _hook_problems(f"{_name(plugin)}.{name}", name, function, hooks, wraps)
        elif name in hooks:
            yield (
                f"{_name(plugin)}.{name} has the name of a hook but is not marked: "
                "mark it @nvn.plugins.hook, or give it another name"
            )


def _hook_problems(
    where: str,
    name: str,
    function: Callable[..., object],
    hooks: Mapping[str, tuple[str, ...]],
    wraps: bool,
) -> Iterator[str]:
    if name not in hooks:
        yield (
            f"{where}: there is no hook {name!r}.{did_you_mean(name, hooks)} "
            f"The hooks are {', '.join(hooks)}"
        )
        return
    if inspect.iscoroutinefunction(function):
        yield f"{where}: a hook is called, not awaited: write `def {name}`, without async"
    if inspect.isgeneratorfunction(function) is not wraps:
        yield f"{where}: a hook with a yield wraps the others, and is marked @hook(wrapper=True)"
    try:
        arguments = _arguments(function)
    except ValueError:  # bound to what it has no argument for
        yield f"{where}: a method's first argument is self: write `def {name}(self, …)`"
        return
    for argument in arguments:
        if argument.name not in hooks[name]:
            yield (
                f"{where}: this hook has no argument {argument.name!r}."
                f"{did_you_mean(argument.name, hooks[name])} It has {', '.join(hooks[name])}"
            )
        elif argument.kind is not argument.POSITIONAL_OR_KEYWORD:
            yield f"{where}: {argument.name!r} is given by its place: write it without * and /"


def _arguments(function: Callable[..., object]) -> list[inspect.Parameter]:
    """Return the arguments that a call needs: those without a default, `*args` and the like."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter for parameter in parameters if parameter.default is parameter.empty]


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
