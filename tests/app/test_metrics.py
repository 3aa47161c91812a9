"""Figures for Prometheus: each has a test that moves it."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from starlette.types import Message

from app.direct import Application
from app.keys import FILE_NAME, KeyFile
from app.metrics import METHODS, Histogram, Metrics
from app.settings import Settings
from nmt.errors import Cancelled, DeadlineExceeded, Overloaded
from tests.app.fake_engine import FakeEngine
from tests.app.figures import of, scrape
from tests.app.serving import calling

pytestmark = pytest.mark.anyio

GOOD = {"q": "Hi there", "source": "en", "target": "de"}
SECRET = "hunter2-secret"


async def test_requests_by_status_are_what_the_client_counted(client: httpx.AsyncClient) -> None:
    dice = random.Random(5)
    requests: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "/translate", {"json": GOOD}),
        ("POST", "/translate", {"data": GOOD}),
        ("POST", "/translate", {"json": GOOD | {"target": "xx"}}),
        ("POST", "/translate", {"json": GOOD | {"q": "fail"}}),
        ("POST", "/translate", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        ("POST", "/translate", {"content": b"a" * 30_000}),
        ("GET", "/languages", {}),
        ("GET", "/livez", {}),
        ("GET", "/nowhere", {}),
        ("DELETE", "/translate", {}),
        ("OPTIONS", "/translate", {"headers": {"Origin": "a", "Access-Control-Request-Method": "POST"}}),
        ("GET", "/metrics", {}),
    ]
    seen: Counter[int] = Counter()

    async def call() -> None:
        for _ in range(25):
            method, path, arguments = dice.choice(requests)
            seen[(await client.request(method, path, **arguments)).status_code] += 1  # type: ignore[arg-type]

    await asyncio.gather(*(call() for _ in range(8)))
    figures = await scrape(client)
    assert len(seen) >= 5
    for status, number in seen.items():
        assert of(figures, "nmt_http_requests_total", status=str(status)) == number
    assert of(figures, "nmt_http_requests_total") == sum(seen.values()) == 200
    assert of(figures, "nmt_http_request_duration_seconds_count") == 200
    assert of(figures, "nmt_http_request_duration_seconds_bucket", le="+Inf") == 200
    assert of(figures, "nmt_http_requests_in_flight") == 0


async def test_texts_are_counted_by_what_became_of_them(client: httpx.AsyncClient) -> None:
    texts = ["Hi there", "", "fail", "long"]
    await client.post("/translate", json=GOOD | {"q": texts})
    await client.post("/translate", json=GOOD | {"q": "late"})
    figures = await scrape(client)
    pair = {"source": "en", "target": "de"}
    by_outcome = {
        outcome: of(figures, "nmt_texts_total", **pair, outcome=outcome)
        for outcome in ("ok", "unchanged", "error", "timeout", "rejected", "cancelled")
    }
    assert by_outcome == {"ok": 2, "unchanged": 1, "error": 1, "timeout": 1, "rejected": 0, "cancelled": 0}
    assert of(figures, "nmt_characters_total", **pair) == len("Hi there") + len("long")
    assert of(figures, "nmt_source_tokens_total", **pair) == 2
    assert of(figures, "nmt_target_tokens_total", **pair) == 2
    assert of(figures, "nmt_output_flags_total", flag="truncated") == 1
    assert of(figures, "nmt_queue_wait_seconds_count") == of(figures, "nmt_engine_seconds_count") == 2


async def test_the_queue_shows_what_waits_and_is_empty_afterwards(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.is_held = True
    waiting = [asyncio.create_task(client.post("/translate", json=GOOD)) for _ in range(5)]
    while len(engine.jobs) < 5:
        await asyncio.sleep(0)
    figures = await scrape(client)
    assert (of(figures, "nmt_queue_depth"), of(figures, "nmt_http_requests_in_flight")) == (5, 5)
    engine.release()
    await asyncio.gather(*waiting)
    figures = await scrape(client)
    assert (of(figures, "nmt_queue_depth"), of(figures, "nmt_http_requests_in_flight")) == (0, 0)


async def test_a_request_that_is_turned_away_is_counted_with_the_reason(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.max_queue = 0
    assert (await client.post("/translate", json=GOOD)).status_code == 503
    assert (await client.post("/translate", data=GOOD)).status_code == 503
    assert (await client.post("/translate", content=b"a" * 30_000)).status_code == 413
    figures = await scrape(client)
    assert of(figures, "nmt_rejected_requests_total", reason="overload") == 2
    assert of(figures, "nmt_rejected_requests_total", reason="size") == 1
    assert of(figures, "nmt_rejected_requests_total") == 3
    assert of(figures, "nmt_texts_total", outcome="rejected") == 2


async def test_a_caller_that_leaves_is_counted(app: Application, client: httpx.AsyncClient) -> None:
    body = json.dumps(GOOD).encode()
    messages: Iterator[Message] = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])
    app.state.service.models.current.engine.is_held = True
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/translate",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))],
    }

    async def receive() -> Message:
        return next(messages)

    async def send(_: Message) -> None:
        pass

    await app(scope, receive, send)
    figures = await scrape(client)
    assert of(figures, "nmt_cancelled_requests_total") == 1
    assert of(figures, "nmt_texts_total", outcome="cancelled") == 1


async def test_what_serves_is_told(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    figures = await scrape(client)
    assert of(figures, "nmt_model_info", model="en-de", version="v-en-de", source="en", target="de") == 1
    assert of(figures, "nmt_model_info") == len(engine.models)
    assert of(figures, "nmt_ready") == of(figures, "nmt_build_info") == 1
    assert of(figures, "nmt_model_reloads_total", result="ok") == 0
    assert of(figures, "process_resident_memory_bytes") > 1e6
    engine.reasons = ("out of order",)
    assert of(await scrape(client), "nmt_ready") == 0


async def test_a_method_that_nobody_knows_makes_no_label_of_its_own() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.note_request(f"X{number}", "-", 405, 0.0, None)
    assert {method for _, method, _ in metrics.requests} == {"other"} != METHODS


def test_times_are_counted_in_the_bucket_that_holds_them() -> None:
    histogram = Histogram()
    for seconds in (0.0, 0.005, 0.0051, 0.25, 29.0, 31.0):
        histogram.note(seconds)
    buckets = dict(histogram.buckets())
    bounds = ("0.005", "0.01", "0.1", "0.25", "10.0", "30.0", "+Inf")
    assert [buckets[bound] for bound in bounds] == [2, 3, 3, 4, 4, 5, 6]
    assert histogram.sum == pytest.approx(60.2601)


async def test_a_token_keeps_the_figures_from_others(engine: FakeEngine) -> None:
    async with calling(Settings(metrics_token=SecretStr("open sesame")), engine) as (_, client):
        for headers in ({}, {"Authorization": "Bearer open"}, {"Authorization": "open sesame"}):
            refused = await client.get("/metrics", headers=headers)
            assert (refused.status_code, refused.json()) == (401, {"error": "Invalid token"})
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert (await client.get("/metrics", headers={"Authorization": "Bearer open sesame"})).status_code == 200


async def test_the_path_can_be_taken_away(engine: FakeEngine) -> None:
    async with calling(Settings(metrics=False), engine) as (_, client):
        assert (await client.get("/metrics")).status_code == 404


async def test_openmetrics_is_spoken_with_who_accepts_it(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_failures_are_named_by_their_kind() -> None:
    metrics = Metrics()
    for error in (Overloaded, Cancelled, DeadlineExceeded, ZeroDivisionError):
        metrics.note_failure(2, "en", "de", error)
    assert metrics.pairs["en", "de"].outcomes == {
        "rejected": 2,
        "cancelled": 2,
        "timeout": 2,
        "error": 2,
    }


async def test_no_figure_has_a_text_a_key_or_an_address_in_its_labels(engine: FakeEngine, tmp_path: Path) -> None:
    with KeyFile(tmp_path / FILE_NAME) as file:
        key = file.add("alice")
    async with calling(Settings(state=tmp_path, api_keys=True), engine) as (_, client):
        await client.post("/translate", json=GOOD | {"q": SECRET, "api_key": key})
        await client.post("/translate", json=GOOD | {"source": SECRET, "target": SECRET, "api_key": SECRET})
        await client.request("GET", f"/{SECRET}/{key}?q={SECRET}")
        await client.request(SECRET.upper(), "/translate")
        exposed = (await client.get("/metrics")).text
    for secret in (SECRET, SECRET.upper(), key, "127.0.0.1"):
        assert secret not in exposed
