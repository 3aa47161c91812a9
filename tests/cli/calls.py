"""The command line called: in processes of its own, forked from a server that has imported everything once, or here."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

import pytest

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["nmt.cli.translate", "nmt.cli.evaluate", "nmt.cli.inspect", "nmt.inference.pipeline", "tests.cli.calls"]
)

NOTHING = Path(os.devnull)
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it printed."""

    code: int | None
    out: bytes
    err: str


def start(
    folder: Path,
    *arguments: str | Path,
    stdin: Path = NOTHING,
    stdout: Path | None = None,
    block_lines: int | None = None,
) -> BaseProcess:
    """Begin `nmt` with these arguments. It reads and writes files or FIFOs; by default it writes `folder`/out and /err.

    `block_lines`: lines in a block, where its own choice would make a block of all there are.
    """
    words = [str(argument) for argument in arguments]
    process = _CONTEXT.Process(target=_run, args=(words, stdin, stdout or folder / "out", folder / "err", block_lines))
    process.start()
    return process


def finish(process: BaseProcess, folder: Path) -> Answer:
    """Wait for the end of what `start` began."""
    process.join(TIMEOUT_S)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    out = folder / "out"
    return Answer(code, out.read_bytes() if out.is_file() else b"", (folder / "err").read_text("utf-8"))


def call(folder: Path, *arguments: str | Path, stdin: Path = NOTHING) -> Answer:
    """`nmt` with these arguments, from beginning to end."""
    return finish(start(folder, *arguments, stdin=stdin), folder)


def call_here(*arguments: object) -> int | str | None:
    """`nmt` with these arguments in this process; its exit code."""
    from nmt.cli.main import main

    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code


def _run(words: list[str], stdin: Path, stdout: Path, stderr: Path, block_lines: int | None) -> None:
    from nmt.cli.main import main
    from nmt.inference import offline

    for descriptor, path, flags in (
        (2, stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (0, stdin, os.O_RDONLY),
        (1, stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(path, flags), descriptor)
    if block_lines is not None:
        # small blocks, each journalled at once: a kill then always finds a run between two of them
        offline.BLOCK_LINES, offline.JOURNAL_EVERY_S = block_lines, 0.0
    # multiprocessing put another standard input in its place
    with os.fdopen(0, "r", encoding="utf-8", closefd=False) as own_stdin, patch("sys.stdin", own_stdin):
        main(words)
