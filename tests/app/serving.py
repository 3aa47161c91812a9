"""A service whose engine stays in the test's hands: over HTTP proper in a thread, or in the test's event loop."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import uvicorn

from app.direct import Application
from app.main import create_app
from app.settings import Settings
from tests.app.fake_engine import FakeEngine

START_S = 120.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_ready(address: str) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{address}/readyz"):
                return
        except OSError:
            assert time.monotonic() < end, "the server did not become ready"
            time.sleep(0.05)


@contextmanager
def on_thread(server: uvicorn.Server) -> Iterator[str]:
    """The address of a server that runs in a thread of its own inside the block."""
    address = f"http://127.0.0.1:{server.config.port}"
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until_ready(address)
        yield address
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def serving(engine: FakeEngine, settings: Settings) -> Iterator[str]:
    """The address of a service over `engine`, which is released at the end."""
    port = free_port()
    app = create_app(settings, load_engine=lambda _: engine)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    with on_thread(server) as address:
        try:
            yield address
        finally:
            engine.release()


@asynccontextmanager
async def calling(settings: Settings, engine: FakeEngine) -> AsyncIterator[tuple[Application, httpx.AsyncClient]]:
    """A service over `engine` in the test's own event loop, and a client of it."""
    app = create_app(settings, load_engine=lambda _: engine)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
    ):
        yield app, client


def translate_scope() -> dict[str, object]:
    """What a server hands over with `POST /translate`, for tests that play the connection themselves."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/translate",
        "raw_path": b"/translate",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("service", 80),
    }
