"""A worker process: loads bundles, then translates texts that come and go over a channel until the other end closes.

Started as a program of its own rather than by multiprocessing, so that a caller's main module is not imported again.
One single-threaded worker a core: two threads in one process collapse when anything else uses the machine. torch is
loaded only where the models need it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nmt.errors import NmtError
from nmt.inference.channel import Channel
from nmt.inference.types import Ensemble, Fusion, ModelInfo, Result, TranslateOptions

if TYPE_CHECKING:
    from nmt.inference.pipeline import Pipeline

BEAT_S = 1.0
"""Between two signs of a worker that is at work."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Setup:
    """What a worker is told first."""

    folders: tuple[Path, ...]
    device: str
    threads: int
    precision: str = "auto"
    shared_files: tuple[int, ...] = ()
    """Descriptors, one a folder, through which workers hold a bundle's weights once; or none."""
    fusion: Fusion | None = None
    niceness: int = 0
    """Added to its own by the worker: who asks it for something goes before it."""
    ensemble: Ensemble | None = None


@dataclass(frozen=True)
class Ready:
    """What it answers when its models are loaded."""

    models: tuple[ModelInfo, ...]
    rows: int
    """Hypotheses that run at once at best speed, of the model with the fewest."""
    device: str
    has_lanes: bool = False
    """Small requests have rows of their own, as many again, and go first."""


class Ask(NamedTuple):
    """A text to translate. Its answer comes back under `number`."""

    number: int
    model: int
    text: str
    options: TranslateOptions
    deadline: float | None
    """In seconds of `time.monotonic`, which all processes of a machine share."""
    is_small: bool = False
    """Of a request that is soon done: goes before the others where the worker has a lane for that."""


class Cancel(NamedTuple):
    """A text that nobody waits for any more. It is answered all the same."""

    number: int


Message = Ask | Cancel

TURNS = 6
"""While there are small requests, the others have one step in so many."""


class WorkerDied(Exception):
    """The process ended."""


class Worker:
    """The other end of a worker process. Threads may offer while one receives."""

    def __init__(self, setup: Setup) -> None:
        """Start the process; `ready` waits for it."""
        self._channel, theirs = Channel.pair()
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(setup.threads))
        # the package must be found wherever this process found it
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import main; main({theirs.fileno()})"],
                pass_fds=[theirs.fileno(), *setup.shared_files],
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        with suppress(OSError):  # `ready` will find that out
            self._channel.send(setup)

    def ready(self) -> Ready:
        """Wait until the models are loaded. Raises the NmtError that kept them from it, or WorkerDied."""
        answer = self._receive()
        if isinstance(answer, NmtError):
            self.stop()
            raise answer
        assert isinstance(answer, Ready)
        return answer

    def offer(self, messages: Sequence[Message]) -> None:
        """Hand over texts, and say which are given up, without waiting. Raises WorkerDied."""
        try:
            self._channel.offer(list(messages))
        except OSError as error:
            raise WorkerDied(str(error)) from None

    def receive(self) -> list[tuple[int, Result]]:
        """Wait for answers, in whatever order texts are done. Raises WorkerDied."""
        answers = self._receive()
        assert isinstance(answers, list)
        return answers

    def poll(self) -> bool:
        """Whether `receive` would return at once. Raises WorkerDied."""
        try:
            return self._channel.poll()
        except (EOFError, OSError) as error:
            raise WorkerDied(self.exit_code()) from error

    def fileno(self) -> int:
        """What becomes readable when there are answers, or when the process has ended."""
        return self._channel.fileno()

    def exit_code(self) -> str:
        """Of the process, in words."""
        return f"exit code {self._process.poll()}"

    def kill(self) -> None:
        """End the process without waiting for its end."""
        self._process.kill()

    def stop(self) -> None:
        """End the process, in the middle of its work if need be: it owns nothing that could be left half-done."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Free the channel of a process that has ended."""
        self._channel.close()

    def _receive(self) -> object:
        try:
            return self._channel.receive()
        except (EOFError, OSError) as error:
            raise WorkerDied(self.exit_code()) from error


def main(descriptor: int) -> None:
    """The worker process itself."""
    from nmt.inference.loading import load_lanes  # here alone: the other end needs none of it

    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the parent decides what they mean
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as end, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        channel = Channel(end)
        setup = channel.receive()
        assert isinstance(setup, Setup)
        os.nice(setup.niceness)
        try:
            models = [
                load_lanes(
                    folder,
                    setup.device,
                    setup.precision,
                    setup.threads,
                    file,
                    setup.fusion,
                    setup.ensemble,
                    most=2,
                )
                for folder, file in zip_longest(setup.folders, setup.shared_files)
            ]
        except NmtError as error:
            channel.send(error)
            return
        pipelines = [lanes[0] for lanes in models]
        infos = tuple(pipeline.info for pipeline in pipelines)
        has_lanes = all(len(lanes) > 1 for lanes in models)
        channel.send(Ready(infos, min(p.rows for p in pipelines), pipelines[0].device, has_lanes))
        serve(channel, pipelines, [lanes[1] for lanes in models] if has_lanes else pipelines)


def serve(channel: Channel, pipelines: Sequence[Pipeline], small: Sequence[Pipeline]) -> None:
    """Translate until the other end closes, which raises EOFError.

    Waits for messages while there is nothing to do, and otherwise looks for them between two steps. Where nothing is
    done for a while, an empty answer says that it still works. `small`: pipelines of the same models for small
    requests, or `pipelines` itself. A step with few sentences takes a fraction of one with many, so while there are
    small requests most steps are theirs.
    """
    every = list(dict.fromkeys((*pipelines, *small)))
    turns = 0
    told = time.monotonic()
    model_of: dict[int, Pipeline] = {}
    while True:
        is_idle = all(pipeline.is_idle for pipeline in every)
        while is_idle or channel.poll():
            for message in channel.receive():
                if isinstance(message, Ask):
                    model_of[message.number] = (small if message.is_small else pipelines)[message.model]
                    model_of[message.number].submit(message.number, message.text, message.options, message.deadline)
                elif message.number in model_of:  # else its answer is on its way
                    model_of[message.number].cancel(message.number)
            is_idle = False
        turns += 1
        first = [pipeline for pipeline in small if not pipeline.is_idle] if turns % TURNS else []
        answers = [answer for one in first or every if not one.is_idle for answer in one.step()]
        for number, _ in answers:
            del model_of[number]
        now = time.monotonic()
        if answers or now - told > BEAT_S:
            channel.send(answers)
            told = now
