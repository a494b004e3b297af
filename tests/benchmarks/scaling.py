"""Two processes beside Fabric's own DDP, on one game: `python -m tests.benchmarks.scaling`.

A DCGAN step (benchmarks/dcgan.py) in two gloo processes of a thread each: as nvn plays it, and as
loops do whose networks Fabric has wrapped. Messages and their bytes are counted by the profiler,
exactly; times are the median of ratios, taken in turns. docs/scaling.md has the figures, and what
`predicted` makes of them.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil, log2
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.profiler import ProfilerActivity, profile

import nvn
from tests.benchmarks import dcgan
from tests.processes import together

ROUNDS = 15


class Wrapped(dcgan.Loop):
    """An expert's step, with networks that Fabric has wrapped in DDP."""

    def __init__(self, fabric: Fabric, *, frozen: bool) -> None:
        super().__init__()
        self.fabric, self.frozen = fabric, frozen
        self.G, self.on_g = fabric.setup(self.G, self.on_g)
        self.D, self.on_d = fabric.setup(self.D, self.on_d)

    def step(self, data: dcgan.Batch) -> None:
        """Take a step: D goes back once; G's loss goes through D, which is frozen or is not."""
        fake = self.G(self.code())
        self.on_d.zero_grad()
        real, made = self.D(data["real"]), self.D(fake.detach())
        self.fabric.backward(dcgan.real_loss(real) + dcgan.fake_loss(made))
        self.on_d.step()
        self.on_g.zero_grad()
        if self.frozen:
            self.freeze(self.D, True)
        self.fabric.backward(dcgan.real_loss(self.D(fake)))
        self.on_g.step()
        if self.frozen:
            self.freeze(self.D, False)


@dataclass(frozen=True)
class Sent:
    """What a step sends: messages, and their bytes."""

    messages: int
    size: int


def sent(step: Callable[[], object]) -> Sent:
    """Count what a step sends."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        step()
    messages = [event for event in seen.events() if event.name.startswith("gloo:")]
    numbers = sum(_numel(shape) for event in messages for shape in event.input_shapes)
    return Sent(len(messages), 4 * numbers)


def _numel(shape: Any) -> int:
    if shape and isinstance(shape[0], list | tuple):
        return sum(map(_numel, shape))
    found = 1 if shape else 0
    for length in shape:
        found *= length
    return found


def process() -> None:
    """Be one of the processes; the first prints a table."""
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", strategy="ddp", devices=2)
    fabric.launch()
    data = dcgan.batch()
    declared = dcgan.declared()
    engine = nvn.Engine(declared.plan, dcgan.optimizer, fabric)
    ways: dict[str, Callable[[], object]] = {
        "nvn, 2 processes": partial(engine.step, data),
        "DDP, D frozen": partial(Wrapped(fabric, frozen=True).step, data),
        "DDP, D not frozen": partial(Wrapped(fabric, frozen=False).step, data),
        "nvn, 1 process": partial(declared.step, data),
    }
    for step in ways.values():
        step()
        step()
    first, *_ = ways
    counts = {name: sent(step) for name, step in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, step in ways.items():
            fabric.barrier()
            begun = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - begun)
    if fabric.global_rank:
        return
    print("| step | messages | MB sent | time |")
    print("|---|---|---|---|")
    for name, taken in times.items():
        ratio = statistics.median(b / a for a, b in zip(times[first], taken, strict=True))
        found = counts[name]
        print(f"| {name} | {found.messages} | {found.size / 1e6:.2f} | {ratio:.2f} |")
    print(f"a step of the first: {1e3 * statistics.median(times[first]):.0f} ms")


def predicted(
    seconds: float, size: int, messages: int, processes: int, *, bandwidth: float, latency: float
) -> float:
    """Return the efficiency of N processes, if nothing that is sent is hidden behind computing.

    A ring sends 2 (N − 1)/N of the bytes through each process, in 2 ⌈log2 N⌉ rounds of latency for
    each message. What N processes compute takes as long as one's.

    Args:
        seconds: What a step of one process takes.
        size: The bytes that a step averages.
        messages: In how many messages.
        processes: How many processes.
        bandwidth: Bytes a second between two of them.
        latency: Seconds for a message.

    >>> round(predicted(0.1, 10**8, 4, 8, bandwidth=1e11, latency=1e-5), 3)
    0.981
    """
    sending = size * 2 * (processes - 1) / processes / bandwidth
    return seconds / (seconds + sending + messages * 2 * ceil(log2(processes)) * latency)


if __name__ == "__main__":
    if sys.argv[1:] == ["process"]:
        process()
    else:
        print(together(2, "tests.benchmarks.scaling", "process")[0])
