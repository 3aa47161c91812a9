"""Keys and limits as callers meet them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.gate import Gate
from app.keys import FILE_NAME, KeyFile, Limits
from app.settings import Settings
from tests.app.fake_engine import FakeEngine
from tests.app.figures import of, scrape
from tests.app.serving import calling

pytestmark = pytest.mark.anyio

GOOD = {"q": "Hi there", "source": "en", "target": "de"}


@pytest.fixture
def keyed(tmp_path: Path) -> tuple[Settings, str]:
    with KeyFile(tmp_path / FILE_NAME) as file:
        key = file.add("alice", Limits(characters_per_month=20, texts_per_minute=3))
    return Settings(state=tmp_path, api_keys=True, require_key=True, access_log=False), key


async def test_keys_are_asked_for_in_the_words_of_libretranslate(
    engine: FakeEngine, keyed: tuple[Settings, str]
) -> None:
    settings, key = keyed
    async with calling(settings, engine) as (_, client):
        for way in ({"json": GOOD}, {"data": GOOD}, {"params": GOOD}):
            missing = await client.post("/translate", **way)  # type: ignore[arg-type]
            assert missing.status_code == 400
            assert missing.json() == {"error": "Please contact the server operator to get an API key"}
        unknown = await client.post("/translate", json=GOOD | {"api_key": "x"})
        assert (unknown.status_code, unknown.json()) == (403, {"error": "Invalid API key"})
        assert not engine.jobs
        assert (await client.post("/translate", data=GOOD | {"q": "a", "api_key": key})).status_code == 200
        bearer = {"Authorization": f"Bearer {key}"}
        assert (await client.post("/translate", json=GOOD | {"q": "b"}, headers=bearer)).status_code == 200
        assert (await client.post("/translate", params=GOOD | {"q": "c", "api_key": key})).status_code == 200
        slow = await client.post("/translate", json=GOOD | {"q": "d", "api_key": key})
        assert (slow.status_code, slow.json()) == (429, {"error": "Slowdown: 3 texts per 1 minute"})
        assert 1 <= int(slow.headers["Retry-After"]) <= 20
        for path in ("/languages", "/livez", "/readyz", "/health", "/frontend/settings", "/metrics"):
            assert (await client.get(path)).status_code == 200, path
        figures = await scrape(client)
    assert of(figures, "nmt_rejected_requests_total", reason="key") == 4
    assert of(figures, "nmt_rejected_requests_total", reason="rate") == 1
    assert of(figures, "nmt_caller_month_characters", caller="alice") == 3


async def test_a_request_that_comes_to_nothing_costs_nothing(engine: FakeEngine, keyed: tuple[Settings, str]) -> None:
    settings, key = keyed
    async with calling(settings, engine) as (app, client):
        gate = app.state.service.gate
        assert (await client.post("/translate", json=GOOD | {"api_key": key})).status_code == 200
        assert gate.usage(key).character_count == 8
        engine.max_queue = 0
        assert (await client.post("/translate", json=GOOD | {"api_key": key})).status_code == 503
        assert gate.usage(key).character_count == 8
        over = await client.post("/translate", json=GOOD | {"q": "a" * 13, "api_key": key})
        assert over.status_code == 429
        assert over.json() == {"error": "Quota exceeded: 20 characters per 1 month"}
        assert int(over.headers["Retry-After"]) > 60


async def test_what_was_used_is_in_the_file_when_the_service_has_ended(
    engine: FakeEngine, keyed: tuple[Settings, str]
) -> None:
    settings, key = keyed
    async with calling(settings, engine) as (_, client):
        assert (await client.post("/translate", json=GOOD | {"api_key": key})).status_code == 200
    assert settings.state is not None
    with KeyFile(settings.state / FILE_NAME) as file:
        assert Gate(file=file).usage(key).character_count == 8


@pytest.mark.parametrize(
    ("trusted", "said", "limited"),
    [
        ((), ("198.51.100.1", "198.51.100.2"), True),  # nobody is believed: both are the client itself
        (("127.0.0.0/8",), ("198.51.100.1", "198.51.100.2"), False),
        (("127.0.0.0/8",), ("198.51.100.1", "198.51.100.1"), True),
        (("127.0.0.0/8",), ("6.6.6.6, 198.51.100.1", "7.7.7.7, 198.51.100.1"), True),  # what the client made up
        (("10.0.0.0/8",), ("198.51.100.1", "198.51.100.2"), True),
    ],
)
async def test_only_trusted_proxies_say_who_a_client_is(
    engine: FakeEngine, trusted: tuple[str, ...], said: tuple[str, str], limited: bool
) -> None:
    settings = Settings(anonymous_texts_per_minute=1, trusted_proxies=trusted)
    async with calling(settings, engine) as (_, client):
        first, second = [await client.post("/translate", json=GOOD, headers={"X-Forwarded-For": ip}) for ip in said]
    assert first.status_code == 200
    assert (second.status_code == 429) is limited
