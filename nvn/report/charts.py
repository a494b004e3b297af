"""Metrics as charts: which curves stand beside one another, and how many points are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvn.metrics import ColumnPath, Metrics
from nvn.report.comparing import shared_label

__all__ = ["Chart", "Curve", "charts_of", "charts_of_several", "thinned"]

Numbers = NDArray[Any]

EVALUATIONS, TRAINING, PULLS = "Evaluations", "Training", "Who pulls"
_GROUPS = {  # of columns → of charts, in the order in which they are shown
    "evaluations": EVALUATIONS,
    "objectives": "Objectives",
    "energies": "Energies",
    "gradient_norms": "Gradient norms",
    "pulls": PULLS,
}
_PARTS = {
    "share": "Pulls at {}: share",
    "norm": "Pulls at {}: norm",
    "along": "Pulls at {}: cosine with the whole gradient",
}
_POINTS = 2_000_000  # numbers on a page, which make 11 MB of it
_MOST = 100_000  # points of a curve


@dataclass(frozen=True)
class Curve:
    """A curve.

    Attributes:
        name: What it is of.
        x: The steps.
        y: The numbers, NaN where one was not finite.
        color: The number of its color.
        low: The lower edge of a band around it.
        high: The upper edge.
        single: Whether it is one run of several whose mean is shown, too.
    """

    name: str
    x: Numbers
    y: Numbers
    color: int
    low: Numbers | None = None
    high: Numbers | None = None
    single: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        group: The heading that it stands under.
        title: What it shows.
        curves: Its curves.
        drawn: What is to be said of points that are left out; "" if none are.
    """

    group: str
    title: str
    curves: Sequence[Curve]
    drawn: str = ""


def charts_of(metrics: Metrics) -> dict[str, list[Chart]]:
    """Return the charts of a run, by phase."""
    return {phase: [*_charts(metrics.of_phase(phase))] for phase in metrics.phases}


def charts_of_several(
    labels: Sequence[str], groups: Sequence[Sequence[int]], runs: Sequence[Metrics]
) -> dict[str, list[Chart]]:
    """Return the charts of several runs, by phase: a chart for each number, a color for each group.

    Args:
        labels: The name of each run.
        groups: The runs that differ in their seed alone, by their places.
        runs: What each run has recorded.
    """
    phases = dict.fromkeys(phase for metrics in runs for phase in metrics.phases)
    found: dict[str, list[Chart]] = {}
    for phase in phases:
        cut = [metrics.of_phase(phase) for metrics in runs]
        paths = {path: name for metrics in cut for name, path in metrics.paths.items()}
        charts = [
            Chart(_GROUPS.get(path[0], path[0]), _title(path), [*_beside(labels, groups, cut, n)])
            for path, n in paths.items()
        ]
        order = [*_GROUPS.values()]
        found[phase] = sorted(charts, key=lambda c: order.index(c.group) if c.group in order else 9)
    return found


