"""Files over HTTP: LibreTranslate's contract, limits, and how a file shares the engine with others."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from app.errors import BadRequest
from app.file_store import FileStore
from app.files import SMALL_BYTES, known_format, limits_of, target_name
from app.settings import Settings
from nmt.inference import SUFFIXES
from tests.app.fake_engine import FakeEngine
from tests.app.serving import calling
from tests.documents.samples import unpacked, word

pytestmark = pytest.mark.anyio

PAIR = {"source": "en", "target": "de"}
PAGE = b"<p>Hello <b>you</b> &amp; me</p>\n"


async def send(client: httpx.AsyncClient, data: bytes, name: str = "a.txt", **fields: str) -> httpx.Response:
    return await client.post("/translate_file", files={"file": (name, data)}, data={**PAIR, **fields})


async def fetch(client: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
    """The file that an answer names."""
    assert answer.status_code == 200, answer.text
    url = answer.json()["translatedFileUrl"]
    assert url.startswith("http://service/download_file/")
    return await client.get(urlsplit(url).path)


async def test_a_file_is_translated_and_fetched(client: httpx.AsyncClient) -> None:
    answer = await send(client, PAGE, "Ma page.html")
    assert set(answer.json()) == {"translatedFileUrl"}
    assert answer.headers["X-Model-Version"] == "v-en-de"
    file = await fetch(client, answer)
    assert file.content == b"<p>HELLO <b>YOU</b> &amp; ME</p>\n"
    assert file.headers["content-type"].startswith("text/html")
    assert 'filename="Ma page_de.html"' in file.headers["content-disposition"]
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in file.headers["content-security-policy"]
    assert (await fetch(client, answer)).content == file.content


async def test_a_word_file_keeps_its_package(client: httpx.AsyncClient) -> None:
    data = word(
        '<w:p><w:r><w:t xml:space="preserve">Hello </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>you</w:t></w:r></w:p>'
    )
    file = await fetch(client, await send(client, data, "letter.docx"))
    before, after = unpacked(data), unpacked(file.content)
    changed = before.pop("word/document.xml").replace(b"Hello", b"HELLO").replace(b"you", b"YOU")
    assert after.pop("word/document.xml") == changed
    assert after == before


async def test_names_of_any_script_are_kept_for_the_user(client: httpx.AsyncClient) -> None:
    answer = await send(client, b"Hi\n", "Brief für Łódź.TXT")
    assert re.fullmatch(r"[0-9a-f]{32}\.[A-Za-z0-9._-]+_de\.TXT", answer.json()["translatedFileUrl"].rpartition("/")[2])
    disposition = (await fetch(client, answer)).headers["content-disposition"]
    assert unquote(disposition.partition("filename*=UTF-8''")[2]) == "Brief für Łódź_de.TXT"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.docx", "a_de.docx"),
        ("a.pot", "a_de.po"),
        ("..\\..\\b.txt", "b_de.txt"),
        ("/etc/x.srt", "x_de.srt"),
        ("a\nb.txt", "ab_de.txt"),
    ],
)
def test_the_name_of_the_result(name: str, expected: str) -> None:
    assert target_name(name, known_format(name), "de") == expected


async def test_a_report_says_what_became_of_the_texts(client: httpx.AsyncClient) -> None:
    answer = await send(client, b"Hi\nlong\nfail\nHi\n123\n", report="true")
    assert answer.json()["report"] == {
        "source": "en",
        "texts": 4,
        "translated": 3,
        "flags": {"repetition": 1, "truncated": 1},
        "failures": [{"place": "line 3", "error": "no translation found"}],
    }
    assert (await fetch(client, answer)).content == b"HI\nLONG\nfail\nHI\n123\n"


async def test_equal_texts_are_translated_once_and_tags_say_so(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    await send(client, b"<p>Hi</p><p>Hi</p><p>Hi <i>you</i></p>", "a.html")
    asked = sorted((job.texts, job.options.markup) for job in engine.jobs)
    assert asked == [(["Hi"], ""), (['Hi <g id="1">you</g>'], "xml")]


async def test_the_language_is_told_for_the_whole_file(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    answer = await send(client, b"de: Guten Tag\nja\n", source="auto", target="en", report="1")
    assert answer.json()["report"]["source"] == "de"
    assert {(job.source, job.target) for job in engine.jobs} == {("de", "en")}


async def test_a_file_in_the_target_language_comes_back_as_it_is(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    assert (await fetch(client, await send(client, b"Hallo\n", source="de", target="de"))).content == b"Hallo\n"
    assert not engine.jobs


@pytest.mark.parametrize(
    ("name", "data", "fields", "status", "error"),
    [
        ("a.txt", b"Hi", {"source": ""}, 400, "Invalid request: missing source parameter"),
        ("a.txt", b"Hi", {"target": ""}, 400, "Invalid request: missing target parameter"),
        ("a.exe", b"Hi", {}, 400, "Invalid request: file format not supported"),
        ("a", b"Hi", {}, 400, "Invalid request: file format not supported"),
        ("a.txt", b"", {}, 400, "Invalid request: empty file"),
        ("a.txt", b"Hi", {"target": "xx"}, 400, "xx is not supported"),
        ("a.txt", b"Hi", {"source": "fr"}, 400, "German (de) is not available as a target language from French (fr)"),
        ("a.txt", b"a\nb\xff", {}, 400, "line 2: not valid UTF-8 (byte 0xff): convert it with iconv"),
        ("a.docx", b"Hi", {}, 400, "not a Word file, or damaged (File is not a zip file)"),
        ("a.xlf", b"<xliff", {}, 400, None),
        ("a.txt", b"fail\n", {}, 500, "no translation found"),
    ],
)
async def test_what_is_wrong_is_said(
    client: httpx.AsyncClient, name: str, data: bytes, fields: dict[str, str], status: int, error: str | None
) -> None:
    answer = await send(client, data, name, **fields)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert error in (None, answer.json()["error"])


@pytest.mark.parametrize(
    "request_",
    [
        {"data": PAIR},
        {"json": PAIR},
        {"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"content": b"abc", "headers": {"Content-Type": "multipart/form-data"}},
        {"files": [("file", ("a.txt", b"1")), ("file", ("b.txt", b"2"))], "data": PAIR},
        {"files": {"other": ("a.txt", b"1")}, "data": PAIR},
        {"data": PAIR, "files": {"file": (None, b"Hi")}},
    ],
)
async def test_a_form_without_its_one_file_is_refused(client: httpx.AsyncClient, request_: dict[str, Any]) -> None:
    answer = await client.post("/translate_file", **request_)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


async def test_fields_may_stand_in_the_query_string(client: httpx.AsyncClient) -> None:
    answer = await client.post("/translate_file", params=PAIR, files={"file": ("a.txt", b"Hi\n")})
    assert (await fetch(client, answer)).content == b"HI\n"


async def test_settings_for_user_interfaces_name_the_formats(client: httpx.AsyncClient) -> None:
    body = (await client.get("/frontend/settings")).json()
    assert body["filesTranslation"] is True
    assert body["supportedFilesFormat"] == list(SUFFIXES)
    assert {".txt", ".html", ".srt", ".po", ".xlf", ".tmx", ".docx"} <= set(SUFFIXES)


async def test_a_file_nobody_has_is_not_found(client: httpx.AsyncClient) -> None:
    for name in ("a.txt", "..%2fx", "0" * 32 + ".a_de.txt"):
        answer = await client.get(f"/download_file/{name}")
        assert answer.status_code == 404
        assert set(answer.json()) == {"error"}


async def test_files_can_be_off(engine: FakeEngine) -> None:
    async with calling(Settings(max_file_bytes=0), engine) as (_, client):
        answer = await send(client, b"Hi\n")
        assert answer.status_code == 403
        assert answer.json() == {"error": "Files translation are disabled on this server."}
        body = (await client.get("/frontend/settings")).json()
        assert (body["filesTranslation"], body["supportedFilesFormat"]) == (False, [])


async def test_a_file_may_be_larger_than_other_bodies_but_not_too_large(engine: FakeEngine) -> None:
    settings = Settings(max_body_bytes=1024, max_file_bytes=5000)
    async with calling(settings, engine) as (_, client):
        assert (await send(client, b"1 word\n" * 700)).status_code == 200
        assert (await send(client, b"1 word\n" * 720)).status_code == 413
        assert (await send(client, b"x" * 200_000)).status_code == 413
        assert (await client.post("/translate", json={"q": "x" * 2000, **PAIR})).status_code == 413


async def test_what_unpacks_to_too_much_is_refused(engine: FakeEngine) -> None:
    settings = Settings(max_file_bytes=100_000)
    assert limits_of(settings).max_bytes == 800_000
    async with calling(settings, engine) as (_, client):
        answer = await send(client, word(f"<!--{' ' * 1_000_000}-->"), "a.docx")
        assert answer.status_code == 400
        assert "unpacks to more than 800,000 bytes" in answer.json()["error"]


async def test_a_key_is_asked_for_before_a_file_is_read(client: httpx.AsyncClient, app: FastAPI) -> None:
    seen: list[tuple[int, int]] = []
    gate = app.state.service.gate
    admit = gate.admit

    def note(key: str | None, *, characters: int, texts: int) -> Any:
        seen.append((characters, texts))
        return admit(key, characters=characters, texts=texts)

    gate.admit = note
    await send(client, b"one\ntwo words\none\n")
    assert seen == [(12, 2)]


async def test_a_file_goes_in_portions_and_others_are_not_shut_out(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.is_held = True
    lines = "".join(f"line {number} a\n" for number in range(40))
    file = asyncio.create_task(send(client, lines.encode()))
    await _until(lambda: len(engine.jobs) == 2)
    await asyncio.sleep(0.05)
    assert [len(job.texts) for job in engine.jobs] == [4, 4]  # two portions are under way, of 4 texts: max_texts
    other = asyncio.create_task(client.post("/translate", json={"q": "Hi", **PAIR}))
    await _until(lambda: len(engine.jobs) == 3)
    engine.release()
    assert (await other).json() == {"translatedText": "HI"}
    assert (await fetch(client, await file)).content.decode() == lines.upper()


async def test_a_full_queue_makes_a_file_wait(client: httpx.AsyncClient, engine: FakeEngine, app: FastAPI) -> None:
    engine.max_queue = 0
    task = asyncio.create_task(send(client, b"Hi\n"))
    await asyncio.sleep(0.1)
    assert not task.done()
    engine.max_queue = 512
    async with asyncio.timeout(5):
        assert (await task).status_code == 200


async def test_a_file_has_its_own_deadline(engine: FakeEngine) -> None:
    engine.max_queue = 0
    async with calling(Settings(file_deadline_s=0.2), engine) as (_, client):
        answer = await send(client, b"Hi\n")
        assert answer.status_code == 504
        assert answer.json() == {"error": "no translation of the file within 0.2 s"}


async def test_no_more_files_than_allowed_are_in_work(engine: FakeEngine) -> None:
    engine.is_held = True
    async with calling(Settings(max_file_jobs=1), engine) as (_, client):
        first = asyncio.create_task(send(client, b"Hi\n"))
        await _until(lambda: engine.jobs)
        second = await send(client, b"Ho\n")
        assert second.status_code == 503
        assert int(second.headers["Retry-After"]) >= 1
        engine.release()
        assert (await first).status_code == 200
        assert (await send(client, b"Ho\n")).status_code == 200


@pytest.mark.parametrize("size", [10, 12_000])
async def test_small_and_large_files_give_the_same(client: httpx.AsyncClient, engine: FakeEngine, size: int) -> None:
    """The large one is read in a process of its own."""
    text = "some words\nothers\nfail\n" * size
    settings = Settings()
    assert (len(text) > SMALL_BYTES) == (size > 10)
    async with calling(settings, engine) as (_, other):
        for asked in (client, other):
            answer = await send(asked, text.encode(), report="1")
            if answer.status_code == 413:  # over the limit of bodies in these tests
                continue
            assert (await fetch(asked, answer)).content.decode() == text.upper().replace("FAIL", "fail")
            assert answer.json()["report"]["translated"] == 2 * size
            assert len(answer.json()["report"]["failures"]) == min(size, 20)


async def test_a_caller_that_leaves_ends_the_work(app: FastAPI, engine: FakeEngine) -> None:
    """As ASGI: a client in this process cannot hang up."""
    engine.is_held = True
    boundary = "x"
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in PAIR.items()]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nHi\r\n--{boundary}--\r\n'
    )
    messages = asyncio.Queue[dict[str, Any]]()
    messages.put_nowait({"type": "http.request", "body": "".join(parts).encode(), "more_body": False})
    sent: list[Any] = []

    async def send_(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/translate_file",
        "query_string": b"",
        "headers": [(b"content-type", f"multipart/form-data; boundary={boundary}".encode())],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("service", 80),
        "client": ("test", 1),
        "root_path": "",
    }
    task = asyncio.create_task(app(scope, messages.get, send_))
    await _until(lambda: engine.jobs)
    assert engine.waiting == 1
    messages.put_nowait({"type": "http.disconnect"})
    async with asyncio.timeout(5):
        await task
    await _until(lambda: engine.waiting == 0)
    assert app.state.service.files.in_work == 0
    assert len(app.state.service.files.store) == 0


def test_results_are_kept_for_a_while_and_make_room_for_newer_ones() -> None:
    now = 0.0
    store = FileStore(clock=lambda: now)
    names = [store.put(b"12345", f"{n}.txt", "text/plain", life_s=10, max_bytes=12) for n in "ab"]
    assert len(set(names)) == 2
    assert [file.name for name in names if (file := store.get(name))] == ["a.txt", "b.txt"]
    now = 5.0
    third = store.put(b"12345", "c.txt", "text/plain", life_s=10, max_bytes=12)
    assert store.get(names[0]) is None
    assert store.get(names[1]) is not None
    now = 12.0
    assert store.get(names[1]) is None
    assert store.get(third) is not None
    now = 15.0
    assert store.get(third) is None
    assert len(store) == 0
    store.put(b"x" * 100, "d.txt", "text/plain", life_s=10, max_bytes=12)  # the newest is kept whatever its size
    assert len(store) == 1


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(BadRequest):
        known_format("a.pdf")


async def _until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)
