"""metrics.jsonl, which training/metrics_file.py writes, as columns: a row for each step."""

from __future__ import annotations

import json
import warnings
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nvn.errors import NvnWarning, RunError
from nvn.files import disk

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ColumnPath", "Metrics", "read_metrics"]

_NAN = float("nan")
_GAME = "main"  # the phase that evaluations are of
_AT_ONCE = 512  # lines that are parsed together, which takes half the time
_NAMED = 5  # broken lines that a warning names

ColumnPath = tuple[str, ...]  # of a column: its group, then the names within


class _HasFolder(Protocol):
    @property
    def folder(self) -> Path: ...


class Metrics(Mapping[str, "NDArray[Any]"]):
    """A run's metrics: columns of equal length by name, a row for each step that has a number.

    `step` (int64, counting from 1 within a phase) and `phase` say which step a row is. Every other
    column is float64, NaN where the step has no such number, or where it was not finite:

    - `energies/<energy>`, `objectives/<player>`, `gradient_norms/<player>`
    - `pulls/<player>/<energy>/norm`, and `share` and `along` likewise (docs/pulls.md)
    - `evaluations/<evaluation>/<metric>`

    Attributes:
        paths: The parts of each column's name, of all but `step` and `phase`: a name of an energy
            may have a slash itself.

    >>> import numpy as np
    >>> metrics = Metrics(
    ...     {"phase": np.array(["a", "main"]), "step": np.array([1, 1]), "objectives/G": np.ones(2)}
    ... )
    >>> metrics["objectives/G"][metrics["phase"] == "main"].mean()
    np.float64(1.0)
    """

    def __init__(
        self,
        columns: Mapping[str, NDArray[Any]],
        paths: Mapping[str, ColumnPath] | None = None,
    ) -> None:
        self._columns = dict(columns)
        guessed = {n: tuple(n.split("/")) for n in columns if n not in ("phase", "step")}
        self.paths = dict(guessed if paths is None else paths)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def phases(self) -> list[str]:
        """The names of the phases, in the order of time."""
        return [str(name) for name in dict.fromkeys(self["phase"].tolist())]

    def of_phase(self, phase: str) -> Metrics:
        """Return the rows of a phase, without the columns that have no number there at all."""
        rows = self["phase"] == phase
        cut = {name: column[rows] for name, column in self._columns.items()}
        kept = {n: c for n, c in cut.items() if n not in self.paths or (c == c).any()}
        paths = {name: path for name, path in self.paths.items() if name in kept}
        return Metrics(kept, paths)

    def __repr__(self) -> str:
        return f"<Metrics of {len(self['step'])} steps: {', '.join(self._columns)}>"


def read_metrics(run: Path | str | _HasFolder) -> Metrics:
    """Read what a run has recorded, as columns; the run may be going on still.

    Half a line at the end, of a run that is being written or was killed, is left out.

    Args:
        run: A run, its folder, or a file of metrics.

    Raises:
        RunError: There is no such file, or it cannot be read.

    Warns:
        NvnWarning: Lines are not what nvn writes, naming them; they are left out.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as run:
    ...     lines = ['{"phase": "main", "step": 1, "objectives": {"G": 0.5}}', '{"phase": "ma']
    ...     _ = Path(run, "metrics.jsonl").write_text(chr(10).join(lines))
    ...     metrics = read_metrics(run)
    >>> metrics["step"], metrics["objectives/G"]
    (array([1]), array([0.5]))
    """
    path = Path(run) if isinstance(run, str | Path) else run.folder
    path = path / "metrics.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise RunError(
            f"there are no metrics at {path}: expected a run's folder, or its metrics.jsonl"
        )
    table = _Table()
    with disk(path, "read"), path.open("rb") as file:
        wrong = [*_read(file, table)]
    if wrong:
        some = ", ".join(map(str, wrong[:_NAMED])) + (", …" if len(wrong) > _NAMED else "")
        what = "line is" if len(wrong) == 1 else "lines are"
        warnings.warn(
            f"{path}: {len(wrong)} {what} not what nvn writes, and left out: {some}",
            NvnWarning,
            stacklevel=2,
        )
    return table.whole()


# --- helpers --------------------------------------------------------------------------------------


