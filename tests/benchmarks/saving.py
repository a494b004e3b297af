"""What saving costs a run: `python -m tests.benchmarks.saving`, two minutes.

The recipe expression_2v2 is trained for a minute as usual. Of its checkpoints, the time is added
up that the loop waited for copying, and that the thread took for writing beside it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nvn_recipes import expression_2v2

import nvn
from nvn.training import checkpoints

SECONDS = 60.0


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """Return a function that notes how long each of its calls took."""

    def wrapper(*args: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*args, **options)
        finally:
            spent.append(time.perf_counter() - begun)

    return wrapper


def main() -> None:
    """Train, and print what saving took."""
    copying: list[float] = []
    writing: list[float] = []
    checkpoints.encode_parts = timed(checkpoints.encode_parts, copying)  # type: ignore[attr-defined]
    checkpoints.write = timed(checkpoints.write, writing)  # type: ignore[attr-defined]
    with TemporaryDirectory() as folder:
        out = Path(folder, "run")
        config = expression_2v2.Config()
        run = nvn.train(lambda: expression_2v2.recipe(config), out=out, max_time=SECONDS)
        place = max((out / "checkpoints").glob("*-*"), key=lambda path: path.stat().st_mtime)
        size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    print("| checkpoints | bytes each | copying, the loop waits (ms) | writing, beside it (ms) |")
    print("|---|---|---|---|")
    each = [1000 * sum(spent) / len(spent) for spent in (copying, writing)]
    print(f"| {len(writing)} | {size:,} | {each[0]:.0f} | {each[1]:.0f} |")
    print()
    share = sum(copying) / run.seconds, (sum(copying) + sum(writing)) / run.seconds
    print(f"Of {run.seconds:.0f} s: {100 * share[0]:.2f} % waiting, {100 * share[1]:.2f} % in all.")


if __name__ == "__main__":
    main()
