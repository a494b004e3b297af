"""What holds for all tests. Nothing here imports torch: the environment has to be set before."""

import os

from hypothesis import settings

# Two workers on two cores: with more threads than cores, small operations get slower, not faster.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time: a red test stays red until it is mended.
settings.register_profile("nvn", deadline=None, derandomize=True)
settings.load_profile("nvn")