def _read(file: Iterable[bytes], table: _Table) -> Iterator[int]:
    """Add all lines to a table; yield the numbers of those that are not what they should be."""
    number, lines = 0, iter(file)
    while chunk := [*islice(lines, _AT_ONCE)]:
        for line, content in zip(chunk, _parsed(chunk), strict=True):
            number += 1
            # (A line that was only cut off has no end: it is nobody's mistake.)
            if not table.add(content) and line.endswith(b"\n") and line.strip():
                yield number


def _parsed(lines: list[bytes]) -> list[Any]:
    """Parse lines of JSON: None for those that are none."""
    try:
        found: list[Any] = json.loads(b"[%s]" % b",".join(lines))
        # Two broken lines could make a whole one between them.
        if len(found) == len(lines) and all(map(_is_one, lines)):
            return found
    except (ValueError, RecursionError):
        pass
    return [*map(_one, lines)]


def _is_one(line: bytes) -> bool:
    return line.startswith(b"{") and line.endswith(b"}\n")


def _one(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


@dataclass
class _Table:
    """Rows that grow, and columns that may begin late."""

    phases: list[str] = field(default_factory=list)
    steps: array[int] = field(default_factory=lambda: array("q"))
    columns: dict[ColumnPath, array[float]] = field(default_factory=dict)
    known: dict[tuple[Any, ...], list[array[float]]] = field(default_factory=dict)

    def add(self, line: Any) -> bool:
        """Add a line, and return whether it is one that nvn writes."""
        try:
            phase, step = str(line.get("phase", _GAME)), int(line["step"])
            if "evaluation" in line:
                self._add(phase, step, *self._named(_evaluated(line)))
            elif "pulls" in line:
                self._add(phase, step, *self._named(_pulls(line)))
            else:
                self._add(phase, step, *self._recorded(line))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return False
        return True

    def _recorded(self, line: dict[str, Any]) -> tuple[list[array[float]], array[float]]:
        """Return the columns and numbers of a step: most lines are steps, so this is fast."""
        del line["step"]
        line.pop("phase", None)
        values = [x for named in line.values() for x in named.values()]
        numbers = array("d", [_NAN if x is None else x for x in values])
        names = (*line, *map(tuple, line.values()))
        if names not in self.known:
            paths = ((group, name) for group, named in line.items() for name in named)
            self.known[names] = [self._column(path) for path in paths]
        return self.known[names], numbers

    def _named(
        self, numbers: Iterator[tuple[ColumnPath, float]]
    ) -> tuple[list[array[float]], array[float]]:
        found = [*numbers]
        return [self._column(path) for path, _ in found], array("d", [x for _, x in found])

    def _column(self, path: ColumnPath) -> array[float]:
        return self.columns.setdefault(path, array("d"))

    def _add(
        self, phase: str, step: int, columns: list[array[float]], numbers: array[float]
    ) -> None:
        """Add numbers to the last row if it is of the same step, else in a row of their own."""
        rows = len(self.phases)
        if not rows or self.steps[-1] != step or self.phases[-1] != phase:
            self.steps.append(step)  # (first: a number that is too large raises here)
            self.phases.append(phase)
            rows += 1
        for column, number in zip(columns, numbers, strict=True):
            missing = rows - 1 - len(column)
            if missing > 0:
                column.extend([_NAN] * missing)
            if missing >= 0:
                column.append(number)
            else:
                column[rows - 1] = number

    def whole(self) -> Metrics:
        import numpy as np

        rows = len(self.phases)
        columns: dict[str, NDArray[Any]] = {
            "phase": np.array(self.phases, dtype=str),
            "step": np.array(self.steps, dtype=np.int64),
        }
        paths = {"/".join(path): path for path in self.columns}
        for name, path in paths.items():
            columns[name] = np.full(rows, np.nan)
            columns[name][: len(self.columns[path])] = self.columns[path]
        return Metrics(columns, paths)


def _evaluated(line: Mapping[str, Any]) -> Iterator[tuple[ColumnPath, float]]:
    for name, value in line["metrics"].items():
        yield ("evaluations", str(line["evaluation"]), name), _number(value)


def _pulls(line: Mapping[str, Any]) -> Iterator[tuple[ColumnPath, float]]:
    for player, own in line["pulls"].items():
        for energy, pull in own.items():
            for part in ("norm", "share", "along"):
                yield ("pulls", player, energy, part), _number(pull.get(part))


def _number(value: Any) -> float:
    return _NAN if value is None else float(value)  # (None is what was not finite)
