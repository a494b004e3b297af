"""Which values of an iteration are the same: value numbering.

A value depends on the batch, on the draws, on the steps that the players behind it have taken, and
(of modules with buffers) on the buffers that a call starts with. Two moves whose calls agree in all
of that ask for the same tensor: it has one number, and is computed once.

D and G alternate, x a batch, z noise, fake = G(z); both descend mean(D(fake)), and D has BatchNorm:

    turn  value          depends on                                      number
    D     x, z, fake     batch 1; and its draw; z and G's 0 steps        0, 1, 2
          D's buffers    nothing: they are those D comes with            3
          D(fake)        fake (2), D's 0 steps, D's buffers (3)          4, leaves buffers 5, kept
          mean(D(fake))  D(fake) (4)                                     6
    G     x, z, fake     as before: G has not stepped                    0, 1, 2: reused
          D(fake)        fake (2), D's 1 step, D's buffers (5)           7, leaves buffers 8, lost
          mean(D(fake))  D(fake) (7)                                     9
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nvn.game.ops import Batch, Call, Noise, Sample
from nvn.game.traversal import ancestors
from nvn.game.values import Value
from nvn.planner.turns import Turn

Number: TypeAlias = int


@dataclass(frozen=True)
class Versions:
    """The numbers of one turn.

    Attributes:
        numbers: Of each value that the turn's energies are computed from.
        starts: Of the buffers that each call of a module with buffers starts with.
        ends: Of what each training call makes of the buffers.
        kept: Of what each mover's buffers become at the end of the turn.
    """

    numbers: Mapping[Value, Number]
    starts: Mapping[Value, Number]
    ends: Mapping[Value, Number]
    kept: Mapping[str, Number]


def versions(turns: Sequence[Turn], stateful: Collection[str]) -> tuple[Versions, ...]:
    """Number the values of each turn of an iteration.

    Args:
        turns: Who descends what, one after the other.
        stateful: The players whose modules have buffers.
    """
    numbering = _Numbering(stateful)
    return tuple(numbering.of(turn) for turn in turns)


class _Numbering:
    def __init__(self, stateful: Collection[str]) -> None:
        self.stateful = stateful
        self.known: dict[Hashable, Number] = {}
        self.steps: Counter[str] = Counter()
        self.buffers: dict[str, Number] = {}
        self.batches = self.draws = 0

    def of(self, turn: Turn) -> Versions:
        self.batches += turn.takes is True
        self.draws += bool(turn.takes)
        now = dict(self.buffers)  # the buffers, as the turn's calls change them
        numbers: dict[Value, Number] = {}
        starts: dict[Value, Number] = {}
        ends: dict[Value, Number] = {}
        for node in ancestors(turn.wanted):
            inputs = tuple(numbers[v] for v in node.inputs)
            if not isinstance(node.op, Call):
                numbers[node] = self._number(node, inputs, *self._moment(node))
                continue
            player = node.op.player
            key = (node, inputs, self.steps[player], self.batches, self.draws)
            if player in self.stateful:
                # In eval mode, the buffers are those that the turn starts with.
                held = now if node.op.training else self.buffers
                starts[node] = held.setdefault(player, self._number("buffers", player))
                now.setdefault(player, starts[node])
                numbers[node] = self._number(*key, starts[node])
                if node.op.training:
                    ends[node] = now[player] = self._number("buffers after", numbers[node])
            else:
                numbers[node] = self._number(*key)
        kept = {p: now[p] for p in turn.terms if p in now and now[p] != self.buffers.get(p)}
        self.buffers |= kept
        self.steps.update(turn.terms.keys())
        return Versions(numbers, starts, ends, kept)

    def _moment(self, node: Value) -> tuple[int, ...]:
        match node.op:
            case Batch():
                return (self.batches,)
            case Noise() | Sample():
                return (self.batches, self.draws)
            case _:
                return ()

    def _number(self, *key: Hashable) -> Number:
        return self.known.setdefault(key, len(self.known))
