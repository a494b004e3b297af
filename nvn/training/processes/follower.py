"""A process that the leading one has started, or a launcher has: `python -m` of this file.

It learns from the leading process what to train. What it has to say, that process says.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["follow"]


def follow(fabric: Fabric) -> None:
    """Train along, as the leading process says; with exit code 1 if that fails."""
    from nvn.recipe.loading import load_recipe
    from nvn.recipe.yaml_reading import parse
    from nvn.training.processes.connections import lines_of
    from nvn.training.processes.following import Leader
    from nvn.training.processes.orders import Begin
    from nvn.training.starting import train

    begin: Begin | None = fabric.broadcast(None)
    if begin is None:  # there is nothing to be done
        return
    _be_quiet()
    try:
        source = load_recipe(begin.origin)
        config = source.config_class.build(file=parse(begin.config))
    except BaseException as error:  # noqa: BLE001  (the leading process tells)
        Leader(*lines_of(fabric)).fail(error)
        sys.exit(1)
    try:
        train(partial(source.build, config), fabric=fabric, origin=begin.origin, **begin.options)
    except BaseException:  # noqa: BLE001  (the leading process has been told)
        sys.exit(1)


def _be_quiet() -> None:
    """Leave what is printed and warned of to the leading process, which does so, too."""
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


if __name__ == "__main__":
    from nvn.training.fabric import launched

    with launched(**json.loads(sys.argv[1])) as the_fabric:
        follow(the_fabric)
