"""The door between HTTP and the engine: who gets in, how long they may wait, and who has left.

Everything here is quick: the engine works elsewhere, and the event loop only waits for its futures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, TypeVar

from starlette.types import Message

from app.caller import Caller
from app.errors import Stopping
from nmt.errors import Cancelled, DeadlineExceeded, NmtError
from nmt.inference import ModelInfo, PoolStatus, TranslateOptions, Translation

Receive: TypeAlias = Callable[[], Awaitable[Message]]
T = TypeVar("T")

_GRACE_S = 1.0
"""The engine holds the deadline item by item; only where it does not answer at all is this backstop reached."""


class Engine(Protocol):
    """What the service asks of `nmt.inference.Pool`. No method but `drain` and `close` may block."""

    @property
    def models(self) -> tuple[ModelInfo, ...]: ...

    def submit(
        self,
        texts: Sequence[str],
        source: str,
        target: str,
        options: TranslateOptions,
        *,
        deadline_s: float | None,
        is_continued: bool = False,
    ) -> Future[list[Translation | NmtError]]: ...

    def status(self) -> PoolStatus: ...

    @property
    def queued(self) -> int: ...

    def stay_awake(self, seconds: float) -> None: ...

    def gather(self) -> None: ...

    def drain(self, timeout_s: float) -> object: ...

    def close(self) -> None: ...


class Admission:
    """Lets translations through to the engine."""

    def __init__(self, engine: Engine, *, deadline_s: float) -> None:
        self.engine = engine
        """Takes new requests. Another may take its place; what it has accepted it finishes."""
        self._deadline_s = deadline_s
        self.is_stopping = False
        """Set before the end: readiness fails, work that still comes is done."""
        self._end: float | None = None
        """Of the time that accepted work has, on the event loop's clock."""

    def stop(self, drain_s: float) -> float:
        """What is left, in seconds, of the time for accepted work: `drain_s` from the first call on."""
        self.is_stopping = True
        now = asyncio.get_running_loop().time()
        if self._end is None:
            self._end = now + drain_s
        return max(0.0, self._end - now)

    def seconds(self, wanted_s: float | None) -> float:
        """The longest time to an answer: what a caller wants, as far as the service allows it."""
        return self._deadline_s if wanted_s is None else min(wanted_s, self._deadline_s)

    async def translate(
        self,
        engine: Engine,
        texts: Sequence[str],
        model: ModelInfo,
        options: TranslateOptions,
        receive: Receive | None,
        *,
        deadline_s: float,
        is_continued: bool = False,
    ) -> list[Translation | NmtError]:
        """Translate on an engine; `receive` is the request's, its body read, and tells when the caller leaves.

        `is_continued`: work that was accepted before goes on, so a full queue is no reason to refuse it.

        Raises:
            Overloaded: the queue is full, or the engine has closed.
            DeadlineExceeded: the engine did not answer in time.
            Cancelled: the caller went away; the engine's work for it is cancelled.
        """
        more = {"is_continued": True} if is_continued else {}
        future = engine.submit(texts, model.source_lang, model.target_lang, options, deadline_s=deadline_s, **more)
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def wake(_: object = None) -> None:
            if not waiter.done():
                waiter.set_result(None)

        def wake_from_engine(_: object) -> None:
            if asyncio._get_running_loop() is loop:
                wake()
            else:
                with suppress(RuntimeError):  # the loop has been closed
                    loop.call_soon_threadsafe(wake)

        future.add_done_callback(wake_from_engine)
        caller = gone = None
        if isinstance(receive, Caller):
            caller = receive
            caller.when_gone(wake)
        elif receive is not None:
            gone = loop.create_task(_disconnected(receive))
            gone.add_done_callback(wake)
        backstop = loop.call_later(deadline_s + _GRACE_S, wake)
        try:
            await waiter
            if future.done():
                return future.result()
            if caller.has_left if caller is not None else gone is not None and gone.done():
                raise Cancelled("the caller went away")
            raise DeadlineExceeded(f"no translation within {deadline_s:g} s")
        except CancelledError:  # by the engine as it closes, not by us
            raise Stopping() from None
        finally:
            backstop.cancel()
            if caller is not None:
                caller.when_gone(None)
            if gone is not None:
                gone.cancel()
            future.cancel()  # nothing happens to one that is done

    async def attended(self, work: Coroutine[Any, Any, T], receive: Receive) -> T:
        """What `work` returns, as long as the caller stays. Raises Cancelled, and ends the work, where it leaves."""
        task, gone = asyncio.create_task(work), asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Cancelled("the caller went away")
            return task.result()
        finally:
            gone.cancel()
            task.cancel()

    def obstacles(self) -> tuple[str, ...]:
        """Why no new work should come here; empty: ready."""
        status = self.engine.status()
        reasons = (*(["the service is stopping"] if self.is_stopping else []), *status.reasons)
        return reasons if status.ready or reasons else ("the engine is not ready",)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
