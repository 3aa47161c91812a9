"""DeepL's routes for documents over a fake engine: handed in, asked about, fetched."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.document_jobs import MAX_ENDED, MAX_WAITING, DocumentDesk, Job
from app.errors import NotFound
from app.keys import FILE_NAME, KeyFile, Limits
from app.settings import Settings
from app.usage import month_of
from nmt.errors import Overloaded
from tests.app.fake_engine import FakeEngine
from tests.app.serving import calling

pytestmark = pytest.mark.anyio

TEXT = {"file": ("letter.txt", b"Hello\n\nyou there\n", "text/plain")}
FIELDS = {"target_lang": "DE", "source_lang": "EN"}


async def hand_in(client: httpx.AsyncClient, files: Any = TEXT, **fields: str) -> tuple[str, dict[str, str]]:
    """A document's path and the field that asks for it."""
    response = await client.post("/v2/document", files=files, data={**FIELDS, **fields})
    assert response.status_code == 200, response.text
    body = response.json()
    return f"/v2/document/{body['document_id']}", {"document_key": body["document_key"]}


async def end_of(client: httpx.AsyncClient, path: str, key: dict[str, str]) -> dict[str, Any]:
    """What is told of a document when it is done or has failed."""
    async with asyncio.timeout(10):
        while True:
            status: dict[str, Any] = (await client.post(path, json=key)).json()
            if status["status"] in ("done", "error"):
                return status
            await asyncio.sleep(0.01)


async def test_a_document_from_its_order_to_its_translation(client: httpx.AsyncClient) -> None:
    path, key = await hand_in(client)
    told = await end_of(client, path, key)
    assert told == {"document_id": path.rpartition("/")[2], "status": "done", "billed_characters": 14}
    for fetched in (await client.post(f"{path}/result", json=key), await client.post(f"{path}/result", data=key)):
        assert fetched.content == b"HELLO\n\nYOU THERE\n"
        assert "letter_de.txt" in fetched.headers["Content-Disposition"]


