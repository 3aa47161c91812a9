"""LibreTranslate's contract: what its version 1.9.6 answers to these requests, this service answers too.

The statuses and shapes were read off a running LibreTranslate. Where ours differ on purpose the table says so: its 500s
for values of a wrong type are 400s here, and 404 and 405 are JSON.
"""

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
MISSING = "Invalid request: missing {} parameter"
NOT_A_NUMBER = "Invalid request: alternatives parameter is not a number"


def as_json(fields: Any) -> dict[str, Any]:
    return {"content": json.dumps(fields).encode(), "headers": {"Content-Type": "application/json"}}


def raw(body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    return {"content": body, "headers": {"Content-Type": content_type}}


def form(**fields: str) -> dict[str, Any]:
    return {"data": fields}


def query(**fields: str) -> dict[str, Any]:
    return {"params": fields}


def files(**fields: str) -> dict[str, Any]:
    """A form of several parts."""
    return {"files": [(name, (None, value)) for name, value in fields.items()]}


def text(translated: str | list[str], **more: Any) -> dict[str, Any]:
    return {"translatedText": translated, **more}


def error(message: str) -> dict[str, str]:
    return {"error": message}


PROBES: list[tuple[str, dict[str, Any], int, dict[str, Any]]] = [
    # How parameters come
    ("a JSON text", as_json(GOOD), 200, text("HI")),
    ("a JSON list", as_json({**GOOD, "q": ["Hi", "you"]}), 200, text(["HI", "YOU"])),
    ("a list of one", as_json({**GOOD, "q": ["Hi"]}), 200, text(["HI"])),
    ("a form", form(q="Hi", source="en", target="de"), 200, text("HI")),
    ("a form of parts", files(q="Hi", source="en", target="de"), 200, text("HI")),
    ("a query string without a body", query(q="Hi", source="en", target="de"), 200, text("HI")),
    ("a query string and a form", {**query(source="en", target="de"), **form(q="Hi")}, 200, text("HI")),
    ("a repeated q in a form", {"data": {"q": ["one", "two"], **PAIR}}, 200, text("ONE")),
    ("line ends of a form", form(q="a\r\nb\r\n", source="en", target="de"), 200, text("A\nB")),
    ("line ends of JSON", as_json({**GOOD, "q": "a\r\nb\r\n"}), 200, text("A\r\nB\r\n")),
    ("JSON with a charset", raw(json.dumps(GOOD).encode(), "application/json; charset=utf-8"), 200, text("HI")),
    ("unknown fields", as_json({**GOOD, "colour": "red", "n": None}), 200, text("HI")),
    ("JSON that calls itself text", raw(json.dumps(GOOD).encode(), "text/plain"), 400, error(MISSING.format("q"))),
    ("a query string beside JSON", {**query(q="Hi"), **as_json(PAIR)}, 400, error(MISSING.format("q"))),
    # q
    ("no q", as_json(PAIR), 400, error(MISSING.format("q"))),
    ("q is null", as_json({**GOOD, "q": None}), 400, error(MISSING.format("q"))),
    ("q is empty", as_json({**GOOD, "q": ""}), 400, error(MISSING.format("q"))),
    ("q is an empty list", as_json({**GOOD, "q": []}), 400, error(MISSING.format("q"))),
    ("q is blank", as_json({**GOOD, "q": " \n"}), 200, text(" \n")),
    ("an empty text in a list", as_json({**GOOD, "q": ["", "Hi"]}), 200, text(["", "HI"])),
    (
        "q is a number (there 500)",
        as_json({**GOOD, "q": 5}),
        400,
        error("Invalid request: q parameter is not a string or a list of strings"),
    ),
    (
        "q is a list of numbers (there 500)",
        as_json({**GOOD, "q": [5]}),
        400,
        error("Invalid request: q[0] is not a string"),
    ),
    ("emoji alone", as_json({**GOOD, "q": "😀 🎉"}), 200, text("😀 🎉")),
    # Languages
    ("no source", as_json({"q": "Hi", "target": "de"}), 400, error(MISSING.format("source"))),
    ("an empty source", as_json({**GOOD, "source": ""}), 400, error(MISSING.format("source"))),
    ("no target", as_json({"q": "Hi", "source": "en"}), 400, error(MISSING.format("target"))),
    ("an empty target", as_json({**GOOD, "target": ""}), 400, error(MISSING.format("target"))),
    ("capitals", as_json({"q": "Hi", "source": "EN", "target": "DE"}), 200, text("HI")),
    ("an unknown source", as_json({**GOOD, "source": "xx"}), 400, error("xx is not supported")),
    ("an unknown target", as_json({**GOOD, "target": "xx"}), 400, error("xx is not supported")),
    ("a region", as_json({**GOOD, "source": "en-US"}), 400, error("en-us is not supported")),
    (
        "a pair that is not there",
        as_json({"q": "Hi", "source": "fr", "target": "de"}),
        400,
        error("German (de) is not available as a target language from French (fr)"),
    ),
    ("the same language twice", as_json({"q": "Hi", "source": "en", "target": "en"}), 200, text("Hi")),
    # Format
    ("text", as_json({**GOOD, "format": "text"}), 200, text("HI")),
    ("format is null", as_json({**GOOD, "format": None}), 200, text("HI")),
    ("html", as_json({**GOOD, "format": "html"}), 200, text("HI")),
    ("another format", as_json({**GOOD, "format": "xml"}), 400, error("xml format is not supported")),
    # Alternatives
    ("none", as_json({**GOOD, "alternatives": 0}), 200, text("HI")),
    ("fewer than none", as_json({**GOOD, "alternatives": -1}), 200, text("HI")),
    ("two", as_json({**GOOD, "alternatives": 2}), 200, text("HI", alternatives=["HI!", "HI!!"])),
    ("of a list", as_json({**GOOD, "q": ["Hi"], "alternatives": 1}), 200, text(["HI"], alternatives=[["HI!"]])),
    ("in a form", form(q="Hi", source="en", target="de", alternatives="1"), 200, text("HI", alternatives=["HI!"])),
    (
        "too many",
        as_json({**GOOD, "alternatives": 4}),
        400,
        error("Invalid request: alternatives parameter must be <= 3"),
    ),
    ("no number in a form", form(q="Hi", source="en", target="de", alternatives="x"), 400, error(NOT_A_NUMBER)),
    ("no number in JSON (there 500)", as_json({**GOOD, "alternatives": "x"}), 400, error(NOT_A_NUMBER)),
    # Limits
    (
        "a text that is too long",
        as_json({**GOOD, "q": "x" * 2001}),
        400,
        error("Invalid request: request (2001) exceeds text limit (2000)"),
    ),
    ("the longest text", as_json({**GOOD, "q": "x" * 2000}), 200, text("X" * 2000)),
    (
        "too many texts",
        as_json({**GOOD, "q": ["a"] * 5}),
        400,
        error("Invalid request: request (5) exceeds text limit (4)"),
    ),
    ("as many as may be", as_json({**GOOD, "q": ["a"] * 4}), 200, text(["A"] * 4)),
    # Bodies
    ("JSON that ends early", raw(b"{"), 400, error(UNREADABLE)),
    ("nothing as JSON", raw(b""), 400, error(UNREADABLE)),
    ("a list as JSON", raw(b'["Hi"]'), 400, error("Invalid JSON format")),
    ("a string as JSON", raw(b'"Hi"'), 400, error("Invalid JSON format")),
    ("nothing at all", {}, 400, error(MISSING.format("q"))),
    # Keys, where none are kept
    ("an empty key", as_json({**GOOD, "api_key": ""}), 200, text("HI")),
    ("a key that means nothing", as_json({**GOOD, "api_key": "abc"}), 200, text("HI")),
    ("a key in a header", {**as_json(GOOD), "headers": {"Authorization": "Bearer abc"}}, 200, text("HI")),
]


@pytest.mark.parametrize(("parts", "status", "body"), [pytest.param(*probe[1:], id=probe[0]) for probe in PROBES])
async def test_translate(
    shared_client: httpx.AsyncClient, parts: dict[str, Any], status: int, body: dict[str, Any]
) -> None:
    if parts.get("headers") == {"Authorization": "Bearer abc"}:
        parts = {"json": GOOD, "headers": parts["headers"]}
    response = await shared_client.post("/translate", **parts)
    assert (response.status_code, response.json()) == (status, body)
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/translate", 405, error("Method Not Allowed")),
        ("POST", "/languages", 405, error("Method Not Allowed")),
        ("GET", "/detect", 405, error("Method Not Allowed")),
        ("POST", "/detect", 400, error(MISSING.format("q"))),
        ("GET", "/suggest", 405, error("Method Not Allowed")),
        ("POST", "/suggest", 403, error("Suggestions are disabled on this server.")),
        ("GET", "/health", 200, {"status": "ok"}),
        ("GET", "/nothing", 404, error("Not Found")),
    ],
)
async def test_other_paths(
    shared_client: httpx.AsyncClient, method: str, path: str, status: int, body: dict[str, Any]
) -> None:
    response = await shared_client.request(method, path)
    assert (response.status_code, response.json()) == (status, body)


