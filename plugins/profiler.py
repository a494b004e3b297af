"""Where a step's time goes: time and bytes of each instruction of the loop that nvn has planned.

    nvn run RECIPE --plugin profiler:after=20,steps=10

It writes `profile.txt`, a table, and `profile.json`, to be opened in chrome://tracing or
ui.perfetto.dev, where each instruction stands above the operations that it consists of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch.profiler import ProfilerActivity, profile, record_function

import nvn

__all__ = ["Profiler", "Row", "Settings", "plugin", "table"]

_MARK = "nvn: "


class Settings(nvn.Config):
    """Settings of the plugin."""

    phase: str = Field("main", description="The phase to look at.")
    after: int = Field(10, ge=0, description="Steps before those that are measured.")
    steps: int = Field(5, ge=1, description="Steps that are measured.")


@dataclass
class Row:
    """What an instruction took, over all steps measured.

    Attributes:
        move: The move that it is part of.
        text: The instruction.
        calls: How often it ran.
        microseconds: Time on the processor.
        device: Time on the accelerator, in microseconds.
        bytes: Bytes that it left allocated; what it freed counts against it.
    """

    move: str
    text: str
    calls: int = 0
    microseconds: float = 0.0
    device: float = 0.0
    bytes: int = 0


@dataclass
class Profiler:
    """The plugin that measures some steps.

    Attributes:
        settings: Which steps.
        rows: What was found, by move and instruction, in the order of the loop.
        essential: A run goes on without it.
    """

    settings: Settings
    rows: dict[str, Row] = field(default_factory=dict)
    essential: bool = False
    _folder: Path = Path()
    _profile: Any = None
    _begun: int = 0

    @nvn.plugins.hook
    def run_started(self, folder: Path) -> None:
        """Remember the folder."""
        self._folder = folder

    @nvn.plugins.hook
    def phase_started(self, phase: nvn.Phase, engine: nvn.Engine) -> None:
        """Begin at once, where that is asked for."""
        self._begun = engine.state.iterations.get(phase.name, 0) + self.settings.after
        if phase.name == self.settings.phase and not self.settings.after:
            self._start(engine)

    @nvn.plugins.hook
    def step_done(self, phase: nvn.Phase, record: nvn.Record, engine: nvn.Engine) -> None:
        """Begin, or end, when the steps have come."""
        if phase.name != self.settings.phase:
            return
        if record.step == self._begun and self._profile is None:
            self._start(engine)
        elif record.step >= self._begun + self.settings.steps:
            self._stop(engine)

    @nvn.plugins.hook
    def phase_finished(self, engine: nvn.Engine) -> None:
        """End what is going on still."""
        self._stop(engine)

    def _start(self, engine: nvn.Engine) -> None:
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        engine.watch_instructions(self._inside)
        self._profile = profile(activities=activities, profile_memory=True)
        self._profile.start()

    def _stop(self, engine: nvn.Engine) -> None:
        if self._profile is None:
            return
        self._profile.stop()
        engine.watch_instructions(None)
        for event in self._profile.events():
            if event.name.startswith(_MARK):
                self._add(event)
        self._profile.export_chrome_trace(str(self._folder / "profile.json"))
        (self._folder / "profile.txt").write_text(table(self.rows.values()), encoding="utf-8")
        self._profile = None

    def _inside(self, text: str, move: nvn.Move) -> AbstractContextManager[object]:
        # The trace is written as JSON whose names are not escaped.
        name = f"{_MARK}{move}: {text}".replace('"', "'").replace("\\", "/")
        self.rows.setdefault(name, Row(str(move), text))
        return record_function(name)

    def _add(self, event: Any) -> None:
        row = self.rows[event.name]
        row.calls += 1
        row.microseconds += event.cpu_time_total
        row.device += event.device_time_total
        row.bytes += event.cpu_memory_usage + event.device_memory_usage


def table(rows: Iterable[Row]) -> str:
    """Return what was found as text: a line an instruction, move by move, with shares of the time.

    Time and bytes are those of one run of the instruction.

    >>> print(table([Row("G", "G_z = G(z)", calls=2, microseconds=3000.0, bytes=4096)]))
    G: 1.5 ms, 100.0 %
            %        ms       KiB  instruction
        100.0     1.500       2.0  G_z = G(z)
    <BLANKLINE>
    """
    moves: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        moves[row.move].append(row)
    total = sum(_milliseconds(row) for part in moves.values() for row in part) or 1.0
    lines = []
    for move, part in moves.items():
        took = sum(map(_milliseconds, part))
        lines.append(f"{move}: {took:.3g} ms, {100 * took / total:.1f} %")
        lines.append(f"    {'%':>5}  {'ms':>8}  {'KiB':>8}  instruction")
        lines += [
            f"    {100 * _milliseconds(row) / total:5.1f}  {_milliseconds(row):8.3f}  "
            f"{row.bytes / max(1, row.calls) / 1024:8.1f}  {row.text}"
            for row in part
        ]
    return "\n".join(lines) + "\n"


def _milliseconds(row: Row) -> float:
    return max(row.microseconds, row.device) / max(1, row.calls) / 1000


def plugin(settings: Settings) -> Profiler:
    """Make the plugin."""
    return Profiler(settings)
