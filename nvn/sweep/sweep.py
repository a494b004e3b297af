"""A sweep, from its request to its tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from nvn.console import progress, show
from nvn.errors import RunError
from nvn.sweep.export import write_request, write_tables
from nvn.sweep.grid import Request, make_grid
from nvn.sweep.locks import exclusive
from nvn.sweep.progress import Board, counted, show_tables, warn_of_changed_code
from nvn.sweep.results import SweepFolder, default_folder
from nvn.sweep.slots import cuda_devices, make_slots, usable_cores
from nvn.sweep.tables import Measured, Table, make_tables, measure, unknown_metrics
from nvn.sweep.workers import Job, run_command, run_jobs, this_program
from nvn.training.fabric import check_supported
from nvn.training.stopping import Stop, stop_on_signals

Ending: TypeAlias = Literal["finished", "interrupted", "preempted"]

__all__ = ["sweep"]


def sweep(
    request: Request,
    *,
    out: Path | None = None,
    metrics: Sequence[str] = (),
    accelerator: str = "auto",
    jobs: int | None = None,
    command: str = "",
) -> Ending:
    """Run a grid, and write its tables; runs that have finished earlier are not run again.

    Args:
        request: The grid.
        out: The sweep's folder; a default that depends on the runs if None.
        metrics: The metrics to tabulate, as `evaluation/metric`; all that the recipes share if
            empty.
        accelerator: As in `nvn run`.
        jobs: The number of concurrent runs; None for a default that depends on the machine.
        command: The command line, for sweep.yaml.

    Raises:
        ConfigError: If the grid is invalid; nothing has then been run.
        RunError: Naming each run that failed, once all others have ended; if another sweep is
            running in the folder; or if the folder is not writable.
    """
    check_supported(accelerator, precision=request.precision)
    grid = make_grid(request)
    devices = cuda_devices(accelerator, os.environ)
    environments = make_slots(
        accelerator, jobs, len(grid.cells), devices, usable_cores(), os.environ
    )
    path = out or default_folder(grid)
    with exclusive(path):
        folder = SweepFolder(path, grid)
        write_request(folder, command)
        return _Sweep(folder, tuple(metrics)).run(accelerator, environments)


@dataclass(frozen=True)
class _Sweep:
    """A sweep that has locked its folder."""

    folder: SweepFolder
    metrics: tuple[str, ...]

    def run(self, accelerator: str, environments: Sequence[dict[str, str]]) -> Ending:
        """Run what has not finished yet, and print the outcome."""
        grid, places, results = self.folder.grid, self.folder.places, self.folder.results()
        warn_of_changed_code(self.folder, results)
        jobs = [
            Job(
                cell,
                place,
                run_command(cell, grid.request, accelerator, place),
                grid.request.max_time,
            )
            for cell, place, result in zip(grid.cells, places, results, strict=True)
            if not result.finished
        ]
        kept = len(grid.cells) - len(jobs)
        earlier = f", {kept} of them finished earlier" if kept else ""
        at_once = f"; {len(environments)} at a time" if len(environments) > 1 else ""
        show(f"{counted(len(grid.cells))}{earlier}{at_once}; in {self.folder.path}")
        stop, failed = Stop(), list[str]()
        if jobs:
            self._run(jobs, environments, stop, failed)
        return self._closed(stop, failed)

    def _run(
        self,
        jobs: Sequence[Job],
        environments: Sequence[dict[str, str]],
        stop: Stop,
        failed: list[str],
    ) -> None:
        with stop_on_signals(stop), progress("runs", len(jobs)) as bar:
            board = Board(bar, self._write)
            with suppress(KeyboardInterrupt):  # a second signal: all runs have been ended at once
                run_jobs(jobs, environments, stop, board, this_program())
            failed += board.failed

    def _closed(self, stop: Stop, failed: Sequence[str]) -> Ending:
        """Print the outcome, and raise if runs failed."""
        measured, tables = self._write()
        show_tables(tables)
        if not tables and len(self.folder.grid.recipes) > 1 and measured.metrics:
            show("the recipes share no metric: choose metrics with --metric")
        done = sum(result.finished for result in measured.results)
        runs = counted(len(measured.results))
        where = f"{done} of {runs} finished; results are in {self.folder.path}"
        if stop.reason in ("interrupted", "preempted"):
            show(f"{stop.reason}: {where}; the same command resumes the sweep")
            return stop.reason
        show(where)
        problems = unknown_metrics(measured, self.metrics)
        if failed:
            problems = [f"{counted(len(failed))} failed:", *failed, *problems]
        if problems:
            raise RunError("\n".join(problems))
        return "finished"

    def _write(self) -> tuple[Measured, list[Table]]:
        """Write the tables of what has finished so far."""
        measured = measure(self.folder.grid, self.folder.results())
        tables = make_tables(measured, self.metrics)
        write_tables(self.folder, measured, tables)
        return measured, tables
