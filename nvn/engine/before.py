"""How things were before something was computed: what is restored if that is cut short.

A KeyboardInterrupt may come between any two operations of Python, so also between a change and
whatever would undo it. So the engine notes how things are before it changes any; what is noted is
restored where an exception passes, and, should that be interrupted too, before the next step.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from nvn.engine.iteration import Iteration
from nvn.engine.runtime import Place, places_of
from nvn.engine.seeding import Streams

__all__ = ["Before", "Surroundings"]


class Surroundings:
    """What computing changes for a while: where it is, looked up once.

    Args:
        modules: The players' modules.
        parameters: All parameters that learn.
        moving: Those of players who move.
        devices: Where they are.
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        parameters: Iterable[nn.Parameter],
        moving: Iterable[nn.Parameter],
        devices: Iterable[torch.device],
    ) -> None:
        found = [*modules]
        self.parts = [*{id(part): part for m in found for part in m.modules()}.values()]
        self.places: list[Place] = [place for module in found for place in places_of(module)]
        self.parameters = [*parameters]
        self.moving = [*moving]
        self.devices = [*devices]

    def now(self, run: Iteration | None = None) -> Before:
        """Note how things are now, before `run` is played, or before something is looked at."""
        return Before(self, run)


class Before:
    """How things were when this was made.

    Args:
        around: Where to look.
        run: The iteration that is to be played; it restores the random streams.
    """

    __slots__ = ("_around", "_buffers", "_flags", "_grad", "_modes", "_run", "_streams")

    def __init__(self, around: Surroundings, run: Iteration | None) -> None:
        self._around = around
        self._run = run
        self._grad = torch.is_grad_enabled()
        self._flags = [parameter.requires_grad for parameter in around.parameters]
        self._modes = [part.training for part in around.parts]
        self._buffers = [getattr(owner, name) for owner, name in around.places]
        self._streams = None if run is not None else Streams(around.devices)
        if self._streams is not None:
            self._streams.save()

    def restore(self) -> None:
        """Let things be as they were; what is interrupted itself may be called again."""
        around = self._around
        torch.set_grad_enabled(self._grad)
        for parameter, flag in zip(around.parameters, self._flags, strict=True):
            if parameter.requires_grad is not flag:
                parameter.requires_grad = flag
        for part, training in zip(around.parts, self._modes, strict=True):
            part.training = training
        for (owner, name), buffer in zip(around.places, self._buffers, strict=True):
            if getattr(owner, name) is not buffer:
                setattr(owner, name, buffer)
        if self._streams is not None:
            self._streams.restore()
        if self._run is not None:
            for parameter in around.moving:
                parameter.grad = None
            self._run.restore()
