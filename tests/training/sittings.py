"""Training in processes of its own that can be killed, forked from a server that has imported everything once."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["nmt.training.trainer", "nmt.cli.train", "torch._dynamo"])


def start(arguments: list[str], log: Path) -> BaseProcess:
    """`nmt train` with these arguments, its output going to a file."""
    process = _CONTEXT.Process(target=_run, args=(["train", *arguments], log))
    process.start()
    return process


def _run(arguments: list[str], log: Path) -> None:
    from nmt.cli.main import main

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    # no learning curves: drawing takes longer than the training of such small models
    with patch.dict(sys.modules, {"matplotlib": None}):
        main(arguments)
