"""DeepL's contract: a table of requests that are wrong, each with its status and message, both always strings."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.errors import MEANINGS
from tests.app.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

GOOD = {"text": ["Hi"], "target_lang": "DE"}
FROM = {**GOOD, "source_lang": "EN"}
GLOSSARY = {"name": "g", "source_lang": "en", "target_lang": "de", "entries": "a\tb", "entries_format": "tsv"}
NO_SUCH = "00000000-0000-4000-8000-000000000000"
UNREADABLE = "The browser (or proxy) sent a request that this server could not understand."
HALF = "is not valid Unicode (it holds half of a surrogate pair)."


def value(name: str) -> str:
    return f"Value for '{name}' not supported."


def parameter(name: str) -> str:
    return f"Parameter '{name}' not specified."


def entries(what: str) -> str:
    return f"Invalid glossary entries provided: {what}."


def raw(body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    return {"content": body, "headers": {"Content-Type": content_type}}


def sent(fields: Any) -> dict[str, Any]:
    """JSON as it is, lone surrogates escaped."""
    return raw(json.dumps(fields).encode())


TEXTS: list[tuple[dict[str, Any], int, str]] = [
    (sent({"target_lang": "DE"}), 400, parameter("text")),
    (sent({**GOOD, "text": None}), 400, parameter("text")),
    (sent({**GOOD, "text": []}), 400, parameter("text")),
    (sent({**GOOD, "text": 5}), 400, value("text")),
    (sent({**GOOD, "text": [5]}), 400, value("text")),
    (sent({**GOOD, "text": ["a", None]}), 400, value("text")),
    (sent({**GOOD, "text": [["a"]]}), 400, value("text")),
    (sent({**GOOD, "text": {"a": 1}}), 400, value("text")),
    (sent({**GOOD, "text": ["\ud800"]}), 400, f"Value for 'text' {HALF}"),
    (sent({**FROM, "text": ["a\x00b"]}), 400, "Invalid request: text holds a NUL character"),
    (sent({**FROM, "text": ["good", "x" * 2001]}), 413, "Invalid request: request (2001) exceeds text limit (2000)"),
    (sent({**GOOD, "text": ["a"] * 5}), 400, "Invalid request: request (5) exceeds text limit (4)"),
    (sent({"text": ["Hi"]}), 400, parameter("target_lang")),
    (sent({**GOOD, "target_lang": ""}), 400, parameter("target_lang")),
    (sent({**GOOD, "target_lang": "XX"}), 400, value("target_lang")),
    (sent({**GOOD, "target_lang": 5}), 400, value("target_lang")),
    (sent({**GOOD, "target_lang": "ZH-HANT"}), 400, value("target_lang")),
    (sent({**GOOD, "target_lang": "x" * 5000}), 400, value("target_lang")),
    (sent({**GOOD, "source_lang": "XX"}), 400, value("source_lang")),
    (sent({**GOOD, "source_lang": "auto"}), 400, value("source_lang")),
    (
        sent({**GOOD, "source_lang": "FR"}),
        400,
        "German (de) is not available as a target language from French (fr)",
    ),
    (sent({**GOOD, "split_sentences": "2"}), 400, value("split_sentences")),
    (sent({**GOOD, "split_sentences": 0.5}), 400, value("split_sentences")),
    (sent({**GOOD, "tag_handling": "markdown"}), 400, value("tag_handling")),
    (sent({**GOOD, "ignore_tags": [1]}), 400, value("ignore_tags")),
    (
        sent({**GOOD, "ignore_tags": ["a"] * 201}),
        400,
        "Too many tags in 'ignore_tags': 201, where 200 are allowed.",
    ),
    (sent({**GOOD, "formality": "rude"}), 400, value("formality")),
    (sent({**GOOD, "formality": "more"}), 400, "'formality' is not supported for given 'target_lang'."),
    (sent({**GOOD, "formality": "less"}), 400, "'formality' is not supported for given 'target_lang'."),
    (sent({**GOOD, "model_type": "largest"}), 400, value("model_type")),
    (sent({**GOOD, "preserve_formatting": "perhaps"}), 400, value("preserve_formatting")),
    (sent({**GOOD, "outline_detection": 7}), 400, value("outline_detection")),
    (sent({**GOOD, "show_billed_characters": "maybe"}), 400, value("show_billed_characters")),
    (sent({**GOOD, "style_id": NO_SUCH}), 400, value("style_id")),
    (sent({**GOOD, "custom_instructions": ["Be brief"]}), 400, value("custom_instructions")),
    (
        sent({**GOOD, "glossary_id": NO_SUCH}),
        400,
        "Use of a glossary requires the source_lang parameter to be specified",
    ),
    (sent({**FROM, "glossary_id": NO_SUCH}), 404, "Glossary not found."),
    (sent({**FROM, "glossary_id": "../../etc/passwd"}), 404, "Glossary not found."),
    (sent({**FROM, "text": ["fail"]}), 500, "no translation found"),
    (sent({**FROM, "text": ["fine", "late"]}), 504, "no translation within 30 s"),
    (raw(b"{"), 400, UNREADABLE),
    (raw(b'{"text": NaN}'), 400, UNREADABLE),
    (raw(b'["Hi"]'), 400, "Invalid JSON format"),
    (raw(b""), 400, parameter("text")),
    (raw(json.dumps(GOOD).encode(), "text/plain"), 400, parameter("text")),
    ({"data": {"text": "Hi"}}, 400, parameter("target_lang")),
    (raw(b"text=Hi", "multipart/form-data"), 400, "Missing boundary in multipart."),
    (raw(b"x" * 20_001), 413, "request body exceeds the limit of 20000 bytes"),
]

GLOSSARIES: list[tuple[dict[str, Any], int, str]] = [
    (sent({}), 400, "Missing or invalid argument: name"),
    (sent({**GLOSSARY, "name": " "}), 400, "Missing or invalid argument: name"),
    (sent({**GLOSSARY, "name": "n" * 1025}), 400, "Missing or invalid argument: name"),
    (sent({**GLOSSARY, "name": 1}), 400, value("name")),
    (sent({**GLOSSARY, "source_lang": "xx"}), 400, value("source_lang")),
    (sent({**GLOSSARY, "target_lang": None}), 400, parameter("target_lang")),
    (sent({**GLOSSARY, "target_lang": "en"}), 400, "Unsupported glossary source and target language pair"),
    (
        sent({**GLOSSARY, "source_lang": "de", "target_lang": "fr"}),
        400,
        "Unsupported glossary source and target language pair",
    ),
    (sent({**GLOSSARY, "entries": None}), 400, parameter("entries")),
    (sent({**GLOSSARY, "entries": ""}), 400, entries("there are none")),
    (sent({**GLOSSARY, "entries": "a"}), 400, entries("line 1 has 1 columns; a tab separates the two terms")),
    (
        sent({**GLOSSARY, "entries": "a\tb\nc\td\te"}),
        400,
        entries("line 2 has 3 columns; a tab separates the two terms"),
    ),
    (sent({**GLOSSARY, "entries": "a\t "}), 400, entries("line 1 has an empty term")),
    (sent({**GLOSSARY, "entries": "a\tb\r\na\tc"}), 400, entries("line 2 has a source term that was there before")),
    (sent({**GLOSSARY, "entries": "a\tb\x01"}), 400, entries("line 1 has a control character in a term")),
    (sent({**GLOSSARY, "entries": "ä" * 513 + "\tb"}), 400, entries("line 1 has a term of more than 1024 bytes")),
    (sent({**GLOSSARY, "entries": 'a,"b', "entries_format": "csv"}), 400, entries("line 1 unexpected end of data")),
    (
        sent({**GLOSSARY, "entries": "a,b,c", "entries_format": "csv"}),
        400,
        entries("line 1 has 3 columns; there must be 2 or 4"),
    ),
    (sent({**GLOSSARY, "entries_format": "xlsx"}), 400, value("entries_format")),
    (sent({**GLOSSARY, "entries_format": None}), 400, parameter("entries_format")),
]

OF_PAIRS = {key: GLOSSARY[key] for key in ("source_lang", "target_lang", "entries", "entries_format")}
MULTILINGUAL: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "", sent({"name": "g"}), 400, parameter("dictionaries")),
    ("POST", "", sent({"dictionaries": [OF_PAIRS]}), 400, "Missing or invalid argument: name"),
    ("POST", "", sent({"name": "g", "dictionaries": OF_PAIRS}), 400, value("dictionaries")),
    ("POST", "", sent({"name": "g", "dictionaries": ["x"]}), 400, value("dictionaries")),
    ("POST", "", sent({"name": "g", "dictionaries": [{}]}), 400, parameter("source_lang")),
    ("POST", "", sent({"name": "g", "dictionaries": [OF_PAIRS] * 2}), 400, "Two dictionaries from en to de"),
    (
        "POST",
        "",
        sent({"name": "g", "dictionaries": [{}] * 101}),
        400,
        "Too many dictionaries: 101, where 100 are allowed.",
    ),
    (
        "POST",
        "",
        sent({"name": "g", "dictionaries": [{**OF_PAIRS, "entries": "a"}]}),
        400,
        entries("line 1 has 1 columns; a tab separates the two terms"),
    ),
    ("GET", f"/{NO_SUCH}", {}, 404, "Glossary not found."),
    ("PATCH", f"/{NO_SUCH}", sent({"name": "h"}), 404, "Glossary not found."),
    ("PATCH", f"/{NO_SUCH}", sent({"name": ""}), 400, "Missing or invalid argument: name"),
    ("DELETE", f"/{NO_SUCH}", {}, 404, "Glossary not found."),
    ("GET", f"/{NO_SUCH}/entries", {}, 400, parameter("source_lang")),
    ("GET", f"/{NO_SUCH}/entries?source_lang=en&target_lang=de", {}, 404, "Glossary not found."),
    ("PUT", f"/{NO_SUCH}/dictionaries", sent(OF_PAIRS), 404, "Glossary not found."),
    ("DELETE", f"/{NO_SUCH}/dictionaries?source_lang=en&target_lang=de", {}, 404, "Glossary not found."),
    ("DELETE", f"/{NO_SUCH}/dictionaries?source_lang=en&target_lang=xx", {}, 400, value("target_lang")),
]

PATHS: list[tuple[str, str, int, str]] = [
    ("GET", f"/v2/glossaries/{NO_SUCH}", 404, "Glossary not found."),
    ("GET", f"/v2/glossaries/{NO_SUCH}/entries", 404, "Glossary not found."),
    ("DELETE", f"/v2/glossaries/{NO_SUCH}", 404, "Glossary not found."),
    ("GET", "/v2/languages?type=both", 400, "Parameter 'type' is invalid. 'source' and 'target' are valid values."),
    ("DELETE", "/v2/translate", 405, "Method Not Allowed"),
    ("PUT", "/v2/glossaries", 405, "Method Not Allowed"),
    ("POST", "/v2/write/rephrase", 404, "Not Found"),
    ("GET", "/v2/translate", 400, parameter("text")),
    ("GET", "/v2/translate?text=Hi", 400, parameter("target_lang")),
]


def check(response: httpx.Response, status: int, message: str) -> None:
    assert (response.status_code, response.json()["message"]) == (status, message)
    assert response.json().keys() == {"message", "detail"}
    assert isinstance(response.json()["detail"], str)
    if status in MEANINGS:
        assert response.json()["detail"] == MEANINGS[status]


@pytest.mark.parametrize(("parts", "status", "message"), TEXTS)
async def test_wrong_texts(shared_client: httpx.AsyncClient, parts: dict[str, Any], status: int, message: str) -> None:
    check(await shared_client.post("/v2/translate", **parts), status, message)


@pytest.mark.parametrize(("parts", "status", "message"), GLOSSARIES)
async def test_wrong_glossaries(
    shared_client: httpx.AsyncClient, parts: dict[str, Any], status: int, message: str
) -> None:
    check(await shared_client.post("/v2/glossaries", **parts), status, message)
    assert (await shared_client.get("/v2/glossaries")).json() == {"glossaries": []}


@pytest.mark.parametrize(("method", "path", "parts", "status", "message"), MULTILINGUAL)
async def test_wrong_glossaries_of_version_3(
    shared_client: httpx.AsyncClient, method: str, path: str, parts: dict[str, Any], status: int, message: str
) -> None:
    check(await shared_client.request(method, f"/v3/glossaries{path}", **parts), status, message)


@pytest.mark.parametrize(("method", "path", "status", "message"), PATHS)
async def test_wrong_paths(shared_client: httpx.AsyncClient, method: str, path: str, status: int, message: str) -> None:
    check(await shared_client.request(method, path), status, message)


async def test_more_glossaries_than_a_caller_may_have(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await client.post("/v2/glossaries", json=GLOSSARY)).status_code == 201
    response = await client.post("/v2/glossaries", json=GLOSSARY)
    check(response, 400, "Too many glossaries: there may be 3 at a time.")


async def test_a_service_that_is_busy_asks_to_be_called_again(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    """Not by 503: Weblate would not call for half an hour."""
    engine.max_queue = 0
    response = await client.post("/v2/translate", json=FROM)
    check(response, 529, "the queue is full")
    assert int(response.headers["Retry-After"]) >= 1


async def test_a_fault_says_nothing_of_the_text(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.fault = RuntimeError("secret")
    check(await client.post("/v2/translate", json=FROM), 500, "internal error")
