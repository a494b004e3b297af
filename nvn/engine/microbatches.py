"""Micro-batches: an iteration whose batch is played in parts, where the whole is too much at once.

The parts are played as several processes would play them (nvn/planner/distribution.py), but in
turn, in one: each is a loop of its own, which stops where processes would exchange something. When
all have come there, they go on with what all of them made: the means of numbers and of gradients.
So every player steps once, along the gradients of the whole batch; a value that several moves use
is computed once for each part; and no more is kept of a part than the plan keeps anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nvn.data.share import samples_in
from nvn.engine.compiled import CompiledProgram
from nvn.engine.feed import Batch
from nvn.engine.iteration import Gradients, Iteration, Outcome, nobody_steps
from nvn.engine.processes import Arriving, Processes
from nvn.errors import DataError

__all__ = ["MicroBatches"]

Asked = tuple[Callable[[Sequence[Any]], Any], Any]
"""What a loop asks for: what makes an answer for all loops of what each of them has, and that."""

_Place = tuple[dict[str, Tensor | None], str]

Part = Generator[Asked, Any, Sequence[Any]]
"""A loop that stops where it has to know of the others, and returns what an iteration returns."""


class MicroBatches:
    """Plays the iterations of a program in several parts.

    Args:
        program: The program, which exchanges what processes exchange, and suspends for it.
        count: How many parts a batch has.
        modules: The players' modules.
    """

    def __init__(self, program: CompiledProgram, count: int, modules: Iterable[nn.Module]) -> None:
        self._program = program
        self._count = count
        self._modules = [*modules]

    def __call__(self, run: Iteration) -> Outcome:
        """Play an iteration.

        Raises:
            DataError: A batch has not as many samples that it could be divided.
        """
        run.draws = self._program.draws
        whole = _Whole(run, self._count)
        parts = [self._program.begin(_PartOfIteration(whole, i)) for i in range(self._count)]
        try:
            with torch.enable_grad():
                values = self._play(parts)
        except BaseException as error:
            self._program.note(error)
            raise
        finally:
            for part in parts:
                part.close()
            run.restore()
        return self._program.outcome(values, run.number)

    def _play(self, parts: Sequence[Part]) -> Sequence[Any]:
        # Sought in each iteration: a module may get a buffer when it is first called.
        parameters = [*{id(p): p for m in self._modules for p in m.parameters()}.values()]
        inner = {id(part): part for m in self._modules for part in m.modules()}.values()
        places = [(part._buffers, name) for part in inner for name in part._buffers]
        asides = [_Aside(parameters, places, first=i == 0) for i in range(len(parts))]
        answer: Any = None
        try:
            while True:
                asked: list[Asked] = []
                ended: list[Sequence[Any]] = []
                for part, aside in zip(parts, asides, strict=True):
                    with aside:
                        try:
                            asked.append(part.send(answer))
                        except StopIteration as end:
                            ended.append(end.value)
                if ended:
                    return ended[0]  # the means over all parts, as each has them
                answer = asked[0][0]([own for _, own in asked])
        finally:
            asides[0].__enter__()


class _Aside:
    """What a loop has changed of the modules, kept for it while others play.

    That is what passes have added up in `.grad`, whether parameters require gradients, and buffers:
    each loop has its own, as each process would, and those of the first one stay.

    Args:
        parameters: The parameters of all players.
        places: Where their buffers are: in which modules' buffers, under which names.
        first: Whether it is the first loop's.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], places: Sequence[_Place], *, first: bool
    ) -> None:
        self._parameters = parameters
        self._places = places
        self._noted: list[tuple[Tensor | None, bool]] = []
        self._buffers: list[Tensor | None] = []
        self._note()
        if not first:
            self._buffers = [None if x is None else x.clone() for x in self._buffers]

    def __enter__(self) -> None:
        for parameter, (gradient, requires) in zip(self._parameters, self._noted, strict=True):
            parameter.grad, parameter.requires_grad = gradient, requires
        for (buffers, name), own in zip(self._places, self._buffers, strict=True):
            buffers[name] = own

    def __exit__(self, *_: object) -> None:
        self._note()

    def _note(self) -> None:
        self._noted = [(p.grad, p.requires_grad) for p in self._parameters]
        self._buffers = [buffers[name] for buffers, name in self._places]


