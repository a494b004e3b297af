"""`nvn sweep`: a grid of runs, kept through whatever may end it, and its tables of means.

The grid is worked out and checked first (grid.py). Each cell of it is then an `nvn run` in a
process of its own (workers.py), in a folder where later sweeps find it again (results.py). What the
finished runs measured goes into tables (tables.py), written anew after every run.
"""

from nvn.sweep.grid import Request
from nvn.sweep.sweep import sweep

__all__ = ["Request", "sweep"]
