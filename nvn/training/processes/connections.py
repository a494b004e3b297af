"""The lines between the leading process and the others: one each.

A line says at once when the process at its other end is gone, whatever ended it; collectives of
some backends wait for that process for minutes.
"""

from __future__ import annotations

import hmac
import os
import pickle
import secrets
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from nvn.errors import RunError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Line", "LostError", "lines_of"]

_LENGTH = struct.Struct("!Q")
_KEY = 32  # bytes that show that whoever connects belongs to this run
_PATIENCE = 120.0  # seconds in which all have to connect
# Seconds after which a machine that is silent is asked, how often, and how many times.
_ASKING = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class LostError(Exception):
    """The process at the other end is gone."""


class Line:
    """A line to another process, on which values are sent.

    Args:
        connected: A socket that is connected to it.
        rank: The number of that process.
    """

    def __init__(self, connected: socket.socket, rank: int) -> None:
        self.rank = rank
        self._socket = connected
        self._incoming = connected.makefile("rb")
        connected.settimeout(None)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # orders are short
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _ASKING.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send(self, value: Any) -> None:
        """Send a value.

        Raises:
            LostError: Nobody is there any more.
        """
        self.send_pickled(pickle.dumps(value))

    def send_pickled(self, value: bytes) -> None:
        """Send a value that is pickled already.

        Raises:
            LostError: Nobody is there any more.
        """
        try:
            self._socket.sendall(_LENGTH.pack(len(value)) + value)
        except OSError:
            raise LostError from None

    def receive(self) -> Any:
        """Return the next value, when there is one.

        Raises:
            LostError: Nobody is there any more.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return pickle.loads(self._read(length))

    def close(self) -> None:
        """Close it; the other end, and whoever waits here for what comes, find it lost."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._incoming.close()
        self._socket.close()

    def _read(self, length: int) -> bytes:
        try:
            found = self._incoming.read(length)
        except (OSError, ValueError):  # ValueError: it was closed here
            raise LostError from None
        if len(found) < length:
            raise LostError
        return found


def lines_of(fabric: Fabric) -> Sequence[Line]:
    """Connect the processes of a Fabric: all of them call this.

    Returns:
        In the first process a line to each of the others, in their order; in these one to it.

    Raises:
        RunError: Some do not come.
    """
    if fabric.world_size == 1:
        return ()
    if fabric.global_rank:
        address: Any = fabric.broadcast(None)
        host, port, key = address
        connected = socket.create_connection((host, port), timeout=_PATIENCE)
        connected.sendall(key)
        line = Line(connected, rank=0)
        line.send(fabric.global_rank)
        return (line,)
    own_key = secrets.token_bytes(_KEY)
    with closing(socket.create_server(("", 0), backlog=fabric.world_size)) as server:
        fabric.broadcast((_own_name(), server.getsockname()[1], own_key))
        server.settimeout(_PATIENCE)
        lines = _accepted(server, own_key)
        try:
            found = [next(lines) for _ in range(fabric.world_size - 1)]
        except TimeoutError:
            raise RunError(
                f"not all {fabric.world_size} processes of this run have connected to the first "
                f"within {_PATIENCE:.0f} s: port {server.getsockname()[1]} of {_own_name()} has to "
                "be reachable from their machines"
            ) from None
    return sorted(found, key=lambda line: line.rank)


def _accepted(server: socket.socket, key: bytes) -> Iterator[Line]:
    """Yield lines to processes that know the key; whoever else connects is not listened to."""
    while True:
        connected, _ = server.accept()
        connected.settimeout(_PATIENCE)
        with suppress(OSError, LostError):
            if hmac.compare_digest(connected.recv(_KEY, socket.MSG_WAITALL), key):
                line = Line(connected, rank=0)
                line.rank = line.receive()
                yield line
                continue
        connected.close()


def _own_name() -> str:
    """Return by what name the others reach this process: that by which torch reaches it."""
    return os.environ.get("MASTER_ADDR") or "127.0.0.1"
