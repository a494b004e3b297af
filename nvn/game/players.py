"""Players: modules with an objective each; and teams, which are players who act as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from nvn import pytree
from nvn.callsite import call_site
from nvn.errors import GameError, Problem
from nvn.game.habits import NotThereError, asked_of_player
from nvn.game.ops import Call
from nvn.game.values import Declared, Energy, Maximized, Value, ValueTable, WeightedSum, as_sum

if TYPE_CHECKING:
    from torch import nn


class Player(Declared):
    """A module with an objective of its own. Calling it makes a value of the game.

    Made by `game.player`, `game.team` and `game.frozen`.

    Attributes:
        name: The player's name: of its gradients, its optimizer, its files.
        module: The module, which is called and trained itself: no copy.
        team: The name of its team, if it has one.
        frozen: Whether its parameters are constants, and it runs in eval mode always.

    >>> import nvn, torch
    >>> game = nvn.Game("gan")
    >>> x, z = game.batch("x", "z")
    >>> G, D = game.player("G", torch.nn.Linear(8, 3)), game.player("D", torch.nn.Linear(3, 1))
    >>> score = nvn.energy(torch.mean, name="score")
    >>> G.maximizes(score(D(G(z))))
    >>> D.minimizes(score(D(G(z))) - score(D(x)))
    >>> print(G.objective, "|", D.objective)
    - score(D(G(z))) | score(D(G(z))) - score(D(x))
    """

    def __init__(
        self,
        table: ValueTable,
        name: str,
        module: nn.Module,
        *,
        team: str | None,
        frozen: bool,
        called: str,
    ) -> None:
        self.table = table
        self.name = name
        self.module = module
        self.team = team
        self.frozen = frozen
        self.where = call_site()
        self._objective = WeightedSum()
        self._called = called  # its name in calls: another one where the name was taken

    def __call__(self, *args: Any, **kwargs: Any) -> Value:
        """Return the value of the module's forward on these arguments."""
        return self.method("forward")(*args, **kwargs)

    def method(self, name: str, *, training: bool | None = None) -> Callable[..., Value]:
        """Return a function that calls the module's method `name`.

        Args:
            name: The method.
            training: Whether the module runs in training mode in that call, while training; left
                out, it does unless the player is frozen. In eval mode: running statistics instead
                of the batch's, no dropout, and no buffer advances.

        Raises:
            GameError: Training mode is asked of a frozen player; or (by the function returned) it
                is called with tensors instead of values.

        >>> import nvn, torch
        >>> game = nvn.Game("gan")
        >>> G = game.player("G", torch.nn.BatchNorm1d(3))
        >>> print(G.method("forward", training=False)(game.batch("x")))
        G.eval(x)
        """
        if training and self.frozen:
            raise self.table.error(
                Problem(
                    str(call_site()),
                    f"the frozen player `{self.name}` is called with training=True",
                    "eval mode: a frozen player runs in no other",
                    "leave `training` out; a player that shall learn is declared with "
                    f"`game.player({self.name!r}, …)`",
                )
            )
        mode = not self.frozen if training is None else training
        op = Call(self._called, name, mode, self.frozen)

        def call(*args: Any, **kwargs: Any) -> Value:
            given = [*pytree.leaves((args, kwargs))]
            if any(map(_is_tensor, given)) and not any(isinstance(x, Value) for x in given):
                found = f"the player `{self.name}` is called with tensors"
                expected = (
                    "values: players are called while declaring, not in a function of tensors"
                )
                edit = (
                    f"pass `{self.name}(x)` to the function as an argument; a penalty takes "
                    f"`nvn.gradient({self.name}(x), x)`"
                )
                raise self.table.error(Problem(str(call_site()), found, expected, edit))
            return self.table.node(op, args, kwargs)

        return call

    def minimizes(self, x: Energy | WeightedSum) -> None:
        """Add `x`, an energy or a weighted sum of energies, to this player's objective."""
        self._objective = self._objective + self._as_sum(x)

    def maximizes(self, x: Energy | WeightedSum) -> None:
        """Subtract `x` from this player's objective: the same as `minimizes(-x)`."""
        total = self._as_sum(x)
        gains = (t.energy for t in total.terms if t.weight.factor > 0)
        where = call_site()
        self.table.notes.maximized += [Maximized(self._called, gain, where) for gain in gains]
        self.minimizes(-total)

    def _as_sum(self, x: Energy | WeightedSum) -> WeightedSum:
        """Return `x` as a sum; nothing, and note a problem, if it is none."""
        try:
            return as_sum(x)
        except GameError as error:
            self.table.notes.invalid_objectives.add(self._called)
            self.table.notes.problems += error.problems
            return WeightedSum()

    @property
    def objective(self) -> WeightedSum:
        """What this player minimizes."""
        return self._objective

    if not TYPE_CHECKING:  # type checkers refuse these by themselves

        def __getattr__(self, name: str) -> NoReturn:
            if "module" in self.__dict__:  # not while it is copied or unpickled
                problem = asked_of_player(name, self.name, self.module)
                if problem is not None:
                    raise self.table.error(problem, NotThereError)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<Player {self.name}>"


class Team:
    """Players who act as one: iterable, members as attributes. Made by `game.team`.

    >>> import nvn, torch
    >>> game = nvn.Game("two critics")
    >>> critics = game.team("critics", D=torch.nn.Linear(3, 1), E=torch.nn.Linear(3, 1))
    >>> D, E = critics
    >>> critics.D is D
    True
    >>> x = game.batch("x")
    >>> critics.minimizes(nvn.energy(torch.dist, name="dist")(D(x), E(x)))
    >>> print(E.objective, "|", nvn.alternating(critics))
    dist(D(x), E(x)) | (D, E)
    """

    def __init__(self, name: str, members: tuple[Player, ...]) -> None:
        self.name = name
        self.members = members

    def minimizes(self, x: Energy | WeightedSum) -> None:
        """Add `x` to every member's objective."""
        for member in self.members:
            member.minimizes(x)

    def maximizes(self, x: Energy | WeightedSum) -> None:
        """Subtract `x` from every member's objective."""
        for member in self.members:
            member.maximizes(x)

    def __iter__(self) -> Iterator[Player]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __getattr__(self, name: str) -> Player:
        members: tuple[Player, ...] = self.__dict__.get("members", ())  # none yet while copying
        for member in members:
            if member.name == name:
                return member
        raise AttributeError(f"team has no member {name!r}")

    def __repr__(self) -> str:
        return f"<Team {self.name}: {', '.join(member.name for member in self.members)}>"


@contextmanager
def objectives_kept(players: Iterable[Player]) -> Iterator[None]:
    """Let players' objectives be afterwards what they were."""
    before = [(player, player.objective) for player in players]
    try:
        yield
    finally:
        for player, objective in before:
            player._objective = objective


def _is_tensor(x: object) -> bool:
    return not isinstance(x, Declared) and hasattr(
        x, "requires_grad"
    )  # told without importing torch
