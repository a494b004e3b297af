"""What an iteration takes its batches from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from torch import Tensor

from nvn.errors import DataError

Minibatch: TypeAlias = Mapping[str, Any]

EXPECTED = "expected a dict of tensors, or an iterator of such dicts"
MORE = (
    "give engine.step an iterator with as many batches as an iteration takes "
    "(plan.batches_per_step)"
)


class Batch(dict[str, Any]):
    """A minibatch, which says what it has where an entry is missing."""

    def __missing__(self, name: str) -> Any:
        raise DataError(f"the batch has no {name!r}; it has: {', '.join(self)}")


class BatchFeed:
    """Yields an iteration's batches.

    Args:
        source: A batch, or an iterator of batches.
        wanted: How many the iteration will take.
        place: Brings a batch to where it is used.

    Raises:
        DataError: The source is neither, or one batch where several are wanted.
    """

    def __init__(
        self,
        source: Minibatch | Iterator[Minibatch],
        wanted: int,
        place: Callable[[Minibatch], Batch],
    ) -> None:
        self._single: Minibatch | None = None
        if type(source) is dict or isinstance(
            source, Mapping
        ):  # nearly always a dict: ask it first
            if wanted > 1:  # told before anybody moves
                raise DataError(f"this iteration takes {wanted} batches, and got one dict; {MORE}")
            self._single = source
            source = iter(())
        elif not isinstance(source, Iterator):
            raise DataError(f"engine.step got a {type(source).__name__}; {EXPECTED}{_hint(source)}")
        self._source = source
        self._place = place
        self._taken = 0

    def next(self) -> Batch:
        """Return the next batch, in its place.

        Raises:
            StopIteration: There is none, and none has been taken.
            DataError: There is none, in the middle of an iteration; or it is no batch.
        """
        if self._single is not None:
            batch, self._single = self._single, None
            self._taken = 1
            return self._place(batch)
        try:
            batch = next(self._source)
        except StopIteration:
            if not self._taken:
                raise
            raise DataError(f"a move with fresh=True found no further batch: {MORE}") from None
        if not isinstance(batch, Mapping):
            found = f"engine.step took a {type(batch).__name__} as a batch"
            raise DataError(f"{found}; {EXPECTED}{_naming(batch)}")
        self._taken += 1
        return self._place(batch)


def _hint(source: object) -> str:
    """Say how to make what was given a batch, or an iterator of batches."""
    if naming := _naming(source):
        return naming
    if isinstance(source, Iterable) and not isinstance(source, str | bytes):
        return (
            ". Make it an iterator once, before the loop: `batches = iter(loader)`, or "
            "`nvn.data.batches(loader)`, which never ends; then `engine.step(batches)`"
        )
    return ""


def _naming(batch: object) -> str:
    """Say how to make a dict of tensors, if that is what something lacks."""
    inside = [*batch] if isinstance(batch, list | tuple) else []
    if isinstance(batch, Tensor) or any(isinstance(x, Tensor) for x in inside):
        first = "batch" if isinstance(batch, Tensor) else "batch[0]"
        return f'. Name its tensors as game.batch(…) does: `{{"x": {first}, …}}`'
    return ""
