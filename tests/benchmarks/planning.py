"""How long planning takes: many makers against many critics, everybody trained or makers alone.

Every maker weighs every critic's judgement of what all makers make together; what is planned grows
as players × energies, and where everybody moves alone, so does the number of passes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

import nvn
from nvn.planner.emit import Emitter
from tests.benchmarks.arena import mean_square, together

KINDS = ("makers at once", "in a chain", "all at once", "teams", "one by one")


def below(x: Tensor) -> Tensor:
    return -x.mean()


def declared(makers: int, critics: int, kind: str) -> tuple[nvn.Game, nvn.Schedule]:
    """Declare a game of a kind: critics are frozen in the first two."""
    game = nvn.Game(f"{makers} v {critics}")
    x = game.batch("x")
    net = partial(nn.Linear, 2, 2)
    G = [game.player(f"G{i}", net()) for i in range(makers)]
    made, parts = x, list[nvn.Value]()
    for maker in G:
        made = maker(made if kind == "in a chain" else x)
        parts.append(made)
    if kind != "in a chain":
        made = nvn.value(together)(*parts)
    trained = kind not in ("makers at once", "in a chain")
    D = [(game.player if trained else game.frozen)(f"D{k}", net()) for k in range(critics)]
    judged = [nvn.energy(mean_square)(critic(made)) for critic in D]
    generator = torch.Generator().manual_seed(1)
    for maker in G:
        weights = torch.rand(critics, generator=generator).tolist()
        maker.minimizes(sum((w * e for w, e in zip(weights, judged, strict=True)), 0.0))
    if not trained:
        return game, nvn.simultaneous(*G)
    for critic, energy in zip(D, judged, strict=True):
        critic.minimizes(nvn.energy(below)(critic(x)) - energy)
    moves = {
        "all at once": nvn.simultaneous(*D, *G),
        "teams": nvn.alternating(tuple(D), tuple(G)),
        "one by one": nvn.alternating(*D, *G),
    }
    return game, moves[kind]


def measured(makers: int, critics: int, kind: str) -> tuple[float, float, int, int]:
    """Return seconds of processor time to plan and to compile, instructions, backward passes."""
    game, schedule = declared(makers, critics, kind)
    start = time.process_time()
    plan = nvn.plan(game, schedule)
    planned = time.process_time()
    program, turns = plan.lowered(plan.whole)
    compile(Emitter(program).emit().text, "loop", "exec")
    compiled = time.process_time()
    passes = sum(turn.backward.total() for turn in turns)
    return planned - start, compiled - planned, len(program.instructions), passes


def table(sizes: tuple[int, ...] = (8, 16, 32, 64)) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield "| who moves | players | energies | plan (s) | compile (s) | instructions | backward |"
    yield "|---|---|---|---|---|---|---|"
    measured(2, 2, KINDS[0])  # imports what planning needs
    for kind in KINDS:
        for size in sizes:
            plan, compiled, instructions, passes = measured(size, size, kind)
            trained = kind not in KINDS[:2]
            players, energies = size * (1 + trained), size * (1 + trained)
            yield (
                f"| {kind} | {players} | {energies} | {plan:.2f} | {compiled:.2f} "
                f"| {instructions} | {passes} |"
            )
