"""Requests by status are what clients counted, those among them that the server's connections answer by themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest

from app.connections import MAX_FIELDS
from tests.app.fake_engine import FakeEngine
from tests.app.test_connections import get, post, serving, until

pytestmark = pytest.mark.anyio


async def test_whoever_answers_each_request_is_counted_once(engine: FakeEngine) -> None:
    engine.is_held = True
    limits = {"max_queue": 3, "max_texts": 3, "max_body_bytes": 2000}
    async with serving(engine, deadline_s=0.5, **limits) as service:
        held = [await service.call(post()) for _ in range(3)]
        await until(lambda: len(engine.jobs) == 3)
        seen: Counter[int] = Counter()
        for data in (
            post(),  # the queue is full
            b"NOT HTTP\r\n\r\n",
            get("/languages"),
            get("/nowhere"),
            post(path="/v2/translate"),
        ):
            seen[await service.status(data)] += 1
        engine.release()
        for caller in held:
            seen[(await caller.head())[0]] += 1
        for data in (post(), post(b"a" * 5000), post(more="X-Field: a\r\n" * (MAX_FIELDS + 1))):
            seen[await service.status(data)] += 1
        seen[await service.status(post(length=1000))] += 1  # the rest of it never comes
        app = cast(Any, service.server.config.app)
        await until(lambda: not app.state.service.metrics.in_flight)
    counted: Counter[int] = Counter()
    for (_, _, status), number in app.state.service.metrics.requests.items():
        counted[status] += number
    assert counted == seen
    assert {200, 408, 413, 431, 503} <= set(seen)
