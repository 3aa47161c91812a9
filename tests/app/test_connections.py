"""The server's connections, over real sockets: who may stay, who must go, and what they are told."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import os
import resource
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from app.connections import (
    ALWAYS_ANSWERED,
    MAX_FIELDS,
    MAX_PIPELINED,
    SMALL_BODY_BYTES,
    WORK,
    Connection,
    Door,
    without_upgrade,
)
from app.direct import Application
from app.main import create_app
from app.server import Server, allow_files, make_server
from app.settings import Settings
from tests.app.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

TEXT = b'{"q":"Hi","source":"en","target":"de"}'
FIELDS_AFTER_THE_BODY = (
    b"POST /translate HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 200 + b"\r\n"
)


class Caller:
    """A connection to the server, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and header fields of the next answer."""
        async with asyncio.timeout(20):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines)

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, header fields and JSON of the next answer."""
        status, fields = await self.head()
        async with asyncio.timeout(20):
            body = await self._reader.readexactly(int(fields["content-length"]))
        return status, fields, json.loads(body)

    async def is_closed(self) -> bool:
        """Wait for the end: whether it came with nothing before it."""
        async with asyncio.timeout(20):
            try:
                return await self._reader.read(1) == b""
            except ConnectionResetError:
                return True

    def leave(self) -> None:
        self._writer.close()


class Service:
    """A running server, its door, and connections to it."""

    def __init__(self, app: Application, server: Server, door: Door, port: int) -> None:
        self.app, self.server, self.door, self._port = app, server, door, port
        self._callers: list[Caller] = []

    async def call(self, data: bytes = b"") -> Caller:
        caller = Caller(*await asyncio.open_connection("127.0.0.1", self._port, limit=2**24))
        self._callers.append(caller)
        await caller.send(data)
        return caller

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], Any]:
        return await (await self.call(data)).answer()

    async def status(self, data: bytes) -> int:
        return (await (await self.call(data)).head())[0]

    async def all_leave(self) -> None:
        for caller in self._callers:
            caller.leave()
        await until(lambda: not self.door.inside)


@asynccontextmanager
async def serving(engine: FakeEngine, **limits: Any) -> AsyncIterator[Service]:
    """A service with these settings; leaving the block checks that nothing of its connections is left."""
    settings = Settings(**{"access_log": False, **limits})
    app = create_app(settings, load_engine=lambda _: engine)
    server = make_server(app, settings, port=0, log_config=None)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    door = server.door
    service = Service(app, server, door, server.servers[0].sockets[0].getsockname()[1])
    try:
        yield service
        engine.release()
        await service.all_leave()
        assert (door.bodies_bytes, len(door.awaited), len(door.extra)) == (0, 0, 0)
        assert not server.server_state.connections
    finally:
        engine.release()
        server.should_exit = True
        async with asyncio.timeout(10):
            await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def post(body: bytes = TEXT, *, path: str = "/translate", length: int | None = None, more: str = "") -> bytes:
    fields = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {length or len(body)}\r\n{more}"
    return f"POST {path} HTTP/1.1\r\n{fields}\r\n".encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_who_says_nothing_must_go(engine: FakeEngine) -> None:
    async with serving(engine, header_timeout_s=0.05) as service:
        assert await (await service.call()).is_closed()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        get("/livez"),
        post(),
        post() + post(),
        post(path="/nowhere"),
        post(length=10_000),
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (MAX_FIELDS + 1),
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"not HTTP\r\n\r\n",
    ],
    ids=["nothing", "health", "work", "pipelined", "404", "half a body", "fields", "url", "not HTTP"],
)
async def test_a_connection_that_is_lost_needs_no_garbage_collection(engine: FakeEngine, data: bytes) -> None:
    """What it sent can be large, and much of it would pile up until then."""
    async with serving(engine) as service:
        await service.ask(post())
        caller = await service.call(data)
        await until(lambda: len(service.door.inside) == 2)
        if data and b"10000" not in data:
            await caller.head()
        connections = list(map(weakref.ref, service.door.inside))
        gc.collect()
        gc.disable()
        try:
            await service.all_leave()
            await until(lambda: not any(connection() for connection in connections))
        finally:
            gc.enable()


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX-Field: va"])
async def test_a_head_that_does_not_end_is_a_408_however_it_drips(engine: FakeEngine, start: bytes) -> None:
    async with serving(engine, header_timeout_s=0.2) as service:
        caller = await service.call(start)

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.02)
                await caller.send(b"a")

        dripping = asyncio.create_task(drip())
        status, fields, body = await caller.answer()
        dripping.cancel()
        assert (status, fields["connection"]) == (408, "close")
        assert body == {"error": "the head of the request did not arrive within 0.2 s"}


