"""Groups of parameters, by patterns of their names: as torch's optimizers take them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from nvn.errors import ConfigError, did_you_mean

__all__ = ["Groups", "check_options", "check_patterns", "grouped"]

Groups = Mapping[str, Mapping[str, Any]]
"""Options for the parameters whose names fit a pattern, by the pattern."""


# What stands by itself: an ejected loop takes it along.
def grouped(
    parameters: Mapping[str, nn.Parameter], groups: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return parameters in groups; each belongs to the first pattern that its name fits.

    Those that fit none come first. They have the optimizer's own options.

    >>> layer = nn.Linear(2, 2)
    >>> split = grouped(dict(layer.named_parameters()), {"*bias": {"weight_decay": 0.0}})
    >>> [(group["params"][0].shape, group.get("weight_decay")) for group in split]
    [(torch.Size([2, 2]), None), (torch.Size([2]), 0.0)]
    """
    members: dict[str, list[nn.Parameter]] = {"": [], **{pattern: [] for pattern in groups}}
    for name, parameter in parameters.items():
        fitting = (pattern for pattern in groups if fnmatch.fnmatchcase(name, pattern))
        members[next(fitting, "")].append(parameter)
    return [{"params": own, **groups.get(p, {})} for p, own in members.items() if own]


def check_patterns(parameters: Mapping[str, nn.Parameter], groups: Groups) -> None:
    """Hold patterns to fitting parameters, and options to being some.

    Raises:
        ConfigError: A pattern is nobody's first that fits, or its options are none.
    """
    first = {next((p for p in groups if fnmatch.fnmatchcase(n, p)), None) for n in parameters}
    for pattern, options in groups.items():
        if not isinstance(options, Mapping):
            raise ConfigError(
                f"groups: {pattern!r} has {options!r}; expected options by name, such as "
                f'{{{pattern!r}: {{"weight_decay": 0.0}}}}'
            )
        fits = fnmatch.filter(parameters, pattern)
        if pattern in first:
            continue
        if fits:
            raise ConfigError(
                f"groups: all that fits {pattern!r} fits an earlier pattern too, which counts: "
                f"{', '.join(fits)}; expected the narrower pattern first"
            )
        raise ConfigError(
            f"groups: no parameter fits {pattern!r}.{did_you_mean(pattern, parameters)} "
            f"Parameters: {', '.join(parameters)}"
        )


def check_options(optimizer: torch.optim.Optimizer, groups: Groups) -> None:
    """Hold options to being options of the optimizer: torch takes any, and ignores what it is not.

    Raises:
        ConfigError: One is not.
    """
    for pattern, options in groups.items():
        for name in options:
            if name not in optimizer.defaults:
                raise ConfigError(
                    f"groups: {pattern!r} has {name!r}, which is no option of "
                    f"{type(optimizer).__name__}.{did_you_mean(name, optimizer.defaults)} "
                    f"Options: {', '.join(optimizer.defaults)}"
                )
