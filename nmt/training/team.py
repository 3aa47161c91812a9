"""The processes that train together on one machine, as one: this one and `workers - 1` others.

Each process computes the gradients of its rows of every batch; see nmt.training.learner for what they share. One
thread each: threads of one process wait for each other at every product, and collapse when anything else runs. The
processes talk over pipes, a few words an update; a pipe that breaks tells either side that the other is gone.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt.config import Recipe, TrainingConfig
from nmt.data.prepared import PreparedCorpus
from nmt.errors import ConfigError, TrainingError
from nmt.hardware import available_cores, pick_precision
from nmt.text.tokenizer import TokenizerPair, load_tokenizers
from nmt.training.learner import Learner, Sums
from nmt.training.task import Batch, Stream, Task
from nmt.training.tasks import TASKS

MIN_TOKENS = 512
"""Of a batch in each process: with fewer, products are too small to gain from another process."""
MIN_PAIRS = 10_000
"""A smaller corpus is trained on before another process has even begun."""
STATE_VECTORS = 4
"""An optimiser keeps fewer."""


def pick_workers(config: TrainingConfig, device: torch.device, pairs: int) -> int:
    """How many processes train. Raises ConfigError for several on a GPU."""
    if device.type != "cpu":
        if config.workers > 1:
            raise ConfigError(f"training.workers = {config.workers}: on {device} there is one process")
        return 1
    if config.workers:
        return config.workers
    if pairs < MIN_PAIRS:
        return 1
    return max(1, min(available_cores() // max(1, config.threads), config.batch_tokens // MIN_TOKENS))


@dataclass(frozen=True)
class Plan:
    """What every process must know."""

    recipe: Recipe
    data: Path
    vocabulary: Path
    measured: Any
    """What `Task.measure` found out."""
    workers: int

    @property
    def task(self) -> Task:
        return TASKS[self.recipe.task](self.recipe)

    def stream(self, corpus: PreparedCorpus, tokenizers: TokenizerPair, rank: int) -> Stream:
        return self.task.stream(corpus, tokenizers, self.measured, (rank, self.workers))

    def learner(
        self, tokenizers: TokenizerPair, device: torch.device, rank: int, allocate: Callable[[int], Tensor] | None
    ) -> Learner:
        """With the weights that the seed draws."""
        training, task = self.recipe.training, self.task
        torch.manual_seed(training.seed)
        model = task.build(tokenizers, draw_weights=rank == 0).to(device)
        return Learner(
            model,
            task.objective(model, tokenizers),
            self.recipe.optimizer,
            precision=pick_precision(training.precision, device),
            seed=training.seed,
            rank=rank,
            workers=self.workers,
            allocate=allocate,
            ema=training.ema,
        )


class Team:
    """All processes as one. A context manager; the others end with it, whatever ends this one."""

    def __init__(self, plan: Plan, corpus: PreparedCorpus, tokenizers: TokenizerPair, device: torch.device) -> None:
        """Start the processes. Their preparations go on while this one makes its own."""
        self.stream = plan.stream(corpus, tokenizers, 0)
        self._device = device
        memory = SharedMemory(_floats(plan, tokenizers)) if plan.workers > 1 else None
        self.learner = plan.learner(tokenizers, device, 0, memory.allocate if memory else None)
        self._others = [_Other(plan, rank, memory) for rank in range(1, plan.workers)] if memory else []

    @property
    def workers(self) -> int:
        return 1 + len(self._others)

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        for other in self._others:
            other.close()

    def epoch(self, epoch: int, start: int, accumulation: int) -> Iterator[list[Batch]]:
        """This process's parts of the batches from `start` on, in groups of one update each."""
        self._tell("epoch", epoch, start)
        batches = self.stream.epoch(epoch, start)
        while group := [batch.to(self._device) for batch in islice(batches, accumulation)]:
            yield group

    def update(self, number: int, rate: float, group: Sequence[Batch]) -> Sums:
        """One update of the weights, each token of the group weighing the same. Raises TrainingError."""
        self._tell("learn", number, len(group))
        parts = [self.learner.learn(number, group), *self._answers()]
        sums = Sums(sum(part.nll for part in parts), sum(part.tokens for part in parts))
        self._tell("combine", sums.tokens)
        squares = sum([self.learner.combine(sums.tokens), *self._answers()])
        self._tell("apply", number, rate, squares)
        self.learner.apply(rate, squares)
        self.learner.follow(number)
        self._answers()
        return sums

    def _tell(self, *message: Any) -> None:
        for other in self._others:
            other.tell(message)

    def _answers(self) -> list[Any]:
        return [other.answer() for other in self._others]


