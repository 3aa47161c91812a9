"""Models that take the place of others while requests are under way: signal, route, rollback, the end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.keys import FILE_NAME, KeyFile
from app.main import create_app
from app.models import Models
from app.settings import Settings
from nmt.errors import BundleError, Overloaded
from tests.app.fake_engine import FakeDetector, FakeEngine, model

pytestmark = pytest.mark.anyio

PAIR = {"source": "en", "target": "de"}
WAY = {"source": "de", "target": "fr"}


@dataclass
class Loader:
    """Makes an engine at every call, its models of another version each time, or fails."""

    engines: list[FakeEngine] = field(default_factory=list)
    failure: Exception | None = None
    pairs: tuple[tuple[str, str], ...] = (("en", "de"), ("de", "en"), ("en", "fr"))
    is_free: threading.Event = field(default_factory=threading.Event)
    """Cleared while loading is to take its time."""

    def __post_init__(self) -> None:
        self.is_free.set()

    def __call__(self, _: Settings) -> FakeEngine:
        self.is_free.wait(5)
        if self.failure:
            raise self.failure
        number = len(self.engines)
        self.engines.append(FakeEngine(tuple(replace(model(*pair), version=f"v{number}") for pair in self.pairs)))
        return self.engines[-1]


@pytest.fixture
def loader() -> Loader:
    return Loader()


@asynccontextmanager
async def service(loader: Loader, **settings: object) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    app = create_app(Settings(**settings), load_engine=loader)  # type: ignore[arg-type]
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
    ):
        yield app, client


def models_of(app: FastAPI) -> Models:
    models: Models = app.state.service.models
    return models


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_new_models_serve_and_the_old_ones_are_closed(loader: Loader) -> None:
    async with service(loader) as (app, client):
        before = await client.post("/translate", json={"q": "a", **PAIR})
        await models_of(app).reload()
        after = await client.post("/translate", json={"q": "a", **PAIR})
        assert (before.headers["X-Model-Version"], after.headers["X-Model-Version"]) == ("v0", "v1")
        assert {row["version"] for row in (await client.get("/models")).json()["models"]} == {"v1"}
        await until(lambda: loader.engines[0].events[-1:] == ["close"])
        assert loader.engines[1].events == []
        assert models_of(app).reloads == {"ok": 1, "failed": 0}
    assert [engine.events.count("close") for engine in loader.engines] == [1, 1]


async def test_what_tells_languages_apart_is_kept_where_they_are_the_same(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.Detector", FakeDetector)
    async with service(loader) as (app, _):
        first = await models_of(app).current.detector()
        await models_of(app).reload()
        assert await models_of(app).current.detector() is first
        loader.pairs = (("en", "de"),)
        await models_of(app).reload()
        other = await models_of(app).current.detector()
        assert isinstance(other, FakeDetector)
        assert other.codes == {"de", "en"}


async def test_a_request_ends_with_the_models_that_it_began_with(loader: Loader) -> None:
    """Its second leg too, although the reload comes between both."""
    async with service(loader) as (app, client):
        old = loader.engines[0]
        old.is_held = True
        waiting = asyncio.create_task(client.post("/translate", json={"q": "a", **WAY}))
        await until(lambda: old.jobs)
        await models_of(app).reload()
        assert (await client.post("/translate", json={"q": "b", **WAY})).headers["X-Model-Version"] == "v1+v1"
        assert old.events == []
        old.release()
        assert (await waiting).headers["X-Model-Version"] == "v0+v0"
        assert [job.texts for job in old.jobs] == [["a"], ["A"]]
        await until(lambda: old.events[-1:] == ["close"])


async def test_models_that_cannot_serve_leave_the_old_ones(loader: Loader, caplog: pytest.LogCaptureFixture) -> None:
    async with service(loader) as (app, client):
        for failure, reason in ((BundleError("models/x: damaged"), "models/x: damaged"), (ZeroDivisionError("x"), "")):
            loader.failure = failure
            models_of(app).reload_soon()
            await until(lambda: models_of(app).reloads["failed"])
            assert reason in caplog.text
        await until(lambda: models_of(app).reloads == {"ok": 0, "failed": 2})
        assert "internal error (ZeroDivisionError)" in caplog.text
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.post("/translate", json={"q": "a", **PAIR})).headers["X-Model-Version"] == "v0"
        loader.failure = None
        await models_of(app).reload()
        assert (await client.post("/translate", json={"q": "a", **PAIR})).headers["X-Model-Version"] == "v1"


async def test_reloads_come_one_after_the_other_and_who_waits_shares_the_next(loader: Loader) -> None:
    async with service(loader) as (app, _):
        loader.is_free.clear()
        first = asyncio.create_task(models_of(app).reload())
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(models_of(app).reload()) for _ in range(5)]
        await asyncio.sleep(0.01)
        loader.is_free.set()
        sets = {id(models) for models in await asyncio.gather(*others)}
        assert len(sets) == 1
        assert id(await first) not in sets
        assert len(loader.engines) == 3


async def test_a_sighup_reloads(loader: Loader) -> None:
    before = signal.getsignal(signal.SIGHUP)
    async with service(loader) as (app, client):
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: models_of(app).reloads["ok"] == 1)
        assert (await client.post("/translate", json={"q": "a", **PAIR})).headers["X-Model-Version"] == "v1"
    assert signal.getsignal(signal.SIGHUP) is before


async def test_a_service_that_stops_reloads_no_more(loader: Loader) -> None:
    """Not even what is being loaded already: it is closed without having served."""
    async with service(loader) as (app, _):
        models = models_of(app)
        loader.is_free.clear()
        waiting = asyncio.create_task(models.reload())
        await asyncio.sleep(0.01)
        app.state.service.admission.is_stopping = True
        loader.is_free.set()
        with pytest.raises(Overloaded, match="stopping"):
            await waiting
        with pytest.raises(Overloaded, match="stopping"):
            await models.reload()
    assert [engine.events for engine in loader.engines] == [["drain 30", "close"], ["close"]]


async def test_the_end_waits_for_what_is_being_loaded(loader: Loader) -> None:
    async with service(loader) as (app, _):
        loader.is_free.clear()
        models_of(app).reload_soon()
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.05, loader.is_free.set)
    assert [engine.events for engine in loader.engines] == [["drain 30", "close"], ["close"]]


async def test_the_end_does_not_wait_for_who_holds_old_models(loader: Loader) -> None:
    async with service(loader, drain_s=0.05) as (app, _):
        held = models_of(app).current.__enter__()
        await models_of(app).reload()
        assert held is not models_of(app).current
    assert [engine.events[-1] for engine in loader.engines] == ["close", "close"]


async def test_the_route_is_an_administrators(loader: Loader, tmp_path: Path) -> None:
    with closing(KeyFile(tmp_path / FILE_NAME)) as keys:
        admin, other = keys.add("operator", is_admin=True), keys.add("weblate")
    async with service(loader, api_keys=True, state=tmp_path) as (app, client):
        for key, status in ((None, 400), ("wrong", 403), (other, 403)):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            assert (await client.post("/admin/reload", headers=headers)).status_code == status
        assert len(loader.engines) == 1
        by_header = await client.post("/admin/reload", headers={"Authorization": f"Bearer {admin}"})
        by_query = await client.post("/admin/reload", params={"api_key": admin})
        assert (by_header.status_code, by_query.status_code) == (200, 200)
        assert [row["version"] for row in by_query.json()["models"]] == ["v2"] * 3
        loader.failure = BundleError("models/x: damaged")
        failed = await client.post("/admin/reload", headers={"Authorization": f"Bearer {admin}"})
        assert failed.status_code == 409
        assert "models/x: damaged" in failed.json()["error"]
        assert models_of(app).reloads == {"ok": 2, "failed": 1}


async def test_without_an_administrators_key_there_is_no_route(loader: Loader) -> None:
    async with service(loader) as (_, client):
        assert (await client.post("/admin/reload", params={"api_key": "any"})).status_code == 404
    assert len(loader.engines) == 1
