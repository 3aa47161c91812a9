"""Many requests at once on a few workers: a bounded queue, fairness, deadlines, cancellation, workers that may die.

Policy without tensors. Each worker is kept fed: it has as many texts as its engine has room for and a few more, so that
it never waits for this process. Whoever brings a text hands it over if a worker has room; else whoever takes a worker's
answers back does so as room falls free: a thread a worker, or the event loop of a service.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from nmt.errors import BundleError, DeadlineExceeded, NmtError, Overloaded, TranslationError, UnsupportedPair
from nmt.hardware import available_cores, has_nvidia_driver
from nmt.inference.types import Ensemble, Fusion, ModelInfo, Result, TranslateOptions, Translation
from nmt.inference.worker import Ask, Cancel, Message, Ready, Setup, Worker, WorkerDied
from nmt.native.sharing import make_file

log = logging.getLogger(__name__)

SHARE = 8
"""Texts of one request that are handed over before the next request's turn. A text counts as so many sentences at most:
in a worker its sentences take turns with those of others, so it keeps nobody waiting."""
RESERVE = 0.25
"""What a worker is given beyond the rows of its engine, as a share of them: enough to fill rows that fall free."""
SMALL_TEXTS = 2
SMALL_CHARS = 400
"""A request of at most so many texts, of so many characters together, goes before larger ones."""
SEGMENT_CHARS = 120
"""Of a sentence, roughly: a longer text counts as several."""
RESTART_S = 1.0
"""Between two attempts to start a worker; each further one waits twice as long, up to LONGEST_RESTART_S."""
LONGEST_RESTART_S = 8.0
START_S = 120.0
"""Longest time to load the models again; a worker that takes longer is ended and started anew."""
WATCH_S = 0.5
"""Between two looks at who waits too long and which worker is silent."""
WARM_UP = "Test."
GATHERED_PART = 1 / 16
"""Of the time that a text is in work: how long answers gather at most before they are taken."""
LONGEST_GATHERING_S = 0.005
GATHERING_IN_A_CROWD_S = 0.0015
"""The same where more texts wait than are in work: requests, most of them refused, then come fast enough by themselves,
and what has just arrived, such as a question for the service's health, waits several turns of the loop."""
RATE_S = 0.5
"""How long texts are counted for one estimate of the speed."""


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
    retry_after_s: float = 1.0
    """When to come again if it is full now."""
    workers: int = 0
    """That are up."""
    restarts: int = 0
    """How often a worker ended and another was started."""


@dataclass(eq=False)
class _Request:
    """Some texts and the future that waits for all of them."""

    texts: Sequence[str]
    model: int
    options: TranslateOptions
    beam_size: int
    deadline: float | None
    since: float
    """When it came, in seconds of the pool's clock."""
    is_continued: bool
    future: Future[list[Result]]
    results: list[Result | None]
    next: int = 0
    """Index of the first text that no worker has been given yet."""
    open: int = 0
    """Texts without a result."""
    is_small: bool = False
    """It is soon done, and need not wait for those that are not."""

    def is_late(self, now: float) -> bool:
        return self.deadline is not None and now > self.deadline


@dataclass(eq=False)
class _Item:
    """A text with a worker."""

    request: _Request
    index: int
    rows: int
    """Its hypotheses, roughly."""
    is_retry: bool = False
    since: float = 0.0
    """When a worker was given it, by the pool's clock."""


@dataclass(eq=False)
class _Place:
    """What the pool knows of one worker."""

    worker: Worker
    is_up: bool = True
    is_broken: bool = False
    """It could not be started again."""
    heard: float = 0.0
    """When it last gave a sign, was given the first of its texts, or was started; by the pool's clock."""
    items: dict[int, _Item] = field(default_factory=dict)
    """Texts that it has, by number."""
    rows: list[int] = field(default_factory=lambda: [0, 0])
    """Of these texts: of large requests, of small ones."""
    retries: deque[_Item] = field(default_factory=deque)
    """Texts that a worker died with. Each is tried once more, with no other beside it."""
    is_retrying: bool = False
    """It has such a text."""
    cancelled: list[int] = field(default_factory=list)
    """Texts that it has yet to be told of."""