@pytest.mark.parametrize(
    ("path", "allowed"), [("/translate", "POST"), ("/languages", "GET, HEAD"), ("/v2/usage", "GET, HEAD, POST")]
)
async def test_options_say_what_a_path_takes(shared_client: httpx.AsyncClient, path: str, allowed: str) -> None:
    response = await shared_client.options(path)
    assert (response.status_code, response.content) == (200, b"")
    assert sorted(response.headers["Allow"].split(", ")) == allowed.split(", ")
    assert (await shared_client.options("/nothing")).status_code == 404


async def test_a_detected_language_stands_beside_each_text(client: httpx.AsyncClient) -> None:
    german, english = "Wo ist der nächste Bahnhof, bitte?", "Where is the nearest station, please?"
    one = (await client.post("/translate", json={"q": german, "source": "auto", "target": "en"})).json()
    assert one["translatedText"] == german.upper()
    assert one["detectedLanguage"]["language"] == "de"
    assert 0 < one["detectedLanguage"]["confidence"] <= 100
    two = (await client.post("/translate", json={"q": [german, english], "source": "auto", "target": "en"})).json()
    assert two["translatedText"] == [german.upper(), english]
    assert [each["language"] for each in two["detectedLanguage"]] == ["de", "en"]


async def test_emoji_alone_come_back_as_english_with_no_confidence(client: httpx.AsyncClient) -> None:
    body = (await client.post("/translate", json={"q": "😀 🎉", "source": "auto", "target": "de"})).json()
    assert body == {"translatedText": "😀 🎉", "detectedLanguage": {"confidence": 0.0, "language": "en"}}


