"""What an iteration takes its batches from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from nvn.engine.frame import Point
from nvn.engine.state import TrainState
from nvn.errors import DataError
from nvn.game.schedule import Fresh

Minibatch: TypeAlias = Mapping[str, Any]

EXPECTED = "expected a dict of tensors, or an iterator of such dicts"
MORE = (
    "give engine.step an iterator with as many batches as an iteration takes "
    "(plan.batches_per_step)"
)


class Supply:
    """Gives an iteration's repetitions their batches, and counts versions.

    Args:
        source: A batch, or an iterator of batches.
        wanted: How many the iteration will take.
        place: Brings a batch to where it is used.
        state: Counts batches and draws.
        phase: The phase whose iteration it is.

    Raises:
        DataError: The source is neither, or one batch where several are wanted.
    """

    def __init__(
        self,
        source: Minibatch | Iterator[Minibatch],
        wanted: int,
        place: Callable[[Minibatch], Minibatch],
        state: TrainState,
        phase: str,
    ) -> None:
        single = isinstance(source, Mapping)
        if single and wanted > 1:  # told before anybody moves
            raise DataError(f"this iteration takes {wanted} batches, and got one dict; {MORE}")
        self._source = iter([source]) if isinstance(source, Mapping) else source
        if not isinstance(self._source, Iterator):
            raise DataError(f"engine.step got a {type(source).__name__}; {EXPECTED}")
        self._place = place
        self._state = state
        self._phase = phase
        self._batch: Minibatch | None = None

    def take(self, fresh: Fresh) -> tuple[Point, Minibatch]:
        """Return the batch of the next repetition: the first always takes a new one."""
        if self._batch is None or fresh is True:
            self._batch = self._place(self._next())
            self._state.batches += 1
            self._state.draws += 1
        elif fresh == "noise":
            self._state.draws += 1
        return self._state.point(self._phase), self._batch

    def _next(self) -> Minibatch:
        try:
            batch = next(self._source)
        except StopIteration:
            if self._batch is None:
                raise
            raise DataError(f"a move with fresh=True found no further batch: {MORE}") from None
        if not isinstance(batch, Mapping):
            raise DataError(f"engine.step took a {type(batch).__name__} as a batch; {EXPECTED}")
        return batch
