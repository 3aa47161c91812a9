"""A table of requests that are wrong, each with its exact answer; none may end as a 500."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.app.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

PAIR = {"source": "en", "target": "de"}
GOOD = {"q": "Hi", **PAIR}
UNREADABLE = "The browser (or proxy) sent a request that this server could not understand."
MISSING_Q = "Invalid request: missing q parameter"
NOT_TEXT = "Invalid request: q parameter is not a string or a list of strings"
HALF = "is not valid Unicode (it holds half of a surrogate pair)"

RAW_ALONE = "raw parameter goes with neither terms nor the html format"
FORM_PART = b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\nHi\r\n--b--\r\n'


def raw(body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    """A request with this very body."""
    return {"content": body, "headers": {"Content-Type": content_type}}


BAD_JSON_FIELDS: list[tuple[dict[str, Any], str]] = [
    (PAIR, MISSING_Q),
    ({**GOOD, "q": None}, MISSING_Q),
    ({**GOOD, "q": ""}, MISSING_Q),
    ({**GOOD, "q": []}, MISSING_Q),
    ({**GOOD, "q": 5}, NOT_TEXT),
    ({**GOOD, "q": False}, NOT_TEXT),
    ({**GOOD, "q": {"text": "Hi"}}, NOT_TEXT),
    ({**GOOD, "q": [5]}, "Invalid request: q[0] is not a string"),
    ({**GOOD, "q": ["a", None]}, "Invalid request: q[1] is not a string"),
    ({**GOOD, "q": ["a", ["b"]]}, "Invalid request: q[1] is not a string"),
    ({**GOOD, "q": "a\ud800"}, f"Invalid request: q parameter {HALF}"),
    ({**GOOD, "q": ["a", "\udfff"]}, f"Invalid request: q[1] {HALF}"),
    ({**GOOD, "q": "a\x00b"}, "Invalid request: text holds a NUL character"),
    ({**GOOD, "q": ["\x00", ""]}, "Invalid request: text holds a NUL character"),
    ({**GOOD, "q": "x" * 2001}, "Invalid request: request (2001) exceeds text limit (2000)"),
    ({**GOOD, "q": ["x" * 2001]}, "Invalid request: request (2001) exceeds text limit (2000)"),
    ({**GOOD, "q": ["a"] * 5}, "Invalid request: request (5) exceeds text limit (4)"),
    ({**GOOD, "q": [""] * 5}, "Invalid request: request (5) exceeds text limit (4)"),
    ({"q": "Hi", "target": "de"}, "Invalid request: missing source parameter"),
    ({**GOOD, "source": ""}, "Invalid request: missing source parameter"),
    ({**GOOD, "source": None}, "Invalid request: missing source parameter"),
    ({"q": "Hi", "source": "en"}, "Invalid request: missing target parameter"),
    ({**GOOD, "target": 5}, "Invalid request: target parameter is not a string"),
    ({**GOOD, "source": ["en"]}, "Invalid request: source parameter is not a string"),
    ({**GOOD, "source": "\ud800"}, f"Invalid request: source parameter {HALF}"),
    ({**GOOD, "source": "xx"}, "xx is not supported"),
    ({**GOOD, "target": "xx"}, "xx is not supported"),
    ({**GOOD, "target": "auto"}, "auto is not supported"),
    ({**GOOD, "source": "en-US"}, "en-us is not supported"),
    ({**GOOD, "target": "x" * 5000}, f"{'x' * 40}... is not supported"),
    ({**GOOD, "source": "fr", "target": "de"}, "German (de) is not available as a target language from French (fr)"),
    ({**GOOD, "format": "xml"}, "xml format is not supported"),
    ({**GOOD, "format": 5}, "Invalid request: format parameter is not a string"),
    ({**GOOD, "alternatives": 4}, "Invalid request: alternatives parameter must be <= 3"),
    ({**GOOD, "alternatives": 10**400}, "Invalid request: alternatives parameter must be <= 3"),
    ({**GOOD, "alternatives": "many"}, "Invalid request: alternatives parameter is not a number"),
    ({**GOOD, "alternatives": True}, "Invalid request: alternatives parameter is not a number"),
    ({**GOOD, "alternatives": 1.5}, "Invalid request: alternatives parameter is not a number"),
    ({**GOOD, "alternatives": [1]}, "Invalid request: alternatives parameter is not a number"),
    ({**GOOD, "beam_size": 0}, "Invalid request: beam_size parameter must be >= 1"),
    ({**GOOD, "beam_size": 17}, "Invalid request: beam_size parameter must be <= 16"),
    ({**GOOD, "beam_size": {}}, "Invalid request: beam_size parameter is not a number"),
    ({**GOOD, "timeout_s": 0}, "Invalid request: timeout_s parameter must be > 0 and < 1000000"),
    ({**GOOD, "timeout_s": "-1.5"}, "Invalid request: timeout_s parameter must be > 0 and < 1000000"),
    ({**GOOD, "timeout_s": 10**400}, "Invalid request: timeout_s parameter must be > 0 and < 1000000"),
    ({**GOOD, "timeout_s": "soon"}, "Invalid request: timeout_s parameter is not a number"),
    ({**GOOD, "timeout_s": True}, "Invalid request: timeout_s parameter is not a number"),
    ({**GOOD, "terms": 5}, "Invalid request: terms parameter is neither an object nor a list of pairs"),
    ({**GOOD, "terms": ["a", "b"]}, "Invalid request: terms parameter is neither an object nor a list of pairs"),
    ({**GOOD, "terms": [["a"]]}, "Invalid request: terms parameter is neither an object nor a list of pairs"),
    ({**GOOD, "terms": "{"}, UNREADABLE),
    ({**GOOD, "terms": {"a": 5}}, "Invalid request: terms is not a string"),
    ({**GOOD, "terms": {"a": " "}}, "Invalid request: terms parameter holds an empty term"),
    ({**GOOD, "terms": [["a", "b"]] * 1001}, "Invalid request: terms parameter holds more than 1000 terms"),
    ({**GOOD, "raw": 1, "terms": {"a": "b"}}, f"Invalid request: {RAW_ALONE}"),
    ({**GOOD, "raw": 1, "format": "html"}, f"Invalid request: {RAW_ALONE}"),
    ({**GOOD, "n_best": 0}, "Invalid request: n_best parameter must be >= 1"),
    ({**GOOD, "n_best": 11}, "Invalid request: n_best parameter must be <= 10"),
    (
        {**GOOD, "n_best": 3, "beam_size": 2},
        "Invalid request: beam_size parameter must be >= 3 to find that many translations",
    ),
    (
        {**GOOD, "alternatives": 2, "beam_size": 2},
        "Invalid request: beam_size parameter must be >= 3 to find that many translations",
    ),
    ({**GOOD, "scores": "maybe"}, "Invalid request: scores parameter is not a boolean"),
    ({**GOOD, "alignments": 2}, "Invalid request: alignments parameter is not a boolean"),
    ({**GOOD, "attention": "x"}, "Invalid request: attention parameter is not a boolean"),
    ({**GOOD, "flags": []}, "Invalid request: flags parameter is not a boolean"),
    ({**GOOD, "raw": 0.0}, "Invalid request: raw parameter is not a boolean"),
]

OTHER_BAD_REQUESTS: list[tuple[dict[str, Any], int, str]] = [
    (raw(b""), 400, UNREADABLE),
    (raw(b"{"), 400, UNREADABLE),
    (raw(b'{"q": "Hi", "alternatives": NaN}'), 400, UNREADABLE),
    (raw(b'{"q": "Hi", "alternatives": -Infinity}'), 400, UNREADABLE),
    (raw(b'{"q": "\xff"}'), 400, UNREADABLE),
    (raw(b"[" * 9_000 + b"]" * 9_000), 400, UNREADABLE),
    (raw(b'{"q":' * 3_000), 400, UNREADABLE),
    (raw(b'{"alternatives": ' + b"9" * 5000 + b"}"), 400, UNREADABLE),
    (
        raw(json.dumps(GOOD).encode()[:-1] + b', "alternatives": 1e999}'),
        400,
        "Invalid request: alternatives parameter is not a number",
    ),
    (raw(b'"Hi"'), 400, "Invalid JSON format"),
    (raw(b"[]"), 400, "Invalid JSON format"),
    (raw(b"null"), 400, "Invalid JSON format"),
    (raw(json.dumps(GOOD).encode(), "text/plain"), 400, MISSING_Q),
    ({}, 400, MISSING_Q),
    ({"data": {"q": "\r\n", **PAIR}}, 400, MISSING_Q),
    ({"data": {**GOOD, "alternatives": ""}}, 400, "Invalid request: alternatives parameter is not a number"),
    ({"data": {**GOOD, "q": "a\x00"}}, 400, "Invalid request: text holds a NUL character"),
    ({"data": PAIR, "files": {"q": ("q.txt", b"Hi")}}, 400, "Too many files. Maximum number of files is 0."),
    (raw(b"q=Hi", "multipart/form-data"), 400, "Missing boundary in multipart."),
    (raw(FORM_PART, "multipart/form-data; boundary=b; charset=undefined"), 400, UNREADABLE),
    (raw(b"--b\r\nno header", "multipart/form-data; boundary=b"), 400, "Invalid multipart data."),
    (
        raw(b"a=1&" * 2000, "application/x-www-form-urlencoded"),
        400,
        "Too many fields. Maximum number of fields is 1000.",
    ),
    (raw(b"x" * 20_001), 413, "request body exceeds the limit of 20000 bytes"),
]


@pytest.mark.parametrize(("fields", "error"), BAD_JSON_FIELDS)
async def test_wrong_fields_are_named(
    client: httpx.AsyncClient, engine: FakeEngine, fields: dict[str, Any], error: str
) -> None:
    response = await client.post("/translate", **raw(json.dumps(fields).encode()))
    assert (response.status_code, response.json()) == (400, {"error": error})
    assert not engine.jobs


@pytest.mark.parametrize(("request_parts", "status", "error"), OTHER_BAD_REQUESTS)
async def test_wrong_bodies_are_refused(
    client: httpx.AsyncClient, engine: FakeEngine, request_parts: dict[str, Any], status: int, error: str
) -> None:
    response = await client.post("/translate", **request_parts)
    assert (response.status_code, response.json()) == (status, {"error": error})
    assert not engine.jobs


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/translate", 405, "Method Not Allowed"),
        ("DELETE", "/translate", 405, "Method Not Allowed"),
        ("POST", "/languages", 405, "Method Not Allowed"),
        ("POST", "/health", 405, "Method Not Allowed"),
        ("POST", "/translate/", 404, "Not Found"),
        ("GET", "/nothing/here", 404, "Not Found"),
        ("GET", "/docs/assets/nothing.js", 404, "Not Found"),
        ("GET", "/docs/assets/../../main.py", 404, "Not Found"),
    ],
)
async def test_wrong_paths_and_methods_are_json(
    client: httpx.AsyncClient, method: str, path: str, status: int, error: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.json()) == (status, {"error": error})


async def test_every_error_carries_a_request_id_and_cors(client: httpx.AsyncClient) -> None:
    response = await client.post("/translate", json={}, headers={"Origin": "http://page.example"})
    assert response.headers["X-Request-Id"]
    assert response.headers["Access-Control-Allow-Origin"] == "*"
