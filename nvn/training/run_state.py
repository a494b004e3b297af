"""Everything of a run that evolves, as one value: what a checkpoint has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nvn.engine.saving import parts_of, state_of
from nvn.engine.state import TrainState
from nvn.recipe.build import PhaseData
from nvn.recipe.recipe import MAIN, Recipe
from nvn.streams import set_streams, streams
from nvn.training.checkpoints import Place
from nvn.training.progress import Progress

__all__ = ["RunState"]


@dataclass
class RunState:
    """Everything of a run that evolves.

    Attributes:
        recipe: The recipe.
        train: What the engines share and change: players, optimizers, counters, records.
        data: How far the data have been read.
        progress: The rest: metrics, best values, what was looked at.

    The global random streams of the process belong to it, too.
    """

    recipe: Recipe
    train: TrainState
    data: PhaseData
    progress: Progress = field(default_factory=Progress)

    @property
    def steps(self) -> dict[str, int]:
        """How many steps each phase has done that has begun."""
        done = self.train.iterations
        return {p.name: done[p.name] for p in self.recipe.all_phases if p.name in done}

    @property
    def place(self) -> Place:
        """The point of the run: the last phase that has begun, and its steps."""
        return Place(*next(reversed(self.steps.items()), (self.recipe.all_phases[0].name, 0)))

    @property
    def game_steps(self) -> int:
        """How many steps of the game itself are done."""
        return self.train.iterations.get(MAIN, 0)

    def parts(self) -> dict[str, Any]:
        """Return all of it, by the parts of a checkpoint. The tensors are the live ones."""
        run = {
            "progress": self.progress.state_dict(),
            "data": self.data.state_dict(),
            "streams": streams(),
        }
        return {**parts_of(self.train.state_dict()), "run": run}

    def load_training(self, parts: Mapping[str, Any]) -> None:
        """Continue from what `parts` returned, but for the data and the streams.

        Raises:
            RunError: It is of other players or optimizers.
        """
        progress = Progress.of_state(parts["run"]["progress"])
        self.train.load_state_dict(state_of(parts))
        self.progress = progress

    def load_data(self, parts: Mapping[str, Any]) -> None:
        """Read the data on from there."""
        self.data.load_state_dict(parts["run"]["data"])

    def load_streams(self, parts: Mapping[str, Any]) -> None:
        """Let the random streams continue from there: last, since reading data may draw."""
        set_streams(parts["run"]["streams"])
