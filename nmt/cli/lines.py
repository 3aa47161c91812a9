"""Text for commands that make one line of each line: a file or standard input, in constant memory."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

from nmt.errors import CorpusError
from nmt.inference.offline import live_blocks, open_input, read_blocks


def blocks_of(path: Path | None) -> Generator[list[str]]:
    """The lines of a file, some at a time; of standard input (None) as they come. Raises CorpusError."""
    if path is not None:
        with open_input(path) as file:
            yield from ([line.text for line in block.lines] for block in read_blocks(file, path))
    elif sys.stdin is None:
        raise CorpusError("standard input is closed: redirect it, or name a file")
    else:
        blocks = live_blocks(sys.stdin.buffer, "standard input")
        yield from ([line.text for line in block.lines] for block in blocks)
