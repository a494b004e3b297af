"""Charts as what the page's script reads: numbers as float32, each array once."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvn.report.charts import Chart, Curve

__all__ = ["packed"]


def packed(charts: Mapping[str, Sequence[Chart]]) -> str:
    """Return charts as JSON that can stand in a page: it has no `<`.

    An array is base64 of little-endian float32; steps at equal distances are three numbers, others
    float64, which is exact.
    """
    arrays = _Arrays()
    flat = [
        {"title": chart.title, "curves": [_curve(curve, arrays) for curve in chart.curves]}
        for own in charts.values()
        for chart in own
    ]
    text = json.dumps({"charts": flat, "arrays": arrays.found}, separators=(",", ":"))
    return text.replace("<", "\\u003c")


class _Arrays:
    """Arrays that are written once, however many curves have them."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self._places: dict[bytes, int] = {}

    def steps(self, x: NDArray[Any]) -> int:
        by = int(x[1] - x[0]) if len(x) > 1 else 1
        if len(x) and (np.diff(x) == by).all():
            return self._place({"first": int(x[0]), "by": by, "count": len(x)})
        return self._place({"f8": _base64(x, "<f8")})

    def numbers(self, y: NDArray[Any] | None) -> int | None:
        if y is None:
            return None
        with np.errstate(over="ignore"):  # what float32 cannot hold is drawn as a gap
            return self._place({"f4": _base64(y, "<f4")})

    def _place(self, array: dict[str, Any]) -> int:
        key = json.dumps(array).encode()
        if key not in self._places:
            self._places[key] = len(self.found)
            self.found.append(array)
        return self._places[key]


def _curve(curve: Curve, arrays: _Arrays) -> dict[str, Any]:
    return {
        "name": curve.name,
        "color": curve.color,
        "single": curve.single,
        "x": arrays.steps(curve.x),
        "y": arrays.numbers(curve.y),
        "low": arrays.numbers(curve.low),
        "high": arrays.numbers(curve.high),
    }


def _base64(array: NDArray[Any], kind: str) -> str:
    return base64.b64encode(array.astype(kind).tobytes()).decode()
