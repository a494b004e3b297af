"""Whether a game means the same in several processes: whether its energies are means over samples.

Each process computes the energies of its share of a batch, and their means are what is learned
from. That is the energy of the whole batch if an energy is the mean of one number a sample; it is
not if samples meet (BatchNorm without synchronization, a contrast between samples), nor if it is a
sum. So the first batch is halved, and the energies of the halves are compared with those of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from nvn import pytree
from nvn.engine.counters import Counters
from nvn.engine.dry_run.inspection import is_tensor
from nvn.engine.interpreter import Interpreter
from nvn.game.graph import LossGraph
from nvn.game.ops import Noise, Sample
from nvn.game.values import Energy, Value

__all__ = ["not_means"]

CLOSE = 1e-3  # of an energy's size: rounding stays far below, samples that meet far above


def not_means(
    graph: LossGraph,
    needed: Sequence[Value],
    interpreter: Interpreter,
    counters: Counters,
    batch: Mapping[str, Any],
) -> Iterator[tuple[str, float, float]]:
    """Yield what is no mean over samples: its name, its value of a batch, the mean of both halves.

    Args:
        graph: The game.
        needed: What players' objectives are computed from.
        interpreter: Computes it.
        counters: What draws depend on: the same for all of it.
        batch: The batch; of an odd number of samples, one is left out.
    """
    lengths = (len(x) for x in pytree.leaves(dict(batch)) if is_tensor(x) and x.ndim)
    length = next(lengths, 0)
    half = length // 2
    if not half:
        return
    drawn = {
        v: v.op.name for v in needed if isinstance(v.op, Noise | Sample) and v.op.name not in batch
    }
    draws = interpreter.values(drawn, batch, counters, training=True)
    given = {**batch, **{name: draws[v] for v, name in drawn.items()}}
    wanted = [v for v in needed if isinstance(v, Energy) or v in graph.weights]

    def of(start: int, end: int) -> dict[Value, Tensor]:
        def part(x: Any) -> Any:
            return x[start:end] if is_tensor(x) and x.ndim and len(x) == length else x

        taken = {name: pytree.map_leaves(part, value) for name, value in given.items()}
        return interpreter.values(wanted, taken, counters, training=True)

    whole, first, second = of(0, 2 * half), of(0, half), of(half, 2 * half)
    for value in wanted:
        all_, mean = float(whole[value]), float(first[value] + second[value]) / 2
        if abs(all_ - mean) > CLOSE * max(abs(all_), abs(mean), 1e-6):
            yield graph.names[value], all_, mean
