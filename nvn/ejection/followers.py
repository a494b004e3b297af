"""What a loop does for players who follow others: averages, and earlier selves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nvn.engine.averaging import sampled
from nvn.game.averages import Average
from nvn.game.graph import LossGraph
from nvn.game.ops import Batch
from nvn.game.past import Past
from nvn.planner.emit import INDENT, folded
from nvn.planner.ir import quoted
from nvn.streams import key_of

__all__ = ["Followers"]


@dataclass(frozen=True)
class Followers:
    """The players of a game who follow others.

    Attributes:
        averages: The averages.
        pasts: Those who are earlier selves.
        samples: How the number of a batch's samples is written.
    """

    averages: tuple[Average, ...] = ()
    pasts: tuple[Past, ...] = ()
    samples: str = "1"

    @staticmethod
    def of(graph: LossGraph, batch: Mapping[str, Any]) -> Followers:
        """Return those of a game, whose batches are like `batch`."""
        entries = [node.op.name for node in graph.nodes if isinstance(node.op, Batch)]
        name, samples = sampled(batch, entries), "1"
        if name is not None:
            entry = f"batch[{quoted(name)}]"
            samples = f"len({entry})"
            if not isinstance(batch[name], Tensor):
                samples = f"len(tensors({entry})[0])"
        return Followers(tuple(graph.averages.values()), tuple(graph.pasts.values()), samples)

    @property
    def names(self) -> dict[str, str]:
        """Whom each follows, by its name."""
        every: tuple[Average | Past, ...] = (*self.averages, *self.pasts)
        return {each.player.name: each.of.name for each in every}

    def begin(self, movers: Collection[str]) -> Iterator[str]:
        """Yield what comes before an iteration in which these players step."""
        if any(past.of.name in movers for past in self.pasts):
            yield "earlier = dict(counters.steps)"
        for past in self.pasts:
            pool, name = f"pasts[{quoted(past.player.name)}]", past.player.name
            drawn = f"{pool}[counters.draw_seed(0x{key_of(name):X}) % len({pool})]"
            yield from folded(f"modules[{quoted(name)}].load_state_dict({drawn})")

    def end(self, movers: Collection[str]) -> Iterator[str]:
        """Yield what comes after it."""
        for average in self.averages:
            if average.of.name in movers:
                yield from self._follow(average)
        for past in self.pasts:
            if past.of.name in movers:
                yield from _keep(past)

    def _follow(self, average: Average) -> Iterator[str]:
        name, of = average.player.name, average.of.name
        taken = self.samples if average.unit == "samples" else "1"
        given = [f"modules[{quoted(name)}]", f"modules[{quoted(of)}]"]
        given += [f"0.5 ** ({taken} / {float(average.half_life)!r})"]
        given += ["buffers=True"] if average.buffers == "average" else []
        yield ""
        yield f"# {name}: {average}"
        yield from folded(f"follow({', '.join(given)})")

    # --- what the caller has to make ---

    def pools(self) -> list[str]:
        """Return a function that makes the pools of earlier selves; nothing, if there are none."""
        if not self.pasts:
            return []
        names = {quoted(past.player.name): quoted(past.of.name) for past in self.pasts}
        return [
            "def make_pasts(modules: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:",
            f'{INDENT}"""Return the pools of earlier selves: of each, what it is at first."""',
            f"{INDENT}return {{",
            *(f"{INDENT * 2}{name}: [self_of(modules[{of}])]," for name, of in names.items()),
            f"{INDENT}}}",
        ]


def _keep(past: Past) -> Iterator[str]:
    name, of = quoted(past.player.name), quoted(past.of.name)
    given = [f"pasts[{name}]", f"modules[{of}]", f"earlier.get({of}, 0)"]
    given += [f"counters.steps[{of}]", f"every={past.every}", f"keep={past.keep}"]
    yield ""
    yield f"# {past.player.name}: {past}"
    yield from folded(f"keep_self({', '.join(given)})")