class SharedMemory:
    """Zeros that processes share, handed out from the front. Takes room only where it is written.

    Not in /dev/shm, which containers keep small. Sent to another process, it hands out the same places again.
    """

    def __init__(self, floats: int, descriptor: int | None = None) -> None:
        self._floats = floats
        if descriptor is None:
            descriptor = _anonymous_file()
            os.ftruncate(descriptor, 4 * floats)
        self._descriptor = descriptor
        self._memory = torch.frombuffer(mmap.mmap(descriptor, 4 * floats), dtype=torch.float32)
        self._used = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (self._floats, DupFd(self._descriptor))

    def __del__(self) -> None:
        os.close(self._descriptor)

    def allocate(self, floats: int) -> Tensor:
        first = self._used
        self._used += -(-floats // 16) * 16
        assert self._used <= self._floats, (self._used, self._floats)
        return self._memory[first : first + floats]


def _attach(floats: int, descriptor: Any) -> SharedMemory:
    return SharedMemory(floats, descriptor.detach())


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("nmt-training")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _floats(plan: Plan, tokenizers: TokenizerPair) -> int:
    """More than the vectors of a run need."""
    with torch.device("meta"):
        model = plan.task.build(tokenizers, draw_weights=False)
    weights = sum(parameter.numel() + 64 for parameter in model.parameters()) + 64 * plan.workers
    averages = 1 if plan.recipe.training.ema else 0
    return (1 + plan.workers + STATE_VECTORS + averages) * weights


class _Other:
    """Another process, seen from the first."""

    def __init__(self, plan: Plan, rank: int, memory: SharedMemory) -> None:
        # from a server: a process that has run products and threads must not be forked
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._rank = rank
        self._connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_serve, args=(plan, rank, memory, theirs), name=f"nmt-train-{rank}", daemon=True
        )
        self._process.start()
        theirs.close()

    def tell(self, message: tuple[Any, ...]) -> None:
        try:
            self._connection.send(message)
        except OSError:
            self.answer()  # its last one, where it failed, says why
            self._raise_ended()

    def answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            self._raise_ended()
        if isinstance(answer, _Failure):
            raise TrainingError(f"training process {self._rank} failed:\n{answer.trace}")
        return answer

    def close(self) -> None:
        self._connection.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _raise_ended(self) -> None:
        self._process.join(10)
        code = self._process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        raise TrainingError(
            f"training process {self._rank} {how}; out of memory? Go on from the last checkpoint with --resume"
        ) from None


@dataclass(frozen=True)
class _Failure:
    trace: str


def _serve(plan: Plan, rank: int, memory: SharedMemory, connection: Connection) -> None:
    """The life of another process: it does what the first one says until the first one is gone."""
    # Ctrl-C reaches the whole group of processes; the first one decides what it means
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        torch.set_num_threads(max(1, plan.recipe.training.threads))
        tokenizers = load_tokenizers(plan.vocabulary)
        stream = plan.stream(PreparedCorpus(plan.data), tokenizers, rank)
        learner = plan.learner(tokenizers, torch.device("cpu"), rank, memory.allocate)
        batches: Iterator[Batch] = iter(())
        while True:
            match connection.recv():
                case "epoch", epoch, start:
                    batches = stream.epoch(epoch, start)
                case "learn", update, count:
                    connection.send(learner.learn(update, list(islice(batches, count))))
                case "combine", tokens:
                    connection.send(learner.combine(tokens))
                case "apply", number, rate, squares:
                    learner.apply(rate, squares)
                    learner.follow(number)
                    connection.send(None)
    except (EOFError, ConnectionError):
        return  # the first one is gone
    except Exception:
        connection.send(_Failure(traceback.format_exc()))