async def test_the_time_for_a_head_begins_with_it_on_a_connection_that_is_kept(engine: FakeEngine) -> None:
    async with serving(engine, header_timeout_s=0.1) as service:
        caller = await service.call(post())
        assert (await caller.answer())[0] == 200
        await asyncio.sleep(0.2)
        await caller.send(post())
        assert (await caller.answer())[0] == 200
        await caller.send(b"POST /tr")
        assert (await caller.answer())[0] == 408


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (MAX_FIELDS + 1) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 100_000 + b"\r\n",
        FIELDS_AFTER_THE_BODY,
    ],
    ids=["endless field", "url", "fields", "many fields", "fields after the body"],
)
async def test_a_head_that_is_too_large_is_a_431(engine: FakeEngine, head: bytes) -> None:
    async with serving(engine) as service:
        assert (await service.ask(head))[0] == 431


async def test_a_request_just_within_the_limits_is_served(engine: FakeEngine) -> None:
    async with serving(engine, max_head_bytes=2048) as service:
        more = "X: a\r\n" * (MAX_FIELDS - 10) + f"Y: {'b' * 1000}\r\n"
        assert (await service.ask(post(more=more)))[0] == 200


async def test_an_endless_field_after_the_body_is_refused(engine: FakeEngine) -> None:
    start = post(b"1\r\na\r\n0\r\nX: ").replace(b"Content-Length: 12", b"Transfer-Encoding: chunked")
    async with serving(engine) as service:
        status, _, body = await service.ask(start + b"a" * 1_000_000)
        assert (status, body) == (400, {"error": "the body is lost in its framing"})


