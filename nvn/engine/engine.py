"""The engine: plays a plan, step by step.

    engine = nvn.Engine(nvn.plan(game, schedule), partial(torch.optim.Adam, lr=1e-4))
    for batch in loader:
        record = engine.step(batch)

In a move, every player's gradient is taken at the point where the move starts; then all step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from nvn.checkpoint import folder as checkpoint
from nvn.data.share import samples_in
from nvn.engine.averaging import Averaging
from nvn.engine.before import Before, Surroundings
from nvn.engine.compiled import CompiledProgram
from nvn.engine.costs import Costs, measured
from nvn.engine.counters import Counters
from nvn.engine.diagnosis import Finding, WatchedInterpreter
from nvn.engine.dry_run import Findings, check_batch
from nvn.engine.dry_run.halves import not_means
from nvn.engine.dry_run.purity import Untouched
from nvn.engine.feed import Batch, BatchFeed, Minibatch
from nvn.engine.interpreter import Interpreter
from nvn.engine.iteration import (
    Gradients,
    Iteration,
    Observer,
    Outcome,
    Stepping,
    no_path,
    nobody_steps,
)
from nvn.engine.kinds import Kinds, require_samples
from nvn.engine.microbatches import MicroBatches
from nvn.engine.module_state import Attributes, modes, modes_of, preserved_buffers
from nvn.engine.operations import Operations
from nvn.engine.optimizers import NoGradientError, Optimizers
from nvn.engine.past_selves import PastSelves
from nvn.engine.precision import Precision
from nvn.engine.processes import ALONE, Processes
from nvn.engine.pulling import pulls_of
from nvn.engine.saving import parts_of, state_of
from nvn.engine.seeding import Generators, HeldStreams
from nvn.engine.state import TrainState, add_optimizers
from nvn.engine.torch_compile import compiled_forwards
from nvn.engine.wanted import values_of
from nvn.errors import (
    ConfigError,
    DataError,
    GameError,
    GameWarning,
    NvnError,
    Problem,
    RunError,
    did_you_mean,
)
from nvn.game.ops import Batch as InBatch
from nvn.game.players import Player, Team
from nvn.game.schedule import Move
from nvn.game.traversal import ancestors, batch_names, owner, roots
from nvn.game.values import Term, Value
from nvn.planner.emit import Emitter, TellingEmitter, WrappingEmitter, suspending
from nvn.planner.ir import Comment, Program
from nvn.planner.planner import Pattern, Plan
from nvn.planner.pulling import PullPlan, pull_plan, weighed
from nvn.planner.turns import Turn
from nvn.pulls import Pulls
from nvn.records import Record, Scalar

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_T = TypeVar("_T")

Play = Callable[[Iteration], Outcome]
"""Plays an iteration."""
MoveWatcher = Callable[[Move, int], None]
"""Is told of a move, and of the number of the iteration, from 1."""
InstructionWatcher = Callable[[str, Move], AbstractContextManager[object]]
"""Returns what an instruction runs inside, by its text and the move that it is part of."""


class _Playing(NamedTuple):
    """How the iterations of a pattern are played.

    Attributes:
        play: Plays one.
        batches: How many batches it takes.
        optimizers: The names of the optimizers that step.
        players: The players who step.
        moves: The move of each turn.
    """

    play: Play
    batches: int
    optimizers: tuple[str, ...]
    players: frozenset[str]
    moves: tuple[Move, ...]


class Engine:
    """Plays a plan.

    Args:
        plan: What to play.
        optimizers: For each player a function from its parameters to a torch optimizer, or an
            `nvn.Optimizer`; or one such for all players. Names that moves give with `optimizer=`
            are looked up here too.
        fabric: Places and casts modules and batches; without one they stay as and where they are.
        seed: All randomness of samples, dropout and the like is made from it.
        state: The state of another engine of the same game, to share (phases of one run).
        phase: The name under which the state counts this engine's iterations.
        norms: Whether records have the norms of gradients: a kernel more a player and step.
        compile: Names of players whose forward torch.compile makes faster (or not: measure it).
        plain: Play with the plain interpreter, every move from the batch up: much slower, and what
            the planned way is held to.
        accumulate: In how many parts a batch is played, where the whole is too much for a device:
            the same gradients, steps and records. Its samples have to be a multiple of it.
        skip: Drop a player's step whose gradient is not finite; the others' are taken. To know it,
            every step waits for the device.

    Attributes:
        plan: What is played.
        phase: The name of the phase.
        state: What evolves.
        samples: How many samples this engine has taken.

    Raises:
        ConfigError: A player that moves has no optimizer; or one cannot be compiled soundly.

    >>> import nvn
    >>> from nvn import energies as en
    >>> game = nvn.Game("line")
    >>> x, y = game.batch("x", "y")
    >>> f = game.player("f", torch.nn.Linear(1, 1))
    >>> f.minimizes(en.mse(f(x), y))
    >>> engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), partial(torch.optim.SGD, lr=0.1))
    >>> batch = {"x": torch.tensor([[-1.0], [1.0]]), "y": torch.tensor([[-2.0], [2.0]])}
    >>> before, *_, after = [engine.step(batch).energies["mse(f(x), y)"] for _ in range(50)]
    >>> before > 1e-3 > after
    True
    >>> engine.values({"x": torch.tensor([[3.0]])}, [f(x)])[0].round()
    tensor([[6.]])
    """

    def __init__(
        self,
        plan: Plan,
        optimizers: Optimizers,
        fabric: Fabric | None = None,
        *,
        seed: int = 0,
        state: TrainState | None = None,
        phase: str = "main",
        norms: bool = True,
        compile: Collection[str] = (),
        plain: bool = False,
        accumulate: int = 1,
        skip: bool = False,
    ) -> None:
        self._processes = Processes.of(fabric)
        self._accumulate = accumulate
        if accumulate < 1:
            raise ConfigError(f"accumulate = {accumulate}: expected at least 1")
        if plain and self._processes.together:
            raise ConfigError("plain=True plays in one process; expected a Fabric of one device")
        if plain and accumulate > 1:
            raise ConfigError("plain=True plays a batch as a whole; expected accumulate=1")
        together = self._processes.together or accumulate > 1
        self.plan = replace(plan, together=together)
        self.phase = phase
        self._fabric = fabric
        self._precision = Precision(fabric)
        self.state = TrainState.of(plan.graph.players, seed) if state is None else state
        if state is None:
            self._place_modules()
        self._parameters = self.state.flags.present
        operations = Operations(self.state.modules, self._precision)
        self._recomputing: frozenset[str] = frozenset()
        self._interpreter = Interpreter(self.state.modules, self._parameters, operations)
        forwards = compiled_forwards(plan, self.state.modules, compile)
        self._callables = {
            name: self._precision.calling(module, forwards.get(name))
            for name, module in self.state.modules.items()
        }
        self._streams = HeldStreams(operations.devices)
        self._computing = None if self._precision.trivial else self._precision.computing
        self._generators = Generators()
        self._plain = plain
        self._norms = norms
        self._skip = skip
        self._playing: dict[Pattern, _Playing] = {}
        self._steady: _Playing | None = None  # where every iteration has the same pattern
        self._watchers: tuple[MoveWatcher, MoveWatcher] | None = None  # before a move, and after
        self._inside: InstructionWatcher | None = None
        self._looks: dict[Hashable, Play] = {}
        self._pull_plans: dict[Hashable, PullPlan] = {}
        add_optimizers(plan, optimizers, self.state)
        self._training = [(self.state.modules[p.name], not p.frozen) for p in plan.graph.players]
        self._modes = modes_of(self.state.modules.values())
        averages = plan.graph.averages.values()
        entries = [node.op.name for node in plan.graph.nodes if isinstance(node.op, InBatch)]
        self._averages = [Averaging(a, self.state.modules, entries) for a in averages]
        if state is None:
            self._agree()
            for averaging in self._averages:
                averaging.begin()
        self._pasts = [
            PastSelves(past, self.state.modules, self.state.pasts.setdefault(name, []))
            for name, past in plan.graph.pasts.items()
        ]
        for past in self._pasts:
            if not past.pool:
                past.begin(present=state is None)
        self._around = self._surroundings()
        self._noted: list[Before] = []  # while something is computed
        self._active = False
        self._entries = tuple(entries)
        self.samples = 0
        self._first: Kinds | None = None  # of the batch that was checked

    @property
    def recomputing(self) -> frozenset[str]:
        """Players whose modules change buffers in backward passes, as far as a check has found."""
        return self._recomputing

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Each player's module, the very one that was declared."""
        return self.state.modules

    @property
    def processes(self) -> int:
        """How many processes play together."""
        return self._processes.count

    # --- training ---

    def step(self, batch: Minibatch | Iterator[Minibatch]) -> Record:
        """Play one iteration: every move of the schedule that happens in it, in order.

        An exception, KeyboardInterrupt among them, may come at any point of it. Players who have
        stepped by then have stepped, and what batches were taken are gone; otherwise everything is
        as before (flags, modes, buffers, `.grad`, random streams), and the next step can be played.
        Averages and pools of earlier selves follow iterations that were played to their end.

        Args:
            batch: A dict of tensors, or an iterator of them if moves take batches of their own.

        Raises:
            GameError: The first batch does not fit the game (what `check` tells).
            DataError: The iteration takes more batches than there are; or one has no samples, or is
                not like the first, and fails.
            RunError: A layer was unfrozen that no optimizer has, or all of a player's are frozen.
            StopIteration: The iterator was empty.
        """
        if torch.is_inference_mode_enabled():
            raise RunError("engine.step in torch.inference_mode: nothing can be learned there")
        if self._noted:
            self._settle()
        state = self.state
        done = state.iterations.get(self.phase, 0)
        playing = self._steady or self._next(done)
        if self._first is None and playing.players:  # else no batch is taken
            batch = self._check_first(batch)
            playing = self._steady or self._next(done)  # what was found may change the plan
        feed = BatchFeed(batch, playing.batches, self._placed)
        norms: dict[str, Scalar] = {}

        def step(player: str, optimizer: str, gradients: Gradients | None) -> None:
            try:
                stepping = state.optimizers[optimizer]
                norm = stepping.step(gradients, norm=self._norms, skip=self._skip)
            except NoGradientError:
                raise RunError(no_path(player)) from None
            if norm is not None:
                norms[player] = norm

        observer = self._observer(playing, done + 1)
        run = self._iteration(feed, state.counters, done, step, self._processes, observer)
        before = self._around.before_playing(run)
        state.flags.follow(before.flags)
        state.flags.require(playing.players)
        self._noted.append(before)
        try:
            self._active = True
            steps = self._chosen()
            outcome = self._played(playing, run)
            if self._processes.together:
                self._agree_on_buffers()
            self._follow(playing.players, run, steps)
        except BaseException as error:
            self._settle()
            if isinstance(error, Exception) and not isinstance(error, NvnError | StopIteration):
                self._explain(error, run.batch, done + 1)
            raise
        finally:
            self._active = False
        self._noted.clear()
        state.iterations[self.phase] = done + 1
        numbers = outcome.numbers
        record = Record.deferred(done + 1, lambda: (*numbers(), norms))
        earlier = None if self._steady else state.records.get(self.phase)
        state.records[self.phase] = record.over(earlier)
        return record

    def watch_moves(self, before: MoveWatcher, after: MoveWatcher) -> None:
        """Have functions called before and after each move of `step`; replaces earlier ones.

        Without them the loop that runs has no line of it. A move that is repeated (`times=`) is
        told of each time. They run without gradients. What is computed before a move may be used
        after it, so only `after` may change parameters, and those of the players who have just
        moved: nothing has been computed with them yet (WGAN's clipping of weights, say).

        Args:
            before: Is given the move, and the number of the iteration, from 1.
            after: The same, once everybody in it has stepped.

        >>> import nvn
        >>> from nvn import energies as en
        >>> game = nvn.Game("line")
        >>> x, y = game.batch("x", "y")
        >>> f = game.player("f", torch.nn.Linear(1, 1))
        >>> f.minimizes(en.mse(f(x), y))
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd)
        >>> engine.watch_moves(
        ...     before=lambda move, step: None,
        ...     after=lambda move, step: f.module.weight.clamp_(-0.5, 0.5),
        ... )
        >>> _ = engine.step({"x": torch.tensor([[1.0]]), "y": torch.tensor([[9.0]])})
        >>> f.module.weight.item() <= 0.5
        True
        """
        self._watchers = (before, after)
        self._playing.clear()
        self._steady = None

    def watch_instructions(self, inside: InstructionWatcher | None) -> None:
        """Have each instruction of the loop run inside a context manager: to measure it, say.

        It makes a step slower. (The plain interpreter has no instructions.)

        Args:
            inside: Is given an instruction as text (`nvn plan --source` has its line), and the move
                that it is part of, and returns a context manager. None ends it.

        >>> import contextlib, nvn
        >>> from nvn import energies as en
        >>> game = nvn.Game("line")
        >>> x, y = game.batch("x", "y")
        >>> f = game.player("f", torch.nn.Linear(1, 1))
        >>> f.minimizes(en.mse(f(x), y))
        >>> sgd = partial(torch.optim.SGD, lr=0.1)
        >>> engine = nvn.Engine(nvn.plan(game, nvn.alternating(f)), sgd)
        >>> seen = []
        >>> @contextlib.contextmanager
        ... def noted(text, move):
        ...     seen.append(text)
        ...     yield
        >>> engine.watch_instructions(noted)
        >>> _ = engine.step({"x": torch.tensor([[1.0]]), "y": torch.tensor([[2.0]])})
        >>> seen[3]
        'f_x = f(x)'
        """
        self._inside = inside
        self._playing.clear()
        self._steady = None

    def _observer(self, playing: _Playing, step: int) -> Observer | None:
        """Return what is told of an iteration; None where nobody wants to know."""
        if self._watchers is None and self._inside is None:
            return None
        return Observer(
            partial(self._tell, playing.moves, step), partial(self._around_instruction, playing)
        )

    def _around_instruction(
        self, playing: _Playing, position: int
    ) -> AbstractContextManager[object]:
        if self._inside is None or not isinstance(playing.play, CompiledProgram):
            return nullcontext()
        before = playing.play.program.instructions[: position + 1]
        turn = sum(isinstance(x, Comment) for x in before) - 1
        return self._inside(str(before[-1]), playing.moves[turn])

    @property
    def _emitter(self) -> type[Emitter]:
        """What writes the loop that trains: with no line that nobody asks for."""
        if self._inside is not None:
            return WrappingEmitter
        return Emitter if self._watchers is None else TellingEmitter

    def _tell(self, moves: Sequence[Move], step: int, turn: int, begins: bool) -> None:
        if self._watchers is not None:
            before, after = self._watchers
            with torch.no_grad():
                (before if begins else after)(moves[turn], step)

    def _explain(self, error: Exception, batch: Batch, step: int) -> None:
        """Tell what is wrong with a batch that something fails on, if it is not as the first was.

        Raises:
            DataError: It is of another kind, and does not fit the game.
        """
        changes = [] if self._first is None else [*self._first.changes(batch)]
        if not changes:
            return
        try:
            self._check_placed(batch)
        except GameError as found:
            told = "\n".join(map(str, found.problems))
            raise DataError(
                f"the batch of step {step} is not like the first: {'; '.join(changes)}\n{told}"
            ) from error

    def _agree(self) -> None:
        """Let the players of all processes begin as those of the first."""
        if self._processes.together:
            modules = self.state.modules.values()
            tensors = (t for m in modules for t in (*m.parameters(), *m.buffers()))
            self._processes.copy_first([*{id(t): t for t in tensors}.values()])

    def _agree_on_buffers(self) -> None:
        # As everywhere in torch, statistics that each process makes of its own samples are those of
        # the first process; other buffers are the same in all.
        buffers = (b for m in self.state.modules.values() for b in m.buffers())
        self._processes.copy_first([*{id(b): b for b in buffers}.values()])

    def _chosen(self) -> list[int]:
        """Let players be the earlier selves of others that they are next; return how old these are.

        Returns:
            The steps that each of the others has taken.
        """
        for past in self._pasts:
            past.choose(self.state.counters)
        return [self.state.counters.steps.get(past.of, 0) for past in self._pasts]

    def _follow(self, moved: Collection[str], run: Iteration, steps: Sequence[int]) -> None:
        """Bring averages and pools up to date with who has moved, from `steps` on."""
        for averaging in self._averages:
            if averaging.of in moved:
                averaging.update(run.batch, self._processes.count)
        for past, before in zip(self._pasts, steps, strict=True):
            past.keep(before, self.state.counters.steps.get(past.of, 0))

    def _settle(self, depth: int = 0) -> None:
        """Restore what was there before something that was cut short."""
        while len(self._noted) > depth:
            self._noted[-1].restore()
            self._noted.pop()

    def _only_looking(self, compute: Callable[[], _T], *undo: Callable[[], object]) -> _T:
        """Compute what is only looked at: it changes nothing, also where it is cut short.

        (No context manager: one that is interrupted before its `with` begins undoes nothing.)

        Args:
            compute: Computes it.
            undo: What undoes things that are not looked after anyway.
        """
        active = self._active
        if not active:  # else an energy looks: what is around it has its own note
            self._settle()
        depth = len(self._noted)
        undo = (Attributes(self.state.modules.values()).restore, *undo)
        unknown = {}
        if self._first is None:
            unknown = {name: Untouched(module) for name, module in self.state.modules.items()}
        before = self._around.before_looking(*undo)
        if not active:  # else somebody's move has flags of its own
            self.state.flags.follow(before.flags)
        self._noted.append(before)
        try:
            self._active = True
            found = compute()
            for back in undo:
                back()
        except BaseException:
            self._settle(depth)
            raise
        finally:
            self._active = active
        del self._noted[depth:]
        for name, untouched in unknown.items():  # what the first batch's check would have told
            for parameter in untouched.changed():
                raise RunError(
                    f"the module of `{name}` changes its parameter {parameter!r} while it runs; "
                    "expected: a buffer, which advances in the player's own moves alone"
                )
        return found

    def _next(self, done: int) -> _Playing:
        """Return how the next iteration is played."""
        pattern = self.plan.pattern(done, self.state.records.get(self.phase))
        playing = self._playing_of(pattern)
        if self.plan.steady:
            self._steady = playing
        return playing

    def _played(self, playing: _Playing, run: Iteration) -> Outcome:
        for name in playing.optimizers:
            self.state.optimizers[name].clear()
        for module, training in self._training:
            if module.training is not training:  # somebody has switched it, to look at something
                with modes(self._modes):
                    return playing.play(run)
        return playing.play(run)

    def _iteration(
        self,
        feed: BatchFeed,
        counters: Counters,
        number: int,
        step: Stepping,
        processes: Processes = ALONE,
        observer: Observer | None = None,
    ) -> Iteration:
        return Iteration(
            feed,
            counters,
            number,
            self._streams,
            self._generators,
            self._computing,
            step,
            processes,
            observer,
        )

    def _playing_of(self, pattern: Pattern) -> _Playing:
        """Return how the iterations of a pattern are played; compiled when it first comes up."""
        if pattern not in self._playing:
            names = self.plan.graph.names
            play: Play = (
                partial(self._interpreter.play, self.plan.turns(pattern), names)
                if self._plain
                else self._stepping(self.plan.program(pattern))
            )
            turns = self.plan.turns(pattern)
            steps = dict.fromkeys(turn.optimizer(p) for turn in turns for p in turn.terms)
            movers = frozenset(p for turn in turns for p in turn.terms)
            batches = self.plan.batches(pattern)
            moves = tuple(turn.move for turn in turns)
            self._playing[pattern] = _Playing(play, batches, tuple(steps), movers, moves)
        return self._playing[pattern]

    def _stepping(self, program: Program) -> Play:
        """Return what plays iterations in which players step."""
        if self._accumulate == 1 or not program.exchanges:
            return self._compiled(program, self._emitter)
        parts = self._compiled(program, suspending(self._emitter))
        return MicroBatches(parts, self._accumulate, self.state.modules.values())

    def _compiled(self, program: Program, emitter: type[Emitter] = Emitter) -> CompiledProgram:
        return CompiledProgram(
            program,
            self._callables,
            self._parameters,
            self.state.modules,
            self._precision,
            self._recomputing,
            emitter,
        )

    def _placed(self, batch: Minibatch) -> Batch:
        """Return a batch in its place, and in the run's precision."""
        placed = Batch(batch if self._fabric is None else self._precision.batch(batch))
        self.samples += require_samples(placed, self._entries)
        return placed

    def part_of(self, batch: Minibatch) -> Minibatch:
        """Return the first of the parts that a batch is played in: the batch, if it is one."""
        if self._accumulate == 1:
            return batch
        length = samples_in(batch) // self._accumulate
        part: Minibatch = Processes(0, self._accumulate).share(dict(batch), length)
        return part

    def diagnose(self, batch: Minibatch | Iterator[Minibatch]) -> Finding | None:
        """Play the next iteration slowly, and return the first thing in it that is not finite.

        It changes the state as `step` does: for a copy of a state that is known to go wrong.

        Args:
            batch: As for `step`.
        """
        self._settle()
        state, done = self.state, self.state.iterations.get(self.phase, 0)
        pattern = self.plan.pattern(done, state.records.get(self.phase))
        turns = self.plan.turns(pattern)
        state.flags.follow(state.flags.now())
        interpreter = WatchedInterpreter(
            state.modules,
            state.flags.named(),
            Operations(state.modules, self._precision),
            state.optimizers,
        )
        for optimizer in state.optimizers.values():
            optimizer.clear()
        feed = BatchFeed(batch, self.plan.batches(pattern), self._placed)
        run = self._iteration(feed, state.counters, done, interpreter.step)
        self._noted.append(self._around.before_playing(run))
        try:
            steps = self._chosen()
            with modes(self._modes):
                outcome = interpreter.play(turns, self.plan.graph.names, run)
        except Exception:
            if interpreter.finding is None:  # else it comes of that
                raise
        else:
            if interpreter.finding is None:
                self._noted.clear()  # played as by `step`: nothing is to be restored
            state.iterations[self.phase] = done + 1
            self._follow({p for turn in turns for p in turn.terms}, run, steps)
            record = Record.deferred(done + 1, lambda: (*outcome.numbers(), {}))
            state.records[self.phase] = record.over(state.records.get(self.phase))
        finally:
            self._settle()
        return interpreter.finding

    def metric(self, name: str, value: float) -> None:
        """Tell learning-rate schedules that wait for the metric `name` its new value."""
        for optimizer in self.state.optimizers.values():
            optimizer.metric(name, value)

    # --- looking, without changing anything ---

    def gradients(
        self, batch: Minibatch, players: Iterable[Player | Team | str] | Player | Team | str
    ) -> dict[str, dict[str, Tensor]]:
        """Return ∂V_p/∂θ_p of each player's objective at the present point.

        Samples and dropout are drawn as the next `step` will draw them.

        Args:
            batch: The minibatch.
            players: Whose gradients: players or their names.

        Returns:
            For each player, the gradient of each of its parameters that learn at present, zero
            where the objective does not depend on it.

        Raises:
            GameError: A player is unknown, frozen, or has no objective.
            RunError: Parameters of one have been frozen or unfrozen as they can't be.
        """
        names = self._names(players)
        if self._first is None and all(name in batch for name in batch_names(self._needed())):
            self.check(batch)
        iteration = self.state.iterations.get(self.phase, 0)
        terms = {name: self._objective_terms(name, iteration) for name in names}
        terms = {name: group for name, group in terms.items() if group}
        run = self._preview(batch, iteration)
        look = self._looking(terms, batch)

        def compute() -> Outcome:
            self.state.flags.require(terms)
            self._chosen()
            return look(run)

        outcome = self._only_looking(compute, run.restore, *(past.back() for past in self._pasts))
        for name in terms:
            run.require_path(name, outcome.gradients[name])
        return {name: self._filled(name, outcome.gradients.get(name)) for name in names}

    def pulls(
        self, batch: Minibatch, players: Collection[str] | None = None, *, last: bool = False
    ) -> Pulls:
        """Return each energy's pull at each player: its part of the player's gradient.

        All are taken at the present point, each value being computed once, with a backward pass
        for each energy. Samples and dropout are drawn as the next `step` will draw them.

        Args:
            batch: The minibatch.
            players: The names of those to look at; None for all who move.
            last: Whether weights that are functions of the step are those of the last iteration;
                else, as for `gradients`, of the next one.

        Raises:
            GameError: A player is unknown, or never moves.
            RunError: Parameters of one have been frozen or unfrozen as they can't be.

        >>> import nvn
        >>> from nvn import energies as en
        >>> game = nvn.Game("line")
        >>> x, y = game.batch("x", "y")
        >>> f = game.player("f", torch.nn.Linear(1, 1))
        >>> f.minimizes(en.mse(f(x), y).named("fit") + 0.01 * en.l1(f(x), y).named("few"))
        >>> plan = nvn.plan(game, nvn.alternating(f))
        >>> engine = nvn.Engine(plan, partial(torch.optim.SGD, lr=0.1))
        >>> batch = {"x": torch.tensor([[-1.0], [1.0]]), "y": torch.tensor([[-8.0], [8.0]])}
        >>> pulls = engine.pulls(batch)
        >>> {energy: pull.share > 0.5 for energy, pull in pulls["f"].items()}
        {'fit': True, 'few': False}
        """
        planned = self.planned_pulls(players, last=last)
        if self._first is None and all(name in batch for name in batch_names(self._needed())):
            self.check(batch)
            planned = self.planned_pulls(players, last=last)  # what was found may change the plan
        number = self._number(last)
        run = self._preview(batch, number)

        def compute() -> Pulls:
            self.state.flags.require(planned.terms)
            self._chosen()
            found = self._interpreter.pulls(planned, run.next_batch(), run.counters, number)
            return pulls_of(planned, found, self.state.iterations.get(self.phase, 0))

        return self._only_looking(compute, run.restore, *(past.back() for past in self._pasts))

    def planned_pulls(
        self, players: Collection[str] | None = None, *, last: bool = False
    ) -> PullPlan:
        """Return the passes that `pulls` takes next.

        Raises:
            GameError: A player is unknown, or never moves.
        """
        known = [player.name for player in self.plan.schedule.players]
        for name in players or ():
            if name not in known:
                found = f"no player {name!r} who moves.{did_you_mean(name, known)}"
                problem = Problem("pulls(…)", found, "players of the schedule", "", tuple(known))
                raise GameError([problem], self.plan.graph.name)
        terms = weighed(self.plan, self._number(last), players)
        groups = ((p, *(id(t) for ts in own.values() for t in ts)) for p, own in terms.items())
        key = tuple(groups)
        if key not in self._pull_plans:
            self._pull_plans[key] = pull_plan(self.plan, terms)
        return self._pull_plans[key]

    def _number(self, last: bool) -> int:
        """Return the number, from 0, of the next iteration, or of the last one."""
        done = self.state.iterations.get(self.phase, 0)
        return max(0, done - 1) if last else done

    def _preview(self, batch: Minibatch, number: int) -> Iteration:
        """Return an iteration that only looks: on copies of the counters, and nobody steps."""
        feed = BatchFeed(batch, 1, lambda given: Batch(self._precision.batch(given)))
        return self._iteration(feed, self.state.counters.copy(), number, nobody_steps)

    def _looking(self, terms: Mapping[str, tuple[Term, ...]], batch: Minibatch) -> Play:
        turn = Turn(Move(()), terms, takes=True)
        # The plain way needs nothing that samples given in the batch are drawn from.
        lacking = any(name not in batch for name in batch_names(ancestors(turn.wanted)))
        if self._plain or lacking:
            return partial(self._interpreter.look, turn)
        key = tuple((name, tuple(map(id, group))) for name, group in terms.items())
        if key not in self._looks:
            program, _ = self.plan.lower([turn], steps=False)
            self._looks[key] = self._compiled(program)
        return self._looks[key]

    def values(
        self,
        batch: Minibatch,
        wanted: Sequence[Value | str],
        *,
        training: bool = False,
        draw: int = 0,
    ) -> Any:
        """Return the values of `wanted`, as constants, in the same order.

        A sample or noise is drawn, unless `batch` has an entry of its name.

        Args:
            batch: The minibatch; it needs only the names that `wanted` is computed from.
            wanted: Values of the game, energies among them; or their names, given with `.named` or
                as records and plans have them.
            training: Whether modules run in training mode (their buffers stay as they are).
            draw: Samples and noise are others for each number from 0; the same for the same.

        Raises:
            GameError: A value is of another game, or there is none of a name.
        """
        nodes = values_of(wanted, self.plan.graph)
        self._refuse_foreign(nodes)
        placed = self._precision.batch(batch)
        counters = self.state.next_counters()
        for _ in range(draw):
            counters.next_draws()
        look = partial(self._interpreter.values, nodes, placed, counters, training=training)
        values = self._only_looking(look)
        return [values[node] for node in nodes]

    def check(self, batch: Minibatch) -> None:
        """Check the game against a batch: names, shapes, scalars, hidden parameters, purity.

        The first step does so, too. What a player's backward pass does that others must not see is
        found out, and heeded from then on.

        Raises:
            GameError: Listing every problem.
            DataError: The batch has no samples.
        """
        placed = self._precision.batch(batch)
        require_samples(placed, self._entries)
        self._check_placed(placed)

    def _check_placed(self, batch: Minibatch) -> None:
        needed = self._needed()
        graph, parameters = self.plan.graph, self.state.parameters
        found = self._only_looking(
            partial(check_batch, graph, needed, self._interpreter, parameters, batch)
        )
        if self._first is None and self.plan.together:
            self._compare_halves(needed, batch)
        self._first = Kinds(batch)
        if found.nonlinear or found.recomputing:
            self._heed(found)

    def _compare_halves(self, needed: Sequence[Value], batch: Minibatch) -> None:
        """Warn of energies that mean something else in several processes than in one."""
        counters = self.state.next_counters()
        look = partial(not_means, self.plan.graph, needed, self._interpreter, counters, batch)
        found = self._only_looking(lambda: [*look()])
        if found and not self._processes.rank:
            told = "; ".join(f"`{n}` is {all_:.4g}, and {mean:.4g}" for n, all_, mean in found)
            count, parts = self._processes.count, self._accumulate
            how = f"{count} processes" if count > 1 else f"{parts} parts (accumulate={parts})"
            warnings.warn(
                f"in {how} this game is another than in one: of the first batch, and of its halves "
                f"on average, {told}; expected energies that are means over samples. BatchNorm, "
                "dropout and energies that compare samples, or add them up, differ: leave them "
                "out, or see to it that this is meant",
                GameWarning,
                stacklevel=6,
            )

    def _needed(self) -> Sequence[Value]:
        """Return what the players' objectives are computed from.

        Also of the terms that don't depend on their player: one may hide the player's module.
        """
        moves = self.plan.schedule.moves
        return ancestors(roots(move.objective(p) for move in moves for p in move.players))

    def _heed(self, found: Findings) -> None:
        """Play from now on as what a dry run has found out of backward passes demands."""
        self.plan = replace(self.plan, nonlinear=found.nonlinear)
        self._recomputing = found.recomputing
        modules = self.state.modules
        self._interpreter = Interpreter(
            modules, self._parameters, Operations(modules, self._precision), found.recomputing
        )
        self._playing.clear()
        self._looks.clear()
        self._pull_plans.clear()
        self._steady = None

    def _check_first(
        self, batch: Minibatch | Iterator[Minibatch]
    ) -> Minibatch | Iterator[Minibatch]:
        """Check the first batch, before the iteration that takes it; return it, too."""
        if isinstance(batch, Mapping):
            self.check(batch)
        elif isinstance(batch, Iterator):
            first = next(batch)
            batch = chain([first], batch)
            if isinstance(first, Mapping):  # else the feed tells
                self.check(first)
        return batch

    def costs(self, batch: Minibatch) -> dict[str, Costs]:
        """Return what an iteration costs in which every move happens, without changing anything.

        Returns:
            Those "planned", and those "from scratch", with every move computed from the batch up,
            and backpropagated through once for each player who moves.
        """
        plan, graph = replace(self.plan, together=False), self.plan.graph
        turns = plan.turns(plan.whole)
        playing: dict[str, Play] = {
            "planned": self._compiled(plan.program(plan.whole)),
            "from scratch": partial(self._interpreter.play, turns, graph.names, keep=False),
        }
        number = self.state.iterations.get(self.phase, 0)
        costs = {}
        for name, play in playing.items():
            placed = Batch(self._precision.batch(batch))
            feed = BatchFeed(repeat(placed), plan.batches_per_step, Batch)
            run = self._iteration(feed, self.state.counters.copy(), number, nobody_steps)
            own = [(p, p.grad) for p in self._around.moving]
            look = partial(self._measured, partial(play, run))
            costs[name] = self._only_looking(look, run.restore, partial(_give, own))
        return costs

    def _measured(self, play: Callable[[], object]) -> Costs:
        _give((p, None) for p in self._around.moving)  # what is added up begins with nothing
        with preserved_buffers(self.state.modules):
            return measured(play)

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        """Return everything that evolves: modules, optimizers, counters, the seed."""
        return self.state.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, in an engine of the same plan."""
        self.state.load_state_dict(state)

    def save(self, folder: Path | str, **more: object) -> None:
        """Write everything that evolves to a folder, which is whole or is not there.

        Args:
            folder: The folder; an earlier checkpoint there is replaced.
            more: Further states to keep with it, such as the data's position: numbers, texts,
                tensors, and mappings and sequences of them.

        Raises:
            RunError: It cannot be written, or part of it cannot be saved.
        """
        states = {**parts_of(self.state_dict()), **{f"more/{n}": s for n, s in more.items()}}
        about = {"game": self.plan.graph.name, "steps": dict(self.state.iterations)}
        checkpoint.write(Path(folder), checkpoint.encode_parts(states), about)

    @classmethod
    def load(
        cls, folder: Path | str, plan: Plan, optimizers: Optimizers, *args: Any, **options: Any
    ) -> tuple[Engine, dict[str, Any]]:
        """Return an engine that continues from what `save` wrote, and what was kept with it.

        Args:
            folder: The folder.
            plan: The plan, and then all that an `Engine` takes, as of the engine that was saved.
            optimizers: As of that engine.
            args: Further arguments of `Engine`.
            options: Further arguments of `Engine`.

        Raises:
            RunError: The folder is missing or damaged, or of another game.

        A loop of one's own that survives:

        >>> import nvn
        >>> from nvn import energies as en
        >>> game = nvn.Game("line")
        >>> x, y = game.batch("x", "y")
        >>> f = game.player("f", torch.nn.Linear(1, 1))
        >>> f.minimizes(en.mse(f(x), y))
        >>> plan, adam = nvn.plan(game, nvn.alternating(f)), partial(torch.optim.Adam, lr=0.1)
        >>> inputs = torch.linspace(-1.0, 1.0, 64)[:, None]
        >>> data = nvn.data.TensorBatches({"x": inputs, "y": 2 * inputs}, batch_size=16)

        >>> engine, batches = nvn.Engine(plan, adam), nvn.data.batches(data)
        >>> _ = engine.step(batches)
        >>> engine.save("line after 1", data=batches.state_dict())

        >>> engine, more = nvn.Engine.load("line after 1", plan, adam)
        >>> batches.load_state_dict(more["data"])
        >>> engine.step(batches).step
        2
        """
        found = checkpoint.read(Path(folder))
        engine = cls(plan, optimizers, *args, **options)
        engine.load_state_dict(state_of(found.parts))
        more = {n: part for n, part in found.parts.items() if n.startswith("more/")}
        return engine, {name.removeprefix("more/"): part for name, part in more.items()}

    # --- set-up ---

    def _surroundings(self) -> Surroundings:
        moving = dict.fromkeys(p.name for move in self.plan.schedule.moves for p in move.players)
        return Surroundings(
            self.state.modules.values(),
            self.state.flags.every,
            [p for name in moving for p in self.state.parameters[name].values()],
            self._precision.back,
        )

    def _place_modules(self) -> None:
        for player in self.plan.graph.players:
            self._precision.module(player.module)
            # Parts of a player who trains keep the modes that they were given: a BatchNorm in
            # eval mode, on purpose, say.
            if player.frozen or not player.module.training:
                player.module.train(not player.frozen)

    # --- small things ---

    def _refuse_foreign(self, wanted: Iterable[Value]) -> None:
        """Refuse values of another game, and of players who were not there yet."""
        table, name = self.plan.graph.table, self.plan.graph.name
        for value in ancestors(wanted):
            player = owner(value)
            if value.table is not table:
                found = f"`{value}`, a value of the game {value.table.game!r}"
                problem = Problem("values(…)", found, f"values of {name!r} alone", "")
                raise GameError([problem], name)
            if player is not None and player not in self.state.modules:
                found = f"`{value}`, of a player declared after the plan was made"
                problem = Problem("values(…)", found, "players of the plan", "plan the game anew")
                raise GameError([problem], name)

    def _names(self, players: Iterable[Player | Team | str] | Player | Team | str) -> list[str]:
        if isinstance(players, Player | str):
            players = [players]
        names: dict[str, None] = {}
        for player in players:
            members = player if isinstance(player, Team) else [player]
            names |= dict.fromkeys(m if isinstance(m, str) else m.name for m in members)
        return list(names)

    def _objective_terms(self, name: str, iteration: int) -> tuple[Term, ...]:
        graph = self.plan.graph
        player = next((p for p in graph.players if p.name == name), None)
        objective = graph.objectives.get(name)
        if player is None or not objective:
            known = tuple(n for n, o in graph.objectives.items() if o)
            hint = did_you_mean(name, known)
            found = f"no player {name!r} with an objective.{hint}"
            problem = Problem("gradients(…)", found, "a player that minimizes something", "", known)
            raise GameError([problem], graph.name)
        terms = graph.moving_terms(player, objective)
        return tuple(term for term in terms if term.weight.known_at(iteration) != 0.0)

    def _filled(self, name: str, gradients: Sequence[Tensor | None] | None) -> dict[str, Tensor]:
        parameters = self.state.flags.named()[name]
        found = gradients or [None] * len(parameters)
        return {
            key: torch.zeros_like(parameter) if gradient is None else gradient
            for (key, parameter), gradient in zip(parameters.items(), found, strict=True)
        }


def _give(gradients: Iterable[tuple[nn.Parameter, Tensor | None]]) -> None:
    for parameter, gradient in gradients:
        parameter.grad = gradient
