"""A worker process: loads bundles, then answers batches of texts over a connection until the other end closes it.

Started as a program of its own rather than by multiprocessing, so that a caller's main module is not imported again.
One single-threaded worker a core: two threads in one process collapse when anything else uses the machine.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import NmtError, TranslationError
from nmt.inference.types import ModelInfo, TranslateOptions, Translation

if TYPE_CHECKING:
    from nmt.inference.pipeline import Pipeline

log = logging.getLogger(__name__)

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Result = Translation | NmtError


@dataclass(frozen=True)
class Setup:
    """What a worker is told first."""

    folders: tuple[Path, ...]
    device: str
    threads: int


@dataclass(frozen=True)
class Ready:
    """What it answers when its models are loaded."""

    models: tuple[ModelInfo, ...]
    device: str


@dataclass(frozen=True)
class Job:
    """Texts for one model, with equal options."""

    model: int
    texts: tuple[str, ...]
    options: TranslateOptions


class WorkerDied(Exception):
    """The process ended without an answer."""


class Worker:
    """The other end of a worker process. Not safe for several threads at once, but for `stop`."""

    def __init__(self, setup: Setup) -> None:
        """Start the process; `ready` waits for it."""
        ours, theirs = Pipe()
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(setup.threads))
        # the package must be found wherever this process found it
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import main; main({theirs.fileno()})"],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        self._connection = ours
        self._send(setup)

    def ready(self) -> Ready:
        """Wait until the models are loaded. Raises the NmtError that kept them from it, or WorkerDied."""
        answer = self._receive()
        if isinstance(answer, NmtError):
            self.stop()
            raise answer
        assert isinstance(answer, Ready)
        return answer

    def translate(self, job: Job) -> list[Result]:
        """One result a text. Raises WorkerDied."""
        self._send(job)
        answer = self._receive()
        assert isinstance(answer, list)
        return answer

    def stop(self) -> None:
        """End the process, in the middle of a job if need be: it owns nothing that could be left half-done."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _send(self, message: Setup | Job) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise WorkerDied(str(error)) from None

    def _receive(self) -> object:
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerDied(f"exit code {self._process.poll()}") from error


def main(descriptor: int) -> None:
    """The worker process itself."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the parent decides what they mean
        signal.signal(number, signal.SIG_IGN)
    with Connection(descriptor) as connection, suppress(EOFError, BrokenPipeError):  # the other end has closed
        setup = connection.recv()
        assert isinstance(setup, Setup)
        try:
            pipelines, ready = _load(setup)
        except NmtError as error:
            connection.send(error)
            return
        connection.send(ready)
        while True:
            job = connection.recv()
            connection.send(answer(pipelines[job.model], job.texts, job.options))


def _load(setup: Setup) -> tuple[list[Pipeline], Ready]:
    import torch

    from nmt.bundle import load_bundle
    from nmt.hardware import pick_device
    from nmt.inference.pipeline import Pipeline

    torch.set_num_threads(setup.threads)
    device = pick_device(setup.device)
    pipelines = [Pipeline(load_bundle(folder), device) for folder in setup.folders]
    return pipelines, Ready(tuple(pipeline.info for pipeline in pipelines), str(device))


def answer(pipeline: Pipeline, texts: Sequence[str], options: TranslateOptions) -> list[Result]:
    """Translate; where a batch fails, each of its texts alone, so that only the one at fault fails."""
    try:
        return pipeline.translate(texts, options)
    except Exception as error:  # whatever it is, the texts that wait must get an answer
        if len(texts) > 1:
            return [answer(pipeline, [text], options)[0] for text in texts]
        # the message may quote the text, which is the user's: the type must do
        log.error("a text failed: %s", type(error).__name__)
        return [TranslationError(f"internal error ({type(error).__name__})")]
