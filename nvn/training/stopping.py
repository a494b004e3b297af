"""Stopping a run early: on a signal, or after a maximum duration."""

from __future__ import annotations

import _thread
import math
import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal, TypeAlias

from nvn.errors import ConfigError

__all__ = ["Reason", "Stop", "deaf", "read_duration", "stop_on_signals"]

Reason: TypeAlias = Literal["interrupted", "preempted", "out of time"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PREEMPTING = ("SIGTERM", "SIGUSR1", "SIGXCPU")  # what schedulers send before they end a job
_PATIENCE = 2.0  # seconds that what hangs is given after a first signal
_BURST = 1.0  # seconds in which further signals are ignored: keys repeat, shells send two


class Stop:
    """Tells the loop, between two steps, whether to stop.

    A first signal only sets a flag, so that no step or file is left half done, except inside
    `at_once`. A second signal interrupts steps and evaluations too; the weights are then saved,
    which no signal interrupts.

    Args:
        seconds: Maximum duration in seconds; None for no limit.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._signaled: Reason | None = None
        self._interruptible = False
        self._saving = False
        self._waiting = False
        self._timer: threading.Timer | None = None
        self._raised_at = -math.inf

    @property
    def reason(self) -> Reason | None:
        """The reason to stop, or None."""
        if self._signaled is not None:
            return self._signaled
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return "out of time"
        return None

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, a first signal raises KeyboardInterrupt at once."""
        if self._signaled:
            raise KeyboardInterrupt
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    @contextmanager
    def soon(self) -> Iterator[None]:
        """Inside, a first signal raises KeyboardInterrupt if this has not ended seconds later.

        For what takes long only if something hangs.
        """
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def save(self) -> None:
        """From now on, signals only set the flag: weights are being saved."""
        self._saving = True

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Inside, signals only set the flag: the state is being saved."""
        before, self._saving = self._saving, True
        try:
            yield
        finally:
            self._saving = before

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: set the flag, and raise KeyboardInterrupt where that is allowed."""
        again = self._signaled is not None
        preempts = signal.Signals(number).name in _PREEMPTING
        self._signaled = self._signaled or ("preempted" if preempts else "interrupted")
        if self._waiting and not again and not self._saving:
            self._timer = threading.Timer(_PATIENCE, _press_ctrl_c)
            self._timer.daemon = True
            self._timer.start()
            return
        if self._saving or not (again or self._interruptible):
            return
        # One KeyboardInterrupt is enough: another would hit the loop where it handles the first.
        if time.monotonic() - self._raised_at > _BURST:
            self._raised_at = time.monotonic()
            raise KeyboardInterrupt


def _press_ctrl_c() -> None:
    """Signal the main thread, so that it wakes where it waits for the system."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """Handle by `stop` SIGINT (Ctrl-C), SIGHUP (closed terminal), and what schedulers send.

    These are SIGTERM, SIGUSR1 and SIGXCPU (the CPU time is used up). The earlier handlers are
    restored afterwards. A SIGHUP that `nohup` ignores stays ignored.
    Python handles signals in its main thread only; in any other, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [signal.SIGINT]
    wanted += [getattr(signal, name) for name in _PREEMPTING if hasattr(signal, name)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        wanted.append(signal.SIGHUP)
    with _handled(wanted, stop.on_signal):
        yield


@contextmanager
def deaf() -> Iterator[None]:
    """Leave the signals that end a run, which reach all its processes, to the one that leads."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGHUP", *_PREEMPTING)
    with _handled([getattr(signal, n) for n in names if hasattr(signal, n)], signal.SIG_IGN):
        yield


@contextmanager
def _handled(numbers: Iterable[signal.Signals], handler: Any) -> Iterator[None]:
    """Handle signals so, and afterwards as before."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def read_duration(text: str, option: str = "--max-time") -> float:
    """Parse a duration, the value of an option, into seconds: "30", "90s", "5m", "1h30m".

    >>> read_duration("1h30m")
    5400.0
    """
    if not re.fullmatch(r"\d+(\.\d+)?|(\d+(\.\d+)?[smhd])+", text):
        raise ConfigError(f"{option} {text}: expected seconds, or e.g. 90s, 5m, 1h30m")
    parts = re.findall(r"([\d.]+)([smhd]?)", text)
    seconds = float(sum(float(number) * _UNITS[unit or "s"] for number, unit in parts))
    if seconds == 0:
        raise ConfigError(f"{option} {text}: expected more than zero")
    return seconds
