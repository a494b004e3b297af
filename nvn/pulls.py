"""Who pulls: how much each energy pulls at each player, and which way beside the others.

A player's gradient is a sum, of one part for each energy that it weighs. A part is that energy's
pull. The sum alone does not tell whether a critic still has a say in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Pull", "Pulls"]


@dataclass(frozen=True)
class Pull:
    """The pull of an energy at a player: ∂(weight·energy)/∂θ, θ the player's parameters.

    A cosine with something of length zero is 0.

    Attributes:
        norm: Its 2-norm.
        share: Its norm, of the sum of the norms of all the player's pulls: 0 to 1.
        along: Its cosine with the player's whole gradient: below 0, it is overruled.
        cosines: Its cosines with the player's other pulls, by energy.
        teammates: Its cosines with the whole pulls of teammates at the values where their
            gradients meet: by teammate, then by value.
        through: The players whose judgment it is: it comes back through their calls.

    >>> Pull(0.5, 0.25, -0.1, through=("D",)).as_dict()
    {'norm': 0.5, 'share': 0.25, 'along': -0.1, 'through': ['D']}
    """

    norm: float
    share: float = 1.0
    along: float = 1.0
    cosines: Mapping[str, float] = field(default_factory=dict)
    teammates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    through: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values; what is empty is left out."""
        found: dict[str, Any] = {"norm": self.norm, "share": self.share, "along": self.along}
        found |= {"cosines": dict(self.cosines)} if self.cosines else {}
        if self.teammates:
            found["teammates"] = {mate: dict(at) for mate, at in self.teammates.items()}
        return found | ({"through": [*self.through]} if self.through else {})


@dataclass(frozen=True)
class Pulls:
    """All pulls at one point of a game.

    Attributes:
        step: How many iterations were done.
        players: Each player's pulls, by energy.
        norms: The norm of each player's whole gradient.
        counts: The passes that it took to find them: `{player: {"forward": n, "backward": n}}`.

    >>> pulls = Pulls(3, {"G": {"mse": Pull(3.0, 0.75), "fool": Pull(1.0, 0.25)}}, {"G": 3.5})
    >>> pulls["G"]["fool"].share
    0.25
    """

    step: int
    players: Mapping[str, Mapping[str, Pull]]
    norms: Mapping[str, float]
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __getitem__(self, player: str) -> Mapping[str, Pull]:
        return self.players[player]

    def as_dict(self) -> dict[str, Any]:
        """Return the pulls as plain values, as metrics.jsonl has them."""
        return {
            player: {energy: pull.as_dict() for energy, pull in own.items()}
            for player, own in self.players.items()
        }
