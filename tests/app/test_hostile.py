"""Every string of `hostile` by every way in, on a real engine: documented answers, whole structure, nothing broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import MEANINGS
from app.main import create_app
from app.server import make_server
from app.settings import Settings
from tests.app.hostile import REFUSED, TAKEN
from tests.app.serving import free_port, on_thread
from tests.bundles import make_bundle

pytestmark = pytest.mark.anyio

PAIR = {"source": "en", "target": "de"}
SEARCH = {"beam_size": 1, "max_length_factor": 0.2, "max_length_offset": 4}
LIMIT = 10_000
AT_ONCE = 32
REFUSALS = {400, 413}
"""What a caller may be told of a text that is empty, too long or no text."""

Request = tuple[str, str, dict[str, Any]]
"""Method, path and what httpx sends."""


def raw(value: object) -> dict[str, Any]:
    """A JSON body that may hold half a surrogate pair."""
    return {"content": json.dumps(value).encode(), "headers": {"Content-Type": "application/json"}}


WAYS: dict[str, tuple[Callable[[str], Request], Callable[[Any], str]]] = {
    "JSON": (
        lambda text: ("POST", "/translate", raw({"q": text, **PAIR})),
        lambda body: body["translatedText"],
    ),
    "HTML": (
        lambda text: ("POST", "/translate", raw({"q": text, "format": "html", **PAIR})),
        lambda body: body["translatedText"],
    ),
    "form": (
        lambda text: ("POST", "/translate", {"data": {"q": text, **PAIR}}),
        lambda body: body["translatedText"],
    ),
    "query": (
        lambda text: ("POST", "/translate", {"params": {"q": text, **PAIR}}),
        lambda body: body["translatedText"],
    ),
    "DeepL": (
        lambda text: ("POST", "/v2/translate", raw({"text": [text], "source_lang": "EN", "target_lang": "DE"})),
        lambda body: body["translations"][0]["text"],
    ),
    "DeepL XML": (
        lambda text: (
            "POST",
            "/v2/translate",
            raw({"text": [text], "source_lang": "EN", "target_lang": "DE", "tag_handling": "xml"}),
        ),
        lambda body: body["translations"][0]["text"],
    ),
    "Apertium": (
        lambda text: ("GET", "/apy/translate", {"params": {"q": text, "langpair": "en|de"}}),
        lambda body: body["responseData"]["translatedText"],
    ),
    "Google": (
        lambda text: ("POST", "/language/translate/v2", raw({"q": [text], "format": "text", **PAIR})),
        lambda body: body["data"]["translations"][0]["translatedText"],
    ),
    "OpenNMT": (
        lambda text: ("POST", "/translator/translate", raw([{"src": text, "id": 0}])),
        lambda body: body[0][0]["tgt"],
    ),
    "detect": (
        lambda text: ("POST", "/detect", raw({"q": text})),
        lambda body: body[0]["language"],
    ),
}
"""By name: a request with a text, and where its answer has the translation."""
KEEPS_LINES = ("JSON", "DeepL", "Google", "OpenNMT")
"""Ways on which the text arrives as it was sent, and is no markup."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service of random models over HTTP, with its own server."""
    models = tmp_path_factory.mktemp("models")
    make_bundle(models / "en-de", search=SEARCH)
    settings = Settings(models=Path(models), workers=1, max_text_chars=LIMIT, access_log=False)
    port = free_port()
    server = make_server(create_app(settings), settings, port=port, log_level="critical")
    with on_thread(server) as address:
        yield address


@pytest.fixture
async def real(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        yield client


async def answers(client: httpx.AsyncClient, way: str, texts: dict[str, str]) -> dict[str, httpx.Response]:
    """The answers to texts, by the texts' names."""
    make, _ = WAYS[way]
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(text: str) -> httpx.Response:
        method, path, parts = make(text)
        async with gate:
            return await client.request(method, path, **parts)

    return dict(zip(texts, await asyncio.gather(*map(ask, texts.values())), strict=True))


def is_refusal(response: httpx.Response) -> bool:
    """Whether it is an error with a documented status and a JSON object that says why."""
    return response.status_code in REFUSALS & MEANINGS.keys() and isinstance(response.json(), dict)


@pytest.mark.parametrize("way", WAYS)
async def test_every_string_has_a_documented_answer_and_keeps_its_lines(real: httpx.AsyncClient, way: str) -> None:
    _, translation = WAYS[way]
    wrong = {}
    for name, response in (await answers(real, way, TAKEN)).items():
        text = TAKEN[name]
        may_be_refused = not text.strip() or len(text) > LIMIT or way == "detect"
        if response.status_code == 200:
            output = translation(response.json())
            is_right = way not in KEEPS_LINES or has_its_lines(text, output)
        else:
            is_right = may_be_refused and is_refusal(response)
        if not is_right:
            wrong[name] = (response.status_code, text[:80], response.text[:200])
    assert wrong == {}


def has_its_lines(text: str, output: str) -> bool:
    """Whether a translation has the line ends of the text, and the white space around it."""
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    return output.count("\n") == text.count("\n") and output.startswith(text[:start]) and output.endswith(text[end:])


@pytest.mark.parametrize("way", ["JSON", "HTML", "DeepL", "Google", "OpenNMT", "detect"])
async def test_what_is_no_text_is_refused(real: httpx.AsyncClient, way: str) -> None:
    found = await answers(real, way, REFUSED)
    assert {name: response.text for name, response in found.items() if not is_refusal(response)} == {}


async def test_alone_and_among_all_others_an_answer_is_the_same_and_what_has_no_words_stays(
    real: httpx.AsyncClient,
) -> None:
    texts = {name: text for name, text in TAKEN.items() if text and len(text) <= LIMIT}
    alone = {name: response.json()["translatedText"] for name, response in (await answers(real, "JSON", texts)).items()}
    without_words = [name for name, text in texts.items() if not any(map(str.isalnum, text))]
    assert len(without_words) > 20
    assert {name: alone[name][:80] for name in without_words if alone[name] != texts[name]} == {}
    other: dict[str, str] = {}
    names = list(texts)
    for start in range(0, len(names), 64):
        part = names[start : start + 64]
        response = await real.post("/translate", json={"q": [texts[name] for name in part], **PAIR})
        body = response.json()
        assert "errors" not in body
        pairs = zip(part, body["translatedText"], strict=True)
        other |= {name: text[:80] for name, text in pairs if alone[name] != text}
    assert other == {}


async def test_the_service_is_as_it_was_after_all_that(real: httpx.AsyncClient) -> None:
    assert (await real.get("/readyz")).json() == {"status": "ok"}
    answer = await real.post("/translate", json={"q": "The dog sees the man.", **PAIR})
    assert answer.status_code == 200
