"""A process that follows the leading one: it plays its share, and decides nothing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

from nvn.engine.engine import Engine
from nvn.errors import NvnError, RunError
from nvn.recipe.build import check_data, make_copies, report_metrics, step_metrics
from nvn.recipe.recipe import MAIN, Phase, Recipe
from nvn.training.processes.alike import data_facts
from nvn.training.processes.connections import Line, LostError
from nvn.training.processes.ending import GRACE, end_at_once
from nvn.training.processes.orders import (
    Alike,
    Check,
    End,
    Facts,
    Failed,
    Load,
    Metric,
    Order,
    Step,
)
from nvn.training.run import Run
from nvn.training.run_state import RunState
from nvn.training.traces import own_traceback

__all__ = ["Following", "Leader"]

_NOBODY = "the leading process of this run has failed, or is gone"


class Leader:
    """The leading process, as another one has it.

    Args:
        line: The line to it.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._done = threading.Event()
        threading.Thread(target=self._listen, daemon=True, name="orders").start()

    def next(self) -> Order:
        """Return the next order, when there is one; `End()`, if nobody leads any more."""
        return self._orders.get()

    def compare(self, facts: Callable[[], Facts]) -> None:
        """Say what this process has, and wait until the leading one has compared it.

        Raises:
            RunError: It has found differences, or is gone.
        """
        with suppress(LostError):
            self._line.send(facts())
        if not isinstance(self.next(), Alike):
            raise RunError(_NOBODY)

    def fail(self, error: BaseException) -> None:
        """Say what has ended this process."""
        text = str(error) if isinstance(error, NvnError) else own_traceback(error)
        with suppress(LostError):  # then the leading process has an error of its own
            self._line.send(Failed("\n".join([text, *getattr(error, "__notes__", ())])))

    def close(self) -> None:
        """Close the line."""
        self._done.set()
        self._line.close()

    def _listen(self) -> None:
        """Take orders in a thread: whoever waits for a process that is gone hears none."""
        order: Order = End()
        try:
            while not isinstance(order := self._line.receive(), End):
                self._orders.put(order)
        except LostError:
            order = End()
        self._orders.put(order)
        if order.outcome is None and not self._done.wait(GRACE):
            end_at_once()


@dataclass
class Following:
    """A run that is played as the leading process orders it.

    Attributes:
        recipe: The recipe.
        engines: An engine for each phase.
        state: Everything that evolves.
        leader: The leading process.
    """

    recipe: Recipe
    engines: Mapping[str, Engine]
    state: RunState
    leader: Leader

    def run(self) -> Run:
        """Do what is ordered, up to the end.

        Raises:
            RunError: The leading process has failed, and says why itself.
        """
        while not isinstance(order := self.leader.next(), End):
            self._do(order)
        if order.outcome is None:
            raise RunError(_NOBODY)
        engine = self.engines[MAIN]
        return Run(
            recipe=self.recipe,
            folder=order.folder,
            outcome=order.outcome,
            engine=engine,
            weights={name: m.state_dict() for name, m in engine.modules.items()},
            steps=self.state.steps,
            metrics=order.metrics,
            pictures=order.pictures,
            best=order.best,
            seconds=order.seconds,
        )

    def _do(self, order: Order) -> None:
        match order:
            case Step(phase):
                self._step(phase)
            case Metric(name, value):
                self.engines[MAIN].metric(name, value)
            case Load(parts, data):
                self.state.load_training(parts)
                if data:
                    self.state.load_data(parts)
            case Check():
                check_data(self.engines, self.state.data, self.recipe.all_phases)
                self.leader.compare(partial(data_facts, self.recipe, self.state.data))

    def _step(self, name: str) -> None:
        engine, phase = self.engines[name], self._phases[name]
        batches = self.state.data.of(phase)
        make_copies(self.recipe, phase, engine)
        record = engine.step(batches)
        report_metrics(engine, record, self._watched[name])
        if record.step < phase.steps:
            batches.wait()  # before it is ordered, so that nobody waits for it then

    @cached_property
    def _phases(self) -> Mapping[str, Phase]:
        return {phase.name: phase for phase in self.recipe.all_phases}

    @cached_property
    def _watched(self) -> Mapping[str, frozenset[str]]:
        """The metrics of a step that learning-rate schedules need, by phase."""
        return {name: step_metrics(self.recipe, e.plan) for name, e in self.engines.items()}
