"""Random streams: what is drawn depends on what it is drawn for, never on the order of things.

A draw is keyed by the run's seed, by what is drawn (a name, or how a value is computed), and by the
counters that tell one draw of it from the next: batches, draws, steps of the players behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress

import torch
from torch import Tensor

from nvn.errors import RunError


class Streams:
    """The global random streams, which modules draw from: saved, started anew, restored.

    Args:
        devices: Where modules are; the CPU's stream always belongs to them.
    """

    def __init__(self, devices: Iterable[torch.device]) -> None:
        cuda = [device.index or 0 for device in devices if device.type == "cuda"]
        self._streams = [torch.default_generator]
        self._streams += [torch.cuda.default_generators[index] for index in cuda]
        self._states: list[Tensor] = []

    def start(self, seed: int) -> None:
        """Let what is drawn from now on depend on `seed` alone."""
        for stream in self._streams:
            stream.manual_seed(seed)

    def save(self) -> None:
        """Note how far the streams have come."""
        self._states = [stream.get_state() for stream in self._streams]

    def restore(self) -> None:
        """Let them continue from there; as they do, if nothing was noted."""
        for stream, state in zip(self._streams, self._states, strict=bool(self._states)):
            stream.set_state(state)


# The global streams are the process's, not an engine's: while one thread has started them anew,
# another would draw from them, or start them too, and neither would be what its seed says.
_HELD = threading.RLock()


class HeldStreams(Streams):
    """The global random streams, which from saving to restoring are one thread's alone.

    Args:
        devices: Where modules are.
    """

    def __init__(self, devices: Iterable[torch.device]) -> None:
        super().__init__(devices)
        self._holds = False

    def save(self) -> None:
        """Note how far the streams have come.

        Raises:
            RunError: Another thread has saved them, and not restored them yet.
        """
        if not self._holds:
            self._holds = True  # before it is so: what is interrupted in between is released
            if not _HELD.acquire(blocking=False):
                self._holds = False
                raise RunError(
                    "another engine is computing in another thread, and both draw from the random "
                    "streams of the process: expected one engine at a time; use processes"
                )
        super().save()

    def restore(self) -> None:
        """Let them continue from there."""
        super().restore()
        self._states = []
        if self._holds:
            with suppress(RuntimeError):  # it was interrupted, and is not held
                _HELD.release()
            self._holds = False


class seeded:
    """Runs with the global random streams started from a seed; they continue as before after."""

    def __init__(self, seed: int, *devices: torch.device) -> None:
        self._seed = seed
        self._streams = Streams(devices)

    def __enter__(self) -> None:
        self._streams.save()
        self._streams.start(self._seed)

    def __exit__(self, *_: object) -> None:
        self._streams.restore()


class Generators:
    """Generators of our own, one a device, for noise and samples."""

    def __init__(self) -> None:
        self._generators: dict[torch.device, torch.Generator] = {}

    def at(self, device: torch.device, seed: int) -> torch.Generator:
        """Return the generator of a device, started from `seed`."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device)
        return self._generators[device].manual_seed(seed)
