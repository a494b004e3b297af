"""What is written out of habit with tensors and modules, and what to write with values instead.

A value is declared, not computed: it has no shape, no numbers and no gradient. Where somebody asks
for these, the error says how the game has what was meant. It is an AttributeError or a TypeError
too, as Python expects of what an object has not: `hasattr` and `getattr` work as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nvn.callsite import call_site
from nvn.errors import GameError, Problem

__all__ = [
    "NotThatKindError",
    "NotThereError",
    "asked_of_player",
    "asked_of_sum",
    "asked_of_value",
    "given_to_torch",
    "not_a_module",
    "taken_as_number",
]


class NotThereError(GameError, AttributeError):
    """An attribute of tensors or of modules that a value or a player does not have."""


class NotThatKindError(GameError, TypeError):
    """What tensors can be used as, and a value can't."""


_COMPUTED = "it is declared, not computed"
_DETACHED = ("detach", "detach_", "data")
_BACKWARD = (
    "backward",
    "grad",
    "grad_fn",
    "is_leaf",
    "register_hook",
    "requires_grad",
    "requires_grad_",
    "retain_grad",
)
_MOVES = (
    "give a player the energy that is to fall, `player.minimizes(…)`: gradients are taken where it "
    "moves; a penalty takes `nvn.gradient(y, x)`"
)
_NUMBERS = ("item", "numpy", "tolist")
_PLACES = ("cpu", "cuda", "device", "to", "type")
_FORMS = ("dim", "dtype", "ndim", "nelement", "numel", "shape", "size", "stride")
_MODES = ("eval", "requires_grad_", "train")
_ENERGIES = {
    "cross_entropy": "cross_entropy",
    "l1_loss": "l1",
    "mse_loss": "mse",
    "nll_loss": "cross_entropy",
}


def asked_of_value(name: str, written: str) -> Problem | None:
    """Return the problem of asking a value for an attribute of tensors; None if they have none.

    Args:
        name: The attribute.
        written: The value, as it is written.
    """
    import torch  # declaring a game needs no torch, but who asks for this has it

    if name.startswith("_") or not hasattr(torch.Tensor, name):
        return None
    found = f"`.{name}` of `{written}`, which is a value: {_COMPUTED}"
    expected = "what values have: v[…], v.named(…), v.stop_gradient()"
    return Problem(str(call_site()), found, expected, _instead_of(name, written))


def asked_of_sum(name: str, written: str) -> Problem | None:
    """Return the problem of asking a sum of energies for an attribute of tensors, if it is one."""
    import torch

    if name.startswith("_") or not hasattr(torch.Tensor, name):
        return None
    found = f"`.{name}` of `{written}`, a sum of energies: {_COMPUTED}"
    edit = _MOVES
    if name in _NUMBERS:
        edit = (
            "read the records that `engine.step` returns: they have the numbers of energies, and "
            "of players' objectives"
        )
    return Problem(str(call_site()), found, "an objective: `player.minimizes(…)`", edit)


def _instead_of(name: str, written: str) -> str:
    """Say what to write instead of an attribute of tensors."""
    import torch

    if name in _DETACHED:
        return f"write `{written}.stop_gradient()`"
    if name in _BACKWARD:
        return _MOVES
    if name in _NUMBERS:
        return (
            f"ask an engine: `engine.values(batch, [{written}])`; the numbers of energies are in "
            "the records that `engine.step` returns"
        )
    if name in _PLACES:
        return "leave it out: values are where, and of what dtype, the batch and the modules are"
    if name in _FORMS or not hasattr(torch, name):
        return (
            f"write a function of tensors that uses it, and give it the value: "
            f"`nvn.value(fn)({written})`"
        )
    return (
        f"write `nvn.value(torch.{name})({written})`, or, for an energy to minimize, "
        f"`nvn.energy(fn)({written})` with a function of tensors that returns one number"
    )


def given_to_torch(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Problem:
    """Return the problem of a function of torch that is given values."""
    from torch import nn, overrides

    name = overrides.resolve_name(function) or getattr(function, "__name__", "a function of torch")
    short = name.rpartition(".")[2]
    edit = f"write `nvn.value({name})(…)`; for an energy to minimize, `nvn.energy({name})(…)`"
    if any(isinstance(x, nn.Parameter) for x in arguments):
        return Problem(
            str(call_site()),
            f"a module (of {name}) is called with a value: {_COMPUTED}",
            "modules to be players, whose calls are values",
            'declare `P = game.player("P", module)`, or `game.frozen("P", module)` if it does not '
            "learn, and call that",
        )
    if short in _ENERGIES:
        edit = f"write `nvn.energies.{_ENERGIES[short]}(…)`"
    found = f"{name} is given a value: {_COMPUTED}"
    return Problem(str(call_site()), found, "tensors in torch's functions", edit)


def taken_as_number(what: str, written: str, edit: str = "") -> Problem:
    """Return the problem of using a value as something that has numbers.

    Args:
        what: What it was used as: "has no truth value".
        written: The value, as it is written.
        edit: What to write instead; how to compute with it, and how to look at it, if empty.
    """
    return Problem(
        str(call_site()),
        f"{written} {what}: {_COMPUTED}",
        "",
        edit
        or f"compute with it in a function of tensors, `nvn.value(fn)({written})`; to look at its "
        f"numbers, ask an engine: `engine.values(batch, [{written}])`",
    )


def not_a_module(player: str, given: object) -> Problem | None:
    """Return the problem of a player that is given something else than a module; None for one."""
    if hasattr(given, "named_buffers") and not isinstance(given, type):  # told without torch
        return None
    found = f"the player {player!r} is given a {type(given).__name__}"
    if isinstance(given, type):
        found = f"the player {player!r} is given the class {given.__name__} itself"
        edit = f"call it: `{given.__name__}(…)`"
    elif isinstance(given, dict | list | tuple):
        edit = "put the parts together, as torch.nn.Sequential or a module of your own does"
    elif callable(given):
        edit = (
            "a function of tensors without parameters is no player: give it a value, "
            "`nvn.value(fn)(v)`; one with parameters is the `forward` of an nn.Module"
        )
    else:
        edit = "give it a module, such as torch.nn.Linear(8, 3)"
    return Problem(str(call_site()), found, "a torch.nn.Module", edit)


def asked_of_player(name: str, player: str, module: object) -> Problem | None:
    """Return the problem of asking a player for what its module has; None if that has none."""
    if name.startswith("_") or not hasattr(module, name):
        return None
    from torch import nn

    if name in _MODES:
        edit = (
            "leave it out: modes and flags are set where players move; one that never learns is "
            f"declared with `game.frozen({player!r}, …)`"
        )
    elif callable(getattr(module, name)) and not hasattr(nn.Module, name):
        edit = f"write `{player}.method({name!r})(…)`: the value of that call"
    else:
        edit = f"write `{player}.module.{name}`"
    found = f"`{player}.{name}`: `{player}` is a player, not a module"
    return Problem(str(call_site()), found, "what players have: calls, methods, objectives", edit)
