"""A game: players, teams and values, declared. Nothing here touches a tensor.

    game = nvn.Game("gan")
    real = game.batch("real")
    z = game.noise("z", (64,), like=real)
    G, D = game.player("G", generator), game.player("D", critic)

What is wrong with a game is found when it is frozen into a LossGraph (nvn/game/graph.py), so that
one error can tell everything; problems that show at declaration are noted in `game.problems` till
then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from nvn import pytree
from nvn.callsite import CallSite, call_site
from nvn.errors import GameError, Problem
from nvn.game.values import (
    Apply,
    Batch,
    Call,
    Energy,
    Gradient,
    Item,
    Noise,
    Op,
    Sample,
    Value,
    WeightedSum,
    as_sum,
    hashable,
)

if TYPE_CHECKING:
    from torch import nn

V = TypeVar("V", bound=Value)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # fit for a file name and for a state-dict key


class Player:
    """A module with an objective of its own. Calling it makes a value of the game."""

    def __init__(
        self, game: Game, name: str, module: nn.Module, *, team: str | None, frozen: bool
    ) -> None:
        self.game = game
        self.name = name
        self.module = module
        self.team = team
        self.frozen = frozen
        self.where = call_site()
        self._objective = WeightedSum()
        self.maximized: list[tuple[Energy, CallSite]] = []  # for the check of saturating energies
        self.misguided = False  # whether it was told to minimise what nobody can

    def __call__(self, *args: Any, **kwargs: Any) -> Value:
        """Return the value of the module's forward on these arguments."""
        return self.method("forward")(*args, **kwargs)

    def method(self, name: str, *, training: bool = True) -> Callable[..., Value]:
        """Return a function that calls the module's method `name`.

        With `training=False` the module runs in eval mode in that call, also while training:
        running statistics instead of the batch's, no dropout, and no buffer advances.
        """
        op = Call(self, name, training and not self.frozen)

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
                raise self.game.error(Problem(str(call_site()), found, expected, edit))
            return self.game.node(op, args, kwargs)

        return call

    def minimizes(self, x: Energy | WeightedSum) -> None:
        """Add `x`, an energy or a weighted sum of energies, to this player's objective."""
        self._objective = self._objective + self._as_sum(x)

    def maximizes(self, x: Energy | WeightedSum) -> None:
        """Subtract `x` from this player's objective: the same as `minimizes(-x)`."""
        total = self._as_sum(x)
        gains = (t.energy for t in total.terms if t.weight.factor > 0)
        self.maximized += [(energy, call_site()) for energy in gains]
        self.minimizes(-total)

    def _as_sum(self, x: Energy | WeightedSum) -> WeightedSum:
        """Return `x` as a sum; nothing, and note a problem, if it is none."""
        try:
            return as_sum(x)
        except GameError as error:
            self.misguided = True
            self.game.problems += error.problems
            return WeightedSum()

    @property
    def objective(self) -> WeightedSum:
        """What this player minimises."""
        return self._objective

    def __repr__(self) -> str:
        return f"<Player {self.name}>"


class Team:
    """Players who act as one: iterable, members as attributes."""

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


