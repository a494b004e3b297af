"""From a recipe to a run: what `nvn.train` makes, in order, before the loop is played.

(The module is not called train: `nvn.train` is the function.)
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nvn.console import is_watched
from nvn.data import Share
from nvn.engine.engine import Engine
from nvn.errors import ConfigError, NvnWarning
from nvn.game.players import objectives_kept
from nvn.game.schedule import Move
from nvn.recipe.build import PhaseData, make_engines
from nvn.recipe.goal import Goal
from nvn.recipe.recipe import MAIN, Phase, Recipe
from nvn.streams import preserved, seed_all
from nvn.training.balance import Balance
from nvn.training.checkpoints import Checkpoints, Place
from nvn.training.determinism import deterministic as held_deterministic
from nvn.training.divergence import Divergence, OnDivergence, check_policy
from nvn.training.evaluating import Evaluations, check_goals
from nvn.training.extending import extended
from nvn.training.fabric import launched
from nvn.training.finite_guard import FiniteGuard
from nvn.training.hooks import plugin_manager
from nvn.training.looks import Looks, PullsEvery, check_every
from nvn.training.loop import Loop
from nvn.training.plugin_loading import load_plugin, whole
from nvn.training.processes.alike import facts_of
from nvn.training.processes.connections import lines_of
from nvn.training.processes.following import Following, Leader
from nvn.training.processes.leading import Lead
from nvn.training.reporter import Reporter
from nvn.training.reporting import Reports, noting
from nvn.training.resume import Earlier, check_run, prepare, read_earlier
from nvn.training.run import Run
from nvn.training.run_folder import RunFolder, claim, locked, new_folder
from nvn.training.run_record import run_record
from nvn.training.run_state import RunState
from nvn.training.saving import Saving
from nvn.training.stopping import Stop, deaf, stop_on_signals
from nvn.training.symptoms import Symptoms
from nvn.training.watching import Watch

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
    accumulate: int = 1,
    pulls_every: PullsEvery = "auto",
    metrics_every: int = 1,
    plugins: Iterable[object] = (),
    progress: bool = True,
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
        fabric: Devices and precision; if None, one device in 32-true, or what a launcher such as
            torchrun has started. In several processes, each calls this alike: the first leads,
            and alone prints, writes, evaluates and calls plugins (docs/processes.md).
        compile: Names of players whose forward torch.compile compiles.
        accumulate: In how many parts a batch is played, where the whole is too much for a device;
            gradients, steps and records are those of the whole.
        pulls_every: After how many steps each to look at who pulls (docs/pulls.md); "auto", so that
            it takes 1 % of the passes at most; or "off". The training is the same, to the bit.
        metrics_every: Of how many steps each one has a line in metrics.jsonl; the first and the
            last of a phase always have.
        plugins: Objects with hooks (nvn.plugins); or texts that name one, as for `--plugin`, which
            `nvn resume` finds again.
        progress: Whether the run is shown while it goes on, where that is a terminal or a notebook
            (docs/live.md). Elsewhere nothing is printed.
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
    asked = [*plugins]
    given = [load_plugin(each) if isinstance(each, str) else each for each in asked]
    if progress and is_watched() and not any(isinstance(x, Reporter) for x in given):
        given.append(Reporter())
    plugin_manager(given)  # what is wrong with them is told before anything is built
    check_policy(on_divergence)
    check_every(pulls_every)
    if isinstance(metrics_every, bool) or not isinstance(metrics_every, int) or metrics_every < 1:
        raise ConfigError(f"metrics_every = {metrics_every!r}: expected a number of steps, from 1")
    options = {
        "seed": seed,
        "max_steps": max_steps,
        "more_steps": more_steps,
        "on_divergence": on_divergence,
        "deterministic": deterministic,
        "compile": [*compile],
        "accumulate": accumulate,
    }
    with ExitStack() as stack:
        for plugin in given:
            if isinstance(plugin, Reporter | Watch):
                stack.callback(plugin.close)
        fabric = fabric or stack.enter_context(launched())
        stack.enter_context(preserved())  # the caller's random streams
        stack.enter_context(held_deterministic(deterministic))
        others = stack.enter_context(_connected(fabric))
        _seed_everything(seed)
        recipe = _built(recipe)
        manager = plugin_manager([*recipe.plugins, *given])
        stack.enter_context(objectives_kept(recipe.game.players.values()))
        recipe = extended(recipe, manager.hook)
        recipe = _with_steps(recipe, max_steps, more_steps)
        goals = _goals(recipe, saving)
        others.compare(partial(facts_of, recipe, fabric, options, origin))
        engines = make_engines(
            recipe, fabric, seed, compile, accumulate, skip=on_divergence == "skip"
        )
        data = PhaseData(recipe, seed=seed, share=Share(fabric.global_rank, fabric.world_size))
        state = RunState(recipe, engines[MAIN].state, data)
        _watch_moves(recipe, engines, manager.hook)  # in all processes: they may change weights
        if isinstance(others, Leader):
            stack.enter_context(deaf())
            return Following(recipe, engines, state, others).run()
        stack.enter_context(stop_on_signals(stop))
        folder = _folder(recipe, out, resume)
        stack.enter_context(locked(folder))
        earlier = _gone_back(folder, state) if resume else _begun(folder)
        if earlier.processes not in (None, fabric.world_size):
            warnings.warn(
                f"the run was played by {earlier.processes} processes, and goes on in "
                f"{fabric.world_size}: not to the bit as if it had not ended",
                NvnWarning,
                stacklevel=2,
            )
        if more_steps:
            state.progress.go_on()
        kept = {
            **options,
            "pulls_every": pulls_every,
            "metrics_every": metrics_every,
            "plugins": [whole(each) for each in asked if isinstance(each, str)],
        }
        about = run_record(recipe, earlier.id, fabric, saving, origin or earlier.origin, kept)
        writer = RunFolder(folder, files, about, earlier.parts, saving.on_failure, metrics_every)
        stack.enter_context(noting(writer.noted))
        guard = FiniteGuard(skips=on_divergence == "skip")
        for plugin in (Reports(), Symptoms(), Balance(), guard, writer):
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
            guard=guard,
            lead=others,
        )
        checkpoints = Checkpoints(
            folder / "checkpoints",
            saving,
            about={"recipe": recipe.name, "run": earlier.id},
            phases=[phase.name for phase in recipe.all_phases],
            written=partial(_tell_written, manager.hook),
        )
        loop = Loop(
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
            lead=others,
            looks=Looks(pulls_every),
        )
        return loop.run()


# --- helpers --------------------------------------------------------------------------------------


@contextmanager
def _connected(fabric: Fabric) -> Iterator[Lead | Leader]:
    """Connect the processes of a run: who follows says why, if it fails."""
    lines = lines_of(fabric)
    if not fabric.global_rank:
        with closing(Lead(lines)) as lead:
            yield lead
        return
    with closing(Leader(*lines)) as leader:
        try:
            yield leader
        except BaseException as error:
            leader.fail(error)
            raise


def _built(recipe: Recipe | Callable[[], Recipe]) -> Recipe:
    """Return a recipe, or what a function of no arguments builds."""
    if isinstance(recipe, Recipe):
        return recipe
    if not callable(recipe):
        raise ConfigError(f"recipe: found {type(recipe).__name__}, expected nvn.Recipe")
    try:
        inspect.signature(recipe).bind()
    except TypeError as error:
        raise ConfigError(
            f"recipe: {recipe!r} cannot be called without arguments: {error}. Pass what it "
            "returns, or functools.partial(recipe, Config())"
        ) from None
    except ValueError:  # no signature is known
        pass
    built = recipe()
    if not isinstance(built, Recipe):
        raise ConfigError(f"recipe: {recipe!r} returned {type(built).__name__}, not an nvn.Recipe")
    return built


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
    earlier = read_earlier(folder, phases, state.recipe.name, state.train.counters.seed)
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


def _watch_moves(recipe: Recipe, engines: Mapping[str, Engine], hook: Any) -> None:
    """Have plugins told of moves, where any wants to know: else the loops have no line of it."""
    if not (hook.move_started.get_hookimpls() or hook.move_done.get_hookimpls()):
        return
    for phase in recipe.all_phases:
        engine = engines[phase.name]
        engine.watch_moves(
            before=partial(_tell_move, hook.move_started, phase, engine),
            after=partial(_tell_move, hook.move_done, phase, engine),
        )


def _tell_move(hook: Any, phase: Phase, engine: Engine, move: Move, step: int) -> None:
    hook(phase=phase, step=step, move=move, engine=engine)


def _tell_written(hook: Any, place: Place, path: Path) -> None:
    hook.checkpointed(phase=place.phase, step=place.step, path=path)


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
