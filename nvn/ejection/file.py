"""A plan's loop as the text of one file."""

from __future__ import annotations

import copy
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nvn import pytree
from nvn.ejection.emitter import LoopEmitter, Surroundings, bound
from nvn.ejection.followers import Followers
from nvn.ejection.functions import RefusedError, Taken, free_names
from nvn.ejection.optimizers import Stepping
from nvn.ejection.patterns import Every, Weighs, When, patterns
from nvn.energies.formula import Formula, formula_of
from nvn.engine import averaging, groups, past_selves, runtime, seeding, warmup
from nvn.engine.counters import Counters
from nvn.engine.engine import Engine
from nvn.engine.optimizers import Optimizers
from nvn.errors import GameError, Problem
from nvn.game.traversal import ancestors, roots
from nvn.planner import ir
from nvn.planner.emit import INDENT, WIDTH, folded
from nvn.planner.ir import Program, quoted
from nvn.planner.names import Names
from nvn.planner.planner import Pattern, Plan

MOST = 16
"""Loops in one file: more conditions than four that are independent are no loop to read."""

# The functions that a loop may call, besides torch's: they stand by themselves.
HELPERS: tuple[Any, ...] = (
    Counters,
    seeding.seeded,
    averaging.follow,
    groups.grouped,
    past_selves.keep_self,
    past_selves.self_of,
    warmup.step_in_part,
    warmup.step_warming_up,
    *(
        getattr(runtime, name)
        for name in (
            "accumulate",
            "alias",
            "assign",
            "backward",
            "commit",
            "detached",
            "evaluating",
            "leaf",
            "on_copies",
            "places_of",
            "tensors",
            "total",
            "vjp",
        )
    ),
)

# What a file imports for itself.
IMPORTS: Mapping[str, str] = {
    "Any": "from typing import Any",
    "F": "import torch.nn.functional as F",
    "Iterator": "from collections.abc import Iterator",
    "LRScheduler": "from torch.optim.lr_scheduler import LRScheduler",
    "Mapping": "from collections.abc import Mapping",
    "Tensor": "from torch import Tensor",
    "nn": "from torch import nn",
    "torch": "import torch",
}
OWN = frozenset(
    [
        *(
            "train_step",
            "make_optimizers",
            "make_schedulers",
            "modules",
            "optimizers",
            "schedulers",
        ),
        *("schedulers", "counters", "energies", "batch", "batches", "step", "devices"),
        *("generator", "loss", "p", "module", "partial", "float", "len", "next", "zip", "dict"),
        *("make_pasts", "pasts", "earlier", "named", "learning", "copy", "fnmatch"),
        "get_ema_multi_avg_fn",
    ]
)
TAKEN = (
    OWN | {*IMPORTS, *(helper.__name__ for helper in HELPERS)} | {*vars(runtime)} | {*vars(seeding)}
)
"""Names that nothing of the game's may have in the file."""


def eject(
    plan: Plan, optimizers: Optimizers, batch: Mapping[str, Any], *, steps: int = 10_000
) -> str:
    """Return a plan's training loop as a Python file that needs torch, and nothing of nvn.

    Its `train_step(modules, optimizers, batch, step, …)` is one iteration: on the same modules,
    optimizers and batches it does what `engine.step` does, to the bit (on a CPU).

    Args:
        plan: What to play.
        optimizers: As for `nvn.Engine`.
        batch: A batch like those that it is to be trained on. The game is tried on it, on copies.
        steps: How many iterations are to be played. Loops are written for those only in which
            weights that are functions of the step are zero as they are in one of these.

    Raises:
        GameError: Listing all that cannot be taken along, each with the edit that mends it; or all
            that is wrong with the game.
        ConfigError: A player that moves has no optimizer.

    >>> import nvn, torch
    >>> from functools import partial
    >>> from nvn import energies as en
    >>> game = nvn.Game("regression")
    >>> x, y = game.batch("x", "y")
    >>> P = game.player("P", torch.nn.Linear(3, 1))
    >>> P.minimizes(en.mse(P(x), y))
    >>> plan = nvn.plan(game, nvn.alternating(P))
    >>> batch = {"x": torch.ones(4, 3), "y": torch.ones(4, 1)}
    >>> source = nvn.eject(plan, partial(torch.optim.SGD, lr=0.1), batch)
    >>> "(P_x - y).square().mean()" in source
    True
    """
    return _File(plan, optimizers, batch, steps).text()


