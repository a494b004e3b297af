"""How many runs go on at once, and what of the machine each of them sees."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from nvn.errors import ConfigError, RunError

__all__ = ["cuda_devices", "make_slots", "usable_cores"]

_CORES_PER_RUN = 2  # by default, on a CPU
_VISIBLE, _THREADS = "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"
_GPU = ("auto", "cuda", "gpu")


def make_slots(
    accelerator: str,
    jobs: int | None,
    cells: int,
    devices: Sequence[str],
    cores: int,
    environment: Mapping[str, str],
) -> list[dict[str, str]]:
    """Divide the machine: one place for each run that goes on at the same time.

    Args:
        accelerator: What was asked for; of "auto", CUDA devices are taken where there are any.
        jobs: How many runs at once; None for one a device, or one for every two cores of a CPU.
        cells: How many runs there are.
        devices: The CUDA devices, as CUDA_VISIBLE_DEVICES names them.
        cores: How many cores this process may use.
        environment: This process's; a number of threads that is set there stays.

    Returns:
        For each place, the environment variables that its runs get.

    Raises:
        ConfigError: If `jobs` is less than one.
        RunError: If CUDA is asked for and there is no device.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs {jobs}: expected at least 1")
    if accelerator in ("cuda", "gpu") and not devices:
        raise RunError(f"--accelerator {accelerator}: this machine has no CUDA device")
    on_gpu = bool(devices) and accelerator in _GPU
    usual = len(devices) if on_gpu else max(1, cores // _CORES_PER_RUN)
    count = max(1, min(jobs or (1 if accelerator == "mps" else usual), cells))
    # Several runs that each take all cores are slower than one after the other.
    shared = {_THREADS: environment.get(_THREADS) or str(max(1, cores // count))}
    if not on_gpu:
        return [shared] * count
    return [{**shared, _VISIBLE: devices[place % len(devices)]} for place in range(count)]


def cuda_devices(accelerator: str, environment: Mapping[str, str]) -> list[str]:
    """Return the CUDA devices that may be used, as CUDA_VISIBLE_DEVICES names them."""
    if accelerator not in _GPU:
        return []
    import torch

    count = torch.cuda.device_count()  # asks the driver, and takes no memory on the devices
    named = [name.strip() for name in environment.get(_VISIBLE, "").split(",") if name.strip()]
    return (named or [str(number) for number in range(count)])[:count]


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
