"""Processor time as a sign of work that explodes: far from any limit where all is well, whatever the machine does."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

TRIES = 5


def effort_s(work: Callable[[], object], enough_s: float) -> float:
    """Processor seconds of the first of a few tries that stays below `enough_s`, else of the fastest; without the
    garbage collector, whose turn may be at hand.
    """
    fastest = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(TRIES):
            begun = time.process_time()
            work()
            fastest = min(fastest, time.process_time() - begun)
            if fastest < enough_s:
                break
    finally:
        gc.enable()
    return fastest
