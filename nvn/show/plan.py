"""A plan, explained the way a database explains a query: what each move computes, reuses and why.

`explain` gives data, which `dataclasses.asdict` turns into what `nvn plan --json` prints; how a
person reads them is in plan_text.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nvn.game.graph import LossGraph
from nvn.game.ops import Call
from nvn.game.traversal import differentiable_path, gradients_of, owner
from nvn.game.values import Value, Weight, written
from nvn.planner.ir import Comment, Free, Return
from nvn.planner.planner import Plan, heading
from nvn.planner.turns import TurnPlan

if TYPE_CHECKING:
    from nvn.engine.costs import Costs

__all__ = [
    "ExplainedCall",
    "ExplainedCosts",
    "ExplainedGradient",
    "ExplainedMove",
    "ExplainedPlan",
    "explain",
]


@dataclass(frozen=True)
class ExplainedGradient:
    """A gradient that is computed as a value: ∂`of`/∂`by`.

    Attributes:
        of: The value that is differentiated.
        by: The value that it is differentiated with respect to.
        through: The calls between them, each of which has one backward pass for it.
    """

    of: str
    by: str
    through: list[str]


@dataclass(frozen=True)
class ExplainedCall:
    """The backward passes of a move through one call.

    Attributes:
        call: The call.
        player: Whose call it is.
        passes: The number of backward passes.
        rank: The rank of `matrix`, which they cannot be fewer than.
        carried: For each pass, the player or the energy whose gradient it carries.
        energies: The energies downstream of the call: the columns of `matrix`.
        matrix: The weight of each player that needs a gradient here, on each of the energies.
        made_of: For each of these players, the coefficient of each pass in its gradient.
    """

    call: str
    player: str
    passes: int
    rank: int
    carried: list[str]
    energies: list[str]
    matrix: dict[str, list[str]]
    made_of: dict[str, dict[str, str]]


@dataclass(frozen=True)
class ExplainedMove:
    """One move of an iteration.

    Attributes:
        move: Who moves.
        takes: "a new batch", "new draws", or nothing.
        descends: The energies that each player descends, with their weights.
        computed: The calls that are computed in it.
        reused: The calls whose values are there already.
        gradients: The gradients that are computed as values.
        values: The number of values computed, calls included.
        through: The calls that have backward passes, from the last one back.
    """

    move: str
    takes: str
    descends: dict[str, dict[str, str]]
    computed: list[str]
    reused: list[str]
    gradients: list[ExplainedGradient]
    values: int
    through: list[ExplainedCall]


@dataclass(frozen=True)
class ExplainedCosts:
    """What an iteration costs.

    Attributes:
        flops: Floating-point operations.
        peak_bytes: The most bytes held at once, beyond what was there before.
    """

    flops: int
    peak_bytes: int


@dataclass(frozen=True)
class ExplainedPlan:
    """What the iterations of a plan do in which every move happens.

    Attributes:
        game: The game's name.
        schedule: Who moves when.
        turns: Its moves, one that is repeated as often as it is.
        unshared: Why no backward passes are shared; empty if they may be.
        followers: How players follow others, in words, of those who do, by name.
        counts: For each player, the passes through its module: "forward" and "backward".
        passes: The backward passes through all calls.
        passes_bound: The sum of the ranks: what generic reverse mode needs at least.
        costs: What it costs, "planned" and "from scratch"; empty if it was not measured.
        instructions: The program.
    """

    game: str
    schedule: str
    turns: list[ExplainedMove]
    unshared: str
    followers: dict[str, str]
    counts: dict[str, dict[str, int]]
    passes: int
    passes_bound: int
    costs: dict[str, ExplainedCosts]
    instructions: list[str]


def explain(plan: Plan, costs: Mapping[str, Costs]) -> ExplainedPlan:
    """Explain the iterations of a plan in which every move happens.

    Args:
        plan: The plan.
        costs: What such an iteration costs, "planned" and "from scratch"; empty if not measured.
    """
    program, turn_plans = plan.lowered(plan.whole)
    turns = [_move(plan.graph, played) for played in turn_plans]
    calls = [call for turn in turns for call in turn.through]
    return ExplainedPlan(
        game=plan.graph.name,
        schedule=str(plan.schedule),
        turns=turns,
        unshared=plan.unshared,
        followers={name: str(each) for name, each in plan.graph.followers.items()},
        counts=plan.counts,
        passes=sum(call.passes for call in calls),
        passes_bound=sum(call.rank for call in calls),
        costs={name: ExplainedCosts(cost.flops, cost.peak) for name, cost in costs.items()},
        instructions=[
            str(x) for x in program.instructions if not isinstance(x, Comment | Free | Return)
        ],
    )


def _move(graph: LossGraph, played: TurnPlan) -> ExplainedMove:
    calls = [node for node in played.backward_plan.needed_by if owner(node) is not None]
    return ExplainedMove(
        move=heading(played.turn.move),
        takes={True: "a new batch", "noise": "new draws", False: ""}[played.turn.takes],
        descends={
            player: {graph.names[t.energy]: str(t.weight) for t in terms}
            for player, terms in played.turn.terms.items()
        },
        computed=[_made_as(node) for node in _calls(played.computed)],
        reused=[graph.names[node] for node in _calls(played.reused)],
        gradients=[_gradient(graph, node) for node in gradients_of(played.computed)],
        values=len(played.computed),
        through=[_call(graph, played, node) for node in reversed(calls)],
    )


def _calls(nodes: Sequence[Value]) -> list[Value]:
    return [node for node in nodes if isinstance(node.op, Call)]


def _made_as(node: Value) -> str:
    made = written(node)
    return f"{node.name} = {made}" if node.name else made


def _gradient(graph: LossGraph, node: Value) -> ExplainedGradient:
    y, x = node.args
    path = differentiable_path(x, y) - {x}
    calls = sorted((n for n in path if isinstance(n.op, Call)), key=lambda n: n.index)
    return ExplainedGradient(graph.names[y], graph.names[x], [graph.names[n] for n in calls])


def _call(graph: LossGraph, played: TurnPlan, node: Value) -> ExplainedCall:
    """Explain the backward passes through a call: the rows of weights, and the passes they need."""
    back, player = played.backward_plan, owner(node)
    assert player is not None
    basis, passes = back.bases[node], back.passes[node]
    energies = [
        e for e in graph.energies if any(back.carries(p, node, e) for p in back.needed_by[node])
    ]
    return ExplainedCall(
        call=graph.names[node],
        player=player,
        passes=len(passes),
        rank=min(basis.rank, len(passes)),
        carried=[x.name for x in passes],
        energies=[graph.names[e] for e in energies],
        matrix={
            p: [_sum(back.matrix.row(p).weight(e)) for e in energies] for p in back.needed_by[node]
        },
        made_of={
            p: {x.name: _sum(c) for x, c in back.coefficients(node, back.matrix.row(p)).items()}
            for p in back.needed_by[node]
        },
    )


def _sum(weights: Sequence[Weight]) -> str:
    return " + ".join(map(str, weights)) or "0"
