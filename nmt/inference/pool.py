"""Many requests at once on a few workers: a bounded queue, batches across requests, fairness, deadlines, cancellation.

Policy without tensors: one thread a worker takes the next batch, sends it and hands out the answers. While all workers
are busy requests gather in the queue, so batches grow with the load and a lone request never waits for company.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nmt.errors import BundleError, DeadlineExceeded, NmtError, Overloaded, TranslationError, UnsupportedPair
from nmt.hardware import available_cores, has_nvidia_driver
from nmt.inference.types import ModelInfo, TranslateOptions, Translation
from nmt.inference.worker import Job, Ready, Result, Setup, Worker, WorkerDied

log = logging.getLogger(__name__)

BATCH_TEXTS = 64
BATCH_CHARS = 16_000
SHARE = 8
"""Texts that one request may put into a batch before the next request's turn."""

Key = tuple[int, TranslateOptions]
"""Model and options: what texts must share to share a batch."""


@dataclass(frozen=True)
class PoolStatus:
    """What an operator may ask at any time."""

    ready: bool
    reasons: tuple[str, ...]
    queued: int
    """Texts that wait."""
    running: int
    """Texts in work."""
    device: str


@dataclass(eq=False)
class _Request:
    """Some texts and the future that waits for all of them."""

    texts: Sequence[str]
    deadline: float | None
    future: Future[list[Result]]
    results: list[Result | None]
    as_one_batch: bool = False
    came: float = field(default_factory=time.monotonic)
    next: int = 0
    """Index of the first text that no batch has taken yet."""
    open: int = 0
    """Texts without a result."""

    def is_late(self, now: float) -> bool:
        return self.deadline is not None and now > self.deadline


@dataclass
class _Batch:
    """Texts on their way to a worker: (request, index of the text in it)."""

    key: Key
    items: list[tuple[_Request, int]] = field(default_factory=list)
    chars: int = 0

    def take(self, request: _Request) -> int:
        """Take up to `SHARE` texts of a request, as far as there is room; how many were taken."""
        first = request.next
        if request.as_one_batch:
            return 0 if self.items else self._take_all(request)
        while request.next < min(first + SHARE, len(request.texts)):
            text = request.texts[request.next]
            if self.items and (len(self.items) >= BATCH_TEXTS or self.chars + len(text) > BATCH_CHARS):
                break
            self.items.append((request, request.next))
            self.chars += len(text)
            request.next += 1
        return request.next - first

    def _take_all(self, request: _Request) -> int:
        waiting = range(request.next, len(request.texts))
        self.items = [(request, index) for index in waiting]
        self.chars = BATCH_CHARS + 1  # full: nothing joins it, not even an empty text
        request.next = len(request.texts)
        return len(waiting)

    def job(self) -> Job:
        return Job(self.key[0], tuple(request.texts[index] for request, index in self.items), self.key[1])


