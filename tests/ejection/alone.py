"""Plays ejected loops in a process in which nvn cannot be imported: `python alone.py FOLDER`.

For each CASE.py in the folder there is a CASE.pt: modules, batches, what the caller says in each
step. What the modules have become is written to CASE.out.
"""

from __future__ import annotations

import importlib.util
import sys
from inspect import signature
from pathlib import Path
from typing import Any


class NoNvn:
    """Refuses nvn to whoever asks for it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "nvn":
            raise ImportError("there is no nvn here")


sys.meta_path.insert(0, NoNvn())  # type: ignore[arg-type]

import torch  # noqa: E402


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def play(loop: Any, case: Any) -> None:
    modules, batches = case["modules"], case["batches"]
    given: dict[str, Any] = {}
    optimizers = loop.make_optimizers(modules)
    if hasattr(loop, "make_schedulers"):
        given["schedulers"] = loop.make_schedulers(optimizers)
    if hasattr(loop, "Counters"):
        given["counters"] = loop.Counters(seed=0)
    if hasattr(loop, "make_pasts"):
        given["pasts"] = loop.make_pasts(modules)
    supply = iter(batches)
    several = "batches" in signature(loop.train_step).parameters
    for step, said in enumerate(case["said"]):
        data = supply if several else next(supply)
        loop.train_step(modules, optimizers, data, step, **given, **said)


if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).glob("*.py")):
        case = torch.load(path.with_suffix(".pt"), weights_only=False)
        play(loaded(path), case)
        states = {name: module.state_dict() for name, module in case["modules"].items()}
        torch.save(states, path.with_suffix(".out"))
    assert "nvn" not in sys.modules