class Pool:
    """Bundles on worker processes. Safe for any thread; `submit` and `status` never block."""

    @classmethod
    def load_models(
        cls,
        folder: Path | str,
        *,
        device: str = "auto",
        precision: str = "auto",
        workers: int | None = None,
        max_queue: int = 1024,
        max_wait_s: float | None = None,
        hang_s: float = 30.0,
        loop: AbstractEventLoop | None = None,
        niceness: int = 0,
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
        return cls(
            found,
            device=device,
            precision=precision,
            workers=workers,
            max_queue=max_queue,
            max_wait_s=max_wait_s,
            hang_s=hang_s,
            niceness=niceness,
            loop=loop,
        )

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        device: str = "auto",
        precision: str = "auto",
        workers: int | None = None,
        max_queue: int = 1024,
        max_wait_s: float | None = None,
        hang_s: float = 30.0,
        loop: AbstractEventLoop | None = None,
        fusion: Fusion | None = None,
        niceness: int = 0,
        ensemble: Ensemble | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load bundles on `workers` processes: by default one a core, or one where there is a GPU.

        `max_queue`: texts that may wait. `max_wait_s`: how long a request may wait until its first text is in work;
        None: to its deadline. `hang_s`: a worker that has texts and gives no sign for so long is ended and replaced.
        `loop`: takes the answers instead of threads: a hand-over between threads of a busy machine costs more than all
        else that an answer costs here. `fusion`: a language model beside each bundle. `ensemble`: bundles that
        translate together with each. `clock`: the one of deadlines.
        `niceness`: how far the workers step back for this process and for all others of the machine.

        Raises BundleError and DeviceError, and ConfigError for what does not fit a bundle.
        """
        self._loop = loop
        self._clock = clock
        self._max_queue = max_queue
        self._max_wait_s = max_wait_s
        self._hang_s = hang_s
        self._changed = threading.Condition()
        self._small: deque[_Request] = deque()
        """Small requests that no worker has, in the order in which they came."""
        self._queue: deque[_Request] = deque()
        """Requests with texts that no worker has, each in its turn."""
        self._numbers = count()
        self._queued = self._running = 0
        self._rate = _Rate()
        self._restarts = 0
        self._closed = False
        self._ending = threading.Event()
        self._files = [make_file() for _ in folders]
        files = tuple(file.fileno() for file in self._files)
        self._setup = Setup(
            tuple(folders),
            device,
            threads=1,
            precision=precision,
            shared_files=files,
            fusion=fusion,
            niceness=niceness,
            ensemble=ensemble,
        )
        workers_started, ready = self._start(workers)
        self._places = [_Place(worker, heard=clock()) for worker in workers_started]
        self._room = int(ready.rows * (1 + RESERVE))
        self._has_lanes = ready.has_lanes
        self.models: tuple[ModelInfo, ...] = ready.models
        self._device = ready.device
        self._pairs: dict[tuple[str, str], int] = {}
        for number, model in enumerate(self.models):
            self._pairs.setdefault((model.source_lang, model.target_lang), number)
        self._threads: list[threading.Thread] = []
        self._will_supply = False
        self._has_gathered = False
        self._awake_until = 0.0
        for place in self._places:
            if loop is None:
                self._start_thread(self._listen, place)
            else:
                self._read_soon(place)
        self._watcher = threading.Thread(target=self._watch, name="nmt_watch", daemon=True)
        self._watcher.start()

    def warm_up(self) -> None:
        """Translate a word by every model on every worker.

        Raises BundleError for a model that gives no translation. Not for the event loop's own thread.
        """
        for model in self.models:
            texts = [WARM_UP] * len(self._places)
            for result in self.submit(texts, model.source_lang, model.target_lang).result(START_S):
                if isinstance(result, NmtError):
                    raise BundleError(f"{model.folder}: it is loaded and does not translate: {result}")

    def submit(
        self,
        texts: Sequence[str],
        source: str,
        target: str,
        options: TranslateOptions = TranslateOptions(),
        *,
        deadline_s: float | None = None,
        is_continued: bool = False,
    ) -> Future[list[Translation | NmtError]]:
        """Queue texts; the future's result has a translation, or that text's error, for each, in order.

        Cancelling the future frees the work that is not done. `is_continued`: a part of this work was accepted and done
        before, so it is taken however much waits.

        Raises UnsupportedPair, and Overloaded where the queue has no room for the texts, where they would wait too
        long, or where the pool is closed.
        """
        model = self._pairs.get((source, target))
        if model is None:
            raise UnsupportedPair(f"no model translates from {source} to {target}")
        future: Future[list[Result]] = Future()
        if not texts:
            future.set_result([])
            return future
        now = self._clock()
        request = _Request(
            tuple(texts),
            model,
            options,
            options.width(self.models[model].beam_size),
            None if deadline_s is None else now + deadline_s,
            now,
            is_continued,
            future,
            [None] * len(texts),
            open=len(texts),
            is_small=self._has_lanes and len(texts) <= SMALL_TEXTS and sum(map(len, texts)) <= SMALL_CHARS,
        )
        with self._changed:
            if self._closed:
                raise Overloaded("the service is stopping", retry_after_s=5.0)
            if not is_continued:
                self._refuse_excess(request)
            self._queue_of(request).append(request)
            self._queued += len(texts)
            self._supply_soon()
        future.add_done_callback(lambda _: self._give_up(request) if request.open else None)  # else it was cancelled
        return future

    def status(self) -> PoolStatus:
        """Whether new work is welcome, and how much there is."""
        with self._changed:
            reasons = tuple(self._reasons())
            up = sum(place.is_up for place in self._places)
            return PoolStatus(
                not reasons,
                reasons,
                self._queued,
                self._running,
                self._device,
                self._patience_s(),
                up,
                self._restarts,
            )

    def _reasons(self) -> Iterator[str]:
        """Why no work should come here. The lock is held."""
        if self._closed:
            yield "the engine is closed"
        up = [place for place in self._places if place.is_up]
        if all(place.is_broken for place in self._places):
            yield "no worker can be started"
        elif not up:
            yield "all workers are being started again"
        elif all(self._silence_s(place) > self._hang_s / 2 for place in up):
            yield "no worker answers"

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
            self._ending.set()
            waiting = self._requests()
            self._changed.notify_all()
        for request in waiting:
            request.future.cancel()
        self._watcher.join()
        for place in self._places:
            if self._loop is not None and place.is_up:
                self._on_loop(self._loop.remove_reader, place.worker.fileno())
                self._start_thread(self._listen, place)  # which finds the worker ended, and fails its texts
            place.worker.stop()
        for thread in self._threads:
            thread.join()
        for place in self._places:
            place.worker.close()
        self._close_files()

    def _close_files(self) -> None:
        for file in self._files:
            file.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, number: int | None) -> tuple[list[Worker], Ready]:
        device = self._setup.device
        if number is None:
            # a GPU is shared best by one process; whether the driver's GPU is of use, the first worker finds out
            maybe_cuda = device.startswith("cuda") or (device == "auto" and has_nvidia_driver())
            number = 1 if maybe_cuda else available_cores()
        workers = [Worker(self._setup) for _ in range(max(1, number))]
        try:
            answers = [worker.ready() for worker in workers]
        except (WorkerDied, NmtError) as error:
            for worker in workers:
                worker.stop()
                worker.close()
            self._close_files()
            if isinstance(error, NmtError):
                raise
            raise BundleError(f"a worker ended while it loaded the models ({error}): is there enough memory?") from None
        return workers, answers[0]

    @property
    def queued(self) -> int:
        """Texts that wait, as `status` says it."""
        return self._queued

    def stay_awake(self, seconds: float) -> None:
        """Let no answers gather for so long: the event loop has something to do that takes many turns of it."""
        self._awake_until = self._clock() + seconds

    # Texts out; the lock is held

    def _supply_soon(self) -> None:
        """Tell the workers what there is; on an event loop once for all that comes in one turn of it."""
        if self._loop is None or asyncio._get_running_loop() is not self._loop:
            self._supply_all()
        elif not self._will_supply:
            self._will_supply = True
            self._loop.call_soon(self._supply_now)

    def _supply_now(self) -> None:
        with self._changed:
            self._will_supply = False
            self._supply_all()

    def _supply_all(self) -> None:
        for place in self._places:
            self._supply(place)

    def _supply(self, place: _Place) -> None:
        """Tell a worker what there is for it."""
        if self._closed or not place.is_up or not (self._queued or place.cancelled or place.retries):
            return
        messages = self._messages(place)
        if not messages:
            return
        with suppress(WorkerDied):  # whoever listens to it finds out too, and has these texts among its own
            place.worker.offer(messages)

    def _messages(self, place: _Place) -> list[Message]:
        """What a worker is to be told now."""
        messages: list[Message] = [Cancel(number) for number in place.cancelled]
        place.cancelled.clear()
        if not place.items:
            place.is_retrying = bool(place.retries)
            if place.retries:
                messages.append(self._hand_over(place, place.retries.popleft()))
        if place.retries or place.is_retrying:
            return messages
        messages += [self._hand_over(place, item) for item in self._next_items(place)]
        return messages

    def _next_items(self, place: _Place) -> Iterator[_Item]:
        """Texts for a worker: as many as it has room for, but no more than its part of all that there are."""
        up = sum(other.is_up for other in self._places)
        part = -(-(self._queued + self._running) // up)
        for queue in (self._small, self._queue):
            while queue and len(place.items) < part:
                request = queue[0]
                if error := self._overdue(request, self._clock()):
                    self._drop_waiting(request, error)
                    continue
                text = request.texts[request.next]
                rows = request.beam_size * min(1 + len(text) // SEGMENT_CHARS, SHARE)
                taken = place.rows[request.is_small]
                if taken and taken + rows > self._room:
                    break
                request.next += 1
                self._queued -= 1
                self._running += 1
                if request.next == len(request.texts):
                    queue.popleft()
                elif request.next % SHARE == 0:
                    queue.rotate(-1)
                yield _Item(request, request.next - 1, rows)

    def _queue_of(self, request: _Request) -> deque[_Request]:
        return self._small if request.is_small else self._queue

    def _requests(self) -> list[_Request]:
        """All with texts that no worker has."""
        return [*self._small, *self._queue]

    def _hand_over(self, place: _Place, item: _Item) -> Ask:
        number = next(self._numbers)
        item.since = self._clock()
        if not place.items:
            place.heard = item.since
        place.items[number] = item
        request = item.request
        place.rows[request.is_small] += item.rows
        text = request.texts[item.index]
        return Ask(number, request.model, text, request.options, request.deadline, request.is_small)

    # Answers back

    def _start_thread(self, target: Callable[[_Place], None], place: _Place) -> None:
        thread = threading.Thread(target=target, args=(place,), name=f"nmt{target.__name__}", daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def _listen(self, place: _Place) -> None:
        """Deliver a worker's answers, and replace it when it ends, until the pool is closed."""
        is_open = True
        while is_open:
            try:
                self._deliver(place, place.worker.receive())
            except WorkerDied as error:
                is_open = self._replace(place, error)

    def _on_answers(self, place: _Place) -> None:
        """The same, on the event loop, when there is something to read."""
        self.gather()
        try:
            while place.worker.poll():
                self._deliver(place, place.worker.receive())
        except WorkerDied:
            assert self._loop is not None
            self._loop.remove_reader(place.worker.fileno())
            self._start_thread(self._revive, place)

    def gather(self) -> None:
        """Let answers, and requests, come together for a moment where many small ones are in work.

        For what reads either of them on the event loop, before it does; waits once in a turn of the loop. A turn costs
        several times as much as an answer, and takes that time from the workers. They have more texts than they need
        meanwhile. Beside large requests the small ones are not many, and in a hurry.
        """
        if self._has_gathered or self._loop is None or any(place.rows[False] for place in self._places):
            return
        pause_s = gathering_s(self._running, self._queued, self._rate.texts_per_s)
        if pause_s and self._clock() >= self._awake_until:
            time.sleep(pause_s)  # the whole loop: what else comes waits as well
            self._has_gathered = True  # for the other workers, whose turn is now
            self._loop.call_soon(self._gather_again)

    def _gather_again(self) -> None:
        self._has_gathered = False

    def _revive(self, place: _Place) -> None:
        """Replace the worker of a pool on an event loop: that takes seconds, so not on the loop."""
        assert self._loop is not None
        if self._replace(place, WorkerDied(place.worker.exit_code())):
            self._read_soon(place)

    def _read_soon(self, place: _Place) -> None:
        """Have the event loop take a worker's answers."""
        loop = self._loop
        assert loop is not None

        def read() -> None:
            with self._changed:
                if not self._closed:
                    loop.add_reader(place.worker.fileno(), self._on_answers, place)

        loop.call_soon_threadsafe(read)

    def _on_loop(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function on the event loop's thread and wait for it; a loop that has ended needs no call."""
        loop = self._loop
        assert loop is not None
        if asyncio._get_running_loop() is loop:
            function(*arguments)
            return
        done = threading.Event()

        def call() -> None:
            function(*arguments)
            done.set()

        with suppress(RuntimeError):
            loop.call_soon_threadsafe(call)
            while not (done.wait(WATCH_S) or loop.is_closed()):
                pass

    def _deliver(self, place: _Place, answers: Sequence[tuple[int, Result]]) -> None:
        with self._changed:
            place.heard = self._clock()
            items = [(place.items.pop(number), result) for number, result in answers]
            for item, _ in items:
                place.rows[item.request.is_small] -= item.rows
            self._running -= len(items)
            self._rate.note(len(items), place.heard)
            complete = [item.request for item, result in items if self._note(item, _timed(item, result, place.heard))]
            self._supply(place)
            self._tell()
        for request in complete:
            _resolve(request)

    def _tell(self) -> None:
        """Wake who waits in `drain` when there is nothing left. The lock is held."""
        if not self._queued and not self._running:
            self._changed.notify_all()

    def _note(self, item: _Item, result: Result) -> bool:
        """Enter a result; whether its request is now complete."""
        item.request.results[item.index] = result
        item.request.open -= 1
        return item.request.open == 0

    def _replace(self, place: _Place, reason: WorkerDied) -> bool:
        """A new process in the place of one that ended, whose texts are tried once more; False: the pool is closed."""
        with self._changed:
            if not self._closed:
                log.error("a worker ended (%s): starting another", reason)
                self._restarts += 1
            place.is_up = False
            lost = [item for item in place.items.values() if item.is_retry or self._is_idle_to_retry(item)]
            place.retries.extend(item for item in place.items.values() if item not in lost)
            for item in place.retries:
                item.is_retry = True
            place.items.clear()
            place.cancelled.clear()
            place.rows = [0, 0]
            self._supply_all()  # the others' parts have grown
        self._fail(lost, "the worker ended")
        pause_s = RESTART_S
        while not self._is_closed():
            place.worker.stop()
            place.worker.close()
            place.heard = self._clock()
            place.worker = Worker(self._setup)
            try:
                self._check_models(place.worker.ready())
            except (WorkerDied, NmtError) as error:
                self._mark_broken(place, error, pause_s)
                pause_s = min(2 * pause_s, LONGEST_RESTART_S)
                continue
            with self._changed:
                if not self._closed:
                    place.is_up, place.is_broken = True, False
                    self._supply(place)
                    return True
        place.worker.stop()
        self._fail(list(place.retries), "the pool was closed")
        return False

    def _is_idle_to_retry(self, item: _Item) -> bool:
        """Whether nobody waits for a text any more."""
        return self._closed or item.request.future.done() or item.request.is_late(self._clock())

    def _check_models(self, ready: Ready) -> None:
        """Raises BundleError where other models lie on the disk by now: answers would be of two kinds."""
        if [model.version for model in ready.models] != [model.version for model in self.models]:
            raise BundleError("other models lie on the disk than those that serve: load them anew")

    def _is_closed(self) -> bool:
        with self._changed:
            return self._closed

    def _mark_broken(self, place: _Place, error: Exception, pause_s: float) -> None:
        """Answer what waits for a worker that cannot be started, and wait a little."""
        log.error("a worker cannot be started again: %s", error)
        with self._changed:
            place.is_broken = True
            lost = list(place.retries)
            place.retries.clear()
            if all(other.is_broken for other in self._places):
                for request in self._requests():
                    self._drop_waiting(request, TranslationError("internal error (no worker can be started)"))
            self._supply_all()  # what was this one's part
        self._fail(lost, "no worker can be started")
        with self._changed:
            self._changed.wait_for(lambda: self._closed, pause_s)

    def _fail(self, items: Sequence[_Item], why: str) -> None:
        with self._changed:
            self._running -= len(items)
            error = TranslationError(f"internal error ({why})")
            complete = [item.request for item in items if self._note(item, error)]
            self._tell()
        for request in complete:
            _resolve(request)

    # Waiting too long

    def _refuse_excess(self, new: _Request) -> None:
        """Raises Overloaded where a request does not fit, or would wait too long. The lock is held."""
        if self._queued + len(new.texts) > self._max_queue:
            raise Overloaded(
                f"the queue is full ({self._queued} texts wait, {self._max_queue} may)",
                retry_after_s=self._patience_s(),
            )
        rate = self._rate.texts_per_s
        if self._max_wait_s is None or not rate or self._queued <= rate * self._max_wait_s:
            return
        before = self._small if new.is_small else self._requests()
        ahead = sum(min(SHARE, len(request.texts) - request.next) for request in before)
        if ahead > rate * self._max_wait_s:
            raise Overloaded(
                f"the wait would be longer than {self._max_wait_s:g} s ({self._queued} texts wait)",
                retry_after_s=self._patience_s(),
            )

    def _overdue(self, request: _Request, now: float) -> NmtError | None:
        """Why a request has waited long enough, if it has. The lock is held."""
        if request.is_late(now):
            return DeadlineExceeded("not translated in time")
        limit_s = self._max_wait_s
        if limit_s is None or request.next or request.is_continued or now - request.since <= limit_s:
            return None
        return Overloaded(f"no worker was free within {limit_s:g} s", retry_after_s=self._patience_s())

    def _watch(self) -> None:
        """Until the pool is closed, answer those who wait too long, and end workers that are silent."""
        while not self._ending.wait(WATCH_S):
            self._look(self._clock())

    def _look(self, now: float) -> None:
        with self._changed:
            for request in self._requests():
                if error := self._overdue(request, now):
                    self._drop_waiting(request, error)
            for place in self._places:
                limit_s = self._hang_s if place.is_up else START_S
                if self._silence_s(place) > limit_s and not place.is_broken:
                    log.error("a worker gives no sign: ending it")
                    place.heard = now
                    place.worker.kill()  # whoever listens to it does the rest

    def _silence_s(self, place: _Place) -> float:
        """How long a worker that should do something has done nothing."""
        return self._clock() - place.heard if place.items or not place.is_up else 0.0

    # Giving up

    def _give_up(self, request: _Request) -> None:
        """Free the waiting texts of a request that was cancelled, and tell the workers that have others of it."""
        with self._changed:
            self._drop_waiting(request, DeadlineExceeded("given up"))
            for place in self._places:
                place.cancelled += [number for number, item in place.items.items() if item.request is request]
            self._supply_all()

    def _drop_waiting(self, request: _Request, error: NmtError) -> None:
        """Answer a request's waiting texts with an error. The lock is held."""
        waiting = range(request.next, len(request.texts))
        if not waiting:
            return
        self._queue_of(request).remove(request)
        self._queued -= len(waiting)
        request.open -= len(waiting)
        for index in waiting:
            request.results[index] = error
        request.next = len(request.texts)
        self._tell()
        if request.open == 0:
            _resolve(request)

    def _patience_s(self) -> float:
        """When the queue should be half empty."""
        rate = self._rate.texts_per_s
        return max(1.0, self._queued / 2 / rate) if rate else 1.0


def gathering_s(running: int, queued: int, texts_per_s: float) -> float:
    """How long to let answers gather while so many texts are in work, wait, and are done a second; 0: not at all.

    A text is in work for running / texts_per_s (Little's law), of which this is a small part.
    """
    if not texts_per_s:
        return 0.0
    longest_s = GATHERING_IN_A_CROWD_S if queued > running else LONGEST_GATHERING_S
    pause_s = min(running / texts_per_s * GATHERED_PART, longest_s)
    return pause_s if pause_s * texts_per_s >= 1 else 0.0


class _Rate:
    """Texts a second, while there are any."""

    def __init__(self) -> None:
        self.texts_per_s = 0.0
        self._since = self._last = 0.0
        self._texts = 0

    def note(self, texts: int, now: float) -> None:
        if now - self._last > 2 * RATE_S:  # nothing came for a while: that was no work
            self._since, self._texts = now, 0
        else:
            self._texts += texts
        self._last = now
        if now - self._since >= RATE_S:
            rate = self._texts / (now - self._since)
            self.texts_per_s = rate if not self.texts_per_s else 0.8 * self.texts_per_s + 0.2 * rate
            self._since, self._texts = now, 0


def _timed(item: _Item, result: Result, now: float) -> Result:
    """A result that says how long its text waited and was in work."""
    if isinstance(
        result, Translation
    ):  # fresh from the channel, so nobody else's; another copy costs several times this
        vars(result).update(queue_s=item.since - item.request.since, engine_s=now - item.since)
    return result


def _resolve(request: _Request) -> None:
    future, request.future = request.future, _ANSWERED
    with suppress(InvalidStateError):  # cancelled meanwhile
        future.set_result([result for result in request.results if result is not None])


_ANSWERED: Future[list[Result]] = Future()
"""Takes the place of a future that has its result: without it a request, its future and what that calls back would be a
cycle, and each one work for the garbage collector."""
_ANSWERED.set_result([])
