"""Under load and in trouble: a full queue, a slow or broken engine, callers that leave, bodies that do not end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.admission import Admission
from app.main import create_app
from app.settings import Settings
from nmt.errors import DeadlineExceeded, TranslationError
from nmt.inference import TranslateOptions
from tests.app.fake_engine import FakeEngine, Job
from tests.app.serving import translate_scope

pytestmark = pytest.mark.anyio

GOOD = {"q": "Hi", "source": "en", "target": "de"}


async def first_job(engine: FakeEngine) -> Job:
    """The first job, once it is there."""
    async with asyncio.timeout(5):
        while not engine.jobs:
            await asyncio.sleep(0.001)
    return engine.jobs[0]


async def test_health_and_languages_answer_while_the_engine_is_busy(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.is_held = True
    waiting = [asyncio.create_task(client.post("/translate", json=GOOD)) for _ in range(20)]
    await first_job(engine)
    for path in ("/health", "/livez", "/readyz", "/languages"):
        async with asyncio.timeout(1):
            assert (await client.get(path)).status_code == 200
    assert not any(task.done() for task in waiting)
    engine.release()
    assert {response.json()["translatedText"] for response in await asyncio.gather(*waiting)} == {"HI"}


async def test_a_full_queue_refuses_at_once_and_says_when_to_return(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.is_held, engine.max_queue = True, 2
    waiting = asyncio.create_task(client.post("/translate", json={**GOOD, "q": ["a", "b"]}))
    await first_job(engine)
    refused = await client.post("/translate", json=GOOD)
    assert (refused.status_code, refused.json()) == (503, {"error": "the queue is full"})
    assert refused.headers["Retry-After"] == "3"  # 2.5 s, rounded up: the header holds whole seconds
    engine.release()
    assert (await waiting).status_code == 200
    assert (await client.post("/translate", json=GOOD)).status_code == 200


async def test_blank_texts_are_answered_although_the_queue_is_full(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.max_queue = 0
    assert (await client.post("/translate", json={**GOOD, "q": " "})).status_code == 200


@pytest.mark.parametrize(
    ("q", "status", "error"),
    [
        ("fail", 500, "no translation found"),
        ("late", 504, "no translation within 30 s"),
        (["late", ""], 504, "no translation within 30 s"),
        (["fail", "x" * 2001], 500, "no translation found"),
    ],
)
async def test_a_request_of_which_nothing_succeeded_is_an_error(
    client: httpx.AsyncClient, q: str | list[str], status: int, error: str
) -> None:
    response = await client.post("/translate", json={**GOOD, "q": q})
    assert (response.status_code, response.json()) == (status, {"error": error})


async def test_a_fault_is_a_500_that_tells_nothing_and_logs_no_text(
    client: httpx.AsyncClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.fault = ValueError("secret text")
    response = await client.post(
        "/translate", json=GOOD, headers={"X-Request-Id": "abc-1", "Origin": "http://x.example"}
    )
    assert (response.status_code, response.json()) == (500, {"error": "internal error"})
    assert response.headers["X-Request-Id"] == "abc-1"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "abc-1: ValueError in /translate" in caplog.text
    assert "fake_engine.py" in caplog.text
    assert "secret" not in caplog.text
    engine.fault = None
    assert (await client.post("/translate", json=GOOD)).status_code == 200


async def test_an_exception_in_the_future_is_answered_by_the_table(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.is_held = True
    waiting = asyncio.create_task(client.post("/translate", json=GOOD))
    (await first_job(engine)).future.set_exception(TranslationError("the worker stopped"))
    assert ((await waiting).status_code, (await waiting).json()) == (500, {"error": "the worker stopped"})


async def test_work_cancelled_by_a_closing_engine_is_a_503(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.is_held = True
    waiting = asyncio.create_task(client.post("/translate", json=GOOD))
    (await first_job(engine)).future.cancel()
    assert (await waiting).status_code == 503
    assert (await waiting).headers["Retry-After"] == "5"


async def test_an_engine_that_never_answers_is_left_and_its_work_cancelled(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stay() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("app.admission._GRACE_S", 0.01)
    engine.is_held = True
    admission = Admission(engine, deadline_s=0.01)
    with pytest.raises(DeadlineExceeded, match=r"no translation within 0\.01 s"):
        await admission.translate(engine, ["a"], engine.models[0], TranslateOptions(), stay, deadline_s=0.01)
    await asyncio.sleep(0)
    assert engine.jobs[0].future.cancelled()


async def test_a_caller_who_leaves_takes_the_work_along(app: FastAPI, engine: FakeEngine) -> None:
    engine.is_held = True
    messages: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b'{"q":"Hi","source":"en","target":"de"}'})
    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    request = asyncio.create_task(app(translate_scope(), messages.get, send))
    job = await first_job(engine)
    messages.put_nowait({"type": "http.disconnect"})
    async with asyncio.timeout(5):
        await request
    await asyncio.sleep(0)
    assert job.future.cancelled()
    assert engine.waiting == 0
    assert isinstance(sent[0], dict)
    assert sent[0]["status"] == 499


async def test_a_caller_who_leaves_within_the_body_costs_nothing(
    app: FastAPI, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    messages: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b'{"q":', "more_body": True})
    messages.put_nowait({"type": "http.disconnect"})

    async def send(message: object) -> None: ...

    await app(translate_scope(), messages.get, send)
    assert not engine.jobs
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_chunked_body_is_cut_off_at_the_limit(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    chunks_read = 0

    async def long() -> AsyncIterator[bytes]:
        nonlocal chunks_read
        for _ in range(100):
            chunks_read += 1
            yield b" " * 1000

    for content_type in ("application/json", "application/x-www-form-urlencoded"):
        chunks_read = 0
        async with asyncio.timeout(5):
            response = await client.post("/translate", content=long(), headers={"Content-Type": content_type})
        assert (response.status_code, response.json()) == (
            413,
            {"error": "request body exceeds the limit of 20000 bytes"},
        )
        assert response.headers["Connection"] == "close"
        assert chunks_read == 21
    assert not engine.jobs


async def test_a_body_that_does_not_arrive_ends_in_408(engine: FakeEngine) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    slow = create_app(Settings(deadline_s=0.05), load_engine=lambda _: engine)
    async with (
        slow.router.lifespan_context(slow),
        httpx.AsyncClient(transport=httpx.ASGITransport(slow), base_url="http://service") as client,
    ):
        response = await client.post("/translate", content=stuck(), headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()) == (408, {"error": "the request body did not arrive within 0.05 s"})
