import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nvn.errors import ConfigError
from nvn.training.hooks import Hooks, hook, plugin_manager


class Listener:
    def __init__(self, heard: list[Any] | None = None, name: str = "") -> None:
        self.heard = [] if heard is None else heard
        self.name = name

    @hook
    def evaluated(self, name: str, metrics: object) -> None:
        self.heard.append((self.name, name, metrics))

    def helper(self) -> None:
        """Not a hook, and not called like one."""


def test_hooks_are_called_in_the_order_of_the_plugins() -> None:
    heard: list[Any] = []
    manager = plugin_manager([Listener(heard, "a"), Listener(heard, "b")])
    manager.hook.evaluated(step=1, name="size", metrics={})
    assert heard == [("a", "size", {}), ("b", "size", {})]


def test_a_module_can_be_a_plugin() -> None:
    heard = []
    module = ModuleType("mine")
    module.evaluated = hook(lambda name: heard.append(name))  # type: ignore[attr-defined]
    plugin_manager([module]).hook.evaluated(step=1, name="size", metrics={})
    assert heard == ["size"]


def test_an_argument_with_a_default_is_the_plugins_own() -> None:
    class Own:
        @hook
        def evaluated(self, name: str, style: str = "short") -> None: ...

    plugin_manager([Own()])


class Misspelled:
    @hook
    def evaluatde(self) -> None: ...


class WrongArgument:
    @hook
    def evaluated(self, metric: object) -> None: ...


class Unmarked:
    @hook
    def previewed(self) -> None: ...

    def evaluated(self) -> None: ...


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (Misspelled(), "there is no hook 'evaluatde'. Did you mean 'evaluated'?"),
        (WrongArgument(), "no argument 'metric'. Did you mean 'metrics'?"),
        (Unmarked(), "Unmarked.evaluated has the name of a hook but is not marked"),
        (object(), "plugin object has no function marked @nvn.plugins.hook"),
        (Listener, "plugin Listener is a class: pass an instance"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_said(plugin: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        plugin_manager([plugin])
    assert message in str(error.value)


def test_every_problem_is_said_at_once() -> None:
    listener = Listener()
    with pytest.raises(ConfigError) as error:
        plugin_manager([Misspelled(), WrongArgument(), listener, listener])
    assert all(word in str(error.value) for word in ("evaluatde", "'metric'", "given twice"))


def test_every_hook_says_what_it_is_for() -> None:
    hooks = [function for name, function in vars(Hooks).items() if not name.startswith("_")]
    assert hooks
    assert all(function.__doc__ for function in hooks)


class NoSelf:
    @hook
    def evaluated() -> None: ...  # type: ignore[misc]


class Awaited:
    @hook
    async def evaluated(self) -> None: ...


class Yields:
    @hook
    def evaluated(self) -> Any:
        yield


class KeywordOnly:
    @hook
    def evaluated(self, *, metrics: object) -> None: ...


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (NoSelf(), "NoSelf.evaluated: a method's first argument is self"),
        (Awaited(), "Awaited.evaluated: a hook is called, not awaited"),
        (Yields(), "Yields.evaluated: a hook with a yield wraps the others"),
        (KeywordOnly(), "KeywordOnly.evaluated: 'metrics' is given by its place"),
    ],
)
def test_what_could_not_be_called_is_said(plugin: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        plugin_manager([plugin])
    assert message in str(error.value)


def test_every_hook_is_in_the_documentation_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
    for name, function in vars(Hooks).items():
        if inspect.isfunction(function):
            arguments = ", ".join([*inspect.signature(function).parameters][1:])
            assert f"| `{name}({arguments})` |" in page
