"""Slots: how many runs are concurrent, and the device and threads of each."""

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
    """Divide the machine into slots, one for each concurrent run.

    Args:
        accelerator: As in `nvn run`; "auto" uses the CUDA devices if there are any.
        jobs: The number of concurrent runs; None for one per device, or per two CPU cores.
        cells: The number of runs.
        devices: The CUDA devices, as CUDA_VISIBLE_DEVICES names them.
        cores: The number of cores available to this process.
        environment: This process's; OMP_NUM_THREADS is kept if it is set there.

    Returns:
        For each slot, the environment variables of its runs.

    Raises:
        ConfigError: If `jobs` is less than one.
        RunError: If CUDA is requested and there is no device.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs {jobs}: expected at least 1")
    if accelerator in ("cuda", "gpu") and not devices:
        raise RunError(f"--accelerator {accelerator}: this machine has no CUDA device")
    on_gpu = bool(devices) and accelerator in _GPU
    default = len(devices) if on_gpu else max(1, cores // _CORES_PER_RUN)
    count = max(1, min(jobs or (1 if accelerator == "mps" else default), cells))
    # Several runs that each take all cores are slower than one after the other.
    shared = {_THREADS: environment.get(_THREADS) or str(max(1, cores // count))}
    if not on_gpu:
        return [shared] * count
    return [{**shared, _VISIBLE: devices[slot % len(devices)]} for slot in range(count)]


def cuda_devices(accelerator: str, environment: Mapping[str, str]) -> list[str]:
    """Return the available CUDA devices, as CUDA_VISIBLE_DEVICES names them."""
    if accelerator not in _GPU:
        return []
    import torch

    count = torch.cuda.device_count()  # asks the driver; allocates nothing on the devices
    named = [name.strip() for name in environment.get(_VISIBLE, "").split(",") if name.strip()]
    return (named or [str(number) for number in range(count)])[:count]


def usable_cores() -> int:
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
