"""Google's, Apertium's and OpenNMT's contracts: tables of requests that are wrong, each with its status and message."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.app.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

GOOGLE = "/language/translate/v2"
GOOD = {"q": ["Hi"], "target": "de", "format": "text"}
FROM = {**GOOD, "source": "en"}
UNREADABLE = "The browser (or proxy) sent a request that this server could not understand."
HALF = "is not valid Unicode (it holds half of a surrogate pair)."
ITEM = {"src": "Hi", "id": 0}
COMPRESSED = "a body with a Content-Encoding is not read: send it as it is"


def value(name: str) -> str:
    return f"Value for '{name}' not supported."


def raw(body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    return {"content": body, "headers": {"Content-Type": content_type}}


def sent(fields: Any) -> dict[str, Any]:
    """JSON as it is, lone surrogates escaped."""
    return raw(json.dumps(fields).encode())


def asked(**fields: str) -> dict[str, Any]:
    return {"params": fields}


GOOGLE_TABLE: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "", sent({}), 400, "Required Text: q"),
    ("POST", "", sent({**GOOD, "q": None}), 400, "Required Text: q"),
    ("POST", "", sent({**GOOD, "q": []}), 400, "Required Text: q"),
    ("POST", "", sent({**GOOD, "q": 5}), 400, value("q")),
    ("POST", "", sent({**GOOD, "q": [None]}), 400, value("q")),
    ("POST", "", sent({**GOOD, "q": [{"text": "Hi"}]}), 400, value("q")),
    ("POST", "", sent({**GOOD, "q": ["\udfff"]}), 400, f"Value for 'q' {HALF}"),
    ("POST", "", sent({**FROM, "q": ["\x00"]}), 400, "Invalid request: text holds a NUL character"),
    ("POST", "", sent({**FROM, "q": ["x" * 2001]}), 400, "Invalid request: request (2001) exceeds text limit (2000)"),
    ("POST", "", sent({**GOOD, "q": ["a"] * 5}), 400, "Invalid request: request (5) exceeds text limit (4)"),
    ("POST", "", sent({**GOOD, "target": None}), 400, "Required Text: target"),
    ("POST", "", sent({**GOOD, "target": ""}), 400, "Required Text: target"),
    ("POST", "", sent({**GOOD, "target": "xx"}), 400, "xx is not supported"),
    ("POST", "", sent({**GOOD, "target": {}}), 400, value("target")),
    ("POST", "", sent({**GOOD, "source": "xx"}), 400, "xx is not supported"),
    ("POST", "", sent({**GOOD, "source": "x" * 5000}), 400, f"{'x' * 40}... is not supported"),
    (
        "POST",
        "",
        sent({**GOOD, "source": "fr"}),
        400,
        "German (de) is not available as a target language from French (fr)",
    ),
    ("POST", "", sent({**GOOD, "format": "xml"}), 400, "Invalid Value: format"),
    ("POST", "", sent({**GOOD, "format": 5}), 400, "Invalid Value: format"),
    ("POST", "", sent({**FROM, "q": ["fine", "fail"]}), 500, "no translation found"),
    ("POST", "", sent({**FROM, "q": ["late"]}), 504, "no translation within 30 s"),
    ("POST", "", raw(b"{"), 400, UNREADABLE),
    ("POST", "", raw(b'{"q": Infinity}'), 400, UNREADABLE),
    ("POST", "", raw(b'"Hi"'), 400, "Invalid JSON format"),
    ("POST", "", raw(b""), 400, "Required Text: q"),
    ("POST", "", raw(json.dumps(GOOD).encode(), "text/plain"), 400, "Required Text: q"),
    ("POST", "", {"data": {"q": "Hi"}}, 400, "Required Text: target"),
    ("POST", "", raw(b"q=Hi", "multipart/form-data"), 400, "Missing boundary in multipart."),
    ("POST", "", raw(b"x" * 20_001), 413, "request body exceeds the limit of 20000 bytes"),
    ("GET", "", {}, 400, "Required Text: q"),
    ("GET", "", asked(q="Hi"), 400, "Required Text: target"),
    ("GET", "", asked(q="Hi", target="xx"), 400, "xx is not supported"),
    ("DELETE", "", {}, 405, "Method Not Allowed"),
    ("POST", "/detect", sent({}), 400, "Required Text: q"),
    ("POST", "/detect", sent({"q": [5]}), 400, value("q")),
    ("POST", "/detect", sent({"q": ["a"] * 5}), 400, "Invalid request: request (5) exceeds text limit (4)"),
    ("POST", "/detect", sent({"q": "x" * 2001}), 400, "Invalid request: request (2001) exceeds text limit (2000)"),
    ("POST", "/languages", {}, 405, "Method Not Allowed"),
    ("GET", "/models", {}, 404, "Not Found"),
]

APERTIUM_TABLE: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/translate", {}, 400, "Missing argument q"),
    ("GET", "/translate", asked(langpair="en|de"), 400, "Missing argument q"),
    ("GET", "/translate", asked(q="Hi"), 400, "Missing argument langpair"),
    ("GET", "/translate", asked(q="Hi", langpair=""), 400, "Missing argument langpair"),
    ("GET", "/translate", asked(q="Hi", langpair="en-de"), 400, "That pair is invalid, use e.g. eng|spa"),
    ("GET", "/translate", asked(q="Hi", langpair="en|"), 400, "That pair is invalid, use e.g. eng|spa"),
    ("GET", "/translate", asked(q="Hi", langpair="|"), 400, "That pair is invalid, use e.g. eng|spa"),
    ("GET", "/translate", asked(q="Hi", langpair="en|de|fr"), 400, "That pair is invalid, use e.g. eng|spa"),
    ("GET", "/translate", asked(q="Hi", langpair="en|xx"), 400, "That pair is not installed"),
    ("GET", "/translate", asked(q="Hi", langpair="xx|de"), 400, "That pair is not installed"),
    ("GET", "/translate", asked(q="Hi", langpair="fr|de"), 400, "That pair is not installed"),
    ("GET", "/translate", asked(q="Hi", langpair="auto|de"), 400, "That pair is not installed"),
    ("GET", "/translate", asked(q="a\x00", langpair="en|de"), 400, "Invalid request: text holds a NUL character"),
    (
        "GET",
        "/translate",
        asked(q="x" * 2001, langpair="en|de"),
        400,
        "Invalid request: request (2001) exceeds text limit (2000)",
    ),
    ("GET", "/translate", asked(q="fail", langpair="en|de"), 500, "no translation found"),
    ("GET", "/translate", asked(q="late", langpair="en|de"), 504, "no translation within 30 s"),
    ("POST", "/translate", {}, 400, "Missing argument q"),
    ("POST", "/translate", {"data": {"q": "Hi"}}, 400, "Missing argument langpair"),
    ("POST", "/translate", sent({"q": 5, "langpair": "en|de"}), 400, value("q")),
    ("POST", "/translate", sent({"q": "Hi", "langpair": 5}), 400, value("langpair")),
    ("POST", "/translate", sent({"q": "\ud800", "langpair": "en|de"}), 400, f"Value for 'q' {HALF}"),
    ("POST", "/translate", raw(b"[]"), 400, "Invalid JSON format"),
    ("POST", "/translate", raw(b"{"), 400, UNREADABLE),
    ("POST", "/translate", raw(b"x" * 20_001), 413, "request body exceeds the limit of 20000 bytes"),
    ("PUT", "/translate", {}, 405, "Method Not Allowed"),
    ("GET", "/identifyLang", {}, 400, "Missing argument q"),
    (
        "GET",
        "/identifyLang",
        asked(q="x" * 2001),
        400,
        "Invalid request: request (2001) exceeds text limit (2000)",
    ),
    ("GET", "/translate", asked(q="Hi", langpair=" | "), 400, "That pair is invalid, use e.g. eng|spa"),
    ("GET", "/translate", asked(q="Hi", langpair=f"{'x' * 5000}|de"), 400, "That pair is not installed"),
    ("GET", "/translate", asked(q="Hi", langpair="en|auto"), 400, "That pair is not installed"),
    ("POST", "/translate", sent({"q": None, "langpair": "en|de"}), 400, "Missing argument q"),
    ("POST", "/translate", sent({"q": "Hi", "langpair": None}), 400, "Missing argument langpair"),
    ("POST", "/translate", sent({"q": "Hi", "langpair": "en|\ud800"}), 400, f"Value for 'langpair' {HALF}"),
    ("POST", "/translate", sent({"q": "Hi", "langpair": "en|de", "format": {}}), 400, value("format")),
    ("POST", "/translate", sent({"q": "Hi", "langpair": "en|de", "key": 5}), 400, value("key")),
    ("POST", "/translate", raw(b'{"q": NaN}'), 400, UNREADABLE),
    ("POST", "/translate", raw(b"q=Hi", "multipart/form-data"), 400, "Missing boundary in multipart."),
    ("POST", "/translate", {**raw(b"q=Hi"), "headers": {"Content-Encoding": "gzip"}}, 415, COMPRESSED),
    ("POST", "/identifyLang", sent({"q": 5}), 400, value("q")),
    ("GET", "/identifyLang", asked(q="a\x00"), 400, "Invalid request: text holds a NUL character"),
    ("POST", "/identifyLang", raw(b"{"), 400, UNREADABLE),
    ("PUT", "/identifyLang", {}, 405, "Method Not Allowed"),
    ("POST", "/listPairs", {}, 405, "Method Not Allowed"),
    ("POST", "/listLanguageNames", {}, 405, "Method Not Allowed"),
    ("GET", "/translateDoc", {}, 404, "Not Found"),
    ("GET", "/", {}, 404, "Not Found"),
]

ONE_LIST = 'the body must be a list of objects: [{"src": "...", "id": 0}]'
OPENNMT_TABLE: list[tuple[dict[str, Any], int, str]] = [
    (raw(b""), 400, UNREADABLE),
    (raw(b"["), 400, UNREADABLE),
    (raw(b"[NaN]"), 400, UNREADABLE),
    (sent({}), 400, ONE_LIST),
    (sent("Hi"), 400, ONE_LIST),
    (sent([]), 400, ONE_LIST),
    (sent(["Hi"]), 400, ONE_LIST),
    (sent([ITEM, None]), 400, ONE_LIST),
    (sent([{}]), 400, "an item has no src"),
    (sent([{"src": None}]), 400, "an item has no src"),
    (sent([{"src": 5}]), 400, value("src")),
    (sent([{"src": "\ud800"}]), 400, f"Value for 'src' {HALF}"),
    (sent([{"src": "\x00"}]), 400, "Invalid request: text holds a NUL character"),
    (sent([{"src": "x" * 2001}]), 400, "Invalid request: request (2001) exceeds text limit (2000)"),
    (sent([ITEM] * 5), 400, "Invalid request: request (5) exceeds text limit (4)"),
    (sent([{**ITEM, "id": 100}]), 400, "there is no model of the id 100: see /translator/models"),
    (sent([{**ITEM, "id": "x"}]), 400, "there is no model of the id x: see /translator/models"),
    (sent([{**ITEM, "id": None}]), 400, "there is no model of the id None: see /translator/models"),
    (sent([ITEM, {**ITEM, "id": 1}]), 400, "the items of one request must name one model"),
    (sent([{**ITEM, "n_best": 0}]), 400, "n_best must be a number from 1 to 10"),
    (sent([{**ITEM, "n_best": 11}]), 400, "n_best must be a number from 1 to 10"),
    (sent([{**ITEM, "n_best": "2"}]), 400, "n_best must be a number from 1 to 10"),
    (sent([{**ITEM, "src": "fail"}]), 500, "no translation found"),
    (raw(b"x" * 20_001), 413, "request body exceeds the limit of 20000 bytes"),
    (raw(b"[" * 15_000), 400, UNREADABLE),
    (raw(b"\xff\xfe"), 400, UNREADABLE),
    (raw(b'[{"src": "Hi", "src": ]'), 400, UNREADABLE),
    ({**raw(b"[]"), "headers": {"Content-Encoding": "gzip"}}, 415, COMPRESSED),
    (sent(None), 400, ONE_LIST),
    (sent(5), 400, ONE_LIST),
    (sent([[ITEM]]), 400, ONE_LIST),
    (sent([ITEM, {"id": 0}]), 400, "an item has no src"),
    (sent([{"src": {}}]), 400, value("src")),
    (sent([{"src": True}]), 400, value("src")),
    (sent([{"src": [5]}]), 400, value("src")),
    (sent([{**ITEM, "id": -1}]), 400, "there is no model of the id -1: see /translator/models"),
    (sent([{**ITEM, "id": 0.5}]), 400, "there is no model of the id 0.5: see /translator/models"),
    (sent([{**ITEM, "id": "x" * 5000}]), 400, f"there is no model of the id {'x' * 40}: see /translator/models"),
    (sent([{**ITEM, "id": []}]), 400, "there is no model of the id []: see /translator/models"),
    (sent([ITEM, {**ITEM, "id": 100}]), 400, "there is no model of the id 100: see /translator/models"),
    (sent([{**ITEM, "n_best": -1}]), 400, "n_best must be a number from 1 to 10"),
    (sent([{**ITEM, "n_best": 1.5}]), 400, "n_best must be a number from 1 to 10"),
    (sent([{**ITEM, "n_best": None}]), 400, "n_best must be a number from 1 to 10"),
    (sent([{**ITEM, "src": "late"}]), 504, "no translation within 30 s"),
]

OPENNMT_ELSEWHERE: list[tuple[str, str, int, str]] = [
    ("GET", "/translate", 405, "Method Not Allowed"),
    ("POST", "/models", 405, "Method Not Allowed"),
    ("POST", "/unload_model/0", 404, "Not Found"),
    ("GET", "/", 404, "Not Found"),
]


@pytest.mark.parametrize(("method", "path", "parts", "status", "message"), GOOGLE_TABLE)
async def test_google(
    shared_client: httpx.AsyncClient, method: str, path: str, parts: dict[str, Any], status: int, message: str
) -> None:
    response = await shared_client.request(method, GOOGLE + path, **parts)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["message"]) == (status, status, message)
    assert error["errors"][0]["message"] == message
    assert error["status"].isupper()


@pytest.mark.parametrize(("method", "path", "parts", "status", "message"), APERTIUM_TABLE)
async def test_apertium(
    shared_client: httpx.AsyncClient, method: str, path: str, parts: dict[str, Any], status: int, message: str
) -> None:
    response = await shared_client.request(method, f"/apy{path}", **parts)
    body = response.json()
    assert (response.status_code, body["code"], body["explanation"]) == (status, status, message)
    assert (body["responseStatus"], body["responseDetails"]) == (status, message)
    assert body["status"] == "error"


@pytest.mark.parametrize(("parts", "status", "message"), OPENNMT_TABLE)
async def test_opennmt(shared_client: httpx.AsyncClient, parts: dict[str, Any], status: int, message: str) -> None:
    response = await shared_client.post("/translator/translate", **parts)
    assert (response.status_code, response.json()) == (status, {"error": message, "status": "error"})


@pytest.mark.parametrize(("method", "path", "status", "message"), OPENNMT_ELSEWHERE)
async def test_opennmt_elsewhere(
    shared_client: httpx.AsyncClient, method: str, path: str, status: int, message: str
) -> None:
    response = await shared_client.request(method, f"/translator{path}")
    assert (response.status_code, response.json()) == (status, {"error": message, "status": "error"})


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (GOOGLE, sent(FROM)),
        ("/apy/translate", {"data": {"q": "Hi", "langpair": "en|de"}}),
        ("/translator/translate", sent([ITEM])),
    ],
)
async def test_a_service_that_is_busy_says_when_to_come_again(
    client: httpx.AsyncClient, engine: FakeEngine, path: str, parts: dict[str, Any]
) -> None:
    engine.max_queue = 0
    response = await client.post(path, **parts)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert "the queue is full" in response.text
