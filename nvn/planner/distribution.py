"""Distribution: what a program does where several processes play it, each on its share of a batch.

A player's gradients are averaged as soon as they are complete, while the passes that remain go on,
and are waited for before anybody steps. Of D's and G's joint turn:

    D_grads = backward from …
    begin to average D_grads
    G_grads = backward from …
    begin to average G_grads
    D_grads_mean = averages, arrived
    G_grads_mean = averages, arrived
    step D along D_grads_mean
    step G along G_grads_mean

The messages are in the same order everywhere, for the program is the same one. Numbers that weigh
energies are averaged before they do, and what is recorded at the end: a record is of all samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from nvn.planner import ir
from nvn.planner.ir import Instruction, Scale, Slot
from nvn.planner.names import Names

__all__ = ["distributed"]


def distributed(instructions: Iterable[Instruction], names: Names) -> list[Instruction]:
    """Return the instructions with the messages between processes among them.

    Args:
        instructions: Those of one process, the last of which returns; without any `Free`.
        names: Makes names for new slots.
    """
    every = [*_averaged_weights([*instructions], names)]
    spread: list[Instruction] = []
    for turn in _turns(every):
        spread += _averaged_gradients(turn, names)
    return [*_averaged_records(spread, names)]


def _averaged_weights(instructions: Sequence[Instruction], names: Names) -> Iterator[Instruction]:
    """Yield instructions in which all that weighs energies is a mean over processes."""
    weighing = {slot for x in instructions for scale in _scales(x) for slot in scale.slots}
    means: dict[Slot, Slot] = {}
    for x in instructions:
        yield _reweighed(x, means)
        for slot in x.writes:
            if slot in weighing:
                means[slot] = Slot(names.fresh(f"{slot}_mean"))
                yield ir.Mean(means[slot], slot)


def _scales(x: Instruction) -> list[Scale]:
    match x:
        case ir.Backward():
            mixed = [scale for _, mixture in x.values for scale, _ in mixture]
            return [*(scale for scale, _ in x.energies), *mixed]
        case ir.Accumulate():
            return [x.scale]
    return []


def _reweighed(x: Instruction, means: Mapping[Slot, Slot]) -> Instruction:
    def mean(scale: Scale) -> Scale:
        return Scale(
            tuple(
                replace(factor, slots=tuple(means[slot] for slot in factor.slots))
                for factor in scale.factors
            )
        )

    match x:
        case ir.Backward():
            return replace(
                x,
                energies=tuple((mean(scale), slot) for scale, slot in x.energies),
                values=tuple(
                    (slot, tuple((mean(scale), source) for scale, source in mixture))
                    for slot, mixture in x.values
                ),
            )
        case ir.Accumulate():
            return replace(x, scale=mean(x.scale))
    return x


def _turns(instructions: Iterable[Instruction]) -> Iterator[list[Instruction]]:
    """Yield the instructions of each turn: a comment begins one."""
    turn: list[Instruction] = []
    for x in instructions:
        if isinstance(x, ir.Comment) and turn:
            yield turn
            turn = []
        turn.append(x)
    yield turn


def _averaged_gradients(turn: Sequence[Instruction], names: Names) -> Iterator[Instruction]:
    """Yield a turn's instructions, each stepping player's gradients averaged in between."""
    steps = [x for x in turn if isinstance(x, ir.Step)]
    complete: dict[int, list[ir.Average]] = {}
    for step in steps:
        last = max(i for i, x in enumerate(turn) if _gives(x, step))
        complete.setdefault(last, []).append(ir.Average(step.player, step.gradients))
    arrived = {step.player: _arrived(step, names) for step in steps}
    waiting = True
    for i, x in enumerate(turn):
        if waiting and isinstance(x, ir.RequirePaths | ir.Step):
            yield from (ir.Arrive(player, slot) for player, slot in arrived.items())
            waiting = False
        match x:
            case ir.RequirePaths():
                yield ir.RequirePaths(tuple((p, arrived[p]) for p, _ in x.gradients))
            case ir.Step():
                yield replace(x, gradients=arrived[x.player])
            case _:
                yield x
        yield from complete.get(i, ())


def _gives(x: Instruction, step: ir.Step) -> bool:
    """Tell whether an instruction adds to what a step goes along."""
    if step.gradients is not None:
        return step.gradients in x.writes
    return isinstance(x, ir.Backward) and step.player in x.into


def _arrived(step: ir.Step, names: Names) -> Slot | None:
    return None if step.gradients is None else Slot(names.fresh(f"{step.gradients}_mean"))


def _averaged_records(instructions: Sequence[Instruction], names: Names) -> Iterator[Instruction]:
    """Yield instructions that return means over processes of what they recorded."""
    *before, returned = instructions
    assert isinstance(returned, ir.Return)
    yield from before
    sources = returned.reads
    if not sources:
        yield returned
        return
    means = {slot: Slot(names.fresh(f"{slot}_mean")) for slot in sources}
    yield ir.Means(tuple(means.values()), sources)
    yield ir.Return(
        {name: means[slot] for name, slot in returned.energies.items()},
        {
            player: tuple((_of_means(scale, means), means[slot]) for scale, slot in mixture)
            for player, mixture in returned.objectives.items()
        },
        {},
    )


def _of_means(scale: Scale, means: Mapping[Slot, Slot]) -> Scale:
    factors = (replace(f, slots=tuple(means[slot] for slot in f.slots)) for f in scale.factors)
    return Scale(tuple(factors))
