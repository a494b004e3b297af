"""Which parameters learn at present: people freeze layers, and unfreeze them, between steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from torch import nn

from nvn.errors import RunError

__all__ = ["Flags"]


class Flags:
    """Follows what people make of `requires_grad` after an engine has been made.

    A parameter that had an optimizer from the start may rest, and learn again: it is left out of
    backward passes meanwhile, and its optimizer passes it by, as torch's do without a gradient.

    Args:
        modules: The players' modules, by name.
        learning: Each player's parameters that have an optimizer, by their names in the module.

    Attributes:
        every: All parameters of all players.
        present: Each player's parameters that learn at present. The lists stay the same ones.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        learning: Mapping[str, Mapping[str, nn.Parameter]],
    ) -> None:
        named = {f"{n}.{path}": p for n, m in modules.items() for path, p in m.named_parameters()}
        self.every = [*dict.fromkeys(named.values())]
        self.present = {player: [*own.values()] for player, own in learning.items()}
        self._learning = learning
        self._modules = modules
        self._noted: Sequence[bool] = self.now()
        self._wrong: Mapping[str, str] = {}  # who could not move now, and why

    def now(self) -> list[bool]:
        """Return whether each of all parameters requires gradients now."""
        return [parameter.requires_grad for parameter in self.every]

    def follow(self, flags: Sequence[bool]) -> None:
        """Let those learn that require gradients: `flags` is what `now` returned between moves."""
        if flags == self._noted:  # nearly always
            return
        on = {id(p) for p, flag in zip(self.every, flags, strict=True) if flag}
        for player, own in self._learning.items():
            self.present[player][:] = [p for p in own.values() if id(p) in on]
        self._noted = flags
        self._wrong = dict(self._problems())

    def require(self, players: Iterable[str]) -> None:
        """Hold players to learning what they can, before they move.

        Raises:
            RunError: All that one could learn is frozen; or a parameter is to learn that was frozen
                when the optimizers were made.
        """
        if self._wrong:
            for player in players:
                if player in self._wrong:
                    raise RunError(self._wrong[player])

    def named(self) -> dict[str, dict[str, nn.Parameter]]:
        """Return each player's parameters that learn at present, by their names in the module."""
        present = {id(p) for own in self.present.values() for p in own}
        return {
            player: {name: p for name, p in own.items() if id(p) in present}
            for player, own in self._learning.items()
        }

    def _problems(self) -> Iterator[tuple[str, str]]:
        """Yield the players who could not move now, and why."""
        for player, module in self._modules.items():
            on = [name for name, p in module.named_parameters() if p.requires_grad]
            late = [name for name in on if name not in self._learning[player]]
            if late:
                yield player, _unfrozen(player, late)
            elif not self.present[player]:
                yield player, _resting(player)


def _unfrozen(player: str, names: Sequence[str]) -> str:
    count = len(names) - 1
    more = f" (and {count} more parameter{'s' if count > 1 else ''} of `{player}`)" if count else ""
    return (
        f"`{player}.{names[0]}`{more} requires gradients now, but did not when the engine was "
        "made: no optimizer has it, and it would never learn; expected parameters that required "
        "gradients then. Freeze it (requires_grad_(False)) after the engine is made, before its "
        "first step: from then on it may be unfrozen at any time"
    )


def _resting(player: str) -> str:
    return (
        f"`{player}` is to move, but all its parameters are frozen (requires_grad is False); "
        "expected one at least that requires gradients. To let it rest for a while, leave it out "
        f"of the schedule's moves then: nvn.move({player}, when=…)"
    )
