"""A plan, explained the way a database explains a query: what each move computes, reuses and why.

`explained` gives plain data (what `nvn plan --json` prints); `text` gives 80 columns for a person.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nvn.game.graph import LossGraph
from nvn.game.ops import Call
from nvn.game.traversal import differentiable_path, gradients_of, owner
from nvn.game.values import Value, Weight, written
from nvn.planner.ir import Comment, Free, Return
from nvn.planner.planner import Plan, heading
from nvn.planner.turns import TurnPlan

if TYPE_CHECKING:
    from nvn.engine.costs import Costs

Explained = dict[str, Any]
WIDTH = 80


def explained(plan: Plan, costs: Mapping[str, Costs]) -> Explained:
    """Return what the iterations of a plan do in which every move happens.

    Args:
        plan: The plan.
        costs: What such an iteration costs, "planned" and "from scratch".
    """
    program, turn_plans = plan.lowered(plan.whole)
    turns = [_turn(plan.graph, played) for played in turn_plans]
    through = [passed for turn in turns for passed in turn["through"]]
    return {
        "game": plan.graph.name,
        "schedule": str(plan.schedule),
        "turns": turns,
        "counts": plan.counts,
        "passes": sum(passed["passes"] for passed in through),
        "passes_bound": sum(passed["rank"] for passed in through),
        "costs": {
            name: {"flops": cost.flops, "peak_bytes": cost.peak} for name, cost in costs.items()
        },
        "instructions": [
            str(x) for x in program.instructions if not isinstance(x, Comment | Free | Return)
        ],
    }


def _turn(graph: LossGraph, played: TurnPlan) -> Explained:
    back = played.backward_plan
    calls = [node for node in back.needed_by if owner(node) is not None]
    return {
        "move": heading(played.turn.move),
        "takes": {True: "a new batch", "noise": "new draws", False: ""}[played.turn.takes],
        "descends": {
            player: {graph.names[t.energy]: str(t.weight) for t in terms}
            for player, terms in played.turn.terms.items()
        },
        "computed": [_made_as(node) for node in _calls(played.computed)],
        "reused": [graph.names[node] for node in _calls(played.reused)],
        "gradients": [_gradient(graph, node) for node in gradients_of(played.computed)],
        "values": len(played.computed),
        "through": [_through(graph, played, node) for node in reversed(calls)],
    }


def _calls(nodes: Sequence[Value]) -> list[Value]:
    return [node for node in nodes if isinstance(node.op, Call)]


def _made_as(node: Value) -> str:
    made = written(node)
    return f"{node.name} = {made}" if node.name else made


def _gradient(graph: LossGraph, node: Value) -> Explained:
    y, x = node.args
    path = differentiable_path(x, y) - {x}
    calls = sorted((n for n in path if isinstance(n.op, Call)), key=lambda n: n.index)
    return {"of": graph.names[y], "by": graph.names[x], "through": [graph.names[n] for n in calls]}


def _through(graph: LossGraph, played: TurnPlan, node: Value) -> Explained:
    """Say how a move goes back through a call: the rows of weights, and the passes made of them."""
    back, player = played.backward_plan, owner(node)
    assert player is not None
    basis, passes = back.bases[node], back.passes[node]
    energies = [
        e for e in graph.energies if any(back.carries(p, node, e) for p in back.needed_by[node])
    ]
    return {
        "call": graph.names[node],
        "player": player,
        "passes": len(passes),
        "rank": min(basis.rank, len(passes)),
        "carried": [x.name for x in passes],
        "energies": [graph.names[e] for e in energies],
        "matrix": {
            p: [_sum(back.matrix.row(p).weight(e)) for e in energies] for p in back.needed_by[node]
        },
        "made_of": {
            p: {x.name: _sum(c) for x, c in back.coefficients(node, back.matrix.row(p)).items()}
            for p in back.needed_by[node]
        },
    }


def _sum(weights: Sequence[Weight]) -> str:
    return " + ".join(map(str, weights)) or "0"


# --- for a person -----------------------------------------------------------------------------


def text(found: Explained) -> str:
    """Return an explained plan as text, 80 columns wide."""
    lines = [*_wrapped(f"{found['game']}: {found['schedule']}", ""), ""]
    for number, turn in enumerate(found["turns"], start=1):
        lines += [*_turn_lines(number, turn), ""]
    lines += [*_count_lines(found), "", *_cost_lines(found)]
    return "\n".join(lines).rstrip()


def _turn_lines(number: int, turn: Explained) -> Iterator[str]:
    takes = f" (takes {turn['takes']})" if turn["takes"] else ""
    yield from _wrapped(f"{number}. {turn['move']}{takes}", "   ")
    yield from _listed("calls", turn["computed"])
    yield from _listed("reuses", turn["reused"])
    for slope in turn["gradients"]:
        through = f"once more through {', '.join(slope['through'])}"
        yield from _listed("back", [f"for ∂{slope['of']}/∂{slope['by']}: {through}"])
    alone = [p for p in turn["through"] if len(p["matrix"]) == 1]
    for player in dict.fromkeys(next(iter(p["matrix"])) for p in alone):
        names = [p["call"] for p in alone if player in p["matrix"]]
        yield from _listed("back", [f"once through each, for {player}: {', '.join(names)}"])
    for passed in turn["through"]:
        if len(passed["matrix"]) > 1:
            yield from _shared_lines(passed)


def _shared_lines(passed: Explained) -> Iterator[str]:
    passes, rank = passed["passes"], passed["rank"]
    times = "once" if passes == 1 else f"{passes} times"
    players = " and ".join(passed["matrix"])
    yield from _listed("back", [f"{times} through {passed['call']}, for {players}: rank {rank} of"])
    names, rows = passed["energies"], passed["matrix"]
    heads = [f"[{i}]" for i in range(1, len(names) + 1)]
    table = [["", *heads], *([player, *row] for player, row in rows.items())]
    sizes = [max(map(len, column)) for column in zip(*table, strict=True)]
    for first, *cells in table:
        made = _made(first, passed["made_of"][first]) if first else ""
        numbers = "".join(f"  {cell:>{size}}" for cell, size in zip(cells, sizes[1:], strict=True))
        yield f"{'':15}{first:{sizes[0]}}{numbers}{made}"
    for head, name in zip(heads, names, strict=True):
        yield from _indented(f"{head} {name}", 15)


def _indented(line: str, by: int) -> list[str]:
    return textwrap.wrap(line, WIDTH, initial_indent=" " * by, subsequent_indent=" " * (by + 4))


def _made(player: str, way: Mapping[str, str]) -> str:
    if way == {player: "1"}:
        return "   a pass of its own"
    parts = " + ".join(x if c == "1" else f"{c} × {x}" for x, c in way.items())
    return f"   = {parts}" if len(parts) < 30 else "   a mixture of the passes"


def _listed(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield from textwrap.wrap(
            ", ".join(items),
            WIDTH,
            initial_indent=f"   {title:<8}",
            subsequent_indent=" " * 11,
            break_long_words=False,
        )


def _wrapped(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False)


def _count_lines(found: Explained) -> Iterator[str]:
    counts: Mapping[str, Mapping[str, int]] = {
        player: n for player, n in found["counts"].items() if any(n.values())
    }
    width = max(map(len, counts), default=0)
    yield f"{'':{width}}  forward  backward   passes through the player in an iteration"
    for player, n in counts.items():
        yield f"{player:{width}}  {n['forward']:7}  {n['backward']:8}"


def _cost_lines(found: Explained) -> Iterator[str]:
    costs = found["costs"]
    if not costs:
        return
    planned, scratch = costs["planned"], costs["from scratch"]
    yield f"{'':24}{'FLOPs':>18}{'':9}{'peak bytes':>18}"
    yield _cost_line("this plan", planned, planned)
    yield _cost_line("every move from scratch", scratch, planned)
    more = found["passes"] - found["passes_bound"]
    if more == 0:
        yield _cost_line("reverse-mode bound", {**planned, "peak_bytes": None}, planned)
        yield from _wrapped(
            "Each value is computed once a version, and each call is gone back through as often as "
            "the rows of weights at it are independent: generic reverse mode can do no less.",
            "",
        )
    else:
        yield f"{more} passes more than the ranks allow: a smaller basis would have to cancel."


def _cost_line(name: str, cost: Mapping[str, int | None], planned: Mapping[str, int]) -> str:
    line = f"{name:<24}"
    for key in ("flops", "peak_bytes"):
        number = cost[key]
        ratio = f" ({number / planned[key]:.3f})" if number and planned[key] else ""
        line += f"{number:>18,}{ratio:<9}" if number is not None else ""
    return line.rstrip()
