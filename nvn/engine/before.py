"""How things were before something was computed: what is restored if that is cut short.

A KeyboardInterrupt may come between any two operations of Python, so also between a change and
whatever would undo it. So the engine notes how things are before it changes any; what is noted is
restored where an exception passes, and, should that be interrupted too, before the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn

from nvn.engine.iteration import Iteration
from nvn.engine.runtime import Place, places_of
from nvn.streams import set_streams, streams

__all__ = ["Before", "Surroundings"]


class Surroundings:
    """What computing changes for a while: where it is, looked up once.

    Args:
        modules: The players' modules.
        parameters: All parameters.
        moving: Those that learn, of players who move.
        more: Returns what restores the rest, as it is now.
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        parameters: Iterable[nn.Parameter],
        moving: Iterable[nn.Parameter],
        more: Callable[[], Iterable[Callable[[], object]]],
    ) -> None:
        found = [*modules]
        self.parts = [*{id(part): part for m in found for part in m.modules()}.values()]
        self.places: list[Place] = [place for module in found for place in places_of(module)]
        self.parameters = [*parameters]
        self.moving = [*moving]
        self._more = more

    def before_playing(self, run: Iteration) -> Before:
        """Note how things are now, before `run` is played."""
        return Before(self, self.moving, (*self._more(), run.restore))

    def before_looking(self, *back: Callable[[], object]) -> Before:
        """Note how things are now, before something is looked at that `back` undoes, too."""
        return Before(self, (), (*self._more(), *back, partial(set_streams, streams())))


class Before:
    """How things were when this was made.

    Args:
        around: Where to look.
        moving: Whose gradients are cleared, since some of them may have been taken.
        back: What restores the rest, such as the random streams; each may be called again.

    Attributes:
        flags: Which of the parameters required gradients.
    """

    __slots__ = ("_around", "_back", "_buffers", "_grad", "_modes", "_moving", "flags")

    def __init__(
        self,
        around: Surroundings,
        moving: Iterable[nn.Parameter],
        back: Iterable[Callable[[], object]],
    ) -> None:
        self._around = around
        self._moving = moving
        self._back = back
        self._grad = torch.is_grad_enabled()
        self.flags = [parameter.requires_grad for parameter in around.parameters]
        self._modes = [part.training for part in around.parts]
        self._buffers = [getattr(owner, name) for owner, name in around.places]

    def restore(self) -> None:
        """Let things be as they were; what is interrupted itself may be called again."""
        around = self._around
        torch.set_grad_enabled(self._grad)
        for parameter, flag in zip(around.parameters, self.flags, strict=True):
            if parameter.requires_grad is not flag:
                parameter.requires_grad = flag
        for part, training in zip(around.parts, self._modes, strict=True):
            part.training = training
        for (owner, name), buffer in zip(around.places, self._buffers, strict=True):
            if getattr(owner, name) is not buffer:
                setattr(owner, name, buffer)
        for parameter in self._moving:
            parameter.grad = None
        for back in self._back:
            back()
