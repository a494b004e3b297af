"""A game: players, teams and values, declared. Nothing here touches a tensor.

    game = nvn.Game("gan")
    real = game.batch("real")
    z = game.noise("z", (64,), like=real)
    G, D = game.player("G", generator), game.player("D", critic)

What is wrong with a game is found when it is frozen into a LossGraph (graph.py) and checked, so
that one error can tell everything; problems that show at declaration are noted till then.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, overload

from nvn.callsite import call_site
from nvn.errors import Problem
from nvn.game.averages import Average
from nvn.game.followers import check_player, copied_module, problems_of
from nvn.game.habits import not_a_module
from nvn.game.ops import Batch, Noise, Sample
from nvn.game.past import Past
from nvn.game.players import Player, Team
from nvn.game.values import Value, ValueTable

if TYPE_CHECKING:
    from torch import nn

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")  # fit for a file name and for a state-dict key


class Game:
    """The players, the values and who minimizes what.

    Attributes:
        name: The game's name, for people.
        players: Every player, frozen ones too, by name, in the order declared.
        teams: The teams, by name.
        averages: The averages of players, by name.
        pasts: The earlier selves of players, by name.
        table: Every value, and what was noted while declaring.

    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> game = nvn.Game("gan")
    >>> x = game.batch("x")
    >>> z = game.noise("z", 8, like=x)
    >>> G, D = game.player("G", torch.nn.Linear(8, 3)), game.player("D", torch.nn.Linear(3, 1))
    >>> adv = en.NonSaturating()
    >>> D.minimizes(adv.real(D(x)) + adv.fake(D(G(z))))
    >>> G.minimizes(adv.fool(D(G(z))))
    >>> print(nvn.plan(game, nvn.alternating(D, G)))
    gan: D → G
    1. D
       D minimizes real(D(x)) + fake(D(G(z)))
    2. G
       G minimizes fool(D(G(z)))
    G: 1 forward, 1 backward
    D: 3 forward, 3 backward
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.players: dict[str, Player] = {}
        self.teams: dict[str, Team] = {}
        self.averages: dict[str, Average] = {}
        self.pasts: dict[str, Past] = {}
        self.table = ValueTable(name)
        self._sources: dict[str, Value] = {}  # what the batch gives, and what is drawn
        self._taken: Counter[str] = Counter()  # how many players were given each name

    @overload
    def batch(self, name: str, /) -> Value: ...
    @overload
    def batch(self, name: str, /, *names: str) -> tuple[Value, ...]: ...

    def batch(self, name: str, /, *names: str) -> Value | tuple[Value, ...]:
        """Return the named tensors of a minibatch: one value for one name, a tuple for several."""
        values = tuple(self._source(Batch(n)) for n in (name, *names))
        return values if names else values[0]

    def player(self, name: str, module: nn.Module) -> Player:
        """Declare a player of no team."""
        return self._player(name, module)

    def team(self, name: str, /, **modules: nn.Module) -> Team:
        """Declare players who act as one; in a schedule, the team moves together."""
        if name in self.teams:
            self.table.note_taken("team", name)
        if not modules:
            found, edit = f"the team {name!r} has no members", f"game.team({name!r}, G=…, E=…)"
            self.table.note(Problem(str(call_site()), found, "at least one player", edit))
        for reserved in {"name", "members", "minimizes", "maximizes"} & modules.keys():
            found = f"a team member named {reserved!r}"
            expected = f"a name that Team does not use itself (`team.{reserved}`)"
            self.table.note(Problem(str(call_site()), found, expected, "rename it"))
        members = (self._player(n, module, team=name) for n, module in modules.items())
        self.teams[name] = Team(name, tuple(members))
        return self.teams[name]

    def frozen(self, name: str, module: nn.Module) -> Player:
        """Declare a player that never moves and always runs in eval mode."""
        return self._player(name, module, frozen=True)

    def average(
        self,
        name: str,
        of: Player,
        *,
        half_life: float,
        unit: Literal["samples", "steps"] = "samples",
        buffers: Literal["copy", "average"] = "copy",
    ) -> Player:
        """Declare a player whose weights are an exponential moving average of another's.

        It is frozen: it never moves, and runs in eval mode. Evaluations, previews, applications and
        energies use it as any player. It begins as a copy of the other.

        Args:
            name: Its name.
            of: Whose weights it follows.
            half_life: In how many samples (or steps) the weight of what was is halved.
            unit: Samples of the batches, or steps: iterations in which `of` has stepped.
            buffers: Whether floating buffers are copied, or averaged too.

        Raises:
            GameError: `of` is no player, or its module cannot be copied.

        >>> import nvn, torch
        >>> game = nvn.Game("gan")
        >>> G = game.player("G", torch.nn.Linear(8, 3))
        >>> G_ema = game.average("G_ema", G, half_life=10_000)
        >>> print(game.averages["G_ema"])
        average of G, half-life 10,000 samples
        """
        player = self._follower(name, of, "an average")
        self.averages[name] = Average(player, of, half_life, unit, buffers)
        self.table.notes.problems += problems_of(self.averages[name], self.table)
        return player

    def past(self, name: str, of: Player, *, every: int, keep: int) -> Player:
        """Declare a player that is, in each iteration, one of another's earlier selves.

        It is frozen: it never moves, and runs in eval mode. It is drawn anew in each iteration,
        by the run's seed, and is what the other was at first until that has stepped `every` times.

        Args:
            name: Its name.
            of: Whose earlier selves it is.
            every: The steps of `of` between two that are kept.
            keep: How many are kept, the latest; each takes the memory of one more `of`.

        Raises:
            GameError: `of` is no player, or its module cannot be copied.

        >>> import nvn, torch
        >>> game = nvn.Game("gan")
        >>> x, z = game.batch("x", "z")
        >>> G, D = game.player("G", torch.nn.Linear(8, 3)), game.player("D", torch.nn.Linear(3, 1))
        >>> before = game.past("G_old", G, every=100, keep=10)
        >>> adv = nvn.energies.NonSaturating()
        >>> D.minimizes(adv.real(D(x)) + adv.fake(D(G(z))) + adv.fake(D(before(z))))
        >>> print(game.pasts["G_old"])
        one of G's last 10 selves, kept every 100 steps
        """
        player = self._follower(name, of, "earlier selves")
        self.pasts[name] = Past(player, of, every, keep)
        self.table.notes.problems += problems_of(self.pasts[name], self.table)
        return player

    def _follower(self, name: str, of: Player, what: str) -> Player:
        """Return a frozen player with a copy of another's module."""
        check_player(of, what, self.table)
        return self._player(name, copied_module(of, self.name), frozen=True)

    def noise(self, name: str, shape: int | tuple[int, ...], *, like: Value) -> Value:
        """Return standard normal noise of shape (N, …): N, and then the sizes of `shape`.

        N (the samples of the minibatch), the dtype and the device are those of `like`.
        """
        sizes = tuple(map(int, shape if isinstance(shape, tuple | list) else [shape]))
        return self._source(Noise(name, sizes), (like,))

    def sample(self, name: str, fn: Callable[..., Any]) -> Value:
        """Return seeded randomness: `fn(generator, batch)`, `batch` the dict of tensors.

        `fn` must draw from `generator` alone; its result may be a tree of tensors.
        """
        return self._source(Sample(name, fn))

    @property
    def batch_values(self) -> tuple[Value, ...]:
        """The named tensors of the minibatch declared so far."""
        return tuple(v for v in self.table if isinstance(v.op, Batch))

    @property
    def problems(self) -> list[Problem]:
        """What was found wrong while declaring; told when the game is checked."""
        return self.table.notes.problems

    def _source(self, op: Batch | Noise | Sample, args: tuple[Any, ...] = ()) -> Value:
        """Return an entry of the batch, or a sample: each has a name of its own."""
        value = self.table.node(op, args)
        first = self._sources.setdefault(op.name, value)
        if first is value:
            return value
        if not isinstance(op, Batch) and not isinstance(first.op, Batch):
            self.table.note_taken("sample", op.name)
            return value
        found = f"{op.name!r} names an entry of the batch, and a sample too ({first.where})"
        expected = "every name used once: an entry of a batch replaces the sample of its name"
        self.table.note(Problem(str(call_site()), found, expected, "rename one of the two"))
        return value

    def _player(
        self, name: str, module: nn.Module, *, team: str | None = None, frozen: bool = False
    ) -> Player:
        if not NAME.fullmatch(name):
            expected = "letters, digits and . _ - only, at most 100, starting with a letter"
            found, edit = f"a player named {name!r:.130}", "rename it: files bear its name"
            self.table.note(Problem(str(call_site()), found, expected, edit))
        if (problem := not_a_module(name, module)) is not None:
            raise self.table.error(problem)
        self._taken[name] += 1
        called = name
        if self._taken[name] > 1:
            self.table.note_taken("player", name)
            # Its calls are not those of the first, who has another module: what else is wrong
            # with either is told of that one.
            called = f"{name} ({self._taken[name]})"
        player = Player(self.table, name, module, team=team, frozen=frozen, called=called)
        self.players.setdefault(name, player)
        return player

    def __repr__(self) -> str:
        return f"<Game {self.name}: {', '.join(self.players)}>"