class Pool:
    """Bundles on worker processes. Safe for any thread; `submit` and `status` never block."""

    @classmethod
    def load_models(
        cls, folder: Path | str, *, device: str = "auto", workers: int | None = None, max_queue: int = 1024
    ) -> Pool:
        """Every bundle directly below a folder. Raises BundleError where there is none, or for one that is damaged."""
        folder = Path(folder)
        if not folder.is_dir():
            raise BundleError(f"{folder}: no such folder of models: set NMT_MODELS to one")
        found = sorted(path.parent for path in folder.glob("*/config.json"))
        if not found:
            raise BundleError(
                f"{folder}: no model bundle in it: train one with nmt train, or set NMT_MODELS to another"
            )
        return cls(found, device=device, workers=workers, max_queue=max_queue)

    def __init__(
        self, folders: Sequence[Path], *, device: str = "auto", workers: int | None = None, max_queue: int = 1024
    ) -> None:
        """Load bundles on `workers` processes: by default one a core, or one where there is a GPU.

        `max_queue`: texts that may wait. Raises BundleError and DeviceError.
        """
        self._max_queue = max_queue
        self._changed = threading.Condition()
        self._queues: dict[Key, deque[_Request]] = {}
        self._queued = self._running = 0
        self._texts_per_s = 0.0
        self._closed = False
        self._broken: set[int] = set()
        self._workers, ready = self._start(tuple(folders), device, workers)
        self.models: tuple[ModelInfo, ...] = ready.models
        self._device = ready.device
        self._pairs: dict[tuple[str, str], int] = {}
        for number, model in enumerate(self.models):
            self._pairs.setdefault((model.source_lang, model.target_lang), number)
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), name=f"nmt-worker-{number}", daemon=True)
            for number in range(len(self._workers))
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        texts: Sequence[str],
        source: str,
        target: str,
        options: TranslateOptions = TranslateOptions(),
        *,
        deadline_s: float | None = None,
        as_one_batch: bool = False,
    ) -> Future[list[Translation | NmtError]]:
        """Queue texts; the future's result has a translation, or that text's error, for each, in order.

        `as_one_batch`: the caller has chosen texts that go well together; they share their batch with no others.

        Cancelling the future frees the work that has not begun. Raises UnsupportedPair, and Overloaded where the
        queue has no room for the texts or the pool is closed.
        """
        model = self._pairs.get((source, target))
        if model is None:
            raise UnsupportedPair(f"no model translates from {source} to {target}")
        future: Future[list[Result]] = Future()
        if not texts:
            future.set_result([])
            return future
        request = _Request(
            tuple(texts),
            None if deadline_s is None else time.monotonic() + deadline_s,
            future,
            [None] * len(texts),
            as_one_batch=as_one_batch,
            open=len(texts),
        )
        with self._changed:
            if self._closed:
                raise Overloaded("the service is stopping", retry_after_s=5.0)
            if self._queued + len(texts) > self._max_queue:
                raise Overloaded(
                    f"the queue is full ({self._queued} texts wait, {self._max_queue} may)",
                    retry_after_s=self._patience_s(),
                )
            self._queues.setdefault((model, options), deque()).append(request)
            self._queued += len(texts)
            self._changed.notify()
        future.add_done_callback(lambda _: self._drop_waiting(request))
        return future

    def status(self) -> PoolStatus:
        """Whether new work is welcome, and how much there is."""
        with self._changed:
            reasons: tuple[str, ...] = ("the engine is closed",) if self._closed else ()
            if len(self._broken) == len(self._workers):
                reasons += ("no worker can be started",)
            return PoolStatus(not reasons, reasons, self._queued, self._running, self._device)

    def drain(self, timeout_s: float) -> bool:
        """Wait until no text waits or is in work; whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queued and not self._running, timeout_s)

    def close(self) -> None:
        """End the workers. What still waits is cancelled, what is in work fails."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            waiting = [request for queue in self._queues.values() for request in queue]
            self._changed.notify_all()
        for request in waiting:
            request.future.cancel()
        for worker in self._workers:
            worker.stop()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, folders: tuple[Path, ...], device: str, count: int | None) -> tuple[list[Worker], Ready]:
        self._setup = Setup(folders, device, threads=1)
        if count is None:
            # a GPU is shared best by one process; whether the driver's GPU is of use, the first worker finds out
            maybe_cuda = device.startswith("cuda") or (device == "auto" and has_nvidia_driver())
            first = Worker(self._setup)
            rest = 0 if maybe_cuda else available_cores() - 1
            workers = [first, *(Worker(self._setup) for _ in range(rest))]
        else:
            workers = [Worker(self._setup) for _ in range(max(1, count))]
        try:
            answers = [worker.ready() for worker in workers]
        except (WorkerDied, NmtError) as error:
            for worker in workers:
                worker.stop()
            if isinstance(error, NmtError):
                raise
            raise BundleError(f"a worker ended while it loaded the models ({error}): is there enough memory?") from None
        return workers, answers[0]

    def _serve(self, number: int) -> None:
        """One worker's thread: batches until the pool is closed."""
        while (batch := self._take()) is not None:
            started = time.monotonic()
            results = self._run(number, batch.job())
            self._note_speed(len(batch.items), time.monotonic() - started)
            for (request, index), result in zip(batch.items, results, strict=True):
                self._deliver(request, index, result)
            with self._changed:
                self._running -= len(batch.items)
                self._changed.notify_all()

    def _run(self, number: int, job: Job, *, is_retry: bool = False) -> list[Result]:
        """One result a text. Where the worker ends, each text is tried once more by itself on a new one."""
        try:
            return self._workers[number].translate(job)
        except WorkerDied as error:
            if not self._closed:
                log.error("worker %d ended (%s): starting another", number, error)
        if not self._restart(number) or is_retry:
            return [TranslationError("internal error (the worker ended)")] * len(job.texts)
        alone = [Job(job.model, (text,), job.options) for text in job.texts]
        return [self._run(number, one, is_retry=True)[0] for one in alone]

    def _restart(self, number: int) -> bool:
        """A new process in the place of one that ended; whether it came to life."""
        self._workers[number].stop()
        if self._closed:
            return False
        worker = Worker(self._setup)
        self._workers[number] = worker
        try:
            worker.ready()
        except (WorkerDied, NmtError) as error:
            log.error("worker %d cannot be started again: %s", number, error)
            self._broken.add(number)
            return False
        self._broken.discard(number)
        return True

    def _take(self) -> _Batch | None:
        """Wait for texts and take the next batch: the oldest request's model and options, turn by turn."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._closed or self._queued)
                if self._closed:
                    return None
                batch = self._gather(min(self._queues, key=lambda key: _age(self._queues[key])))
                if batch.items:
                    self._queued -= len(batch.items)
                    self._running += len(batch.items)
                    return batch

    def _gather(self, key: Key) -> _Batch:
        batch = _Batch(key)
        queue = self._queues[key]
        now = time.monotonic()
        while queue:
            request = queue.popleft()
            if request.is_late(now):
                self._drop_waiting(request)
            taken = batch.take(request)
            if request.next == len(request.texts):
                continue
            if taken < SHARE:  # the batch is full: this request goes first in the next one
                queue.appendleft(request)
                break
            queue.append(request)
        if not queue:
            del self._queues[key]
        return batch

    def _drop_waiting(self, request: _Request) -> None:
        """Give up a request's waiting texts, if there are any: its caller left, or its time is over."""
        with self._changed:
            waiting = range(request.next, len(request.texts))
            self._queued -= len(waiting)
            request.open -= len(waiting)
            for index in waiting:
                request.results[index] = DeadlineExceeded("not translated in time")
            request.next = len(request.texts)
            is_complete = bool(waiting) and request.open == 0
            self._changed.notify_all()
        if is_complete:
            _resolve(request)

    def _deliver(self, request: _Request, index: int, result: Result) -> None:
        with self._changed:
            request.results[index] = result
            request.open -= 1
            is_complete = request.open == 0
        if is_complete:
            _resolve(request)

    def _note_speed(self, texts: int, seconds: float) -> None:
        with self._changed:
            rate = texts / max(seconds, 1e-6) * len(self._workers)
            self._texts_per_s = rate if not self._texts_per_s else 0.8 * self._texts_per_s + 0.2 * rate

    def _patience_s(self) -> float:
        """When the queue should be half empty."""
        return max(1.0, self._queued / 2 / self._texts_per_s) if self._texts_per_s else 1.0


def _age(queue: deque[_Request]) -> float:
    """When the request at the head came; its turn comes by age among models and options."""
    return queue[0].came


def _resolve(request: _Request) -> None:
    with suppress(InvalidStateError):  # cancelled meanwhile
        request.future.set_result([result for result in request.results if result is not None])
