"""Values made by functions of tensors: `nvn.value`, `nvn.energy`, `nvn.gradient`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from nvn import pytree
from nvn.callsite import call_site
from nvn.errors import GameError, Problem
from nvn.game.ops import Apply, Gradient
from nvn.game.values import Energy, Value

V = TypeVar("V", bound=Value)


def value(fn: Callable[..., Any], *, name: str | None = None) -> Callable[..., Value]:
    """Lift a pure function of tensors to values: `nvn.value(fn)(v, …)` is the value of `fn`.

    `fn` must not call a player, draw randomness, or change its arguments. Functions are compared
    by equality, so give the same function twice (no fresh lambda) to get the same value.

    Args:
        fn: The function, of tensors and constants, or trees of them.
        name: What to call it, for people; the function's own name if left out.

    Raises:
        GameError: (By the function returned) no argument is a value.

    >>> import nvn, torch
    >>> x, y = nvn.Game("pairs").batch("x", "y")
    >>> pair = nvn.value(torch.cat)([x, y], dim=1)
    >>> print(pair)
    cat((x, y), dim=1)
    >>> nvn.value(torch.cat)([x, y], dim=1) is pair
    True
    """
    return _lifted(Apply(fn, _name(fn, name)), Value)


def energy(
    fn: Callable[..., Any], *, name: str | None = None, saturating: bool = False
) -> Callable[..., Energy]:
    """Lift a pure function of tensors to an energy: `fn` must return one number (shape ()).

    Args:
        fn: The function, as in `nvn.value`.
        name: What to call it, for people and in records; the function's own name if left out.
        saturating: Whether its gradient vanishes where it is large: maximizing it is warned of.

    Raises:
        GameError: (By the function returned) no argument is a value.

    >>> import nvn, torch
    >>> game = nvn.Game("regression")
    >>> x, y = game.batch("x", "y")
    >>> P = game.player("P", torch.nn.Linear(3, 1))
    >>> P.minimizes(nvn.energy(torch.nn.functional.mse_loss, name="mse")(P(x), y))
    >>> print(P.objective)
    mse(P(x), y)
    """
    return _lifted(Apply(fn, _name(fn, name), saturating), Energy)


def gradient(y: Value, x: Value) -> Value:
    """Return ∂(sum of y)/∂x, with a graph: gradients flow through it (R1, gradient penalties).

    For a critic's output y of shape (N, …) whose samples don't mix, this is the gradient of each
    sample's output with respect to that sample. Its shape is that of x.

    Raises:
        GameError: y or x is not one value.

    >>> import nvn, torch
    >>> game = nvn.Game("gan")
    >>> x = game.batch("x")
    >>> D = game.player("D", torch.nn.Linear(3, 1))
    >>> half_square = nvn.energy(lambda g: 0.5 * g.square().sum(1).mean(), name="r1")
    >>> D.minimizes(half_square(nvn.gradient(D(x), x)))
    >>> print(D.objective)
    r1(gradient(D(x), x))
    """
    for role, given in (("y", y), ("x", x)):
        if not isinstance(given, Value):
            found = f"nvn.gradient(y, x) with a {type(given).__name__} as {role}"
            edit = "take the gradient of one value, such as a critic's output"
            raise GameError([Problem(str(call_site()), found, "two values of the game", edit)])
    return y.table.node(Gradient(), (y, x))


def _name(fn: Callable[..., Any], name: str | None) -> str:
    return name or str(getattr(fn, "__name__", type(fn).__name__))


def _lifted(op: Apply, kind: type[V]) -> Callable[..., V]:
    def lifted(*args: Any, **kwargs: Any) -> V:
        values = [v for v in pytree.leaves((args, kwargs)) if isinstance(v, Value)]
        if not values:
            found = f"{op.name}(…) of no value"
            expected = "at least one value of a game among its arguments"
            raise GameError([Problem(str(call_site()), found, expected, "pass it a value")])
        return cast(V, values[0].table.node(op, args, kwargs, kind))

    return lifted
