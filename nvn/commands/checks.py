"""`nvn checks`: the machine, versions, devices, and what is installed."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata, util

from nvn.packages import how_to_install, optional, version

__all__ = ["checks"]

_CORE = ("torch", "lightning-fabric", "numpy", "pillow", "pluggy", "pydantic", "safetensors")


def checks() -> None:
    """Show the machine, versions, devices, what is installed, and how to get what is missing."""
    from rich.table import Table
    from rich.text import Text

    from nvn.console import saying, show

    with saying("loading PyTorch …"):
        lines = [*_machine(), *_devices()]
    table = Table.grid(padding=(0, 3))
    for name, what in [*lines, *_packages(), *_found()]:
        table.add_row(Text(name, style="bold"), Text(what))
    show(table)


def _machine() -> Iterator[tuple[str, str]]:
    yield "nvn", version()
    yield "python", f"{platform.python_version()} in {sys.prefix}"
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield "processor", f"{os.cpu_count()} cores"


def _devices() -> Iterator[tuple[str, str]]:
    import torch

    yield "threads", f"{torch.get_num_threads()} used by torch"
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(number)
        yield f"cuda:{number}", f"{about.name}, {about.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        yield "mps", "an Apple GPU"
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        yield "devices", "the processor alone: torch finds no CUDA device and no Apple GPU"


def _packages() -> Iterator[tuple[str, str]]:
    for name in _CORE:
        yield name, metadata.version(name)
    for module, package in optional().items():
        there = util.find_spec(module) is not None
        yield package, metadata.version(package) if there else f"missing: {how_to_install(module)}"


def _found() -> Iterator[tuple[str, str]]:
    from nvn.recipe.loading import installed_recipes
    from nvn.training.plugin_loading import installed_plugins

    yield "recipes", ", ".join(summary.name for summary in installed_recipes()) or "none"
    yield "plugins", ", ".join(sorted(installed_plugins())) or "none"
