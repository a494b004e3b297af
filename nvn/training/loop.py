"""The training loop: read this first.

    recipe → Game → LossGraph → Plan → Engine → records, checkpoints, pictures

`train` takes a recipe through all of it: it steps the engine and calls hooks (hooks.py). The run
folder, the guard against NaN and the progress bars are plugins; checkpoints are in checkpoints.py.
What a step does is in nvn/engine, what a game means in nvn/game.

(The module is not called train: `nvn.train` is the function.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nvn.checkpoint.encoding import EncodingError
from nvn.checkpoint.folder import encode_parts
from nvn.engine.engine import Engine
from nvn.errors import ConfigError, NvnWarning, RunError
from nvn.recipe.build import PhaseData, check_data, make_engines, report_metrics, step_metrics
from nvn.recipe.goal import Goal
from nvn.recipe.recipe import MAIN, Phase, Recipe
from nvn.streams import preserved, seed_all, set_streams
from nvn.training.checkpoints import Checkpoints, Place
from nvn.training.determinism import deterministic as held_deterministic
from nvn.training.divergence import Divergence, OnDivergence, check_policy
from nvn.training.evaluating import Evaluations, check_goals
from nvn.training.fabric import make_fabric
from nvn.training.finite_guard import FiniteGuard, NotFiniteError
from nvn.training.hooks import plugin_manager
from nvn.training.progress import Best
from nvn.training.resume import Earlier, check_run, prepare, read_earlier
from nvn.training.run import Outcome, Run
from nvn.training.run_folder import RunFolder, claim, locked, new_folder
from nvn.training.run_record import run_record
from nvn.training.run_state import RunState
from nvn.training.saving import Saving
from nvn.training.stopping import Stop, stop_on_signals
from nvn.training.symptoms import Symptoms
from nvn.training.weights import State

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["train"]

_SAVING = Saving()


def train(
    recipe: Recipe | Callable[[], Recipe],
    *,
    seed: int = 0,
    max_steps: int | None = None,
    more_steps: int = 0,
    max_time: float | None = None,
    out: Path | str | None = None,
    resume: Path | str | None = None,
    saving: Saving = _SAVING,
    on_divergence: OnDivergence = "stop",
    deterministic: bool = False,
    fabric: Fabric | None = None,
    compile: Collection[str] = (),
    plugins: Iterable[object] = (),
    files: Mapping[str, str] = MappingProxyType({}),
    origin: str | None = None,
) -> Run:
    """Train a recipe: its phases, then its game.

    The state is saved on the way (`saving`), and a run that ended early, however that was, goes on
    from there with `resume`: to the same weights, to the bit, as if it had never ended (in one
    process on a CPU, with as many threads; docs/reliability.md).

    Ctrl-C ends the run after the current step; a second one ends it within the step. SIGTERM,
    SIGHUP, SIGUSR1 and SIGXCPU do the same. Either way the state and the weights are saved, which
    no signal interrupts, and the run is returned with outcome "interrupted" or, after a signal
    that schedulers send, "preempted".

    Args:
        recipe: A recipe; or a function that builds it, called after seeding, so that the seed
            determines the initial weights too.
        seed: Random seed, from 0 to 2^63 − 1.
        max_steps: Maximum number of steps of each phase.
        more_steps: Steps of the game beyond the recipe's, and beyond `max_steps`.
        max_time: Maximum duration in seconds; the final evaluations still run after it.
        out: The run's folder, new or empty; `runs/<recipe>/<time>/` if None.
        resume: The folder of a run to go on with, of the same recipe, instead of `out`.
        saving: When to save the state, and what to keep.
        on_divergence: What to do when something is not finite: "stop" with the last weights that
            were; "skip" the steps of players whose gradients are not; or "rollback" to the last
            checkpoint with smaller learning rates, three times at most (docs/reliability.md).
        deterministic: Whether torch is held to deterministic algorithms.
        fabric: Device and precision; one device in 32-true if None.
        compile: Names of players whose forward torch.compile compiles.
        plugins: Objects with hooks (nvn.plugins).
        files: Further text files for the run's folder, by name.
        origin: The recipe's file, or its name if installed; `nvn.trained` builds it again from it.

    Raises:
        GameError: Listing every problem of the game.
        NvnError: If something else is invalid, or if an objective is not finite. Like any error
            from the recipe's own code, it is raised after the weights have been saved.

    >>> from functools import partial
    >>> import nvn, torch
    >>> from nvn import energies as en
    >>> def line() -> nvn.Recipe:
    ...     game = nvn.Game("line")
    ...     x, y = game.batch("x", "y")
    ...     f = game.player("f", torch.nn.Linear(1, 1))
    ...     f.minimizes(en.mse(f(x), y))
    ...     inputs = torch.linspace(-1.0, 1.0, 64)[:, None]
    ...     return nvn.Recipe(
    ...         name="line",
    ...         game=game,
    ...         schedule=nvn.alternating(f),
    ...         optimizers=partial(torch.optim.SGD, lr=0.5),
    ...         data=nvn.data.TensorBatches({"x": inputs, "y": 2 * inputs}, batch_size=16),
    ...         steps=200,
    ...     )

    >>> run = nvn.train(line, out="a line")
    >>> run.outcome, run.steps, run.weights["f"]["weight"].round(decimals=3)
    ('finished', {'main': 200}, tensor([[2.]]))
    >>> nvn.train(line, resume="a line", more_steps=100).steps
    {'main': 300}
    """
    stop = Stop(max_time)
    manager = plugin_manager(plugins)
    fabric = fabric or make_fabric()
    check_policy(on_divergence)
    with ExitStack() as stack:
        stack.enter_context(preserved())  # the caller's random streams
        stack.enter_context(held_deterministic(deterministic))
        _seed_everything(seed)
        recipe = recipe if isinstance(recipe, Recipe) else recipe()
        recipe = _with_steps(recipe, max_steps, more_steps)
        goals = _goals(recipe, saving)
        engines = make_engines(recipe, fabric, seed, compile, skip=on_divergence == "skip")
        state = RunState(recipe, engines[MAIN].state, PhaseData(recipe, seed=seed))
        stack.enter_context(stop_on_signals(stop))
        folder = _folder(recipe, out, resume)
        stack.enter_context(locked(folder))
        earlier = _gone_back(folder, state) if resume else _begun(folder)
        if more_steps:
            state.progress.go_on()
        options = {
            "seed": seed,
            "max_steps": max_steps,
            "more_steps": more_steps,
            "on_divergence": on_divergence,
            "deterministic": deterministic,
            "compile": [*compile],
        }
        about = run_record(recipe, earlier.id, fabric, saving, origin, options)
        writer = RunFolder(folder, files, about, earlier.parts, saving.on_failure)
        guard = FiniteGuard(skips=on_divergence == "skip")
        for plugin in (Symptoms(), guard, writer):
            manager.register(plugin)  # after the others, so called before them
        evaluations = Evaluations(
            recipe=recipe,
            engine=engines[MAIN],
            hook=manager.hook,
            stop=stop,
            progress=state.progress,
            goals=goals,
            folder=folder,
            seed=seed,
            device=fabric.device,
        )
        checkpoints = Checkpoints(
            folder / "checkpoints",
            saving,
            about={"recipe": recipe.name, "run": earlier.id},
            phases=[phase.name for phase in recipe.all_phases],
        )
        loop = _Loop(
            recipe=recipe,
            engines=engines,
            hook=manager.hook,
            stop=stop,
            seed=seed,
            state=state,
            earlier=earlier,
            guard=guard,
            folder=writer,
            evaluations=evaluations,
            checkpoints=checkpoints,
            divergence=Divergence(
                on_divergence, state, engines, evaluations, guard, writer, checkpoints
            ),
            saving=saving,
        )
        return loop.run()


@dataclass
class _Loop:
    """Training loop state."""

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
    started: float = field(default_factory=time.monotonic)
    between_steps: bool = False  # whether the state can be gone on from
    saved_at: Place | None = None
    weights: Mapping[str, State] | None = None  # once they are on the disk

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
                self._finish("failed", error)
            raise
        return self._finish(outcome)

    def _play(self) -> Outcome:
        self._start()
        while self.stop.reason is None and (phase := self._next_phase()) is not None:
            try:
                self._play_phase(phase)
            except Exception as error:  # (anybody's: NaN may have brought it about)
                if not self.divergence.behind(error):
                    raise
                self.between_steps = False
                self._go_back(self.divergence.explained(phase, error), error)
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
        )
        with self.stop.at_once():
            if place is not None:
                self.state.load_data(self.earlier.state)
            check_data(self.engines, self.state.data, self.recipe.all_phases)
        if place is not None:
            # Last: making and reading data may have drawn from them.
            set_streams(self.earlier.state["run"]["streams"])
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
        if 0 < step < phase.steps:  # an earlier part ended before it could look
            self._look(phase, step)
        while not self._is_over(phase) and self.stop.reason is None:
            with self.stop.soon():  # a worker may hang
                batches.wait()
            self.between_steps = False
            record = engine.step(batches)
            self.between_steps = True
            step = record.step
            self.hook.step_done(phase=phase, record=record, engine=engine)
            report_metrics(engine, record, watched)
            if step < phase.steps and self.stop.reason is None:
                keep = self._look(phase, step) or self.checkpoints.wanted(self.state.place)
                if keep or self.checkpoints.due(step):
                    self._checkpoint(urgent=keep)
        self._checkpoint(wait=True)
        self.hook.phase_finished(phase=phase, step=step, engine=engine)

    def _look(self, phase: Phase, step: int) -> bool:
        """Run what is due, and return whether a metric was best whose best checkpoint is kept."""
        if phase.name != MAIN:
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
        if self.between_steps:
            with contextlib.suppress(RunError):  # of what is not finite there is no checkpoint
                self._checkpoint(wait=True)
        self.checkpoints.close()
        progress = self.state.progress
        assert self.weights is not None
        run = Run(
            recipe=self.recipe,
            folder=self.folder.path,
            outcome="failed" if self.folder.lost else outcome,
            engine=self.engines[MAIN],
            weights=self.weights,
            steps=self.state.steps,
            metrics=progress.metrics,
            pictures={name: self.folder.path / file for name, file in progress.pictures.items()},
            best={name: dataclasses.asdict(best) for name, best in progress.best.items()},
            seconds=time.monotonic() - self.started,
            error=error,
        )
        self.folder.end(run)
        self.hook.run_finished(run=run)
        self.folder.raise_lost()
        return run


# --- helpers --------------------------------------------------------------------------------------


def _seed_everything(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed = {seed}: expected an integer from 0 to 2^63 - 1")
    seed_all(seed)


def _folder(recipe: Recipe, out: Path | str | None, resume: Path | str | None) -> Path:
    """Return the folder of the run that goes on, or a new one."""
    if not resume:
        return new_folder(recipe.name, Path(out) if out else None)
    if out is not None:
        raise ConfigError(f"out = {out}: a run that goes on has its folder, {resume}")
    check_run(Path(resume))
    return Path(resume)


def _begun(folder: Path) -> Earlier:
    """Begin a run in a folder, which is locked."""
    claim(folder)
    return Earlier()


def _gone_back(folder: Path, state: RunState) -> Earlier:
    """Bring a run and its folder, which is locked, back to the newest checkpoint."""
    phases = [phase.name for phase in state.recipe.all_phases]
    earlier = read_earlier(folder, phases)
    if earlier.state:
        state.load_training(earlier.state)
    prepare(folder, phases, earlier, state.progress.written)
    for note in earlier.notes:
        warnings.warn(note, NvnWarning, stacklevel=4)
    return earlier


def _goals(recipe: Recipe, saving: Saving) -> frozenset[Goal]:
    """Return the metrics whose best value is kept track of."""
    early = recipe.early_stopping
    goals = frozenset(g for g in (saving.goal, early.goal if early else None) if g is not None)
    check_goals(recipe, goals)
    return goals


def _with_steps(recipe: Recipe, most: int | None, more: int) -> Recipe:
    """Return a recipe with `most` steps a phase at most, and with `more` steps of the game."""
    if most is not None and most < 1:
        raise ConfigError(f"max_steps = {most}: expected at least 1")
    if more < 0:
        raise ConfigError(f"more_steps = {more}: expected at least 0")
    if most is None:
        return recipe.replace(steps=recipe.steps + more) if more else recipe
    phases = tuple(
        dataclasses.replace(phase, steps=min(phase.steps, most)) for phase in recipe.phases
    )
    return recipe.replace(phases=phases, steps=min(recipe.steps, most) + more)


@contextlib.contextmanager
def _with_note_on(error: BaseException) -> Iterator[None]:
    """Add an error raised in here to `error` as a note, instead of hiding it."""
    try:
        yield
    except Exception as second:  # noqa: BLE001  (whatever it is, the first one matters more)
        error.add_note(f"then: {str(second) or type(second).__name__}")
