"""Start and end of the service, under the real server on a real socket."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from nmt.errors import BundleError
from tests.app.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def uvicorns_messages(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Reach the tests, however a server of another test has set them up."""
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "propagate", True)
    caplog.set_level(logging.INFO, "uvicorn.error")


BODY = b'{"q":"Hi","source":"en","target":"de"}'


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """The app under uvicorn on a free port; inside the block it answers."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(5):
        while not server.started:
            await asyncio.sleep(0.001)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield server, port
    finally:
        server.should_exit = True
        async with asyncio.timeout(5):
            await task


@pytest.fixture
def harmless_sigterm() -> Iterator[None]:
    """uvicorn raises the signal again after its own shutdown: it must not end the tests."""
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, previous)


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def post(body: bytes, *, length: int | None = None) -> bytes:
    """A request as it goes over the wire."""
    lines = [
        "POST /translate HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {length or len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_a_closed_connection_cancels_its_work(engine: FakeEngine) -> None:
    engine.is_held = True
    async with serving(create_app(Settings(), load_engine=lambda _: engine)) as (_, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(BODY))
        await until(lambda: engine.jobs)
        writer.close()
        await until(engine.jobs[0].future.cancelled)


async def test_a_body_of_a_stated_length_over_the_limit_is_not_waited_for(engine: FakeEngine) -> None:
    async with serving(create_app(Settings(), load_engine=lambda _: engine)) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(BODY, length=10**12))
        async with asyncio.timeout(5):
            answer = await reader.read()  # to the end: the server closes the connection
        writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"error": "request body exceeds the limit of 2097152 bytes"}


async def test_access_lines_show_no_text(engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "uvicorn.access")
    async with (
        serving(create_app(Settings(), load_engine=lambda _: engine)) as (_, port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        await client.post("/translate", params={"q": "secret", "source": "en", "target": "de"})
    lines = [record.getMessage() for record in caplog.records if record.name == "uvicorn.access"]
    assert len(lines) == 1
    assert '"POST /translate HTTP/1.1" 200' in lines[0]
    assert "secret" not in caplog.text


async def test_each_request_has_its_access_line_and_none_shows_what_the_caller_wrote(
    engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"q": "secret", "source": "en", "target": "de"}
    async with (
        serving(create_app(Settings(), load_engine=lambda _: engine)) as (_, port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"X-Request-Id": "mine"}) as client,
    ):
        await client.post("/translate", json=good)
        await client.post("/translate", data=good)
        await client.post("/translate", json=good | {"target": "secret"})
        await client.get("/livez")
        await client.get("/secret")
        await client.options("/translate", headers={"Origin": "a", "Access-Control-Request-Method": "POST"})
    lines = capsys.readouterr().out.splitlines()
    shown = [" ".join(line.split()[1:4]) for line in lines]
    assert shown == [
        "POST /translate 200",
        "POST /translate 200",
        "POST /translate 400",
        "GET /livez 200",
        "GET - 404",
        "OPTIONS - 200",
    ]
    assert [line.split()[-1] for line in lines] == ["mine"] * 5 + ["-"]
    assert "secret" not in "".join(lines)
    assert "127.0.0.1" not in "".join(lines)


async def test_access_lines_can_be_left_out(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        serving(create_app(Settings(access_log=False), load_engine=lambda _: engine)) as (_, port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get("/livez")).status_code == 200
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("harmless_sigterm")
async def test_sigterm_makes_it_unready_then_finishes_what_was_accepted(engine: FakeEngine) -> None:
    engine.is_held = True
    app = create_app(Settings(drain_delay_s=0.3, drain_s=7), load_engine=lambda _: engine)
    async with serving(app) as (server, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        waiting = asyncio.create_task(
            client.post("/translate", content=BODY, headers={"Content-Type": "application/json"})
        )
        await until(lambda: engine.jobs)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: app.state.service.admission.is_stopping)
        not_ready = await client.get("/readyz")
        assert (not_ready.status_code, not_ready.json()["reasons"]) == (503, ["the service is stopping"])
        assert (await client.get("/livez")).status_code == 200
        assert not server.should_exit
        await until(lambda: server.should_exit)
        assert engine.events == []
        engine.release()
        assert (await waiting).json() == {"translatedText": "HI"}
    assert engine.events == ["drain 7", "close"]


async def test_the_end_without_a_signal_is_announced_and_drained_too(engine: FakeEngine) -> None:
    app = create_app(Settings(drain_s=0), load_engine=lambda _: engine)
    async with app.router.lifespan_context(app):
        assert app.state.service.admission.obstacles() == ()
    assert app.state.service.admission.obstacles() == ("the service is stopping",)
    assert engine.events == ["drain 0", "close"]


@pytest.mark.usefixtures("harmless_sigterm")
async def test_a_second_sigterm_does_not_wait(engine: FakeEngine) -> None:
    app = create_app(Settings(drain_delay_s=60), load_engine=lambda _: engine)
    async with serving(app) as (server, _):
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: app.state.service.admission.is_stopping)
        assert not server.should_exit
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: server.should_exit)


def test_an_error_of_the_user_ends_the_start_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def no_bundles(_: Settings) -> FakeEngine:
        raise BundleError("no bundle below models: set NMT_MODELS")

    with pytest.raises(SystemExit, match="3"):
        uvicorn.run(create_app(Settings(), load_engine=no_bundles), port=0, log_config=None)
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == ["error: no bundle below models: set NMT_MODELS", "Application startup failed. Exiting."]
    assert "Traceback" not in caplog.text


def test_a_fault_at_the_start_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Settings) -> FakeEngine:
        raise ZeroDivisionError

    with pytest.raises(SystemExit, match="3"):
        uvicorn.run(create_app(Settings(), load_engine=broken), port=0, log_config=None)
    assert "ZeroDivisionError" in caplog.text
    assert "Traceback" in caplog.text
