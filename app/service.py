"""What the routes share, and its life: loaded before the first request, drained after the last."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admission import Admission, Engine
from app.document_jobs import DocumentDesk
from app.file_store import FileDesk
from app.gate import Gate, open_gate
from app.glossaries import GlossaryStore, open_glossaries
from app.languages import Languages
from app.metrics import Metrics
from app.models import Models, log_models
from app.settings import Settings
from nmt.errors import NmtError
from nmt.inference import Pool

EngineLoader = Callable[[Settings], Engine]
NICENESS = 5
"""Of engine workers, above that of the process that speaks HTTP. On a busy machine it must be able to say so."""


@dataclass(frozen=True)
class Service:
    """What every route may use."""

    settings: Settings
    admission: Admission
    models: Models
    gate: Gate
    glossaries: GlossaryStore
    metrics: Metrics = field(default_factory=Metrics)
    files: FileDesk = field(default_factory=FileDesk)
    documents: DocumentDesk = field(default_factory=DocumentDesk)

    @property
    def languages(self) -> Languages:
        """Of the models that serve now: others may serve after the next `await`."""
        return self.models.current.languages


async def get_service(request: Request) -> Service:
    """The service of this application, as a FastAPI dependency. A coroutine: a plain function would cost a thread."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


def load_pool(settings: Settings, loop: asyncio.AbstractEventLoop) -> Pool:
    """Every bundle below the models folder, on the device chosen, warm; its answers come on the event loop.

    Blocks: call it in another thread than the loop's. Raises NmtError for models that cannot serve.
    """
    pool = Pool.load_models(
        settings.models,
        device=settings.device,
        precision=settings.precision,
        workers=settings.workers,
        max_queue=settings.max_queue,
        max_wait_s=settings.max_wait_s,
        hang_s=settings.hang_s,
        loop=loop,
        niceness=NICENESS,
    )
    try:
        pool.warm_up()
    except BaseException:
        pool.close()
        raise
    return pool


@asynccontextmanager
async def running(settings: Settings, load_engine: EngineLoader | None) -> AsyncIterator[Service]:
    """A service that is ready inside the block; leaving it finishes the accepted work and frees the engine.

    `load_engine` takes the place of `load_pool`, for tests.
    """
    load = partial(load_engine, settings) if load_engine else partial(load_pool, settings, asyncio.get_running_loop())
    models: Models | None = None

    def reload() -> None:
        if models is not None:  # else they are being read anyway
            models.reload_soon()

    # First what is small: a mistake there shows before models are loaded.
    async with open_gate(settings) as gate, open_glossaries(settings) as glossaries:
        with at_sighup(reload):
            engine = await asyncio.to_thread(load)
            admission = Admission(engine, deadline_s=settings.deadline_s)
            longest_s = max(settings.deadline_s, settings.file_deadline_s)  # of what may hold a set of models
            models = Models(engine, load, admission, has_pivots=settings.pivot, drain_s=longest_s)
            log_models(engine)

            def announce_stop() -> None:
                admission.is_stopping = True

            service = Service(settings, admission, models, gate, glossaries)
            try:
                with before_sigterm(announce_stop, settings.drain_delay_s):
                    yield service
            finally:
                left_s = admission.stop(settings.drain_s)
                await service.documents.close()
                await models.close(left_s)


@contextmanager
def at_sighup(action: Callable[[], None]) -> Iterator[None]:
    """At a SIGHUP run `action` on the event loop. Does nothing outside the main thread, as `before_sigterm`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(action))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def before_sigterm(action: Callable[[], None], delay_s: float) -> Iterator[None]:
    """At a SIGTERM run `action`, and let the server's own handler have the signal `delay_s` later.

    In between load balancers can see that the service is no longer ready. A second SIGTERM is passed on at once, as the
    second that it is. Does
    nothing outside the main thread or where no handler is installed (tests, other servers).
    """
    server_handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(server_handler):
        yield
        return
    loop = asyncio.get_running_loop()
    is_first = True

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_first
        action()
        if is_first and delay_s:
            is_first = False
            loop.call_soon_threadsafe(loop.call_later, delay_s, server_handler, number, None)
            return
        if delay_s:  # the first one has perhaps not been passed on yet
            server_handler(number, frame)
        server_handler(number, frame)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, server_handler)


class StartupErrors:
    """ASGI middleware: an error that a user can cause ends the start-up with its one line, not with a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        failure: Message | None = None

        async def hold_failure(message: Message) -> None:
            nonlocal failure
            if message["type"] == "lifespan.startup.failed":
                failure = message
            else:
                await send(message)

        try:
            await self.app(scope, receive, hold_failure)
        except NmtError as error:
            if failure is None:
                raise
            await send({**failure, "message": f"error: {error}"})
        except BaseException:
            if failure is not None:
                await send(failure)
            raise
