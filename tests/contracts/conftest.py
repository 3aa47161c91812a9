"""Two services: one over a fake engine for what is refused, and a real one over HTTP for real clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.app.fake_engine import FakeEngine
from tests.app.serving import calling, free_port, on_thread
from tests.bundles import make_bundle

SHIPPED = Path(__file__).parents[2] / "models"
SEARCH = {"beam_size": 3, "max_length_factor": 0.8, "max_length_offset": 4}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def engine() -> FakeEngine:
    """Translates English to German and French, and German to English, into capitals."""
    return FakeEngine()


SMALL = Settings(
    max_text_chars=2000, max_texts=4, max_body_bytes=20_000, deadline_s=5.0, max_glossaries=3, access_log=False
)


@pytest.fixture
def settings() -> Settings:
    return SMALL


@pytest.fixture(scope="module")
async def shared_client() -> AsyncIterator[httpx.AsyncClient]:
    """Of one service for a whole table of requests that leave nothing behind."""
    async with calling(SMALL, FakeEngine()) as (_, client):
        yield client


@pytest.fixture
async def running(engine: FakeEngine, settings: Settings) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    async with calling(settings, engine) as (app, client):
        yield app, client


@pytest.fixture
def app(running: tuple[FastAPI, httpx.AsyncClient]) -> FastAPI:
    return running[0]


@pytest.fixture
def client(running: tuple[FastAPI, httpx.AsyncClient]) -> httpx.AsyncClient:
    return running[1]


@contextmanager
def service(settings: Settings) -> Iterator[str]:
    """The address of a real service, with workers of its own, on a free port."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=port, log_level="critical"))
    with on_thread(server) as address:
        yield address


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real service on random models of English and German: what it says is no language, but it is always the same."""
    models = tmp_path_factory.mktemp("models")
    for seed, (source, target) in enumerate((("en", "de"), ("de", "en")), start=1):
        make_bundle(models / f"{source}-{target}", seed=seed, source_lang=source, target_lang=target, search=SEARCH)
    with service(Settings(models=models, workers=1, access_log=False)) as address:
        yield address


@pytest.fixture(scope="session")
def shipped() -> Iterator[str]:
    """A real service on the models that ship, for what only a model that knows its languages can show."""
    with service(Settings(models=SHIPPED, workers=1, access_log=False)) as address:
        yield address


def native(address: str, text: str, source: str = "en", target: str = "de", **fields: object) -> str:
    """What POST /translate makes of a text."""
    body = {"q": text, "source": source, "target": target, **fields}
    response = httpx.post(f"{address}/translate", json=body, timeout=60)
    response.raise_for_status()
    return str(response.json()["translatedText"])
