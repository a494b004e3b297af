"""An explained plan as text for a person: 80 columns, the rows of weights as small tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from nvn.show.plan import ExplainedCall, ExplainedCosts, ExplainedMove, ExplainedPlan

__all__ = ["WIDTH", "plan_text"]

WIDTH = 80


def plan_text(plan: ExplainedPlan) -> str:
    """Return an explained plan as text, 80 columns wide."""
    lines = [*_wrapped(f"{plan.game}: {plan.schedule}", ""), ""]
    for number, turn in enumerate(plan.turns, start=1):
        lines += [*_move_lines(number, turn), ""]
    lines += [*_wrapped(plan.unshared, ""), ""] if plan.unshared else []
    for name, words in plan.followers.items():
        lines += _wrapped(f"{name}: {words}", "   ")
    lines += [*([""] if plan.followers else []), *_count_lines(plan), "", *_cost_lines(plan)]
    return "\n".join(lines).rstrip()


def _move_lines(number: int, turn: ExplainedMove) -> Iterator[str]:
    takes = f" (takes {turn.takes})" if turn.takes else ""
    yield from _wrapped(f"{number}. {turn.move}{takes}", "   ")
    yield from _listed("calls", turn.computed)
    yield from _listed("reuses", turn.reused)
    for slope in turn.gradients:
        through = f"1 pass each through {', '.join(slope.through)}"
        yield from _listed("backward", [f"for ∂{slope.of}/∂{slope.by}: {through}"])
    alone = [call for call in turn.through if len(call.matrix) == 1]
    for player in dict.fromkeys(next(iter(call.matrix)) for call in alone):
        names = [call.call for call in alone if player in call.matrix]
        yield from _listed("backward", [f"1 pass each, for {player}: {', '.join(names)}"])
    for call in turn.through:
        if len(call.matrix) > 1:
            yield from _shared_lines(call)


def _shared_lines(call: ExplainedCall) -> Iterator[str]:
    passes = "1 pass" if call.passes == 1 else f"{call.passes} passes"
    where = f"{passes} through {call.call}, for {' and '.join(call.matrix)}: rank {call.rank} of"
    yield from _listed("backward", [where])
    heads = [f"[{i}]" for i in range(1, len(call.energies) + 1)]
    table = [["", *heads], *([player, *row] for player, row in call.matrix.items())]
    sizes = [max(map(len, column)) for column in zip(*table, strict=True)]
    for first, *cells in table:
        made = _made(first, call.made_of[first]) if first else ""
        numbers = "".join(f"  {cell:>{size}}" for cell, size in zip(cells, sizes[1:], strict=True))
        yield f"{'':15}{first:{sizes[0]}}{numbers}{made}"
    for head, name in zip(heads, call.energies, strict=True):
        yield from _indented(f"{head} {name}", 15)


def _indented(line: str, by: int) -> list[str]:
    return textwrap.wrap(line, WIDTH, initial_indent=" " * by, subsequent_indent=" " * (by + 4))


def _made(player: str, way: Mapping[str, str]) -> str:
    if way == {player: "1"}:
        return "   own pass"
    parts = " + ".join(x if c == "1" else f"{c} × {x}" for x, c in way.items())
    return f"   = {parts}" if len(parts) < 30 else "   linear combination of passes"


def _listed(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield from textwrap.wrap(
            ", ".join(items),
            WIDTH,
            initial_indent=f"   {title:<10}",
            subsequent_indent=" " * 13,
            break_long_words=False,
        )


def _wrapped(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False)


def _count_lines(plan: ExplainedPlan) -> Iterator[str]:
    counts = {player: n for player, n in plan.counts.items() if any(n.values())}
    width = max(map(len, counts), default=0)
    yield f"{'':{width}}  forward  backward   passes per iteration, by player"
    for player, n in counts.items():
        yield f"{player:{width}}  {n['forward']:7}  {n['backward']:8}"


def _cost_lines(plan: ExplainedPlan) -> Iterator[str]:
    if not plan.costs:
        return
    planned, scratch = plan.costs["planned"], plan.costs["from scratch"]
    yield f"{'':24}{'FLOPs':>18}{'':9}{'peak bytes':>18}"
    yield _cost_line("this plan", planned, planned)
    yield _cost_line("every move from scratch", scratch, planned)
    more = plan.passes - plan.passes_bound
    if more == 0:
        yield f"{'reverse-mode bound':<24}{_ratio(planned.flops, planned.flops)}".rstrip()
        yield from _wrapped(
            "Each value is computed once per version, and each call has as many backward passes as "
            "its weight matrix has rank: generic reverse mode needs at least as many.",
            "",
        )
    else:
        yield f"{more} passes more than the ranks: a smaller basis would need cancellation."


def _cost_line(name: str, cost: ExplainedCosts, planned: ExplainedCosts) -> str:
    flops = _ratio(cost.flops, planned.flops)
    return f"{name:<24}{flops}{_ratio(cost.peak_bytes, planned.peak_bytes)}".rstrip()


def _ratio(number: int, planned: int) -> str:
    """Format a number, followed by its ratio to that of the plan."""
    ratio = f" ({number / planned:.3f})" if number and planned else ""
    return f"{number:>18,}{ratio:<9}"
