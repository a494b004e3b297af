"""Threads that work on pictures of their own: as many as torch would use, each with one of its own.

The tensors of a few pictures are small. With threads inside of every operation besides, workers
would wait for each other most of the time: on 16 cores they were slower than one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of such threads; what has not begun when it is left is not begun anymore."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what new threads start with
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
