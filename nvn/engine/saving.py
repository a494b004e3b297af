"""An engine's state as the parts of a checkpoint: a file a player, one for all optimizers.

{"player/G": …, "optimizer/G": …, "batches": 7}
⇄  {"players/G": …, "optimizers": {"G": …}, "engine": {"batches": 7}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["parts_of", "state_of"]

_PLAYER, _OPTIMIZER = "player/", "optimizer/"
_PLAYERS, _OPTIMIZERS, _ENGINE = "players/", "optimizers", "engine"


def parts_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of what `TrainState.state_dict` returned.

    >>> parts_of({"player/G": {"w": 1.0}, "optimizer/G": {}, "batches": 7})
    {'players/G': {'w': 1.0}, 'optimizers': {'G': {}}, 'engine': {'batches': 7}}
    """
    players, optimizers, rest = {}, {}, {}
    for key, part in state.items():
        if key.startswith(_PLAYER):
            players[_PLAYERS + key.removeprefix(_PLAYER)] = part
        elif key.startswith(_OPTIMIZER):
            optimizers[key.removeprefix(_OPTIMIZER)] = part
        else:
            rest[key] = part
    return {**players, _OPTIMIZERS: optimizers, _ENGINE: rest}


def state_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `TrainState.load_state_dict` takes, of a checkpoint's parts; others are left.

    >>> state_of(parts_of({"player/G": {"w": 1.0}, "batches": 7}) | {"run": {}})
    {'batches': 7, 'player/G': {'w': 1.0}}
    """
    state = {**parts.get(_ENGINE, {})}
    for name, part in parts.items():
        if name.startswith(_PLAYERS):
            state[_PLAYER + name.removeprefix(_PLAYERS)] = part
    for name, part in parts.get(_OPTIMIZERS, {}).items():
        state[_OPTIMIZER + name] = part
    return state