async def test_one_that_is_in_work_cannot_be_fetched_yet(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.is_held = True
    path, key = await hand_in(client)
    await asyncio.sleep(0.1)
    assert (await client.post(path, json=key)).json()["status"] == "translating"
    early = await client.post(f"{path}/result", json=key)
    assert (early.status_code, early.json()["message"]) == (503, "Document translation is not done")
    engine.release()
    assert (await end_of(client, path, key))["status"] == "done"


async def test_one_that_finds_no_place_waits_for_it(
    client: httpx.AsyncClient, app: FastAPI, engine: FakeEngine
) -> None:
    engine.is_held = True
    first = [await hand_in(client) for _ in range(app.state.service.settings.max_file_jobs)]
    await asyncio.sleep(0.1)
    path, key = await hand_in(client)
    await asyncio.sleep(0.1)
    assert (await client.post(path, json=key)).json()["status"] == "queued"
    engine.release()
    for each in (*first, (path, key)):
        assert (await end_of(client, *each))["status"] == "done"


async def test_a_file_that_is_not_what_it_says_is_an_error_of_the_document(client: httpx.AsyncClient) -> None:
    path, key = await hand_in(client, files={"file": ("letter.docx", b"no package")})
    told = await end_of(client, path, key)
    assert told["status"] == "error"
    assert told["error_message"] == told["message"]
    assert "not a Word file" in told["message"]
    fetched = await client.post(f"{path}/result", json=key)
    assert (fetched.status_code, fetched.json()["message"]) == (400, told["message"])


async def test_one_that_comes_to_nothing_costs_nothing(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    for text, status, used in ((b"fail\n", "error", 0), (b"Hi\n", "done", 2), (b"fail\n", "error", 2)):
        path, key = await hand_in(client, files={"file": ("a.txt", text)})
        assert (await end_of(client, path, key))["status"] == status
        assert (await client.get("/v2/usage")).json()["character_count"] == used


async def test_one_that_is_ended_with_the_service_costs_nothing(tmp_path: Path, engine: FakeEngine) -> None:
    with KeyFile(tmp_path / FILE_NAME) as keys:
        headers = {"Authorization": f"DeepL-Auth-Key {keys.add('anna', Limits(characters_per_month=100))}"}
        engine.is_held = True
        async with calling(Settings(state=tmp_path, api_keys=True), engine) as (_, client):
            client.headers.update(headers)
            await hand_in(client)
            async with asyncio.timeout(10):
                while not engine.jobs:
                    await asyncio.sleep(0.01)
            assert (await client.get("/v2/usage")).json()["character_count"] == 14
        assert keys.used(month_of(time.time())[0]).get("anna", 0) == 0


async def test_a_glossary_holds_in_a_document(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    fields = {"name": "g", "source_lang": "en", "target_lang": "de", "entries": "you\tdu", "entries_format": "tsv"}
    made = (await client.post("/v2/glossaries", json=fields)).json()
    path, key = await hand_in(client, glossary_id=made["glossary_id"])
    await end_of(client, path, key)
    assert engine.jobs[-1].options.terms == (("you", "du"),)


@pytest.mark.parametrize(
    ("parts", "status", "message"),
    [
        ({"data": FIELDS}, 400, "Invalid file data."),
        ({"files": TEXT}, 400, "Parameter 'target_lang' not specified."),
        ({"files": TEXT, "data": {"target_lang": "XX"}}, 400, "Value for 'target_lang' not supported."),
        ({"files": TEXT, "data": {**FIELDS, "formality": "more"}}, 400, "'formality' is not supported"),
        ({"files": TEXT, "data": {**FIELDS, "output_format": "pdf"}}, 400, "Value for 'output_format' not supported."),
        ({"files": TEXT, "data": {**FIELDS, "glossary_id": "x"}}, 404, "Glossary not found."),
        ({"files": {"file": ("a.exe", b"x")}, "data": FIELDS}, 400, "file format not supported"),
        ({"files": {"file": ("a.txt", b"")}, "data": FIELDS}, 400, "Invalid file data."),
    ],
)
async def test_wrong_documents(client: httpx.AsyncClient, parts: dict[str, Any], status: int, message: str) -> None:
    response = await client.post("/v2/document", **parts)
    assert response.status_code == status
    assert message in response.json()["message"]
    assert isinstance(response.json()["detail"], str)


async def test_nobody_asks_for_a_document_without_its_key(client: httpx.AsyncClient) -> None:
    path, key = await hand_in(client)
    for asked, wrong, status in (
        (path, {}, 400),
        (path, {"document_key": "x"}, 404),
        (path, {"document_key": "ß"}, 404),
        (f"{path}/result", {"document_key": "x"}, 404),
        ("/v2/document/0", key, 404),
    ):
        assert (await client.post(asked, json=wrong)).status_code == status


async def test_a_desk_has_room_for_so_many_and_forgets_in_time() -> None:
    now = 0.0
    desk = DocumentDesk(clock=lambda: now)
    go = asyncio.Event()

    async def work(job: Job) -> None:
        await go.wait()
        job.characters = 7

    jobs = [desk.start(work, life_s=60) for _ in range(MAX_WAITING)]
    with pytest.raises(Overloaded, match=f"{MAX_WAITING} documents wait"):
        desk.start(work, life_s=60)
    go.set()
    await asyncio.gather(*(job.task for job in jobs if job.task))
    assert {job.status for job in jobs} == {"done"}
    now = 59.0
    last = desk.start(work, life_s=60)
    assert desk.find(jobs[0].id, jobs[0].secret).characters == 7
    now = 60.0
    desk.start(work, life_s=60)
    with pytest.raises(NotFound):
        desk.find(jobs[0].id, jobs[0].secret)
    assert desk.find(last.id, last.secret) is last


async def test_a_desk_remembers_only_so_many_ends() -> None:
    desk = DocumentDesk()

    async def work(_: Job) -> None:
        pass

    jobs = []
    for _ in range(MAX_ENDED + 5):
        jobs.append(desk.start(work, life_s=1e9))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert desk.find(jobs[-1].id, jobs[-1].secret) is jobs[-1]
    with pytest.raises(NotFound):
        desk.find(jobs[0].id, jobs[0].secret)


async def test_a_fault_in_a_job_says_nothing_of_the_document(caplog: pytest.LogCaptureFixture) -> None:
    desk = DocumentDesk()
    message = "secret"

    async def work(_: Job) -> None:
        raise RuntimeError(message)

    job = desk.start(work, life_s=60)
    assert job.task is not None
    await job.task
    assert (job.status, job.message) == ("error", "internal error")
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
