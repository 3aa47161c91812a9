"""DeepL's own client against a service that refuses, fails and stalls: it raises what its users know."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import deepl
import pytest

from app.keys import FILE_NAME, KeyFile, Limits
from app.settings import Settings
from tests.app.fake_engine import FakeEngine
from tests.app.serving import serving


@pytest.fixture(autouse=True)
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are asked for on purpose, so none is tried again."""
    monkeypatch.setattr(deepl.http_client, "max_network_retries", 0)


@contextmanager
def client(address: str, key: str = "any-key") -> Iterator[deepl.DeepLClient]:
    with closing(deepl.DeepLClient(key, server_url=address)) as translator:
        yield translator


def translate(translator: deepl.DeepLClient) -> str:
    found = translator.translate_text("Hi", source_lang="EN", target_lang="DE")
    assert isinstance(found, deepl.TextResult)
    return found.text


def test_keys_rates_and_quotas(tmp_path: Path) -> None:
    with KeyFile(tmp_path / FILE_NAME) as file:
        free, slow, poor = (
            file.add(name, limits)
            for name, limits in (
                ("free", Limits(characters_per_month=1000)),
                ("slow", Limits(texts_per_minute=1)),
                ("poor", Limits(characters_per_month=3)),
            )
        )
    with serving(FakeEngine(), Settings(state=tmp_path, api_keys=True, require_key=True)) as address:
        with client(address, free) as translator:
            assert translate(translator) == "HI"
            usage = translator.get_usage()
            assert (usage.character.count, usage.character.limit) == (2, 1000)
        with client(address, slow) as translator:
            assert translate(translator) == "HI"
            with pytest.raises(deepl.TooManyRequestsException, match="Slowdown"):
                translate(translator)
        with client(address, poor) as translator:
            assert translate(translator) == "HI"
            with pytest.raises(deepl.QuotaExceededException, match="Quota"):
                translate(translator)
        with client(address, "wrong") as translator:
            for ask in (lambda: translate(translator), translator.get_usage, translator.list_glossaries):
                with pytest.raises(deepl.AuthorizationException, match="Invalid API key"):
                    ask()


def test_a_service_that_is_busy_and_one_that_fails() -> None:
    engine = FakeEngine(max_queue=0)
    with serving(engine, Settings()) as address, client(address) as translator:
        with pytest.raises(deepl.DeepLException, match="the queue is full"):
            translate(translator)
        engine.max_queue = 512
        engine.fault = RuntimeError("secret")
        with pytest.raises(deepl.DeepLException, match="500") as failed:
            translate(translator)
        assert "secret" not in str(failed.value)
        engine.fault = None
        assert translate(translator) == "HI"


def test_a_client_that_found_the_queue_full_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepl.http_client, "max_network_retries", 1)
    engine = FakeEngine(max_queue=0)
    with serving(engine, Settings()) as address, client(address) as translator:
        threading.Timer(0.5, setattr, (engine, "max_queue", 512)).start()
        assert translate(translator) == "HI"


def test_a_text_that_the_client_gave_up_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sends it again and again; only the last one may be in the queue."""
    monkeypatch.setattr(deepl.http_client, "min_connection_timeout", 0.3)
    monkeypatch.setattr(deepl.http_client, "max_network_retries", 1)
    engine = FakeEngine(is_held=True)
    with serving(engine, Settings()) as address, client(address) as translator:
        with pytest.raises(deepl.ConnectionException):
            translate(translator)
        assert len(engine.jobs) == 2
        end = time.monotonic() + 5
        while engine.waiting:
            assert time.monotonic() < end, "a text waits that nobody wants"
            time.sleep(0.02)