def thinned(charts: Mapping[str, Sequence[Chart]]) -> dict[str, list[Chart]]:
    """Return charts of as many points as a page can have; peaks and dips are kept."""
    count = sum(len(chart.curves) for own in charts.values() for chart in own)
    most = max(200, min(_MOST, _POINTS // max(count, 1)))
    return {phase: [_thinned(chart, most) for chart in own] for phase, own in charts.items()}


# --- one run --------------------------------------------------------------------------------------


def _charts(metrics: Metrics) -> Iterator[Chart]:
    by_group: dict[str, list[str]] = {}
    for name, path in metrics.paths.items():
        by_group.setdefault(path[0], []).append(name)
    for name in by_group.get("evaluations", ()):
        _, evaluation, metric = metrics.paths[name]
        if np.isfinite(metrics[name]).sum() < 2:  # the table of results has it
            continue
        yield Chart(EVALUATIONS, f"{evaluation}: {metric}", _curves(metrics, {name: metric}))
    for group in ("objectives", "energies", "gradient_norms"):
        names = {name: metrics.paths[name][1] for name in by_group.get(group, ())}
        if names:
            yield Chart(TRAINING, _GROUPS[group], _curves(metrics, names))
    players = dict.fromkeys(metrics.paths[name][1] for name in by_group.get("pulls", ()))
    for player in players:
        for part, said in _PARTS.items():
            names = {
                name: metrics.paths[name][2]
                for name in by_group["pulls"]
                if metrics.paths[name][1] == player and metrics.paths[name][3] == part
            }
            if names and (part == "norm" or len(names) > 1):  # a single pull has all of the share
                yield Chart(PULLS, said.format(player), _curves(metrics, names))


def _curves(metrics: Metrics, names: Mapping[str, str]) -> list[Curve]:
    """Return curves over the steps at which any of them has a number."""
    rows = np.zeros(len(metrics["step"]), dtype=bool)
    for name in names:
        rows |= ~np.isnan(metrics[name])
    x = metrics["step"][rows]
    return [
        Curve(label, x, metrics[name][rows], number)
        for number, (name, label) in enumerate(names.items())
    ]


# --- several runs ---------------------------------------------------------------------------------


def _title(path: ColumnPath) -> str:
    if path[0] == "evaluations":
        return f"{path[1]}: {path[2]}"
    if path[0] == "pulls":
        return f"{path[2]} at {path[1]}: {'cosine' if path[3] == 'along' else path[3]}"
    return path[1]


def _beside(
    labels: Sequence[str], groups: Sequence[Sequence[int]], runs: Sequence[Metrics], name: str
) -> Iterator[Curve]:
    for color, group in enumerate(groups):
        own = [(i, *_known(runs[i], name)) for i in group if name in runs[i]]
        if len(own) > 1:
            yield _mean(shared_label([labels[i] for i, *_ in own]), color, own)
        for i, x, y in own:
            yield Curve(labels[i], x, y, color, single=len(own) > 1)


def _known(metrics: Metrics, name: str) -> tuple[Numbers, Numbers]:
    rows = ~np.isnan(metrics[name])
    return metrics["step"][rows], metrics[name][rows]


def _mean(label: str, color: int, runs: Sequence[tuple[int, Numbers, Numbers]]) -> Curve:
    """Return the mean over runs, within one standard deviation, at the steps that all have."""
    shared = runs[0][1]
    for _, x, _ in runs[1:]:
        shared = np.intersect1d(shared, x)
    # (A step may be there twice, such as where an evaluation ran again: the last one counts.)
    rows = [y[np.searchsorted(x, shared, side="right") - 1] for _, x, y in runs]
    y = np.stack(rows)
    mean = y.mean(axis=0)
    deviation = y.std(axis=0, ddof=1)
    said = ", ".join([*([label] if label else []), f"mean ± sd of {len(runs)}"])
    return Curve(said, shared, mean, color, mean - deviation, mean + deviation)


# --- how many points ------------------------------------------------------------------------------


def _thinned(chart: Chart, most: int) -> Chart:
    longest = max((len(curve.x) for curve in chart.curves), default=0)
    if longest <= most:
        return chart
    every = -(-2 * longest // most)  # of so many steps, two are drawn
    curves = [_thin(curve, every) for curve in chart.curves]
    said = f"of every {every} of the {longest} steps, the lowest and the highest number"
    return replace(chart, curves=curves, drawn=said)


def _thin(curve: Curve, every: int) -> Curve:
    """Draw the lowest and the highest number of every so many, in their order."""
    whole = len(curve.x) // every * every
    if not whole:
        return curve
    blocks = curve.y[:whole].reshape(-1, every)
    # A block without any number is drawn as that, so it is a gap.
    low = np.where(np.isnan(blocks), np.inf, blocks).argmin(axis=1)
    high = np.where(np.isnan(blocks), -np.inf, blocks).argmax(axis=1)
    first = np.arange(0, whole, every)
    ends = np.stack([first + np.minimum(low, high), first + np.maximum(low, high)], axis=1)
    rows = np.concatenate([ends.ravel(), np.arange(whole, len(curve.x))])
    # The steps are those of the block's first and middle one, so that all curves share them.
    x = np.stack([curve.x[first], curve.x[first + every // 2]], axis=1).ravel()
    x = np.concatenate([x, curve.x[whole:]])
    edges = (None if edge is None else edge[rows] for edge in (curve.low, curve.high))
    low_edge, high_edge = edges
    return replace(curve, x=x, y=curve.y[rows], low=low_edge, high=high_edge)