class _Whole:
    """What the parts of an iteration have in common.

    Args:
        run: The iteration: it takes batches and steps players, once for all parts.
        count: How many parts there are.
    """

    def __init__(self, run: Iteration, count: int) -> None:
        self.run = run
        self.count = count
        self._batches: list[Batch] = []
        self._drawn: dict[tuple[int, int], list[Any]] = {}
        self._totals: dict[str, tuple[int, Gradients]] = {}
        self._arriving: dict[str, Arriving] = {}

    def batch(self, number: int, part: int) -> Batch:
        """Return a part of a batch of the iteration, which is taken when the first part needs it.

        Raises:
            DataError: It cannot be divided.
        """
        if number == len(self._batches):
            self._batches.append(self.run.next_batch())
            samples = samples_in(self._batches[-1])
            if samples % self.count:
                raise DataError(
                    f"a batch of {samples} samples cannot be played in {self.count} parts "
                    f"(accumulate={self.count}): expected a multiple of {self.count}"
                )
        return Batch(self.share(self._batches[number], part))

    def share(self, whole: Any, part: int) -> Any:
        """Return a part of something that was made for a whole batch."""
        length = samples_in(self.run.batch) // self.count
        return Processes(part, self.count).share(whole, length)

    def sample(self, part: int, draw: tuple[int, int], function: Callable[[], Any]) -> Any:
        """Return a part of what is drawn once, for the whole batch.

        Args:
            part: Which part.
            draw: What is drawn, and the how manieth time.
            function: Draws it.
        """
        if draw not in self._drawn:
            whole = function()
            self._drawn[draw] = [self.share(whole, i) for i in range(self.count)]
        return self._drawn[draw][part]

    def mean(self, numbers: Sequence[Tensor]) -> Tensor:
        """Return the mean of a constant of each part."""
        return self.run.processes.mean(torch.stack([x.detach() for x in numbers]).mean(0))

    def means(self, numbers: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Return the means of what each part has recorded."""
        columns = zip(*numbers, strict=True)
        return self.run.processes.means([torch.stack(c).double().mean() for c in columns])

    def add(self, player: str, parameters: Sequence[nn.Parameter], part: Gradients) -> None:
        """Add a part's gradients of a player; the mean goes to other processes after the last."""
        number, before = self._totals.pop(player, (0, [None] * len(parameters)))
        total = [_sum(x, y) for x, y in zip(before, part, strict=True)]
        self._totals[player] = (number + 1, total)
        if number + 1 == self.count and self.run.processes.together:
            averaging = self.run.processes.averaging(parameters, self._mean(player))
            self._arriving[player] = averaging

    def averaged(self, players: Sequence[str]) -> Gradients:
        """Return the mean of a player's gradients over all parts, and all processes.

        Args:
            players: Its name, by each part.
        """
        player = players[0]
        if player in self._arriving:
            return self._arriving.pop(player).wait()
        return self._mean(player)

    def _mean(self, player: str) -> Gradients:
        _, total = self._totals.pop(player)
        return [None if x is None else x / self.count for x in total]


def _sum(x: Tensor | None, y: Tensor | None) -> Tensor | None:
    if x is None or y is None:
        return x if y is None else y.detach()
    return x + y.detach()


class _PartOfIteration(Iteration):
    """What the loop of one part calls `run`.

    Args:
        whole: What the parts have in common.
        part: The number of this one, from 0.
    """

    __slots__ = ("_part", "_taken", "_whole")

    def __init__(self, whole: _Whole, part: int) -> None:
        run = whole.run
        rank = run.processes.rank * whole.count + part
        super().__init__(
            run._feed,
            run.counters.copy(),
            run.number,
            run._streams,
            run._generators,
            run._computing,
            nobody_steps,
            Processes(rank, run.processes.count * whole.count),
        )
        self._whole = whole
        self._part = part
        self._taken = 0

    def next_batch(self) -> Batch:
        self._batch = self._whole.batch(self._taken, self._part)
        self._taken += 1
        self.counters.next_batch()
        return self._batch

    def redraw(self) -> None:
        super().redraw()
        if not self._part:
            self._whole.run.redraw()

    def moving(self, turn: int) -> None:
        if not self._part:
            self._whole.run.moving(turn)

    def moved(self, turn: int) -> None:
        if not self._part:
            self._whole.run.moved(turn)

    def inside(self, position: int) -> AbstractContextManager[object]:
        return self._whole.run.inside(position)

    def restore(self) -> None:
        """Restore nothing: the iteration does, once for all parts."""

    def sample(self, name: str, function: Callable[..., Any], key: int) -> Any:
        if name in self._batch:
            return self._batch[name]
        draw = partial(self._whole.run.sample, name, function, key)
        return self._whole.sample(self._part, (key, self.counters.draws), draw)

    # Where the loop would exchange something it suspends instead, and asks for it.

    def mean(self, x: Tensor) -> Any:
        return self._whole.mean, x

    def means(self, numbers: Sequence[Tensor]) -> Any:
        return self._whole.means, numbers

    def arrive(self, player: str) -> Any:
        return self._whole.averaged, player

    def _send(self, player: str, parameters: Sequence[nn.Parameter], gradients: Gradients) -> None:
        self._whole.add(player, parameters, gradients)

    def step(
        self, player: str, gradients: Gradients | None = None, optimizer: str | None = None
    ) -> None:
        """Step the player, once for all parts."""
        self.counters.stepped(player)
        if not self._part:
            self._whole.run.step(player, gradients, optimizer)
        for parameter in self._added_up[player]:
            parameter.grad = None  # as after a step: the next turn's passes add to nothing