async def test_detect_puts_the_best_guess_first(client: httpx.AsyncClient) -> None:
    for parts in (
        form(q="Wo ist der Bahnhof?"),
        query(q="Wo ist der Bahnhof?"),
        as_json({"q": ["Wo ist der Bahnhof?"]}),
    ):
        found = (await client.post("/detect", **parts)).json()
        assert found[0]["language"] == "de"
        assert 1 <= len(found) <= 3
        assert sorted(found, key=lambda guess: -guess["confidence"]) == found


async def test_the_description_of_the_api_is_where_the_settings_of_a_page_are(client: httpx.AsyncClient) -> None:
    spec = await client.get("/spec")
    assert spec.json() == (await client.get("/openapi.json")).json()
    assert (await client.post("/spec")).status_code == 405
    keys = {"apiKeys", "charLimit", "filesTranslation", "frontendTimeout", "keyRequired", "language", "suggestions"}
    settings = (await client.get("/frontend/settings")).json()
    assert keys | {"supportedFilesFormat"} <= settings.keys()
    assert settings["language"].keys() == {"source", "target"}


async def test_html_is_asked_of_the_engine_as_markup(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    for fields in ({"format": "html"}, {}):
        await client.post("/translate", json={**GOOD, **fields})
    assert [job.options.markup for job in engine.jobs] == ["html", ""]
