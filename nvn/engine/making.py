"""Optimizers and schedules are made by functions that people give: what goes wrong in these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from nvn.callsite import own_frames
from nvn.errors import ConfigError, NvnError

__all__ = ["FACTORY", "SCHEDULE", "made_by"]

T = TypeVar("T")

FACTORY = (
    "expected a function of parameters that returns an optimizer, such as "
    "partial(torch.optim.Adam, lr=1e-4)"
)
SCHEDULE = (
    "expected a function of the optimizer that returns a scheduler, such as "
    "partial(torch.optim.lr_scheduler.StepLR, step_size=100)"
)


def made_by(function: Callable[[Any], T], given: Any, what: str, has: str, expected: str) -> T:
    """Return what a person's function makes.

    Args:
        function: The function.
        given: What it is given.
        what: What it should make, for people.
        has: An attribute that this has.
        expected: What kind of a function was expected.

    Raises:
        ConfigError: It makes something else, or fails by the way in which it is called.
        Exception: Whatever the person's own code raises, whose traceback shows more than we know.
    """
    try:
        made = function(given)
    except Exception as error:
        if isinstance(error, NvnError) or any(own_frames(error.__traceback__)):
            raise
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(f"the {what} cannot be made: {why}; {expected}") from error
    if not hasattr(made, has):
        raise ConfigError(f"the {what} is made by a function that returns {made!r}; {expected}")
    return made
