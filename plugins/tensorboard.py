"""Writes a run for TensorBoard: numbers of steps, evaluations, pictures.

    nvn run RECIPE --plugin tensorboard:every=10
    tensorboard --logdir runs

The game's own numbers are `energies/…`, `objectives/…` and `gradient_norms/…`; those of an earlier
phase have its name in front, and its own steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image
from pydantic import Field

import nvn

__all__ = ["Settings", "TensorBoard", "plugin"]


class Settings(nvn.Config):
    """Settings of the plugin."""

    every: int = Field(10, ge=1, description="Steps between two that are written.")
    folder: str = Field("tensorboard", description="Where to write, in the run's folder.")


class TensorBoard:
    """The plugin that writes for TensorBoard.

    Attributes:
        essential: A run goes on without it.
    """

    essential = False

    def __init__(self, settings: Settings) -> None:
        nvn.packages.needed("tensorboard", "writing for TensorBoard")
        self._settings = settings
        self._writer: Any = None

    @nvn.plugins.hook
    def run_started(self, folder: Path) -> None:
        """Open a file; a run that goes on gets one more in the same place."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / self._settings.folder))

    @nvn.plugins.hook
    def step_done(self, phase: nvn.Phase, record: nvn.Record) -> None:
        """Write a step's numbers; others are not read, which would wait for the device."""
        if record.step % self._settings.every == 0:
            self._write(phase.name, "energies", record.energies, record.step)
            self._write(phase.name, "objectives", record.objectives, record.step)
            self._write(phase.name, "gradient_norms", record.gradient_norms, record.step)

    @nvn.plugins.hook
    def evaluated(self, step: int, name: str, metrics: Mapping[str, float]) -> None:
        """Write an evaluation's numbers."""
        self._write("main", name, metrics, step)

    @nvn.plugins.hook
    def previewed(self, step: int, name: str, image: Image, phase: str) -> None:
        """Write a picture."""
        pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image(_tag(phase, "pictures", name), pixels, step, dataformats="HWC")

    @nvn.plugins.hook
    def run_finished(self) -> None:
        """Write what is still held back."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, phase: str, group: str, numbers: Mapping[str, float], step: int) -> None:
        for name, number in numbers.items():
            self._writer.add_scalar(_tag(phase, group, name), number, step)


def plugin(settings: Settings) -> TensorBoard:
    """Make the plugin."""
    return TensorBoard(settings)


def _tag(phase: str, group: str, name: str) -> str:
    return f"{group}/{name}" if phase == "main" else f"{phase}/{group}/{name}"
