"""What the routes share, and its life: loaded before the first request, drained after the last."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admission import Admission, Engine
from app.gate import Gate, open_gate
from app.glossaries import GlossaryStore, open_glossaries
from app.languages import Languages
from app.metrics import Metrics
from app.settings import Settings
from nmt.errors import NmtError
from nmt.inference import Pool

logger = logging.getLogger(__name__)

EngineLoader = Callable[[Settings], Engine]


@dataclass(frozen=True)
class Service:
    """What every route may use."""

    settings: Settings
    admission: Admission
    languages: Languages
    gate: Gate
    glossaries: GlossaryStore
    metrics: Metrics = field(default_factory=Metrics)


async def get_service(request: Request) -> Service:
    """The service of this application, as a FastAPI dependency. A coroutine: a plain function would cost a thread."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


def load_pool(settings: Settings) -> Pool:
    """Every bundle below the models folder, on the device chosen; its answers come on the running event loop.

    Raises BundleError where there is none.
    """
    return Pool.load_models(
        settings.models,
        device=settings.device,
        precision=settings.precision,
        workers=settings.workers,
        max_queue=settings.max_queue,
        loop=asyncio.get_running_loop(),
    )


@asynccontextmanager
async def running(settings: Settings, load_engine: EngineLoader) -> AsyncIterator[Service]:
    """A service that is ready inside the block; leaving it finishes the accepted work and frees the engine."""
    # First what is small: a mistake there shows before models are loaded.
    async with open_gate(settings) as gate, open_glossaries(settings) as glossaries:
        engine = load_engine(settings)
        try:
            admission = Admission(engine, deadline_s=settings.deadline_s)
            service = Service(settings, admission, Languages(engine.models), gate, glossaries)
            _log_start(engine)

            def announce_stop() -> None:
                admission.is_stopping = True

            with before_sigterm(announce_stop, settings.drain_delay_s):
                yield service
            announce_stop()
            await asyncio.to_thread(engine.drain, settings.drain_s)
        finally:
            engine.close()


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


def _log_start(engine: Engine) -> None:
    for model in engine.models:
        pair = f"{model.source_lang} to {model.target_lang}"
        how = f"{model.runner} {model.precision}".strip()
        logger.info("model %s: %s, version %s, %s", model.name, pair, model.version, how)
