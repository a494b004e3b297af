"""The process that leads the others of a run: it alone decides, prints, writes and evaluates."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from queue import SimpleQueue

from nvn.errors import NvnError, RunError
from nvn.training.processes.alike import differences
from nvn.training.processes.connections import Line, LostError
from nvn.training.processes.ending import GRACE, end_at_once
from nvn.training.processes.orders import Alike, End, Facts, Order, Step

__all__ = ["ALONE", "Lead"]

PATIENCE = 2.0  # seconds in which a process that has failed says why


class Lead:
    """Orders what the other processes do.

    Args:
        lines: A line to each of them; none, if the leading process plays alone.

    Attributes:
        broken: Whether a step was cut short: the others are in the middle of it, and can do nothing
            else any more.
    """

    def __init__(self, lines: Sequence[Line] = ()) -> None:
        self._lines = lines
        self._trouble: str | None = None
        self._told = threading.Event()  # that there is trouble
        self._ended = False
        self._stepping = False
        self.broken = False
        # What each has answered; None, where it will not.
        self._answers: list[SimpleQueue[Facts | None]] = [SimpleQueue() for _ in lines]
        for line, answers in zip(lines, self._answers, strict=True):
            listen = partial(self._listen, line, answers)
            threading.Thread(target=listen, daemon=True, name=f"process {line.rank}").start()

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return not self._lines

    def order(self, order: Order) -> None:
        """Let the others do something; they do it while this process goes on.

        Raises:
            RunError: One of them has failed, or is gone.
        """
        if self.alone:
            return
        self._raise_trouble()
        pickled = pickle.dumps(order)
        for line in self._lines:
            try:
                line.send_pickled(pickled)
            except LostError:
                self._told.wait(PATIENCE)
                self._raise_trouble(f"process {line.rank} is gone")

    def compare(self, facts: Callable[[], Facts]) -> None:
        """Compare what all processes have; the others say so at the same point.

        Args:
            facts: Returns what this process has; it is not asked, if there are no others.

        Raises:
            RunError: One has failed; or something differs, which is named.
        """
        if self.alone:
            return
        own, found = facts(), {}
        for line, answers in zip(self._lines, self._answers, strict=True):
            answer = answers.get()
            if answer is None:
                self._raise_trouble()
            else:
                found[line.rank] = answer
        differences(own, found)
        self.order(Alike())

    @contextmanager
    def stepping(self, phase: str) -> Iterator[None]:
        """Let the others play the iteration that this process plays inside.

        Raises:
            RunError: One of them has failed: the error of this process, which comes of that, is
                its cause.
        """
        if self.alone:
            yield
            return
        self.order(Step(phase))
        self._stepping = True
        try:
            yield
        except BaseException as error:
            self.broken = True
            # What torch says of a process that is gone is a RuntimeError, of any wording.
            if isinstance(error, RuntimeError) and not isinstance(error, NvnError):
                self._told.wait(PATIENCE)
                with suppress(KeyboardInterrupt):
                    self._raise_trouble(cause=error)
            raise
        finally:
            self._stepping = False

    def end(self, end: End) -> None:
        """Let the others end. What they do from here on does not matter."""
        if not self._ended:
            self._ended = True
            for line in self._lines:
                with suppress(LostError):
                    line.send(end)

    def close(self) -> None:
        """Close the lines; the others fail, if they were not let end."""
        self.end(End())
        for line in self._lines:
            line.close()

    # --- trouble ---

    def _raise_trouble(self, found: str | None = None, cause: Exception | None = None) -> None:
        trouble = self._trouble or found
        if trouble is not None:
            raise RunError(trouble) from cause

    def _listen(self, line: Line, answers: SimpleQueue[Facts | None]) -> None:
        """Wait in a thread for what another process says, up to its end."""
        try:
            while isinstance(answer := line.receive(), Facts):
                answers.put(answer)
            trouble = f"process {line.rank} failed: {answer.text}"
        except LostError:
            trouble = _gone(line.rank)
        if self._trouble is None and not self._ended:
            self._trouble = trouble
            self._told.set()
            threading.Thread(target=self._end_what_hangs, args=[trouble], daemon=True).start()
        answers.put(None)

    def _end_what_hangs(self, trouble: str) -> None:
        """End this process if it is in a step, and does not notice that somebody is gone."""
        time.sleep(GRACE)
        if self._stepping and not self._ended:
            end_at_once(f"{trouble}. The state at the last checkpoint is whole")


ALONE = Lead()


def _gone(rank: int) -> str:
    return (
        f"process {rank} is gone: it was killed, maybe for lack of memory, or its machine cannot "
        "be reached. The run can be gone on with: nvn resume"
    )
