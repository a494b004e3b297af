"""The Fabric of a run: its device and precision, from the options of the command line."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nvn.errors import RunError, did_you_mean

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["ACCELERATORS", "PRECISIONS", "check_supported", "make_fabric"]

ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")

# fp16 needs a gradient scaler of the engine's own, and Fabric turns 16-mixed into bf16-mixed on a
# CPU with only a warning: neither is supported until it is right.
PRECISIONS = ("32-true", "64-true", "bf16-mixed")


def make_fabric(
    accelerator: str = "auto",
    devices: str = "1",
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: str = "32-true",
) -> Fabric:
    """Make a Fabric of one process, on a CPU or on one GPU.

    Raises:
        RunError: If this version of nvn does not support an option, or the machine has no such
            device.
    """
    check_supported(accelerator, devices, num_nodes, strategy, precision)
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
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "LOCAL_RANK" in os.environ:
        # Each of them would train the same alone, and whoever waits would pay for all.
        problems.append(
            f"this is one of {os.environ['WORLD_SIZE']} processes, as torchrun starts them: nvn "
            "trains in one so far; start it without a launcher"
        )
    if devices not in ("1", "auto"):
        problems.append(f"--devices {devices}: only 1 is supported")
    if num_nodes != 1:
        problems.append(f"--num-nodes {num_nodes}: only 1 is supported")
    if strategy != "auto":
        problems.append(f"--strategy {strategy}: only auto is supported")
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
