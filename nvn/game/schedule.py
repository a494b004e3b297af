"""Who moves when. Pure values: no tensors, no state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from nvn.callsite import CallSite, call_site
from nvn.errors import GameError, Problem
from nvn.game.players import Player, Team
from nvn.game.values import Energy, WeightedSum, as_sum

if TYPE_CHECKING:
    from nvn.records import Record

Mover = Player | Team | Iterable[Player | Team]
Fresh = bool | Literal["noise"]


@dataclass(frozen=True)
class Move:
    """Players who step together, all from one point. Made by `nvn.move`.

    Attributes:
        players: Who moves.
        toward: What they minimize instead of their own objectives, if anything.
        times: How often in a row.
        every: The move happens in every `every`-th iteration, the first included.
        fresh: Take a new batch for each repetition (True), or keep the batch and draw the samples
            anew ("noise"), or keep both (False).
        optimizer: The name of the optimizers to step with; None for each player's own.
        when: A condition on the record of the iterations before, each number as it last was; in the
            first iteration the move always happens.
        rule: Reserved for update rules.
        where: The line of the user's code that declared it.

    >>> import nvn, torch
    >>> game = nvn.Game("gan")
    >>> D = game.player("D", torch.nn.Linear(3, 1))
    >>> made = nvn.move(D, every=4)
    >>> [made.happens(step, None) for step in range(5)]
    [True, False, False, False, True]
    """

    players: tuple[Player, ...]
    toward: WeightedSum | None = None
    times: int = 1
    every: int = 1
    fresh: Fresh = False
    optimizer: str | None = None
    when: Callable[[Record], bool] | None = None
    rule: None = None
    where: CallSite = field(default_factory=call_site, compare=False)

    @property
    def lazy(self) -> bool:
        """Whether this is a regularizer applied now and then (Karras et al. 2020, app. B)."""
        return self.toward is not None and self.every > 1

    @property
    def gain(self) -> int:
        """What the objective is multiplied by, which is `every` for a lazy regularizer, else 1.

        So its mean over the iterations is what it would be if it were applied each time.
        """
        return self.every if self.lazy else 1

    def objective(self, player: Player) -> WeightedSum:
        """What `player` minimizes in this move, before the gain."""
        return player.objective if self.toward is None else self.toward

    def happens(self, step: int, last: Record | None) -> bool:
        """Tell whether the move happens in iteration `step` (from 0), `last` the one before."""
        if step % self.every:
            return False
        return self.when is None or last is None or bool(self.when(last))

    def __str__(self) -> str:
        names = ", ".join(player.name for player in self.players)
        return f"({names})" if len(self.players) > 1 else names


@dataclass(frozen=True)
class Schedule:
    """The moves of one iteration, in order. Made by `nvn.alternating` and `nvn.simultaneous`.

    >>> import nvn, torch
    >>> game = nvn.Game("gan")
    >>> G, D = game.player("G", torch.nn.Linear(8, 3)), game.player("D", torch.nn.Linear(3, 1))
    >>> schedule = nvn.alternating(nvn.move(D, times=5), G)
    >>> print(schedule, [move.times for move in schedule.moves])
    D → G [5, 1]
    """

    moves: tuple[Move, ...]
    where: CallSite = field(default_factory=call_site, compare=False)

    @property
    def players(self) -> tuple[Player, ...]:
        """Everyone who moves, each once, in order of the first move."""
        return tuple(dict.fromkeys(player for move in self.moves for player in move.players))

    @property
    def objectives(self) -> tuple[WeightedSum, ...]:
        """What is minimized, by each player in each move."""
        return tuple(move.objective(player) for move in self.moves for player in move.players)

    def __str__(self) -> str:
        return " → ".join(str(move) for move in self.moves)


def move(
    *movers: Mover,
    toward: Energy | WeightedSum | None = None,
    times: int = 1,
    every: int = 1,
    fresh: Fresh = False,
    optimizer: str | None = None,
    when: Callable[[Record], bool] | None = None,
) -> Move:
    """Return a move of players or a team; the arguments are the attributes of `Move`.

    With both `toward` and `every=k`, the objective is multiplied by k and the learning rate and
    the betas of the player's optimizer are corrected, as StyleGAN2 does for lazy regularizers.

    Raises:
        GameError: A mover is neither player nor team; `toward` is no energy.

    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> game = nvn.Game("gan")
    >>> x, D = game.batch("x"), game.player("D", torch.nn.Linear(3, 1))
    >>> lazy = nvn.move(D, toward=5 * en.r1(D(x), x), every=16)
    >>> print(lazy.toward, lazy.gain)
    5 r1(gradient(D(x), x)) 16
    """
    goal = None if toward is None else as_sum(toward)
    return Move(_players(movers), goal, times, every, fresh, optimizer, when)


def alternating(*moves: Move | Mover, fresh: bool = False) -> Schedule:
    """Return the schedule in which the moves follow one another; a tuple or a team moves together.

    With `fresh=True` every move takes a batch of its own (Algorithm 1 of GroupGAN).

    Raises:
        GameError: A mover is neither player, team nor move.

    >>> import nvn, torch
    >>> game = nvn.Game("bicycle")
    >>> G, E, D = (game.player(name, torch.nn.Linear(3, 3)) for name in "GED")
    >>> print(nvn.alternating(D, (G, E)))
    D → (G, E)
    """
    made = (m if isinstance(m, Move) else Move(_players((m,))) for m in moves)
    return Schedule(tuple(replace(m, fresh=m.fresh or fresh) for m in made))


def simultaneous(*players: Mover) -> Schedule:
    """Return the schedule in which all the players move at once, from one point.

    Raises:
        GameError: A mover is neither player nor team.

    >>> import nvn, torch
    >>> game = nvn.Game("gan")
    >>> G, D = (game.player(name, torch.nn.Linear(3, 3)) for name in "GD")
    >>> print(nvn.simultaneous(G, D))
    (G, D)
    """
    return Schedule((Move(_players(players)),))


def _players(movers: Iterable[Mover]) -> tuple[Player, ...]:
    return tuple(player for mover in movers for player in _unpacked(mover))


def _unpacked(mover: Mover) -> tuple[Player, ...]:
    if isinstance(mover, Player):
        return (mover,)
    if isinstance(mover, Team):
        return mover.members
    if isinstance(mover, tuple | list):
        return _players(mover)
    expected, edit = "a player, a team, or a tuple of players", "name who moves"
    found = f"a {type(mover).__name__} in a schedule"
    if isinstance(mover, Move):
        found = f"a move of {mover} among players who move together"
        edit = "name the players alone; an nvn.move(…) stands by itself in nvn.alternating(…)"
    raise GameError([Problem(str(call_site()), found, expected, edit)])
