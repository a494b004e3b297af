"""Where a run computes, and how precisely: a Fabric, made from what the command line says."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nvn.errors import RunError, did_you_mean

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["ACCELERATORS", "PRECISIONS", "check_offered", "make_fabric"]

ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")

# fp16 needs a gradient scaler of the engine's own, and Fabric turns 16-mixed into bf16-mixed on a
# CPU without more than a warning: neither is offered before it is right.
PRECISIONS = ("32-true", "64-true", "bf16-mixed")


def make_fabric(
    accelerator: str = "auto",
    devices: str = "1",
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: str = "32-true",
) -> Fabric:
    """Make the Fabric that places, casts and reduces; one process on a CPU or on one GPU.

    Raises:
        RunError: Naming what this version of nvn does not offer, or this machine does not have.
    """
    check_offered(accelerator, devices, num_nodes, strategy, precision)
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        with _without_hints():
            fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)  # type: ignore[arg-type]
            fabric.launch()
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise RunError(f"--accelerator {accelerator}: {error}") from error
    return fabric


@contextmanager
def _without_hints() -> Iterator[None]:
    """Keep Fabric from saying what was asked for, such as "Using bfloat16 …".

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


def check_offered(
    accelerator: str = "auto",
    devices: str = "1",
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: str = "32-true",
) -> None:
    """Check what was asked for against what nvn offers, without looking at the machine.

    Raises:
        RunError: Naming everything that this version of nvn does not offer.
    """
    problems = []
    if devices not in ("1", "auto"):
        problems.append(f"--devices {devices}: nvn trains on one device so far; use 1")
    if num_nodes != 1:
        problems.append(f"--num-nodes {num_nodes}: nvn trains on one machine so far; use 1")
    if strategy != "auto":
        problems.append(f"--strategy {strategy}: one process needs no strategy; leave it at auto")
    for flag, value, offered in (
        ("--accelerator", accelerator, ACCELERATORS),
        ("--precision", precision, PRECISIONS),
    ):
        if value not in offered:
            hint = did_you_mean(value, offered)
            problems.append(f"{flag} {value}: not offered.{hint} Offered: {', '.join(offered)}")
    if problems:
        raise RunError("\n".join(problems))
