"""A plan's training loop as one file that needs torch, and nothing of nvn.

    source = nvn.eject(plan, optimizers, batch)

- functions.py: where the functions that the loop calls come from, or why they cannot come along.
- emitter.py: the engine's loop (nvn/planner/emit.py), written as one would write it by hand.
- optimizers.py: the optimizers, as calls of torch.optim.
- file.py: puts the file together.
"""

from nvn.ejection.file import eject

__all__ = ["eject"]
