"""The plugin that shows a run on a page of one's own browser (`nvn run --watch`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nvn.console import show
from nvn.console.page import Page
from nvn.training.hooks import hook
from nvn.training.live import Live

if TYPE_CHECKING:
    from nvn.engine.engine import Engine
    from nvn.pulls import Pulls
    from nvn.recipe.recipe import Phase, Recipe
    from nvn.records import Record

__all__ = ["Watch"]


class Watch:
    """The plugin that shows the board, the latest pictures and evaluations on a page.

    Raises:
        RunError: No page can be served here.
    """

    def __init__(self) -> None:
        self._page = Page()
        self._live: Live | None = None
        self._phases: Sequence[Phase] = ()

    @hook
    def run_started(self, recipe: Recipe, folder: Path) -> None:
        """Say where the page is."""
        self._phases = recipe.all_phases
        self._page.begin(f"{recipe.name}: {folder}")
        show(f"to watch it: {self._page.address}")

    @hook
    def phase_started(self, phase: Phase, engine: Engine) -> None:
        """Show a phase, in place of the one before."""
        done = engine.state.iterations.get(phase.name, 0)
        self._live = Live(self._page, phase, self._phases, engine, done)

    @hook
    def step_done(self, record: Record, engine: Engine) -> None:
        """Show a step, if it is time to."""
        assert self._live is not None
        self._live.step(record, engine)

    @hook
    def pulled(self, pulls: Pulls) -> None:
        """Show who pulls from now on."""
        assert self._live is not None
        self._live.pulls = pulls

    @hook
    def evaluated(self, step: int, name: str, metrics: Mapping[str, float]) -> None:
        """Show the metrics."""
        numbers = ", ".join(f"{metric} {value:.4g}" for metric, value in metrics.items())
        self._page.say(f"step {step}: {name}: {numbers}")

    @hook
    def previewed(self, step: int, name: str, phase: str, path: Path) -> None:
        """Show the picture, in place of the one before of that name."""
        self._page.picture(name, f"{name}: {phase}, step {step}", path)

    def close(self) -> None:
        """Serve no longer, however the run ended."""
        self._page.stop()