async def test_what_is_not_http_is_told_so_and_counted(engine: FakeEngine) -> None:
    async with serving(engine) as service:
        status, fields, body = await service.ask(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
        assert (status, body) == (400, {"error": "not an HTTP/1.1 request"})
        assert {"x-request-id", "x-content-type-options"} <= set(fields)


async def test_a_new_connection_takes_the_place_of_the_one_awaited_longest(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.connections.SETTLE_S", 0.05)
    async with serving(engine, max_connections=3) as service:
        first, *others = [await service.call() for _ in range(3)]
        await asyncio.sleep(0.1)
        assert (await service.ask(post()))[0] == 200
        assert await first.is_closed()
        for other in others:
            await other.send(post())
            assert (await other.answer())[0] == 200
        assert len(service.door.inside) == 3


class Guest:
    """What the door sees of a connection."""

    def __init__(self, now: float, *, has_sent: bool = False) -> None:
        self.loop = self
        self.now, self.has_sent, self.is_ended = now, has_sent, False

    def time(self) -> float:
        return self.now

    def has_unread(self) -> bool:
        return self.has_sent

    def end(self) -> None:
        self.is_ended = True


class NoGauge:
    def refusal(self) -> None: ...

    def note(self, scope: dict[str, Any], status: int) -> None: ...

    def note_arrival(self) -> None: ...

    def gather(self) -> None: ...


@pytest.mark.parametrize(("sent", "leaves"), [([], 0), ([0], 1), ([0, 1], 2), ([0, 1, 2], 0)])
def test_who_has_sent_what_we_have_not_read_does_not_let_us_wait(sent: list[int], leaves: int) -> None:
    door = Door(Settings(max_connections=3), NoGauge())
    guests = [Guest(float(number), has_sent=number in sent) for number in range(3)]
    for guest in (*guests, Guest(10.0)):
        door.enter(cast(Connection, guest))
    assert [guest.is_ended for guest in guests] == [number == leaves for number in range(3)]


async def test_a_connection_tells_whether_it_has_sent_something(
    engine: FakeEngine,
) -> None:
    async with serving(engine) as service:
        caller = await service.call()
        await until(lambda: service.door.inside)
        (connection,) = service.door.inside
        assert not connection.has_unread()
        connection.transport.pause_reading()
        await caller.send(b"GET")
        await until(connection.has_unread)
        connection.transport.resume_reading()
        await until(lambda: not connection.has_unread())


async def test_connections_that_have_just_come_are_not_closed_for_others(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.connections.MAX_EXTRA", 2)
    async with serving(engine, max_connections=3) as service:
        young = [await service.call() for _ in range(3)]
        extra = await service.call(post())
        status, _, body = await extra.answer()
        assert (status, body) == (503, {"error": "too many connections"})
        await extra.send(get("/health"))
        assert (await extra.answer())[0] == 200
        await service.call()
        late = await service.call()
        assert (await late.answer())[0] == 503
        assert await late.is_closed()
        for caller in young:
            await caller.send(post())
            assert (await caller.answer())[0] == 200


async def test_work_in_hand_is_never_given_up_for_a_new_connection(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.connections.SETTLE_S", 0.0)
    engine.is_held = True
    async with serving(engine, max_connections=3) as service:
        busy = [await service.call(post()) for _ in range(3)]
        await until(lambda: len(engine.jobs) == 3)
        status, fields, body = await service.ask(post())
        assert (status, fields["retry-after"], body) == (503, "1", {"error": "too many connections"})
        assert (await service.ask(get("/health")))[0] == 200
        engine.release()
        assert [(await caller.answer())[0] for caller in busy] == [200] * 3
        assert (await service.ask(post()))[0] == 200


async def test_a_full_queue_refuses_before_the_body_and_keeps_the_connection(engine: FakeEngine) -> None:
    engine.is_held = True
    async with serving(engine, max_queue=2, max_texts=2) as service:
        waiting = [await service.call(post()) for _ in range(2)]
        await until(lambda: len(engine.jobs) == 2)
        caller = await service.call(post(b"", length=len(TEXT)))
        status, fields, body = await caller.answer()
        assert (status, body) == (503, {"error": "the queue is full (2 texts wait)"})
        assert int(fields["retry-after"]) >= 1
        assert "connection" not in fields
        assert (await service.ask(get("/readyz")))[0] == 200
        assert (await service.ask(get("/languages")))[0] == 200
        await caller.send(TEXT)
        engine.release()
        assert [(await one.answer())[0] for one in waiting] == [200, 200]
        await caller.send(post())
        assert (await caller.answer())[0] == 200


async def test_requests_that_come_together_do_not_slip_past_the_door(engine: FakeEngine) -> None:
    engine.is_held = True
    async with serving(engine, max_queue=2, max_texts=2) as service:
        callers = [await service.call() for _ in range(5)]
        await until(lambda: len(service.door.inside) == 5)
        await asyncio.gather(*(caller.send(post()) for caller in callers))
        await until(lambda: len(engine.jobs) == 2)
        engine.release()
        answers = [await caller.answer() for caller in callers]
    refused = [body["error"] for status, _, body in answers if status == 503]
    assert len(refused) == 3
    assert all("texts wait" in error for error in refused)  # in the door's words, not the engine's


async def test_paths_with_rules_of_their_own_are_routes(engine: FakeEngine) -> None:
    async with serving(engine) as service:
        for path in WORK | ALWAYS_ANSWERED:
            assert (await service.status(get(path.decode()))) != 404, path


async def test_an_answer_to_head_has_no_body_whoever_gives_it(engine: FakeEngine) -> None:
    engine.is_held = True
    async with serving(engine, max_queue=1, max_texts=1) as service:
        await service.call(post())
        await until(lambda: engine.jobs)
        caller = await service.call()
        for path, status in (("/livez", 200), ("/v2/translate", 529), ("/nowhere", 404), ("/", 200)):
            await caller.send(get(path).replace(b"GET", b"HEAD"))
            told, fields = await caller.head()  # what came after the head would be taken for the next one
            assert (told, int(fields["content-length"]) > 0) == (status, True)
        await caller.send(get("/livez"))
        assert (await caller.answer())[2] == {"status": "ok"}


async def test_a_page_elsewhere_can_read_that_the_queue_is_full(engine: FakeEngine) -> None:
    engine.is_held, engine.max_queue = True, 1
    async with serving(engine, max_queue=1, max_texts=1) as service:
        await service.call(post())
        await until(lambda: engine.jobs)
        status, fields, _ = await service.ask(post(more="Origin: http://page.example\r\n"))
        assert (status, fields["access-control-allow-origin"]) == (503, "*")


async def test_a_sender_of_a_refused_body_gets_to_see_the_answer(engine: FakeEngine) -> None:
    async with serving(engine) as service:
        caller = await service.call(post(b"", length=50_000_000))
        for _ in range(50):
            await caller.send(b" " * 1_000_000)
        assert (await caller.answer())[0] == 413
        assert await caller.is_closed()


@pytest.mark.parametrize("path", ["/translate", "/v2/translate", "/language/translate/v2", "/detect", "/nowhere"])
async def test_half_a_body_is_given_up_in_time(engine: FakeEngine, path: str) -> None:
    async with serving(engine, deadline_s=0.1) as service:
        status, _, _ = await service.ask(post(TEXT, path=path, length=1000))
        assert status in (404, 408)


async def test_large_bodies_share_their_memory_and_small_ones_need_none_of_it(engine: FakeEngine) -> None:
    limits = {"max_body_bytes": 300_000, "max_bodies_bytes": 300_000, "max_file_bytes": 0}
    async with serving(engine, **limits) as service:
        large = post(b" " * 250_000, length=290_000)
        first = await service.call(large)
        await until(lambda: service.door.bodies_bytes == 250_000 - SMALL_BODY_BYTES)
        status, _, body = await service.ask(large)
        assert (status, body) == (503, {"error": "too many large requests are being read"})
        assert (await service.ask(post()))[0] == 200
        first.leave()
        await until(lambda: not service.door.bodies_bytes)


async def test_a_large_body_counts_until_its_request_is_answered(engine: FakeEngine) -> None:
    engine.is_held = True
    async with serving(engine) as service:
        caller = await service.call(post(TEXT + b" " * 100_000))
        await until(lambda: engine.jobs)
        assert service.door.bodies_bytes == len(TEXT) + 100_000 - SMALL_BODY_BYTES
        engine.release()
        assert (await caller.answer())[0] == 200
        assert service.door.bodies_bytes == 0


async def test_requests_that_do_not_wait_for_answers_are_bounded(engine: FakeEngine) -> None:
    engine.is_held = True
    async with serving(engine) as service:
        caller = await service.call(post() * (MAX_PIPELINED + 2))
        status, _, body = await caller.answer()
        assert (status, body) == (400, {"error": f"more than {MAX_PIPELINED} requests wait on one connection"})
    async with serving(FakeEngine()) as service:
        caller = await service.call(post() * MAX_PIPELINED)
        assert [(await caller.answer())[0] for _ in range(MAX_PIPELINED)] == [200] * MAX_PIPELINED


async def test_a_caller_who_leaves_takes_the_work_along(engine: FakeEngine) -> None:
    engine.is_held = True
    async with serving(engine) as service:
        caller = await service.call(post())
        await until(lambda: engine.jobs)
        caller.leave()
        await until(engine.jobs[0].future.cancelled)
        await service.all_leave()
    assert len(engine.jobs) == 1


async def test_a_caller_who_does_not_read_keeps_nobody_waiting_and_loses_nothing(engine: FakeEngine) -> None:
    text = "a" * 400_000
    large = json.dumps({"q": text, "source": "en", "target": "de"}).encode()
    async with serving(engine, max_text_chars=len(text)) as service:
        caller = await service.call(post(large) * MAX_PIPELINED)
        await until(lambda: len(engine.jobs) >= 2)
        assert (await service.ask(post()))[2]["translatedText"] == "HI"
        for _ in range(MAX_PIPELINED):
            status, _, body = await caller.answer()
            assert (status, body["translatedText"]) == (200, text.upper())


async def test_the_last_answer_of_a_connection_says_so(engine: FakeEngine) -> None:
    async with serving(engine) as service:
        caller = await service.call(post(more="Connection: close\r\n"))
        _, fields, body = await caller.answer()
        assert (fields["connection"], body["translatedText"]) == ("close", "HI")
        assert await caller.is_closed()


async def test_no_header_can_hold_a_line_break(engine: FakeEngine) -> None:
    engine.models = (replace(engine.models[0], version="1\r\nSet-Cookie: a=b"),)
    async with serving(engine) as service:
        caller = await service.call(post())
        status, fields = await caller.head()
        assert (status, "set-cookie" in fields) == (500, False)


async def test_a_wish_for_another_protocol_costs_no_body(engine: FakeEngine) -> None:
    wish = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    async with serving(engine) as service:
        caller = await service.call(post(more=wish))
        assert (await caller.answer())[2] == {"translatedText": "HI"}
        await caller.send(post())
        assert (await caller.answer())[2] == {"translatedText": "HI"}


def test_only_the_name_of_the_field_is_changed() -> None:
    request = b"POST / HTTP/1.1\r\nupgrade: h2c\r\nX: Upgrade: no\r\n\r\nUpgrade: body\r\nUpgrade: body"
    assert without_upgrade(request) == request.replace(b"upgrade: h2c", b"X-Ignored-Upgrade: h2c")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
@pytest.mark.parametrize("path", ["/translate", "/v2/translate", "/detect"])
async def test_a_compressed_body_is_not_unpacked(engine: FakeEngine, encoding: str, path: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    async with serving(engine) as service:
        status, _, body = await service.ask(post(bomb, path=path, more=f"Content-Encoding: {encoding}\r\n"))
        assert status == 415
        assert "Content-Encoding" in str(body)
        assert (await service.ask(post(more="Content-Encoding: identity\r\n")))[0] == 200
    assert len(engine.jobs) == 1


async def test_the_end_comes_when_work_is_done_and_meanwhile_health_is_told(engine: FakeEngine) -> None:
    engine.is_held = True
    async with serving(engine) as service:
        busy = await service.call(post())
        await until(lambda: engine.jobs)
        service.server.should_exit = True
        await until(lambda: service.door.is_stopping)
        assert (await service.ask(get("/livez")))[0] == 200
        status, fields, body = await service.ask(post())
        assert (status, body) == (503, {"error": "the service is stopping"})
        assert (fields["retry-after"], fields["connection"]) == ("5", "close")
        engine.release()
        assert (await busy.answer())[2] == {"translatedText": "HI"}
        await until(lambda: "close" in engine.events)


def form(path: str, **fields: str) -> bytes:
    """A form with a file, for a document from English to German."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    parts.append('--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nHi\r\n--x--\r\n')
    body = "".join(parts).encode()
    return post(body, path=path).replace(b"application/json", b"multipart/form-data; boundary=x")


DEEPL = {"text": ["Hi"], "source_lang": "EN", "target_lang": "DE"}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(), 503),
        (post(more="Origin: http://page.example\r\n"), 503),
        (post(TEXT, length=1000), 503),
        (post(TEXT, path="/detect", length=1000), 503),
        (form("/translate_file", source="en", target="de"), 503),
        (post(json.dumps(DEEPL).encode(), path="/v2/translate"), 529),
    ],
    ids=["text", "page", "half", "half, long way", "file", "deepl"],
)
async def test_what_cannot_be_finished_in_time_is_told_so(
    engine: FakeEngine, request_: bytes, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.is_held = True
    async with serving(engine, drain_s=0.2, access_log=True) as service:
        caller = await service.call(request_)
        await until(lambda: service.server.server_state.tasks)
        service.server.should_exit = True
        told, fields, body = await caller.answer()
        assert (told, body.get("error", body.get("message"))) == (status, "the service is stopping")
        assert fields["retry-after"] == "5"
        assert "x-request-id" in fields
        assert ("access-control-allow-origin" in fields) == (b"Origin" in request_)
        assert await caller.is_closed()
        await until(lambda: "close" in engine.events)
        assert all(job.future.cancelled() for job in engine.jobs)
        assert engine.events == ["drain 0", "close"]  # none of the time is left, and it is not given twice
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[1:4] == ["POST", request_.split()[1].decode(), str(status)]


async def test_documents_in_work_end_with_the_service(engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody could fetch them any more."""
    engine.is_held = True
    async with serving(engine, drain_s=20) as service:
        status, _, body = await service.ask(form("/v2/document", source_lang="EN", target_lang="DE"))
        assert status == 200
        await until(lambda: engine.jobs)
        desk = service.app.state.service.documents
        service.server.should_exit = True
        await until(lambda: "close" in engine.events)
        assert engine.jobs[0].future.cancelled()
        job = desk.find(body["document_id"], body["document_key"])
        assert (job.status, job.message) == ("error", "the service is stopping")
        assert job.ended is not None
    assert not [record for record in caplog.records if record.name.startswith("app")]


async def test_a_second_signal_ends_it_at_once(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", ends.append)
    async with serving(engine) as service:
        service.server.handle_exit(15, None)
        assert (service.server.should_exit, ends) == (True, [])
        service.server.handle_exit(15, None)
        assert ends == [143]
        service.server._captured_signals.clear()


def test_files_are_allowed_as_far_as_the_system_lets_us() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
        allow_files(300)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
        status = Path("/proc/self/status").read_text("ascii")
        assert int(status.partition("FDSize:")[2].split()[0]) >= 300
        allow_files(100)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
