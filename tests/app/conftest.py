"""A service over a fake engine, and a client of it in the same event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.app.fake_engine import FakeEngine


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def settings() -> Settings:
    return Settings(max_text_chars=2000, max_texts=4, max_body_bytes=20_000, deadline_s=5.0)


@pytest.fixture
async def app(engine: FakeEngine, settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(settings, load_engine=lambda _: engine)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client
