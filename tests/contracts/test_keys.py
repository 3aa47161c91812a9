"""Keys in every contract: where each puts them, and the status that its clients know for each refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.keys import FILE_NAME, KeyFile, Limits
from app.settings import Settings
from tests.app.fake_engine import FakeEngine
from tests.app.serving import calling

pytestmark = pytest.mark.anyio

Ask = Callable[[httpx.AsyncClient, str], Any]
"""Sends a request for one short text with a key, or without one where it is empty."""


def deepl(client: httpx.AsyncClient, key: str) -> Any:
    headers = {"Authorization": f"DeepL-Auth-Key {key}"} if key else {}
    body = {"text": ["Hi"], "source_lang": "EN", "target_lang": "DE"}
    return client.post("/v2/translate", json=body, headers=headers)


def deepl_field(client: httpx.AsyncClient, key: str) -> Any:
    return client.get("/v2/translate", params={"text": "Hi", "source_lang": "EN", "target_lang": "DE", "auth_key": key})


def google(client: httpx.AsyncClient, key: str) -> Any:
    return client.post("/language/translate/v2", params={"key": key}, json={"q": "Hi", "source": "en", "target": "de"})


def google_header(client: httpx.AsyncClient, key: str) -> Any:
    headers = {"X-Goog-Api-Key": key} if key else {}
    return client.post("/language/translate/v2", json={"q": "Hi", "source": "en", "target": "de"}, headers=headers)


def apertium(client: httpx.AsyncClient, key: str) -> Any:
    return client.get("/apy/translate", params={"q": "Hi", "langpair": "en|de", "key": key})


def opennmt(client: httpx.AsyncClient, key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return client.post("/translator/translate", json=[{"src": "Hi", "id": 0}], headers=headers)


def libretranslate(client: httpx.AsyncClient, key: str) -> Any:
    return client.post("/translate", json={"q": "Hi", "source": "en", "target": "de", "api_key": key})


ASKS = [deepl, deepl_field, google, google_header, apertium, opennmt, libretranslate]
STATUSES: dict[str, dict[str, int]] = {
    "missing": {"deepl": 403, "google": 403, "apertium": 400, "opennmt": 400, "libretranslate": 400},
    "wrong": {"deepl": 403, "google": 403, "apertium": 403, "opennmt": 403, "libretranslate": 403},
    "rate": {"deepl": 429, "google": 429, "apertium": 429, "opennmt": 429, "libretranslate": 429},
    "quota": {"deepl": 456, "google": 403, "apertium": 429, "opennmt": 429, "libretranslate": 429},
}


@asynccontextmanager
async def service(folder: Path, limits: Limits) -> AsyncIterator[tuple[httpx.AsyncClient, str, str]]:
    """A service that asks for keys, and the two keys that it knows."""
    with KeyFile(folder / FILE_NAME) as file:
        key, other = file.add("anna", limits), file.add("bert")
    async with calling(Settings(state=folder, api_keys=True, require_key=True), FakeEngine()) as (_, client):
        yield client, key, other


def wanted(refusal: str, ask: Ask) -> int:
    return STATUSES[refusal][ask.__name__.partition("_")[0]]


@pytest.mark.parametrize("ask", ASKS)
async def test_a_key_opens_and_a_wrong_or_missing_one_does_not(tmp_path: Path, ask: Ask) -> None:
    async with service(tmp_path, Limits()) as (client, key, _):
        assert (await ask(client, key)).status_code == 200
        wrong = await ask(client, "nmt_wrong")
        assert wrong.status_code == wanted("wrong", ask)
        assert "Invalid API key" in wrong.text
        assert (await ask(client, "")).status_code == wanted("missing", ask)


@pytest.mark.parametrize("ask", ASKS)
async def test_too_much_in_a_minute(tmp_path: Path, ask: Ask) -> None:
    async with service(tmp_path, Limits(texts_per_minute=1)) as (client, key, _):
        assert (await ask(client, key)).status_code == 200
        refused = await ask(client, key)
        assert refused.status_code == wanted("rate", ask)
        assert 1 <= int(refused.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("ask", ASKS)
async def test_too_much_in_a_month(tmp_path: Path, ask: Ask) -> None:
    async with service(tmp_path, Limits(characters_per_month=3)) as (client, key, _):
        assert (await ask(client, key)).status_code == 200
        assert (await ask(client, key)).status_code == wanted("quota", ask)


async def test_usage_has_the_quota_of_the_key(tmp_path: Path) -> None:
    async with service(tmp_path, Limits(characters_per_month=100)) as (client, key, _):
        await deepl(client, key)
        headers = {"Authorization": f"DeepL-Auth-Key {key}"}
        usage = await client.get("/v2/usage", headers=headers)
        assert usage.json() == {"character_count": 2, "character_limit": 100}
        assert (await client.get("/v2/usage")).status_code == 403


async def test_a_glossary_belongs_to_its_maker(tmp_path: Path) -> None:
    async with service(tmp_path, Limits()) as (client, key, other):
        fields = {"name": "g", "source_lang": "en", "target_lang": "de", "entries": "a\tb", "entries_format": "tsv"}
        mine = {"Authorization": f"DeepL-Auth-Key {key}"}
        made = (await client.post("/v2/glossaries", json=fields, headers=mine)).json()
        path = f"/v2/glossaries/{made['glossary_id']}"
        assert (await client.get(path, headers=mine)).status_code == 200
        theirs = {"Authorization": f"DeepL-Auth-Key {other}"}
        for asked in (path, f"{path}/entries"):
            assert (await client.get(asked, headers=theirs)).status_code == 404
        assert (await client.delete(path, headers=theirs)).status_code == 404
        assert (await client.get("/v2/glossaries", headers=theirs)).json() == {"glossaries": []}
        body = {"text": ["a"], "source_lang": "EN", "target_lang": "DE", "glossary_id": made["glossary_id"]}
        assert (await client.post("/v2/translate", json=body, headers=theirs)).status_code == 404
        assert (await client.get(path)).status_code == 403