@dataclass(frozen=True)
class _Loop:
    """The loop of one pattern.

    Attributes:
        name: The function's, if there are several.
        program: Its program.
        lines: The function's body.
    """

    name: str
    program: Program
    lines: list[str]


class _File:
    """Everything that a file is made of."""

    def __init__(
        self, plan: Plan, optimizers: Optimizers, batch: Mapping[str, Any], steps: int
    ) -> None:
        engine, self.values = _tried(plan, optimizers, batch)
        self.plan = plan = engine.plan  # as its check made it
        self.batch = batch
        self.stepping = Stepping.of(plan, optimizers)
        self.patterns = patterns(plan, steps)
        self.followers = Followers.of(plan.graph, batch)
        self.problems = dict.fromkeys(map(_recomputes, sorted(engine.recomputing)))
        self.taken = Taken(TAKEN)
        self.helpers = Taken()
        self.distinct = [*dict.fromkeys(self.patterns.of.values())]
        if len(self.distinct) > MOST:
            self._refuse_many()
        drafts = {pattern: self._lowered(pattern) for pattern in self.distinct}
        self.called = self._called(drafts.values())
        for condition in self.patterns.conditions:
            for function in condition.functions if isinstance(condition, Weighs) else ():
                self._take(function, self.called)
        if self.problems:
            raise GameError(self.problems, plan.graph.name)
        self.around = Surroundings(
            batch,
            self.values,
            self.stepping.clippings,
            self.stepping.scheduled,
            self.stepping.warmups,
            self.followers,
            any(map(self._draws, drafts.values())) or bool(self.followers.pasts),
            any(plan.batches(pattern) > 1 for pattern in self.distinct),
        )
        self.loops = self._loops()

    # --- what the loops are ---

    def _lowered(self, pattern: Pattern, named: Mapping[int, str] | None = None) -> Program:
        taken = {*TAKEN, *self.patterns.whens.values()}
        taken |= {*self.taken.definitions, *self.taken.imports}
        return self.plan.lower(self.plan.turns(pattern), taken=taken, named=named)[0]

    def _loops(self) -> dict[Pattern, _Loop]:
        names = Names([*self.taken.definitions, *self.taken.imports])
        loops: dict[Pattern, _Loop] = {}
        for pattern in self.distinct:
            program = self._lowered(pattern, self.called)
            lines = LoopEmitter(program, self.around).body()
            moves = [
                "_and_".join(player.name for player in planned.move.players)
                for planned, chosen in zip(self.plan.moves, pattern, strict=True)
                if chosen is not None
            ]
            name = names.fresh("_then_".join(moves).lower() or "nobody")
            loops[pattern] = _Loop(f"_{name}", program, lines)
        return loops

    def _draws(self, program: Program) -> bool:
        """Tell whether a loop draws anything that its batch does not give."""
        return any(
            isinstance(x, ir.Seed)
            or (isinstance(x, ir.Noise | ir.Sample) and x.name not in self.batch)
            for x in program.instructions
        )

    # --- what they call ---

    def _called(self, programs: Iterable[Program]) -> dict[int, str]:
        """Take along what programs call; return the name of each thing, by its id."""
        named: dict[int, str] = {}
        for program in programs:
            for thing, formula in _things(program, self.batch):
                self._take(thing, named, formula)
        return named

    def _take(self, thing: Any, named: dict[int, str], formula: Formula | None = None) -> None:
        if id(thing) in named:
            return
        try:
            if formula is not None:
                self.taken.follow(formula.names, thing)
                return
            name = _snake(getattr(thing, "__name__", type(thing).__name__))
            named[id(thing)] = self.taken.constant(thing, name)
        except RefusedError as refused:
            self.problems[refused.problem] = None

    def _refuse_many(self) -> None:
        conditions = "; ".join(self._condition(c, {}) for c in self.patterns.conditions)
        found = f"{len(self.distinct)} loops, of the conditions {conditions}"
        edit = "eject a schedule with fewer moves that happen now and then"
        self.problems[Problem("schedule", found, f"{MOST} loops at most", edit)] = None

    # --- text ---

    def text(self) -> str:
        """Return the file."""
        body = "\n\n\n".join(self._functions())
        made = self._makers()
        stepping = any("def make_optimizers" in each for each in made)
        sections = [body, *made]
        helpers = self._helpers("\n\n".join(sections))
        own = [*self.taken.definitions.values()]
        sections += [_heading("what the game is made of"), *own] if own else []
        sections += [_heading("what the loop calls"), *helpers] if helpers else []
        text = "\n\n\n".join(sections)
        docstring = "\n".join(self._docstring(stepping))
        imports = "\n".join(self._imports(text))
        return f'"""{docstring}\n"""\n\n{imports}\n\n\n{text}\n'

    def _functions(self) -> Iterator[str]:
        """Yield the functions: train_step, and one for each pattern if there are several."""
        loops = [*self.loops.values()]
        title = f"Play one iteration of {self.plan.graph.name}, and return its energies."
        if len(loops) == 1 and not self.patterns.conditions:
            yield self._function("train_step", title, loops[0].lines, public=True)
            return
        yield self._function("train_step", title, [*self._dispatch()], public=True)
        for pattern, loop in self.loops.items():
            yield self._function(loop.name, self._said(pattern), loop.lines, public=False)

    def _function(self, name: str, title: str, lines: list[str], *, public: bool) -> str:
        parameters = [
            "modules: Mapping[str, Any]",
            "optimizers: Mapping[str, torch.optim.Optimizer]",
            "batches: Iterator[Mapping[str, Any]]"
            if self.around.several
            else "batch: Mapping[str, Any]",
            "step: int",
        ]
        named = [f"{each}: {kind}" for each, kind in self._more().items()]
        if public:
            named += [f"{each}: bool" for each in dict.fromkeys(self.patterns.whens.values())]
        parameters += (["*"] if named else []) + named
        head = [f"def {name}(", *(f"{INDENT}{each}," for each in parameters)]
        head.append(") -> dict[str, Tensor]:")
        said = [INDENT + line for line in textwrap.wrap(f'"""{title}"""', WIDTH - len(INDENT))]
        return "\n".join([*head, *said, *(INDENT + line if line else "" for line in lines)])

    def _more(self) -> dict[str, str]:
        """Return the further arguments of the loops, with their types."""
        more = {"counters": "Counters"} if self.around.draws else {}
        if self.around.scheduled:
            more["schedulers"] = "Mapping[str, LRScheduler]"
        if self.followers.pasts:
            more["pasts"] = "Mapping[str, list[dict[str, Any]]]"
        return more

    def _dispatch(self) -> Iterator[str]:
        """Yield what plays the loop that is due."""
        data = "batches" if self.around.several else "batch"
        given = ", ".join(
            ["modules", "optimizers", data, "step", *(f"{name}={name}" for name in self._more())]
        )
        conditions = [self._condition(c, self.called) for c in self.patterns.conditions]
        outcomes = sorted(self.patterns.of.items(), reverse=True)
        if len(conditions) == 1 and len(outcomes) == 2:
            yield f"if {conditions[0]}:"
            first, second = (f"return {self.loops[p].name}({given})" for _, p in outcomes)
            yield from (INDENT + line for line in folded(first, WIDTH - 2 * len(INDENT)))
            yield from folded(second)
            return
        yield f"match ({', '.join(conditions)}):"
        for outcome, pattern in outcomes:
            yield f"{INDENT}case {outcome}:"
            call = f"return {self.loops[pattern].name}({given})"
            yield from (INDENT * 2 + line for line in folded(call, WIDTH - 3 * len(INDENT)))
        if len(outcomes) < 2 ** len(conditions):
            said = f"no iteration of the first {self.patterns.looked_at} is like this one"
            yield f'raise ValueError(f"step {{step}}: {said}")'
        else:
            yield 'raise AssertionError("all cases are there")'

    def _condition(self, condition: Every | When | Weighs, called: Mapping[int, str]) -> str:
        match condition:
            case Every(number):
                return f"step % {number} == 0"
            case When(name):
                return name
            case Weighs(functions):
                product = " * ".join(f"{called.get(id(fn), fn)}(step)" for fn in functions)
                return f"{product} != 0.0"
        raise AssertionError(condition)

    def _said(self, pattern: Pattern) -> str:
        moves = [
            f"{planned.move}"
            for planned, chosen in zip(self.plan.moves, pattern, strict=True)
            if chosen is not None
        ]
        return f"{' → '.join(moves) or 'Nobody'} {'moves' if len(moves) < 2 else 'move'}."

    def _makers(self) -> list[str]:
        made = []
        optimizers = self.stepping.made(self.taken)
        if optimizers is not None:
            made.append("\n".join(optimizers))
            schedulers = (
                self.stepping.made_schedulers(self.taken) if self.around.scheduled else None
            )
            if schedulers is not None:
                made.append("\n".join(schedulers))
        pools = self.followers.pools()
        return [*made, "\n".join(pools)] if pools else made

    # --- the rest of the file ---

    def _helpers(self, text: str) -> list[str]:
        """Return the source of all helpers that a text uses."""
        used = {*free_names(text)}
        # What the game's own functions use by a formula may be one too.
        for source in self.taken.definitions.values():
            used |= {*free_names(source)}
        for helper in HELPERS:
            if helper.__name__ in used and helper.__name__ not in self.taken.definitions:
                self.helpers.name(helper)
        return [*self.helpers.definitions.values()]

    def _imports(self, text: str) -> list[str]:
        """Return the lines that import what the file uses, in order."""
        used = {*free_names(text)}
        lines = {**self.helpers.imports, **self.taken.imports, **IMPORTS}
        wanted = {line for name, line in lines.items() if name in used}
        return ["from __future__ import annotations", *_sorted_imports(wanted)]

    def _docstring(self, made: bool) -> Iterator[str]:
        plan, more = self.plan, self._more()
        yield f"The training loop of the game {plan.graph.name!r}: {plan.schedule}."
        yield ""
        yield from _paragraph(
            "Written by `nvn eject`. It needs torch, and nothing of nvn. One call of train_step is "
            "one iteration; what it returns are the energies, as constants:"
        )
        yield ""
        given = [*more, *dict.fromkeys(self.patterns.whens.values())]
        if made:
            yield f"{INDENT}optimizers = make_optimizers(modules)"
        if "schedulers" in more and made:
            yield f"{INDENT}schedulers = make_schedulers(optimizers)"
        if "counters" in more:
            yield f"{INDENT}counters = Counters(seed=0)"
        if "pasts" in more:
            yield f"{INDENT}pasts = make_pasts(modules)"
        arguments = ", ".join(
            ["modules", "optimizers", "batches" if self.around.several else "batch", "step"]
            + [f"{name}={name if name in more else '…'}" for name in given]
        )
        counted = "step in count()" if self.around.several else "step, batch in enumerate(batches)"
        yield f"{INDENT}for {counted}:"
        call = folded(f"energies = train_step({arguments})", WIDTH - 2 * len(INDENT))
        yield from (INDENT * 2 + line for line in call)
        yield ""
        yield from _paragraph(" ".join(self._terms(made)))

    def _terms(self, made: bool) -> Iterator[str]:
        """Yield what somebody has to know who calls the loop."""
        called = {name for loop in self.loops.values() for name in loop.program.called}
        called |= {*self.followers.names}
        players = [player for player in self.plan.graph.players if player.name in called]
        moving = [player.name for player in players if not player.frozen]
        frozen = [player.name for player in players if player.frozen]
        modes = f"{_listed(moving)} in train mode"
        modes += f", {_listed(frozen)} in eval mode" if frozen else ""
        yield f"`modules` are the players' modules, by name: {modes}."
        for name, of in self.followers.names.items():
            yield f"{name} is a copy of {of} at first."
        entries = dict.fromkeys(
            x.name
            for loop in self.loops.values()
            for x in loop.program.instructions
            if isinstance(x, ir.Entry)
            or (isinstance(x, ir.Noise | ir.Sample) and x.name in self.batch)
        )
        batch = f"A batch is a dict with {_listed(map(quoted, entries))}."
        takes = max(self.plan.batches(pattern) for pattern in self.distinct)
        yield batch if takes == 1 else f"{batch} An iteration takes up to {takes} from `batches`."
        if not made:
            keys = ", ".join(f"{quoted(k)} over {p}'s" for k, p in self.stepping.players.items())
            yield f"`optimizers` are torch optimizers over parameters that learn: {keys}."
        waiting = self.stepping.waiting
        for metric in dict.fromkeys(waiting.values()):
            keys = _listed(key for key, watched in waiting.items() if watched == metric)
            yield f"The learning rate of {keys} followed {quoted(metric)}: that is for the caller."
        if self.patterns.whens:
            moves = [f"{name} (move {i + 1})" for i, name in self.patterns.whens.items()]
            yield f"What may or may not happen is for the caller to say: {', '.join(moves)}."
        yield (
            "Energies are their formulas: nothing is raised to float32 before, and shapes are not "
            "checked. Without mixed precision, on a CPU, all numbers are those of nvn's engine."
        )


