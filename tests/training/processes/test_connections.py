"""The lines between processes: what comes through, and how an end is noticed."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nvn.training.processes import connections
from nvn.training.processes.connections import Line, LostError, lines_of


@pytest.fixture
def pair() -> Iterator[tuple[Line, Line]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    with closing(Line(one, 1)) as here, closing(Line(other, 0)) as there:
        yield here, there


Pair = tuple[Line, Line]


@pytest.mark.parametrize("value", [None, 3, "text", {"a": [1, 2]}, b"x" * 10_000_000])
def test_values_come_through(pair: Pair, value: object) -> None:
    one, other = pair
    sender = threading.Thread(target=one.send, args=[value])  # more than a socket holds
    sender.start()
    assert other.receive() == value
    sender.join()


def test_tensors_are_sent_whole(pair: Pair) -> None:
    """Not as places in a memory that another machine does not share."""
    one, other = pair
    one.send(torch.arange(5))
    one.close()
    assert other.receive().tolist() == [0, 1, 2, 3, 4]


def test_who_is_gone_is_noticed(pair: Pair) -> None:
    one, other = pair
    one.send("last")
    one.close()
    assert other.receive() == "last"
    with pytest.raises(LostError):
        other.receive()
    with pytest.raises(LostError):
        [other.send("x") for _ in range(100)]  # the first may still go into a buffer


def test_a_line_that_is_closed_here_wakes_who_waits(pair: Pair) -> None:
    one, _other = pair
    ends: list[type] = []

    def wait() -> None:
        try:
            one.receive()
        except LostError as error:
            ends.append(type(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    one.close()
    waiting.join(10)
    assert ends == [LostError]


class Together:
    """As much of a Fabric as is needed: what one broadcasts, the others get."""

    def __init__(self, count: int) -> None:
        self.count, self.sent, self.value = count, threading.Event(), None

    def fabric(self, rank: int) -> Any:
        return SimpleNamespace(
            world_size=self.count,
            global_rank=rank,
            broadcast=self.broadcast if rank else self.broadcast_first,
        )

    def broadcast_first(self, value: Any) -> Any:
        self.value = value
        self.sent.set()
        return value

    def broadcast(self, _: object) -> Any:
        assert self.sent.wait(10)
        return self.value


def test_each_has_a_line_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    together, received = Together(4), {}

    def follow(rank: int) -> None:
        (line,) = lines_of(together.fabric(rank))
        with closing(line):
            received[rank] = line.receive()

    others = [threading.Thread(target=follow, args=[rank]) for rank in (3, 1, 2)]
    for other in others:
        other.start()
    lines = lines_of(together.fabric(0))
    assert [line.rank for line in lines] == [1, 2, 3]
    for line in lines:
        with closing(line):
            line.send(f"to {line.rank}")
    for other in others:
        other.join(10)
    assert received == {1: "to 1", 2: "to 2", 3: "to 3"}
    assert lines_of(Together(1).fabric(0)) == ()


def test_a_stranger_is_not_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    together = Together(2)

    def intrude_and_follow() -> None:
        assert together.sent.wait(10)
        assert together.value is not None
        host, port, _ = together.value
        with socket.create_connection((host, port)) as stranger:
            stranger.sendall(b"?" * 32 + b"\x00" * 8)
            with suppress(ConnectionResetError):
                assert stranger.recv(1) == b""  # it is closed
        with closing(lines_of(together.fabric(1))[0]) as line:
            line.send("mine")

    other = threading.Thread(target=intrude_and_follow)
    other.start()
    (line,) = lines_of(together.fabric(0))
    with closing(line):
        assert (line.rank, line.receive()) == (1, "mine")
    other.join(10)


def test_who_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_PATIENCE", 0.1)
    with pytest.raises(
        connections.RunError, match="not all 2 processes of this run have connected"
    ):
        lines_of(Together(2).fabric(0))