class Game:
    """The players, the values and who minimises what."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.players: dict[str, Player] = {}
        self.teams: dict[str, Team] = {}
        self.names: dict[Value, str] = {}  # given by .named()
        self.problems: list[Problem] = []  # found while declaring; told by the LossGraph
        self._nodes: dict[Hashable, Value] = {}
        self._sources: dict[str, Value] = {}  # what the batch gives, and what is drawn

    # --- declaring ---

    @overload
    def batch(self, name: str, /) -> Value: ...
    @overload
    def batch(self, name: str, /, *names: str) -> tuple[Value, ...]: ...

    def batch(self, name: str, /, *names: str) -> Value | tuple[Value, ...]:
        """Return the named tensors of a minibatch: one value for one name, a tuple for several."""
        values = tuple(self._named(Batch(n)) for n in (name, *names))
        return values if names else values[0]

    def player(self, name: str, module: nn.Module) -> Player:
        """Declare a player of no team."""
        return self._add(Player(self, name, module, team=None, frozen=False))

    def team(self, name: str, /, **modules: nn.Module) -> Team:
        """Declare players who act as one; in a schedule, the team moves together."""
        if name in self.teams:
            self._name_taken("team", name)
        if not modules:
            found, edit = f"the team {name!r} has no members", f"game.team({name!r}, G=…, E=…)"
            self._note(Problem(str(call_site()), found, "at least one player", edit))
        for reserved in {"name", "members", "minimizes", "maximizes"} & modules.keys():
            found = f"a team member named {reserved!r}"
            expected = f"a name that Team does not use itself (`team.{reserved}`)"
            self._note(Problem(str(call_site()), found, expected, "rename it"))
        members = tuple(
            self._add(Player(self, n, module, team=name, frozen=False))
            for n, module in modules.items()
        )
        self.teams[name] = Team(name, members)
        return self.teams[name]

    def frozen(self, name: str, module: nn.Module) -> Player:
        """Declare a player that never moves and always runs in eval mode."""
        return self._add(Player(self, name, module, team=None, frozen=True))

    def noise(self, name: str, shape: int | tuple[int, ...], *, like: Value) -> Value:
        """Return standard normal noise of shape (N, *shape).

        N (the samples of the minibatch), the dtype and the device are those of `like`.
        """
        sizes = tuple(map(int, shape if isinstance(shape, tuple | list) else [shape]))
        return self._named(Noise(name, sizes), (like,))

    def sample(self, name: str, fn: Callable[..., Any]) -> Value:
        """Return seeded randomness: `fn(generator, batch)`, `batch` the dict of tensors.

        `fn` must draw from `generator` alone; its result may be a tree of tensors.
        """
        return self._named(Sample(name, fn))

    # --- what values use ---

    def node(
        self,
        op: Op,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None = None,
        kind: type[Value] = Value,
    ) -> Value:
        """Return the value of `op` on these arguments: the same one for the same arguments."""
        # Copies: a list that the caller goes on changing must not change the graph.
        args, kwargs = pytree.map_leaves(lambda leaf: leaf, (args, dict(kwargs or {})))
        key = (kind, _op_key(op), pytree.key((args, dict(sorted(kwargs.items()))), _leaf_key))
        if key not in self._nodes:
            inputs = [v.index for v in pytree.leaves((args, kwargs)) if isinstance(v, Value)]
            # Above every input's index, also those that (by mistake) come from another game.
            index = max([len(self._nodes), *(i + 1 for i in inputs)])
            self._nodes[key] = kind(self, index, op, args, kwargs, call_site())
        return self._nodes[key]

    @property
    def batch_values(self) -> tuple[Value, ...]:
        """The named tensors of the minibatch declared so far."""
        return tuple(v for v in self._nodes.values() if isinstance(v.op, Batch))

    def error(self, problem: Problem) -> GameError:
        """Return the error of a declaration that can't go on: it tells what was noted, too."""
        return GameError([*self.problems, problem], self.name)

    def name_value(self, value: Value, name: str) -> None:
        """Name a value (what `value.named(name)` does)."""
        if any(n == name for v, n in self.names.items() if v is not value):
            self._name_taken("value", name)
        if self.names.setdefault(value, name) != name:
            found = f"{name!r} for the value already named {self.names[value]!r}"
            edit = "name it once: the same call is the same value"
            self._note(Problem(str(call_site()), found, "one name a value", edit))

    def _named(self, op: Batch | Noise | Sample, args: tuple[Any, ...] = ()) -> Value:
        """Return an entry of the batch, or a sample: each has a name of its own."""
        value = self.node(op, args)
        first = self._sources.setdefault(op.name, value)
        if first is value:
            return value
        if not isinstance(op, Batch) and not isinstance(first.op, Batch):
            self._name_taken("sample", op.name)
            return value
        found = f"{op.name!r} names an entry of the batch, and a sample too ({first.where})"
        expected = "every name used once: an entry of a batch replaces the sample of its name"
        self._note(Problem(str(call_site()), found, expected, "rename one of the two"))
        return value

    def _add(self, player: Player) -> Player:
        if not NAME.fullmatch(player.name):
            expected = "letters, digits and . _ - only, starting with a letter"
            found = f"a player named {player.name!r}"
            self._note(Problem(str(call_site()), found, expected, "rename it: files bear its name"))
        if player.name in self.players:
            self._name_taken("player", player.name)
        self.players.setdefault(player.name, player)
        return player

    def _name_taken(self, kind: str, name: str) -> None:
        found = f"a second {kind} named {name!r}"
        self._note(
            Problem(str(call_site()), found, "every name used once", "rename one of the two")
        )

    def _note(self, problem: Problem) -> None:
        self.problems.append(problem)

    def __repr__(self) -> str:
        return f"<Game {self.name}: {', '.join(self.players)}>"