# --- what a plan computes -----------------------------------------------------------------------


def _recomputes(player: str) -> Problem:
    return Problem(
        f"the module of `{player}`",
        "it computes forward again in its backward passes (activation checkpointing), and changes "
        "its buffers there",
        "a forward pass for each call: in opponents' moves, the engine keeps such buffers apart",
        "leave what has buffers out of what is checkpointed",
    )


def _tried(
    plan: Plan, optimizers: Optimizers, batch: Mapping[str, Any]
) -> tuple[Engine, dict[str, Any]]:
    """Try a game on a batch; return its values by name, too. Everything else stays."""
    modules = [player.module for player in plan.graph.players]
    followers = plan.graph.followers  # engines let them begin anew
    follow = [player.module for player in plan.graph.players if player.name in followers]
    states = [copy.deepcopy(module.state_dict()) for module in follow]
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        engine = Engine(plan, optimizers)
        engine.check(batch)
        moves = plan.schedule.moves
        nodes = ancestors(roots(move.objective(p) for move in moves for p in move.players))
        found = engine.values(batch, nodes, training=True)
    finally:
        for module, state in zip(follow, states, strict=True):
            module.load_state_dict(state)
        for part, training in modes:
            part.training = training
    return engine, dict(zip((plan.graph.names[node] for node in nodes), found, strict=True))


