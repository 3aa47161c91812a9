"""One block of memory for several processes: the first to come fills it, the others wait and look on."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Callable
from typing import BinaryIO

HEADER = 64
FILLED = b"filled"


def make_file() -> BinaryIO:
    """A nameless file to share: it is gone when the last process that has it open is gone."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("nmt-weights"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def shared_block(file: int, size: int, fill: Callable[[memoryview, bool], None]) -> mmap.mmap:
    """Map `size` bytes of a shared file (a descriptor) and call `fill(block, is_filled)` on them.

    One process at a time; where one dies over it, the next begins anew. Keep the map as long as the block is in use.
    """
    fcntl.lockf(file, fcntl.LOCK_EX)  # held by a process, not by the descriptor that all of them inherit
    try:
        if os.fstat(file).st_size < HEADER + size:
            os.ftruncate(file, HEADER + size)
        mapped = mmap.mmap(file, HEADER + size)
        is_filled = mapped[: len(FILLED)] == FILLED
        fill(memoryview(mapped)[HEADER:], is_filled)
        mapped[: len(FILLED)] = FILLED
        return mapped
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)
