"""Side by side: exact operations and peak memory, and medians of ratios of interleaved timings."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from nvn.engine.costs import Costs, measured

Step = Callable[[], object]


@dataclass(frozen=True)
class Compared:
    """A way of taking a step, beside the first of its table."""

    name: str
    costs: Costs
    time: float  # the median of its time over the first's, taken in turns
    milliseconds: float  # the shortest
    first: float  # milliseconds of the first step, which checks, compiles and allocates


def compare(ways: Mapping[str, Step], rounds: int, repeats: int = 1) -> list[Compared]:
    """Compare ways of taking a step; ratios are to the first.

    Args:
        ways: By name; each has taken no step yet.
        rounds: How often they are timed, in turns.
        repeats: Steps a timing.
    """
    firsts = {name: 1e3 * _timed(step, 1) for name, step in ways.items()}
    for step in ways.values():
        step()
    costs = {name: measured(step) for name, step in ways.items()}
    first, *_ = ways
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, step in ways.items():
            times[name].append(_timed(step, repeats))
    ratios = {
        name: statistics.median(a / b for a, b in zip(found, times[first], strict=True))
        for name, found in times.items()
    }
    return [Compared(n, costs[n], ratios[n], 1e3 * min(times[n]), firsts[n]) for n in ways]


def _timed(step: Step, repeats: int) -> float:
    _wait()
    begun = time.perf_counter()
    for _ in range(repeats):
        step()
    _wait()
    return (time.perf_counter() - begun) / repeats


def _wait() -> None:
    """Wait for a GPU, if there is one, to have done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def table(title: str, rows: list[Compared]) -> str:
    """Return a table in Markdown."""
    first = rows[0]
    lines = [
        f"### {title}",
        "",
        "| | FLOPs | ratio | time | ms (least) | first (ms) | peak |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        flops = row.costs.flops / first.costs.flops
        peak = row.costs.peak / first.costs.peak
        lines.append(
            f"| {row.name} | {row.costs.flops:,} | {flops:.3f} | {row.time:.3f} "
            f"| {row.milliseconds:.2f} | {row.first:.0f} | {peak:.2f} |"
        )
    return "\n".join(lines)