def _things(program: Program, batch: Mapping[str, Any]) -> Iterator[tuple[Any, Formula | None]]:
    """Yield what a loop calls or is given by name; with its formula, where it is written as that.

    A function of samples that the batch gives is not called.
    """
    for x in program.instructions:
        if isinstance(x, ir.Apply):
            function = program.constants[x.function.name]
            yield function, formula_of(function, bound(function, x.args, x.kwargs))
        elif isinstance(x, ir.Sample) and x.name not in batch:
            function = program.constants[x.function.name]
            yield function, formula_of(function, ("generator", "batch"))
        given = [x.args, x.kwargs] if isinstance(x, ir.Apply | ir.Call) else [vars(x)]
        skipped = {x.function} if isinstance(x, ir.Apply | ir.Sample) else set()
        yield from (
            (program.constants[c.name], None) for c in _constants_in(given) if c not in skipped
        )


def _constants_in(tree: Any) -> Iterator[ir.Constant]:
    for leaf in pytree.leaves(tree):
        if isinstance(leaf, ir.Constant):
            yield leaf
        elif isinstance(leaf, ir.Scale):
            yield from (fn for factor in leaf.factors for fn in factor.functions)


# --- text ---------------------------------------------------------------------------------------


def _snake(name: str) -> str:
    """Return a class's name as a variable's.

    >>> _snake("HalfSquare"), _snake("ramp")
    ('half_square', 'ramp')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _heading(text: str) -> str:
    start = f"# --- {text} "
    return start + "-" * (WIDTH - len(start))


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False)


def _listed(items: Iterable[str]) -> str:
    *others, last = [*items] or ["nothing"]
    return f"{', '.join(others)} and {last}" if others else last


def _sorted_imports(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines that import, as people sort them: Python's own, a blank line, then others."""
    names: dict[str, set[str]] = {}
    whole: set[str] = set()
    for line in lines:
        if line.startswith("from "):
            module, _, name = line.removeprefix("from ").partition(" import ")
            names.setdefault(module, set()).add(name)
        else:
            whole.add(line)
    froms = [f"from {m} import {', '.join(sorted(n, key=_isort))}" for m, n in names.items()]
    for group in (_is_stdlib, lambda line: not _is_stdlib(line)):
        found = [*sorted(filter(group, whole)), *sorted(filter(group, froms))]
        if found:
            yield ""
            yield from found


def _isort(name: str) -> tuple[bool, bool, str]:
    """Sort as isort does: CONSTANTS, Classes, functions."""
    bare = name.partition(" ")[0]
    return (not bare.isupper() or len(bare) == 1, not bare[0].isupper(), bare)


def _is_stdlib(line: str) -> bool:
    return line.split()[1].partition(".")[0] in sys.stdlib_module_names
