import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from nvn.errors import ConfigError
from nvn.training import stopping
from nvn.training.stopping import Stop, read_duration, stop_on_signals


def test_a_signal_asks_for_an_end_and_a_second_one_forces_it() -> None:
    stop = Stop()
    with stop_on_signals(stop):
        assert stop.reason is None
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason == "interrupted"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGHUP, "interrupted"),
        *((n, "preempted") for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGXCPU)),
    ],
)
def test_other_signals_ask_for_an_end_too(number: signal.Signals, reason: str) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # the tests may be run under nohup themselves
    try:
        stop = Stop()
        with stop_on_signals(stop):
            os.kill(os.getpid(), number)
        assert stop.reason == reason
    finally:
        signal.signal(number, before)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Stop()
        with stop_on_signals(stop):
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.reason is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_while_saving_signals_are_only_noted() -> None:
    stop = Stop()
    with stop_on_signals(stop):
        stop.save()
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.reason == "interrupted"


def test_a_burst_of_signals_raises_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(stopping, "time", SimpleNamespace(monotonic=lambda: now[0]))
    stop, raised = Stop(), []
    for seconds in (0.0, 0.001, 0.002, 0.5, 2.0):
        now[0] = seconds
        try:
            stop.on_signal(signal.SIGINT, None)
        except KeyboardInterrupt:
            raised.append(seconds)
    assert raised == [0.001, 2.0]


def test_where_it_does_no_harm_a_signal_ends_things_at_once() -> None:
    stop = Stop()
    with stop_on_signals(stop), pytest.raises(KeyboardInterrupt), stop.at_once():
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.reason == "interrupted"


def test_nothing_harmless_is_begun_after_a_signal() -> None:
    stop = Stop()
    with stop_on_signals(stop):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), stop.at_once():
            pytest.fail("begun")


def test_signals_do_afterwards_what_they_did_before() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with stop_on_signals(Stop()):
        pass
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    done = []

    def work() -> None:
        with stop_on_signals(Stop()):
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


def test_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(stopping, "time", SimpleNamespace(monotonic=lambda: now[0]))
    stop = Stop(60)
    now[0] = 159.9
    assert stop.reason is None
    now[0] = 160.0
    assert stop.reason == "out of time"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("0.5", 0.5),
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1d", 86400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5x", "m5", "-3", "0", "1h 30m", "nan"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="--max-time"):
        read_duration(text)


def test_what_hangs_is_interrupted_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_PATIENCE", 0.05)
    stop = Stop()

    def hang() -> None:
        with stop.soon():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    with stop_on_signals(stop), pytest.raises(KeyboardInterrupt):
        hang()
    assert stop.reason == "preempted"


def test_what_ends_by_itself_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_PATIENCE", 0.05)
    stop = Stop()
    with stop_on_signals(stop):
        with stop.soon():
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
    assert stop.reason == "interrupted"
