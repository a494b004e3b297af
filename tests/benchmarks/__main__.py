"""Compare nvn's planned steps with loops written by hand: `python -m tests.benchmarks`.

One process, one thread, timed in turns; ratios are to the first row of each table. Operations are
exact. Prints Markdown; docs/performance.md has what it printed, and how to read it.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import repeat
from typing import Any

import torch

import nvn
from tests.benchmarks import arena, dcgan, groupgan, planning, tiny
from tests.benchmarks.comparing import Step, compare, table


def on(step: Any, batch: Mapping[str, Any]) -> Step:
    """Return a step on the same batch, again and again."""
    return partial(step, batch)


def engine_on(engine: nvn.Engine, batch: Mapping[str, Any]) -> Step:
    """Return an engine's step; moves that take batches of their own get the same one."""
    return partial(engine.step, repeat(batch))


def one_batch(rounds: int) -> str:
    data = groupgan.batch()
    ways = {
        "expert, one by one": on(groupgan.Expert(groupgan.nets()).step, data),
        "**nvn, one by one**": engine_on(
            groupgan.declared(groupgan.nets(), groupgan.one_by_one), data
        ),
        "by the book (no reuse, nothing frozen)": on(
            groupgan.ByTheBook(groupgan.nets()).step, data
        ),
        "nvn, interpreted (plain=True)": engine_on(
            groupgan.declared(groupgan.nets(), groupgan.one_by_one, plain=True), data
        ),
        "nvn, G and E together": engine_on(
            groupgan.declared(groupgan.nets(), groupgan.as_teams), data
        ),
        "nvn, all four at once": engine_on(
            groupgan.declared(groupgan.nets(), groupgan.at_once), data
        ),
    }
    return table("2 v 2, one batch an iteration", compare(ways, rounds))


def fresh_batches(rounds: int) -> str:
    data = groupgan.batch()
    ways = {
        "**nvn, Algorithm 1**": engine_on(groupgan.declared(groupgan.nets(), groupgan.fresh), data),
        "Algorithm 1 by the book": on(groupgan.ByTheBook(groupgan.nets()).step, data),
    }
    return table("2 v 2, a fresh batch for every player", compare(ways, rounds))


def many_players(rounds: int) -> Iterator[str]:
    sizes = [(2, 2, False), (8, 1, False), (4, 4, False), (8, 8, False), (8, 1, True), (8, 8, True)]
    for makers, judges, chain in sizes:
        kind = "in a chain" if chain else "side by side"
        data = arena.batch()
        ways = {
            "a backward pass a player": engine_on(
                arena.declared(makers, judges, chain=chain, plain=True), data
            ),
            "**nvn**": engine_on(arena.declared(makers, judges, chain=chain), data),
        }
        title = f"{makers} makers {kind}, {judges} judges, from one point"
        yield table(title, compare(ways, rounds, repeats=5))


def known_loops(rounds: int) -> str:
    data = dcgan.batch()
    ways = {
        "expert": on(dcgan.Expert().step, data),
        "expert, D back from the real before the fake is made": on(dcgan.Frugal().step, data),
        "**nvn**": engine_on(dcgan.declared(), data),
        "as PyTorch's example": on(dcgan.Example().step, data),
        "as Fabric's example": on(dcgan.OnFabric().step, data),
        "as Lightning's tutorial": on(dcgan.Tutorial().step, data),
    }
    return table("DCGAN", compare(ways, rounds))


def tiny_nets(rounds: int) -> str:
    data = tiny.batch()
    ways = {
        "expert": on(tiny.Expert().step, data),
        "expert, with record and stream, by hand": on(tiny.Recording(norms=False).step, data),
        "the same, with norms": on(tiny.Recording(norms=True).step, data),
        "**nvn**": on(tiny.declared().step, data),
        "**nvn, norms=False**": on(tiny.declared(norms=False).step, data),
        "nvn, interpreted (plain=True)": on(tiny.declared(plain=True).step, data),
    }
    return table("Tiny MLPs, batch 64", compare(ways, 5 * rounds, repeats=40))


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="timings of each way")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} cores, one thread\n")
    print(one_batch(rounds), end="\n\n")
    print(fresh_batches(rounds), end="\n\n")
    for part in many_players(rounds):
        print(part, end="\n\n")
    print(known_loops(rounds), end="\n\n")
    print(tiny_nets(rounds), end="\n\n")
    print("### Planning many players\n", *planning.table(), sep="\n")


if __name__ == "__main__":
    main()
