"""The engine's side of one iteration: batches, draws and steps, whoever plays it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from nvn import pytree
from nvn.data.share import samples_in
from nvn.engine.counters import Counters
from nvn.engine.feed import Batch, BatchFeed
from nvn.engine.processes import ALONE, Arriving, Processes
from nvn.engine.seeding import Generators, Streams
from nvn.errors import RunError
from nvn.records import Scalar

Gradients: TypeAlias = Sequence[Tensor | None]
Stepping: TypeAlias = Callable[[str, str, Gradients | None], None]
"""Steps a player, with the optimizer of a name, along its gradients (None: what `.grad` has)."""


class Observer(NamedTuple):
    """What is told of an iteration while it is played.

    Attributes:
        turn: Is told of a turn, by its number from 0: that it begins (True), or has ended.
        instruction: What an instruction of the program runs inside, by its position.
    """

    turn: Callable[[int, bool], None]
    instruction: Callable[[int], AbstractContextManager[object]]


class Outcome(NamedTuple):
    """The outcome of an iteration.

    Attributes:
        numbers: Returns the energies' and the objectives' numbers, by name. (They are put together
            only when somebody reads them.)
        gradients: Each player's gradients, where nobody steps.
    """

    numbers: Callable[[], tuple[Mapping[str, Scalar], Mapping[str, Scalar]]]
    gradients: Mapping[str, Gradients]


def nobody_steps(player: str, optimizer: str, gradients: Gradients | None) -> None:
    """Step nobody: what an iteration is given that only looks."""


class Iteration:
    """What the loop of a program calls `run` (nvn/planner/emit.py).

    Args:
        feed: Where batches come from.
        counters: Counts batches, draws and steps: the run's own, or a copy where one only looks.
        number: The number of the iteration, from 0: what weights are functions of.
        streams: The global random streams, to restore at the end.
        generators: For noise and samples.
        computing: The context in which samples are drawn (their dtype), if it matters.
        step: Steps a player.
        processes: Who plays along; nobody, where one only looks.
        observer: Is told of what happens, if anybody wants to know.

    Attributes:
        draws: Whether any call may draw from the global streams.
    """

    __slots__ = (
        "_added_up",
        "_arriving",
        "_batch",
        "_computing",
        "_feed",
        "_generators",
        "_observer",
        "_processes",
        "_saved",
        "_step",
        "_streams",
        "counters",
        "draws",
        "number",
    )

    def __init__(
        self,
        feed: BatchFeed,
        counters: Counters,
        number: int,
        streams: Streams,
        generators: Generators,
        computing: Callable[[], Any] | None,
        step: Stepping,
        processes: Processes = ALONE,
        observer: Observer | None = None,
    ) -> None:
        self.counters = counters
        self.number = number
        self.draws = True
        self._feed = feed
        self._streams = streams
        self._generators = generators
        self._computing = computing
        self._step = step
        self._observer = observer
        self._batch = Batch()
        self._saved = False
        self._processes = processes
        self._arriving: dict[str, Arriving] = {}
        self._added_up: dict[str, Sequence[nn.Parameter]] = {}  # where `.grad` has the gradients

    @property
    def processes(self) -> Processes:
        """Who plays along."""
        return self._processes

    def next_batch(self) -> Batch:
        """Take the next batch. Data may draw from the global streams: they go on as before."""
        self.restore()
        self._batch = self._feed.next()
        self.counters.next_batch()
        if self.draws:
            self._saved = True  # first: what is interrupted in between is restored
            self._streams.save()
        return self._batch

    def moving(self, turn: int) -> None:
        """Tell that a turn begins."""
        if self._observer is not None:
            self._observer.turn(turn, True)

    def moved(self, turn: int) -> None:
        """Tell that a turn has ended: everybody in it has stepped."""
        if self._observer is not None:
            self._observer.turn(turn, False)

    def inside(self, position: int) -> AbstractContextManager[object]:
        """Return what an instruction runs inside."""
        return nullcontext() if self._observer is None else self._observer.instruction(position)

    @property
    def batch(self) -> Batch:
        """The batch that was taken last."""
        return self._batch

    def redraw(self) -> None:
        """Draw the samples of the same batch anew, from here on."""
        self.counters.next_draws()

    def restore(self) -> None:
        """Let the global random streams continue as before the iteration."""
        if self._saved:
            self._streams.restore()
            self._saved = False

    def seed(self, key: int, *players: str) -> None:
        """Start the global random streams for a call that reads these players' parameters."""
        self._streams.start(self._processes.own(self.counters.call_seed(key, *players)))

    def noise(self, name: str, shape: tuple[int, ...], like: Tensor, key: int) -> Any:
        """Return standard normal noise (N, *shape), N the length of `like`.

        An entry of the batch called `name` replaces it.
        """
        if name in self._batch:
            return self._batch[name]
        generator = self._generator(like.device, key)
        if self._computing is None:
            return standard_normal(shape, like, generator, self._processes)
        with self._computing():
            return standard_normal(shape, like, generator, self._processes)

    def sample(self, name: str, function: Callable[..., Any], key: int) -> Any:
        """Return `function(generator, batch)`; an entry of the batch called `name` replaces it."""
        if name in self._batch:
            return self._batch[name]
        with self._computing() if self._computing is not None else nullcontext():
            generator = self._generator(device_of(dict(self._batch)), key)
            return sampled(function, generator, self._batch, self._processes)

    def mean(self, x: Tensor) -> Tensor:
        """Return the mean of a constant over all processes."""
        return self._processes.mean(x)

    def means(self, numbers: Sequence[Tensor]) -> list[Tensor]:
        """Return the means of recorded numbers over all processes."""
        return self._processes.means(numbers)

    def average(
        self,
        player: str,
        parameters: Sequence[nn.Parameter],
        gradients: Gradients | None = None,
    ) -> None:
        """Begin to average a player's gradients over all processes; None: what `.grad` has."""
        self._added_up[player] = parameters if gradients is None else ()
        own = [p.grad for p in parameters] if gradients is None else gradients
        self._send(player, parameters, own)

    def arrive(self, player: str) -> Gradients:
        """Wait for a player's averaged gradients; those from `.grad` go there."""
        return self.take(player, self._arriving.pop(player).wait())

    def take(self, player: str, gradients: Gradients) -> Gradients:
        """Take a player's averaged gradients; those from `.grad` go there."""
        if parameters := self._added_up[player]:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
        return gradients

    def _send(self, player: str, parameters: Sequence[nn.Parameter], gradients: Gradients) -> None:
        self._arriving[player] = self._processes.averaging(parameters, gradients)

    @staticmethod
    def require_path(player: str, gradients: Gradients) -> None:
        """Hold a player to having a gradient.

        Raises:
            RunError: It has none at all.
        """
        for gradient in gradients:
            if gradient is not None:  # the first one, most often
                break
        else:
            raise RunError(no_path(player))

    def step(
        self, player: str, gradients: Gradients | None = None, optimizer: str | None = None
    ) -> None:
        """Step a player along its gradients, or along what has been added up in `.grad`.

        With `optimizer`, by one of another name than the player's.
        """
        self._step(player, optimizer or player, gradients)
        self.counters.stepped(player)

    def _generator(self, device: torch.device, key: int) -> torch.Generator:
        return self._generators.at(device, self.counters.draw_seed(key))