# --- values from functions ---------------------------------------------------------------------


def value(fn: Callable[..., Any], *, name: str | None = None) -> Callable[..., Value]:
    """Lift a pure function of tensors to values: `nvn.value(fn)(v, …)` is the value of `fn`.

    `fn` must not call a player, draw randomness, or change its arguments. Functions are compared
    by equality, so give the same function twice (no fresh lambda) to get the same value.
    """
    return _lifted(fn, name, Value)


def energy(fn: Callable[..., Any], *, name: str | None = None) -> Callable[..., Energy]:
    """Lift a pure function of tensors to an energy: `fn` must return one number (shape ())."""
    return _lifted(fn, name, Energy)


def gradient(y: Value, x: Value) -> Value:
    """Return ∂(sum of y)/∂x, with a graph: gradients flow through it (R1, gradient penalties).

    For a critic's output y of shape (N, …) whose samples don't mix, this is the gradient of each
    sample's output with respect to that sample.
    """
    for role, given in (("y", y), ("x", x)):
        if not isinstance(given, Value):
            found = f"nvn.gradient(y, x) with a {type(given).__name__} as {role}"
            edit = "take the gradient of one value, such as a critic's output"
            raise GameError([Problem(str(call_site()), found, "two values of the game", edit)])
    return y.game.node(Gradient(), (y, x))


def _lifted(fn: Callable[..., Any], name: str | None, kind: type[V]) -> Callable[..., V]:
    op = Apply(fn, name or str(getattr(fn, "__name__", type(fn).__name__)))

    def lifted(*args: Any, **kwargs: Any) -> V:
        values = [v for v in pytree.leaves((args, kwargs)) if isinstance(v, Value)]
        if not values:
            found = f"{op.name}(…) of no value"
            expected = "at least one value of a game among its arguments"
            raise GameError([Problem(str(call_site()), found, expected, "pass it a value")])
        return cast(V, values[0].game.node(op, args, kwargs, kind))

    return lifted


def _op_key(op: Op) -> Hashable:
    return (Item, pytree.key(op.index, _leaf_key)) if isinstance(op, Item) else hashable(op)


def _leaf_key(leaf: Any) -> Hashable:
    """Tell leaves apart: values by identity, constants by type and value (True is not 1)."""
    if isinstance(leaf, float | complex):
        return (type(leaf), repr(leaf))  # 0.0 is not -0.0, and nan is nan
    if isinstance(leaf, slice):  # hashable only from Python 3.12 on
        return (slice, leaf.start, leaf.stop, leaf.step)
    return leaf if isinstance(leaf, Value) else (type(leaf), hashable(leaf))


def _is_tensor(x: object) -> bool:
    return hasattr(x, "requires_grad")  # told without importing torch


__all__ = ["Energy", "Game", "Player", "Team", "Value", "WeightedSum"]
__all__ += ["energy", "gradient", "value"]
