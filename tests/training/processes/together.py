"""One process of several that train: what test_runs.py starts, and not a test file.

They train every case; one in parts, which is to be the same; and find what is not alike.
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

import nvn
from nvn.errors import NvnError
from tests.training.processes.recipes import CASES, SCHEDULES, recipe, tensors

SIZE = 3


def check_cases(fabric: Fabric, out: Path) -> None:
    for name, case in CASES.items():
        run = nvn.train(partial(case, SIZE), fabric=fabric, out=out / name)
        assert run.outcome == "finished"
        assert run.steps == {"warmup": 4, "main": 20}
        assert run.folder == out / name
        assert run.metrics["sums"]["sum"] == 1.0
        for tensor in (x for state in run.weights.values() for x in state.values()):
            assert all(torch.equal(tensor, other) for other in fabric.all_gather(tensor))


def check_accumulate(fabric: Fabric, out: Path) -> None:
    """Each process plays its share in parts."""
    case = partial(CASES["alternating"], SIZE)
    nvn.train(case, fabric=fabric, out=out / "accumulated", accumulate=SIZE)


def check_resume(fabric: Fabric, out: Path) -> None:
    """A run in parts is, to the bit, the one without a break."""
    case = partial(CASES["alternating"], SIZE)
    begun = nvn.train(case, fabric=fabric, out=out / "parts", max_steps=7)
    assert begun.steps == {"warmup": 4, "main": 7}
    ended = nvn.train(case, fabric=fabric, resume=out / "parts")
    assert ended.steps == {"warmup": 4, "main": 20}


def check_rollback(fabric: Fabric, out: Path) -> None:
    """All go back together, and go on alike."""
    built = recipe("alternating", partial(poisoned, fabric.global_rank), SIZE, steps=30)
    run = nvn.train(built, fabric=fabric, out=out / "back", on_divergence="rollback")
    assert run.outcome == "finished"
    for tensor in (x for state in run.weights.values() for x in state.values()):
        assert torch.isfinite(tensor).all()
        assert all(torch.equal(tensor, other) for other in fabric.all_gather(tensor))


def poisoned(rank: int, size: int) -> nvn.data.TensorBatches:
    """Data of which one process finds something that is not finite, once."""
    calls = iter(range(10_000))

    def spoil(_: torch.Generator, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        bad = rank == 1 and next(calls) == 20
        return {"x": batch["x"] * float("nan") if bad else batch["x"]}

    data = tensors(size)
    return nvn.data.TensorBatches(data.tensors, size, transform=spoil)


def check_differences(fabric: Fabric, out: Path) -> None:
    rank = fabric.global_rank
    own = [*SCHEDULES][rank % 2]  # another schedule in every second process
    for name, built in (
        ("plans", partial(recipe, own, tensors, SIZE)),
        ("seeds", partial(recipe, "alternating", tensors, SIZE)),
        ("data", partial(recipe, "alternating", partial(reversed_in, rank), SIZE)),
        ("failing", partial(failing_in, rank)),
    ):
        try:
            seed = rank if name == "seeds" else 0
            nvn.train(built, fabric=fabric, out=out / name, seed=seed)
        except NvnError as error:
            if rank == 0:
                (out / f"{name}.txt").write_text(str(error))
        except ZeroDivisionError:
            assert rank == 1
        else:
            raise AssertionError(f"{name}: nobody has noticed")


def reversed_in(rank: int, size: int) -> nvn.data.TensorBatches:
    data = tensors(size)
    if rank == 1:
        data.tensors["x"] = data.tensors["x"].flip(0)
    return nvn.data.TensorBatches(data.tensors, size, shuffle=False)


def failing_in(rank: int) -> nvn.Recipe:
    return recipe("alternating", tensors, SIZE // (rank != 1))


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    out, count = Path(sys.argv[1]), int(sys.argv[2])
    fabric = Fabric(accelerator="cpu", strategy="ddp", devices=count, precision="64-true")
    fabric.launch()
    check_cases(fabric, out)
    check_accumulate(fabric, out)
    check_resume(fabric, out)
    check_rollback(fabric, out)
    check_differences(fabric, out)
    fabric.barrier()


if __name__ == "__main__":
    main()