def standard_normal(
    shape: tuple[int, ...],
    like: Tensor,
    generator: torch.Generator,
    processes: Processes = ALONE,
) -> Tensor:
    """Draw noise (N, *shape) for `like`, of length N; in its dtype, if that is a floating one.

    Of several processes, each has its part of what one would draw for all.
    """
    dtype = like.dtype if like.dtype.is_floating_point else torch.get_default_dtype()
    size = (len(like) * processes.count, *shape)
    drawn = torch.randn(size, generator=generator, dtype=dtype, device=like.device)
    part: Tensor = processes.share(drawn, len(like))
    return part


def sampled(
    function: Callable[..., Any],
    generator: torch.Generator,
    batch: Mapping[str, Any],
    processes: Processes = ALONE,
) -> Any:
    """Return `function(generator, batch)`.

    Of several processes, each has its part of what one would draw for the batch of all.
    """
    if not processes.together:
        return function(generator, dict(batch))
    whole = function(generator, processes.gathered(batch))
    return processes.share(whole, samples_in(dict(batch)))


def device_of(tensors: Any) -> torch.device:
    """Return the device of a tree of tensors; the CPU if it has none."""
    found = (x.device for x in pytree.leaves(tensors) if isinstance(x, Tensor))
    return next(found, torch.device("cpu"))


def no_path(player: str) -> str:
    """Say that a player's objective has no gradient."""
    return (
        f"the objective of `{player}` has no gradient: something between its calls of `{player}` "
        "and its energies detaches (a module that calls .detach(), .item() or torch.no_grad(), or "
        "parameters that do not require gradients)"
    )
