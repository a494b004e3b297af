"""The training loop: read this first.

    recipe → Game → LossGraph → Plan → Engine → records, checkpoints, pictures

`nvn.train` (starting.py) makes a `Loop` of a recipe, and plays it: it steps the engine and calls
hooks (hooks.py). The run folder, the guard against NaN and the progress bars are plugins;
checkpoints are in checkpoints.py, evaluations in evaluating.py, what a run does that diverges in
divergence.py. What a step does is in nvn/engine, what a game means in nvn/game.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nvn.checkpoint.encoding import EncodingError
from nvn.checkpoint.folder import encode_parts
from nvn.engine.engine import Engine
from nvn.errors import IncompleteError, NvnWarning, RunError
from nvn.recipe.build import check_data, make_copies, report_metrics, step_metrics
from nvn.recipe.recipe import MAIN, Phase, Recipe
from nvn.training.checkpoints import Checkpoints, Place
from nvn.training.divergence import Divergence
from nvn.training.evaluating import Evaluations
from nvn.training.finite_guard import FiniteGuard, NotFiniteError
from nvn.training.looks import Kept, Looks
from nvn.training.processes.alike import data_facts
from nvn.training.processes.leading import Lead
from nvn.training.processes.orders import Check, End, Load
from nvn.training.progress import Best
from nvn.training.resume import Earlier
from nvn.training.run import Outcome, Run
from nvn.training.run_folder import RunFolder
from nvn.training.run_state import RunState
from nvn.training.saving import Saving
from nvn.training.stopping import Stop
from nvn.training.traces import summary
from nvn.training.weights import State

__all__ = ["Loop"]


@dataclass
class Loop:
    """A run that is being played.

    Attributes:
        recipe: The recipe.
        engines: An engine for each phase, all sharing one state.
        hook: Calls the hooks of all plugins.
        stop: Tells when to end early.
        seed: The run's seed.
        state: Everything that evolves.
        earlier: The parts of the run that came before.
        guard: Looks that everything is finite.
        folder: The run's folder.
        evaluations: The evaluations and previews.
        checkpoints: Writes the state.
        divergence: What to do when something is not finite.
        saving: When to save, and what to keep.
        lead: Orders what the other processes of the run do, if there are any.
        looks: When to look at who pulls.
        started: When the run began, if it had been going on without a break.
        between_steps: Whether the state can be gone on from.
        saved_at: The place of the newest checkpoint.
        weights: The weights, once they are on the disk.
    """

    recipe: Recipe
    engines: Mapping[str, Engine]
    hook: Any  # pluggy makes the hooks' callers at run time
    stop: Stop
    seed: int
    state: RunState
    earlier: Earlier
    guard: FiniteGuard
    folder: RunFolder
    evaluations: Evaluations
    checkpoints: Checkpoints
    divergence: Divergence
    saving: Saving
    lead: Lead
    looks: Looks
    started: float = field(default_factory=time.monotonic)
    between_steps: bool = False
    saved_at: Place | None = None
    weights: Mapping[str, State] | None = None

    def run(self) -> Run:
        """Train, and save the state and the weights however that ends."""
        self.started -= self.state.progress.seconds
        try:
            try:
                outcome = self._play()
            finally:
                self.stop.save()
        except KeyboardInterrupt:
            outcome = self.stop.reason or "interrupted"
        except BaseException as error:
            with _with_note_on(error):
                self.hook.failed(error=error)
            with _with_note_on(error):
                self._finish("failed", error)
            raise
        return self._finish(outcome)

    def _play(self) -> Outcome:
        self._start()
        while self.stop.reason is None and (phase := self._next_phase()) is not None:
            try:
                self._play_phase(phase)
            except Exception as error:  # (anybody's: NaN may have brought it about)
                # Other processes that are in the middle of a step can do nothing else any more.
                if self.lead.broken or not self.divergence.behind(error):
                    raise
                self.between_steps = False
                explained = self.divergence.explained(phase, error)
                self.hook.diverged(phase=phase, error=explained, policy=self.divergence.policy)
                self._go_back(explained, error)
        # Before anything is measured, drawn or printed.
        self._checkpoint(wait=True)
        self._save_weights(None)
        if self.stop.reason not in ("interrupted", "preempted"):
            self.evaluations.run_due(self.state.game_steps, final=True)
        return self.stop.reason or "finished"

    def _start(self) -> None:
        """Load the data, and go on from where the earlier parts of the run ended."""
        place = self.earlier.place
        self.hook.run_started(
            recipe=self.recipe,
            engines=self.engines,
            seed=self.seed,
            resumed="" if place is None else place.name,
            folder=self.folder.path,
        )
        with self.stop.at_once():
            if place is not None:
                self.lead.order(Load(self.earlier.state, data=True))
                self.state.load_data(self.earlier.state)
            self.lead.order(Check())
            check_data(self.engines, self.state.data, self.recipe.all_phases)
            self.lead.compare(partial(data_facts, self.recipe, self.state.data))
        if place is not None:
            self.state.load_streams(self.earlier.state)
        self._check_saveable()
        self.saved_at, self.between_steps = place, True

    def _check_saveable(self) -> None:
        """Tell now, not at the end, what cannot be saved."""
        try:
            self.divergence.first = encode_parts(self.state.parts())
        except EncodingError as error:
            said = f"this run could not be resumed: {error}"
            if self.saving.on_failure == "stop":
                raise RunError(said) from error
            warnings.warn(f"{said}. No checkpoints are written", NvnWarning, stacklevel=2)
            self.checkpoints.disabled = True

    def _go_back(self, explained: NotFiniteError, error: Exception) -> None:
        if explained.args != error.args:
            explained.__cause__ = error
        self.saved_at = self.divergence.go_back(explained)
        self.lead.order(Load(self.divergence.good or {}, data=False))
        self.between_steps = True

    def _next_phase(self) -> Phase | None:
        return next((p for p in self.recipe.all_phases if not self._is_over(p)), None)

    def _is_over(self, phase: Phase) -> bool:
        ended = phase.name == MAIN and bool(self.state.progress.ended)
        return ended or self.state.train.iterations.get(phase.name, 0) >= phase.steps

    def _play_phase(self, phase: Phase) -> None:
        engine = self.engines[phase.name]
        self.hook.phase_started(phase=phase, engine=engine)
        batches = self.state.data.of(phase)
        watched = step_metrics(self.recipe, engine.plan)
        step = self.state.train.iterations.get(phase.name, 0)
        make_copies(self.recipe, phase, engine)
        if step < phase.steps:  # it begins; or an earlier part ended before it could look
            self._look(phase, step)
        while not self._is_over(phase) and self.stop.reason is None:
            with self.stop.soon():  # a worker may hang
                batches.wait()
            self.between_steps = False
            kept = Kept(batches) if self.looks.due(engine, step + 1) else None
            with self.lead.stepping(phase.name):
                record = engine.step(batches if kept is None else kept)
            self.between_steps = True
            step = record.step
            self.hook.step_done(phase=phase, record=record, engine=engine)
            if kept is not None and (pulls := self.looks.look(engine, kept.first, record)):
                self.hook.pulled(phase=phase, pulls=pulls)
            report_metrics(engine, record, watched)
            if step < phase.steps and self.stop.reason is None:
                keep = self._look(phase, step) or self.checkpoints.wanted(self.state.place)
                if keep or self.checkpoints.due():
                    self._checkpoint(urgent=keep)
        self._checkpoint(wait=True)
        self.hook.phase_finished(phase=phase, step=step, engine=engine)

    def _look(self, phase: Phase, step: int) -> bool:
        """Run what is due, and return whether a metric was best whose best checkpoint is kept."""
        if phase.name != MAIN:
            self.evaluations.draw_due(phase.name, step)
            return False
        reached = self.evaluations.run_due(step)
        early = self.recipe.early_stopping
        if early is not None:
            best = self.state.progress.best.get(str(early.goal), Best())
            if best.waited >= early.patience:
                self.state.progress.ended = f"{early.goal} was best at step {best.step}"
        return bool(reached)

    # --- saving ---

    def _checkpoint(self, *, wait: bool = False, urgent: bool = False) -> None:
        """Save the state, if it is finite: what is on the disk can always be gone on from."""
        place = self.state.place
        if place == self.saved_at:
            self.checkpoints.finish()
            return
        phase = next(p for p in self.recipe.all_phases if p.name == place.phase)
        self.guard.check(phase, self.engines[place.phase])
        best = self.state.progress.best.values()
        names = {Place(MAIN, found.step).name for found in best}
        with self.stop.saving():
            if self.checkpoints.save(place, self._parts, names, wait=wait, urgent=urgent):
                self.saved_at, self.divergence.first = place, None

    def _parts(self) -> Mapping[str, Any]:
        progress = self.state.progress
        progress.written = self.folder.metrics.flush()
        progress.seconds = time.monotonic() - self.started
        return self.state.parts()

    def _save_weights(self, error: BaseException | None) -> None:
        if self.weights is None:
            now = {name: m.state_dict() for name, m in self.engines[MAIN].modules.items()}
            weights = self.guard.good if isinstance(error, NotFiniteError) else now
            with self.stop.saving():
                self.folder.save_weights(weights, self.state.steps)
                self.weights = weights

    def _finish(self, outcome: Outcome, error: BaseException | None = None) -> Run:
        self.stop.save()  # again: a signal may have come just before
        self._save_weights(error)
        told = self._save_last()
        progress = self.state.progress
        assert self.weights is not None
        beside = self._failed_beside()
        if beside is not None and self.evaluations.missing and outcome == "finished":
            outcome = "failed"  # so that it is gone on with, which runs what is missing
        run = Run(
            recipe=self.recipe,
            folder=self.folder.path,
            outcome="failed" if self.folder.lost or told else outcome,
            engine=self.engines[MAIN],
            weights=self.weights,
            steps=self.state.steps,
            metrics=progress.metrics,
            pictures={name: self.folder.path / file for name, file in progress.pictures.items()},
            best={name: dataclasses.asdict(best) for name, best in progress.best.items()},
            seconds=time.monotonic() - self.started,
            error=error or told or beside,
        )
        self.folder.end(run)
        self.lead.end(
            End(run.outcome, run.folder, run.metrics, run.pictures, run.best, run.seconds)
            if error is None
            else End()
        )
        with contextlib.nullcontext() if beside is None else _with_note_on(beside):
            self.hook.run_finished(run=run)
        self.folder.raise_lost()
        if told is not None:
            raise told
        if beside is not None and self.stop.reason not in ("interrupted", "preempted"):
            raise beside from next(iter(self.evaluations.failed.values()), None)
        return run

    def _save_last(self) -> Exception | None:
        """Save the state, and return the error of a plugin that was told of it: the run ends."""
        try:
            try:
                if self.between_steps:
                    with contextlib.suppress(RunError):  # of what is not finite there is none
                        self._checkpoint(wait=True)
            finally:
                self.checkpoints.close()
        except Exception as error:  # noqa: BLE001  (whatever it is: the run is finished first)
            return error
        return None

    def _failed_beside(self) -> IncompleteError | None:
        """Return what says that evaluations or previews failed, or pictures were not written."""
        failed = [f"{what} failed: {summary(e)}" for what, e in self.evaluations.failed.items()]
        missed = [*failed, *self.folder.missed]
        if not missed:
            return None
        then = "; mend what failed, and nvn resume runs it" if self.evaluations.missing else ""
        return IncompleteError("\n".join([*missed, f"the training went on without it{then}"]))


@contextlib.contextmanager
def _with_note_on(error: BaseException) -> Iterator[None]:
    """Add an error raised in here to `error` as a note, instead of hiding it."""
    try:
        yield
    except Exception as second:  # noqa: BLE001  (whatever it is, the first one matters more)
        error.add_note(f"then: {str(second) or type(second).__name__}")
