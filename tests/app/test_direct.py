"""The short way of POST /translate answers as the framework's way does."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.app.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

GOOD = {"q": "Hi", "source": "en", "target": "de"}
BODIES: dict[str, bytes] = {
    "a text": json.dumps(GOOD).encode(),
    "a list with all there is": json.dumps(
        GOOD | {"q": ["Grüße", "", "fail", "odd"], "alternatives": 2, "scores": True, "alignments": True, "flags": True}
    ).encode(),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "not JSON": b'{"q":',
    "not an object": b"[1]",
    "not a number": b'{"q": "Hi", "source": "en", "target": "de", "n_best": NaN}',
    "nothing": b"",
    "no such language": json.dumps(GOOD | {"target": "xx"}).encode(),
    "half a surrogate pair": b'{"q": "\\ud800", "source": "en", "target": "de"}',
    "too many texts": json.dumps(GOOD | {"q": ["a"] * 5}).encode(),
    "a text that fails": json.dumps(GOOD | {"q": "fail"}).encode(),
    "a text that is late": json.dumps(GOOD | {"q": "late"}).encode(),
    "too large": json.dumps(GOOD | {"q": "a" * 20_000}).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_both_ways_answer_alike(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "X-Request-Id": "mine"}
    short = await client.post("/translate", content=body, headers=headers)
    # a browser's call from another origin takes the framework's way
    long = await client.post("/translate", content=body, headers=headers | {"Origin": "https://example.org"})
    assert long.headers["Access-Control-Allow-Origin"] == "*"
    assert (short.status_code, short.content) == (long.status_code, long.content)
    for name in ("X-Request-Id", "X-Model-Version", "Content-Type", "Connection", "Retry-After"):
        assert short.headers.get(name) == long.headers.get(name)


async def test_an_unexpected_fault_is_a_json_500_without_the_text_on_both_ways(
    client: httpx.AsyncClient, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.fault = RuntimeError("secret")
    for headers in ({}, {"Origin": "https://example.org"}):
        response = await client.post("/translate", json=GOOD, headers=headers)
        assert (response.status_code, response.json()) == (500, {"error": "internal error"})
        assert response.headers["X-Request-Id"]
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
