"""The Fabric of a run: its device and precision, from the options of the command line."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING

from nvn.errors import RunError, did_you_mean
from nvn.training.processes.launching import World, refuse_copies, start_others, world_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = [
    "ACCELERATORS",
    "PRECISIONS",
    "STRATEGIES",
    "check_supported",
    "launched",
    "make_fabric",
]

ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")

# fp16 needs a gradient scaler of the engine's own, and Fabric turns 16-mixed into bf16-mixed on a
# CPU with only a warning: neither is supported until it is right.
PRECISIONS = ("32-true", "64-true", "bf16-mixed")

_FEW = 8  # processes, which any machine may try

# Players are placed whole on every device, and their gradients averaged (nvn/engine/processes.py).
STRATEGIES = ("auto", "ddp")
_WHOLE = ", since nvn places every player whole on each device"
_NO_STRATEGY = MappingProxyType({"fsdp": _WHOLE, "model_parallel": _WHOLE, "deepspeed": _WHOLE})


def make_fabric(accelerator: str = "auto", precision: str = "32-true") -> Fabric:
    """Make a Fabric of one process, on a CPU or on one GPU.

    Raises:
        RunError: nvn does not support an option, the machine has no such device, or this is one of
            several processes, each of which would do the same.
    """
    check_supported(accelerator, precision=precision)
    refuse_copies()
    count = os.environ.get("WORLD_SIZE", "1")
    if count != "1" and "LOCAL_RANK" in os.environ:
        raise RunError(
            f"this is one of {count} processes, as torchrun starts them, and each of them would do "
            "the same: start it without a launcher"
        )
    return _fabric(World(), accelerator, precision)


@contextmanager
def launched(
    accelerator: str = "auto",
    devices: str = "1",
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: str = "32-true",
) -> Iterator[Fabric]:
    """Make a Fabric for training: of one process, or of one for each device.

    Several processes are those that a launcher has started (torchrun); otherwise they are started
    here, and follow this one. Afterwards they are not connected any more.

    Raises:
        RunError: nvn does not support an option, the machine has no such devices, or a launcher has
            started others than were asked for.
    """
    check_supported(accelerator, devices, num_nodes, strategy, precision)
    world = world_of(devices, num_nodes, _available(accelerator))
    _check_available(accelerator, world.local)
    options = {
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": num_nodes,
        "strategy": strategy,
        "precision": precision,
    }
    several = world.count > 1
    with start_others(world, options) if several and not world.started else nullcontext():
        fabric = _fabric(world, accelerator, precision)
    try:
        yield fabric
    finally:
        if several:
            import torch.distributed

            torch.distributed.destroy_process_group()


def _fabric(world: World, accelerator: str, precision: str) -> Fabric:
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    several = {"num_nodes": world.nodes, "strategy": "ddp"} if world.count > 1 else {}
    try:
        with _without_hints():
            fabric = Fabric(
                accelerator=accelerator,
                devices=world.local,
                precision=precision,  # type: ignore[arg-type]
                **several,  # type: ignore[arg-type]
            )
            fabric.launch()
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise RunError(f"--accelerator {accelerator}: {error}") from error
    return fabric


def _available(accelerator: str) -> int:
    """Return how many devices of a kind this machine has, of a CPU one."""
    return max(1, _gpus()) if accelerator in ("auto", "cuda", "gpu") else 1


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _check_available(accelerator: str, wanted: int) -> None:
    """Refuse more processes than the machine has devices for, before they are started."""
    gpus = _gpus() if accelerator in ("auto", "cuda", "gpu") else 0
    if gpus or accelerator in ("cuda", "gpu"):
        most, told = max(1, gpus), f"this machine has {gpus} GPUs"
    else:
        most = max(_FEW, os.cpu_count() or 1)
        told = f"this machine has {os.cpu_count()} cores; expected {most} processes at most"
    if wanted > most:
        raise RunError(f"--devices {wanted}: {told}")


@contextmanager
def _without_hints() -> Iterator[None]:
    """Silence what Fabric logs about its options, such as "Using bfloat16 …".

    Nor does it warn that `srun` is on the PATH, as on every login node of a Slurm cluster: a run
    on one device needs no launcher.
    """
    from lightning_fabric.utilities.warnings import PossibleUserWarning

    log = logging.getLogger("lightning_fabric")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The `srun` command is", PossibleUserWarning)
            yield
    finally:
        log.setLevel(before)


def check_supported(
    accelerator: str = "auto",
    devices: str = "1",
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: str = "32-true",
) -> None:
    """Check the options, without looking at the machine.

    Raises:
        RunError: Naming every option that this version of nvn does not support.
    """
    problems = []
    if devices != "auto" and not (devices.isdecimal() and int(devices) > 0):
        problems.append(f"--devices {devices}: expected how many, or auto")
    if num_nodes < 1:
        problems.append(f"--num-nodes {num_nodes}: expected at least 1")
    if strategy not in STRATEGIES:
        why = _NO_STRATEGY.get(strategy, "")
        hint = did_you_mean(strategy, STRATEGIES)
        problems.append(
            f"--strategy {strategy}: not supported{why}.{hint} Supported: {', '.join(STRATEGIES)}"
        )
    if accelerator == "mps" and (devices not in ("1", "auto") or num_nodes > 1):
        problems.append("--accelerator mps: has one device, and cannot play along with others")
    for flag, value, supported in (
        ("--accelerator", accelerator, ACCELERATORS),
        ("--precision", precision, PRECISIONS),
    ):
        if value not in supported:
            hint = did_you_mean(value, supported)
            problems.append(
                f"{flag} {value}: not supported.{hint} Supported: {', '.join(supported)}"
            )
    if problems:
        raise RunError("\n".join(problems))
