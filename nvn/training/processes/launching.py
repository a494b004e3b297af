"""Who is one of several processes, and starting the others on this machine.

Fabric's own launcher ends the leading process by SIGKILL once another one has failed, before it
could save anything or say why: so the others are started here, as Fabric expects it of launchers.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from nvn.errors import RunError
from nvn.training.processes.ending import end_at_once

__all__ = ["World", "follows", "refuse_copies", "start_others", "started", "world_of"]

FOLLOWER = "nvn.training.processes.follower"


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Attributes:
        local: How many there are on this machine: one for each device.
        nodes: How many machines there are.
        started: Whether somebody else has started them, as torchrun does.
    """

    local: int = 1
    nodes: int = 1
    started: bool = False

    @property
    def count(self) -> int:
        """How many there are."""
        return self.local * self.nodes


def started(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher has started this process, as one of several."""
    return int(environ.get("WORLD_SIZE", "1")) > 1


def follows(nodes: int = 1, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process was started as one that follows another.

    Args:
        nodes: How many machines were asked for.
        environ: The environment, where a launcher says what it has started.
    """
    names = ("RANK", "LOCAL_RANK", "NODE_RANK") if "WORLD_SIZE" in environ else ()
    if nodes > 1:
        names = (*names, "NODE_RANK")
    return any(environ.get(name, "0") not in ("", "0") for name in names)


def world_of(
    devices: str, nodes: int, available: int, environ: Mapping[str, str] = os.environ
) -> World:
    """Return the processes that a run is to have.

    Args:
        devices: How many devices of a machine to use: a number, or "auto".
        nodes: How many machines.
        available: How many devices this machine has.
        environ: The environment, where a launcher says what it has started.

    Raises:
        RunError: The launcher has started others than were asked for, or a machine is not told
            where the first one is.
    """
    if started(environ):
        if "LOCAL_RANK" not in environ:
            raise RunError(
                f"WORLD_SIZE = {environ['WORLD_SIZE']} says that this is one of several processes, "
                "but no LOCAL_RANK which of this machine: start them by torchrun"
            )
        return _started(devices, nodes, environ)
    refuse_copies(environ)
    local = available if devices == "auto" else int(devices)
    if nodes > 1:
        needed = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
        missing = [name for name in needed if not environ.get(name)]
        if missing:
            raise RunError(
                f"--num-nodes {nodes}: {', '.join(missing)} not set. Start the command on every "
                "machine by torchrun; or with MASTER_ADDR and MASTER_PORT, where the first one is "
                f"reached, and NODE_RANK, from 0 to {nodes - 1}"
            )
    return World(local, nodes)


def refuse_copies(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse to be one of several tasks of Slurm's that know nothing of one another.

    Raises:
        RunError: `srun` has started several, each of which would do the same.
    """
    count = environ.get("SLURM_STEP_NUM_TASKS", "1")
    if count != "1" and "WORLD_SIZE" not in environ:
        raise RunError(
            f"srun has started {count} tasks of this command, and each of them would do the same: "
            "start torchrun by srun, a task on each machine (srun --ntasks-per-node 1 torchrun …)"
        )


def _started(devices: str, nodes: int, environ: Mapping[str, str]) -> World:
    count = int(environ["WORLD_SIZE"])
    local = int(environ.get("LOCAL_WORLD_SIZE", "0")) or count // nodes
    if not local or count % local:
        raise RunError(
            f"a launcher has started {count} processes, {local} of them on this machine; expected "
            "the same number on each"
        )
    world = World(local, count // local, started=True)
    if devices not in ("auto", "1", str(local)):
        raise RunError(
            f"--devices {devices}: a launcher has started {local} processes on this machine; leave "
            "--devices out, or start as many"
        )
    if nodes not in (1, world.nodes):
        raise RunError(
            f"--num-nodes {nodes}: a launcher has started processes on {world.nodes} machines; "
            "leave --num-nodes out"
        )
    return world


@contextmanager
def start_others(world: World, options: Mapping[str, object]) -> Iterator[None]:
    """Start the other processes of this machine, which follow; they have joined at the end of it.

    If one ends before that, so does this process, with an error.

    Args:
        world: The processes of the run.
        options: The arguments of the Fabric that they make.
    """
    environ = {**os.environ, **_environment(world)}
    others = [
        subprocess.Popen(
            [sys.executable, "-m", FOLLOWER, json.dumps(options)],
            env={**environ, "LOCAL_RANK": str(rank)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is this process's to handle
        )
        for rank in range(1, world.local)
    ]
    joined = threading.Event()
    for other in others:
        watch = _ending_with(other, joined)
        threading.Thread(target=watch, daemon=True, name="started process").start()
    before = dict(os.environ)
    os.environ.update({**environ, "LOCAL_RANK": "0"})  # where Fabric looks for them
    try:
        yield
    except BaseException:
        for other in others:
            other.kill()
        raise
    finally:
        joined.set()
        os.environ.clear()
        os.environ.update(before)


def _environment(world: World) -> dict[str, str]:
    """Return what tells Fabric that the processes are there already."""
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "NODE_RANK": "0"}
    environ = {name: os.environ.get(name, value) for name, value in here.items()}
    cores = max(1, (os.cpu_count() or 1) // world.local)
    return {
        **(here if world.nodes == 1 else environ),
        "WORLD_SIZE": str(world.count),
        "LOCAL_WORLD_SIZE": str(world.local),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(cores)),
    }


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _ending_with(other: subprocess.Popen[bytes], joined: threading.Event) -> Callable[[], None]:
    def watch() -> None:
        code = other.wait()
        if not joined.is_set():  # torch would go on waiting for it, for half an hour
            end_at_once(f"a process of this run ended at its start, with code {code}")

    return watch
