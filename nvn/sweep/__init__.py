"""`nvn sweep`: a grid of runs that can be resumed, and tables of their metrics.

The grid is expanded and checked first (grid.py). Each cell is then an `nvn run` in a process of its
own (workers.py), in a folder where later sweeps find it again (results.py). Tables of the finished
runs (tables.py) are written after every run (export.py).
"""

from nvn.sweep.grid import Request
from nvn.sweep.sweep import sweep

__all__ = ["Request", "sweep"]
