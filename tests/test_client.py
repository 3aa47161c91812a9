"""The client against the service itself: in this process, over HTTP, and as `nmt serve`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from nmt.client import (
    AccessDenied,
    AsyncClient,
    Candidate,
    Client,
    Detection,
    FileReport,
    Health,
    Language,
    QuotaExceeded,
    RequestRefused,
    ServiceBusy,
    ServiceError,
    ServiceFault,
    ServiceTimeout,
    ServiceUnreachable,
    TooLarge,
    TranslatedFile,
    TranslatedText,
)
from nmt.errors import ConfigError, DeadlineExceeded, InputTooLong, NmtError, Overloaded
from nmt.inference import TranslateOptions, Translator
from tests.app.fake_engine import FakeDetector, FakeEngine
from tests.app.serving import free_port, serving, wait_until_ready
from tests.bundles import make_bundle, toy_sentences

SETTINGS = Settings(max_text_chars=2000, max_texts=4, max_body_bytes=20_000, access_log=False)
LINKS = ((0, 0), (1, 1))
LOOKED = (((0, 0.75),), ((1, 0.75), (0, 0.25)))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def client(engine: FakeEngine) -> AsyncIterator[AsyncClient]:
    """Of the application in this process."""
    app = create_app(SETTINGS, load_engine=lambda _: engine)
    async with (
        app.router.lifespan_context(app),
        AsyncClient("http://service", transport=httpx.ASGITransport(app), texts_per_request=4) as client,
    ):
        yield client


@pytest.fixture
def address(engine: FakeEngine) -> Iterator[str]:
    with serving(engine, SETTINGS) as address:
        yield address


# ---- the application in this process


@pytest.mark.anyio
async def test_a_text_comes_back_with_what_was_asked_for_and_nothing_else(client: AsyncClient) -> None:
    plain = await client.translate("a b", "en", "de")
    assert plain == TranslatedText("A B", model_version="v-en-de")
    assert str(plain) == "A B"
    full = await client.translate(
        "a b", "en", "de", alternatives=1, n_best=1, scores=True, alignments=True, attention=True, flags=True
    )
    assert full == TranslatedText(
        text="A B",
        score=-0.5,
        alternatives=("A B!",),
        n_best=(Candidate("A B", -0.5, LINKS, LOOKED),),
        alignment=LINKS,
        attention=LOOKED,
        flags=frozenset(),
        model_version="v-en-de",
    )


@pytest.mark.anyio
async def test_options_reach_the_engine(client: AsyncClient, engine: FakeEngine) -> None:
    await client.translate("a", "EN", "DE", beam_size=7, n_best=2, raw=True)
    assert engine.jobs[0].options == TranslateOptions(beam_size=7, n_best=2, raw=True)
    with pytest.raises(TypeError, match="beam, width"):
        await client.translate("a", "en", "de", width=3, beam=1)  # type: ignore[call-overload]


@pytest.mark.anyio
async def test_a_file_is_sent_and_its_translation_fetched(client: AsyncClient, tmp_path: Path) -> None:
    path = tmp_path / "Brief & für.html"
    path.write_bytes(b"<p>Hello <b>you</b></p><p>fail</p><p>long</p>")
    done = await client.translate_file(path, "en", "de")
    assert done == TranslatedFile(
        name="Brief & für_de.html",
        content=b"<p>HELLO <b>YOU</b></p><p>fail</p><p>LONG</p>",
        report=FileReport("en", 3, 2, {"repetition": 1, "truncated": 1}, (("line 1", "no translation found"),)),
        model_version="v-en-de",
    )
    with pytest.raises(RequestRefused, match="file format not supported"):
        await client.translate_file(__file__, "en", "de")
    with pytest.raises(FileNotFoundError):
        await client.translate_file(tmp_path / "none.txt", "en", "de")


def test_a_file_goes_over_http_too(address: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"Hi\r\n" * 5_000)
    with Client(address) as client:
        assert client.translate_file(path, "en", "de").content == b"HI\r\n" * 5_000


@pytest.mark.anyio
async def test_a_list_keeps_its_order_and_is_sent_in_parts(client: AsyncClient, engine: FakeEngine) -> None:
    texts = [f"text {number}" for number in range(10)]
    translated = await client.translate(texts, "en", "de", scores=True)
    assert [one.text for one in translated] == [text.upper() for text in texts]
    assert {one.score for one in translated} == {-0.5}
    assert [len(job.texts) for job in engine.jobs] == [4, 4, 2]
    assert await client.translate((), "en", "de") == []
    assert len(engine.jobs) == 3


@pytest.mark.anyio
async def test_a_text_that_fails_does_not_fail_its_neighbours(client: AsyncClient) -> None:
    texts = ["a", "fail", "x" * 2001, "b"]
    translated = await client.translate(texts, "en", "de", flags=True)
    assert [one.text for one in translated] == ["A", "fail", "x" * 2001, "B"]
    assert [one.error for one in translated] == [
        None,
        "no translation found",
        "Invalid request: request (2001) exceeds text limit (2000)",
        None,
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["", " \n", "  Grüße 🙂\n\n"])
async def test_any_text_may_be_sent(client: AsyncClient, text: str) -> None:
    assert (await client.translate(text, "en", "de")).text == (text.upper() if text.strip() else text)


@pytest.mark.anyio
async def test_what_the_service_says_of_itself(client: AsyncClient, engine: FakeEngine) -> None:
    assert (await client.languages())[1] == Language("en", "English", ("de", "en", "fr"))
    assert await client.health() == Health(is_ready=True)
    engine.reasons = ("no worker is alive",)
    assert await client.health() == Health(is_ready=False, reasons=("no worker is alive",))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "target", "kind", "status", "message"),
    [
        ("a", "xx", RequestRefused, 400, "xx is not supported"),
        ("x" * 2001, "de", RequestRefused, 400, "exceeds text limit"),
        ("\ud800", "de", RequestRefused, 400, "not valid Unicode"),
        ("x" * 30_000, "de", TooLarge, 413, "exceeds the limit of 20000 bytes"),
        ("late", "de", ServiceTimeout, 504, "no translation within 30 s"),
        ("fail", "de", ServiceFault, 500, "no translation found"),
    ],
)
async def test_an_error_says_what_happened_and_is_not_tried_again(
    client: AsyncClient, engine: FakeEngine, text: str, target: str, kind: type[ServiceError], status: int, message: str
) -> None:
    with pytest.raises(kind, match=message) as raised:
        await client.translate(text, "en", target)
    assert type(raised.value) is kind
    assert raised.value.status == status
    assert raised.value.request_id
    assert len(engine.jobs) <= 1


@pytest.mark.anyio
async def test_a_full_service_is_asked_again_after_the_time_it_names(
    client: AsyncClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    engine.max_queue = 0

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        engine.max_queue = 512 if len(waits) == 2 else 0

    monkeypatch.setattr("nmt.client.asyncio.sleep", sleep)
    assert (await client.translate("a", "en", "de")).text == "A"
    assert len(waits) == 2
    assert all(3.0 <= seconds <= 3.5 for seconds in waits)  # the service says 3, and a little chance


# ---- over HTTP


def test_the_exception_of_a_full_service_is_that_of_a_full_engine(address: str, engine: FakeEngine) -> None:
    engine.max_queue = 0
    with Client(address, retries=0) as client, pytest.raises(Overloaded, match="the queue is full") as raised:
        client.translate("a", "en", "de")
    assert isinstance(raised.value, ServiceBusy)
    assert (raised.value.status, raised.value.retry_after_s) == (503, 3)


def test_a_wait_that_would_pass_the_time_limit_is_not_begun(address: str, engine: FakeEngine) -> None:
    engine.max_queue = 0
    began = time.monotonic()
    with Client(address, timeout_s=2.5) as client, pytest.raises(ServiceBusy):
        client.translate("a", "en", "de")
    assert time.monotonic() - began < 2


def test_a_client_gives_up_in_time_and_the_service_then_does_too(address: str, engine: FakeEngine) -> None:
    engine.is_held = True
    with Client(address, timeout_s=0.3) as client, pytest.raises(ServiceTimeout) as raised:
        client.translate("a", "en", "de")
    assert isinstance(raised.value, DeadlineExceeded)
    assert raised.value.status is None
    assert_cancelled(engine)


def test_a_cancelled_task_frees_its_place_in_the_service(address: str, engine: FakeEngine) -> None:
    engine.is_held = True

    async def begin_and_cancel() -> None:
        async with AsyncClient(address) as client:
            task = asyncio.create_task(client.translate("a", "en", "de"))
            while not engine.jobs:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(begin_and_cancel())
    assert_cancelled(engine)


def assert_cancelled(engine: FakeEngine) -> None:
    end = time.monotonic() + 10
    while not engine.jobs[0].future.cancelled():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_detected_languages_and_ways_through_others_are_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.models.Detector", FakeDetector)
    with Client(address) as client:
        assert client.detect("de: Tag") == (Detection("de", 87.6),)
        direct, around = client.translate(["en: day", "de: Tag"], "auto", "fr")
    assert (direct.detected, direct.pivot) == (Detection("en", 87.6), None)
    assert (around.detected, around.pivot, around.text) == (Detection("de", 87.6), "en", "DE: TAG")


def listen(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    """Have the client note its waits in place of waiting; what other threads wait is theirs."""
    clock = SimpleNamespace(sleep=waits.append, monotonic=time.monotonic, time=time.time)
    monkeypatch.setattr("nmt.client.time", clock)


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    listen(monkeypatch, waits)
    with Client(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(ServiceUnreachable) as raised:
        client.languages()
    assert isinstance(raised.value, NmtError)
    assert isinstance(raised.value.__cause__, httpx.ConnectError)
    assert len(waits) == 4
    for attempt, seconds in enumerate(waits):
        assert 0.125 * 2**attempt <= seconds <= 0.25 * 2**attempt


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://example.org", "", "http://", "http://[::1", "http://h\n"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match="is not the address of a service"):
        Client(url)


# ---- what no service of ours says today, but others and proxies do


def answering(*responses: httpx.Response) -> tuple[list[httpx.Request], httpx.MockTransport]:
    """Requests as they come, answered in turn; the last answer stays."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return responses[min(len(requests), len(responses)) - 1]

    return requests, httpx.MockTransport(answer)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessDenied),
        (403, AccessDenied),
        (404, RequestRefused),
        (408, ServiceTimeout),
        (413, InputTooLong),
        (429, QuotaExceeded),
        (500, ServiceFault),
        (502, ServiceBusy),
        (504, ServiceTimeout),
        (301, ServiceFault),
    ],
)
def test_every_status_has_its_exception(status: int, kind: type[NmtError]) -> None:
    _, transport = answering(httpx.Response(status, html="<h1>A proxy</h1>"))
    with Client(transport=transport, retries=0) as client, pytest.raises(kind) as raised:
        client.languages()
    assert isinstance(raised.value, ServiceError)
    assert raised.value.status == status
    assert str(status) in str(raised.value)


@pytest.mark.parametrize("retry_after", ["5", "date"])
def test_a_quota_is_waited_for(monkeypatch: pytest.MonkeyPatch, retry_after: str) -> None:
    waits: list[float] = []
    listen(monkeypatch, waits)
    if retry_after == "date":
        retry_after = format_datetime(datetime.now(UTC) + timedelta(seconds=6), usegmt=True)
    busy = httpx.Response(429, headers={"Retry-After": retry_after}, json={"error": "Slowdown: 3 per 1 minute"})
    requests, transport = answering(busy, httpx.Response(200, json=[]))
    with Client(transport=transport) as client:
        assert client.languages() == ()
    assert len(requests) == 2
    assert 4.5 <= waits[0] <= 6.5


@pytest.mark.parametrize(
    "body",
    ["[]", "{}", "null", '{"translatedText": 5}', '{"translatedText": ["a", "b"]}', "<html>", '{"translatedText'],
)
def test_an_answer_of_another_shape_is_a_fault(body: str) -> None:
    _, transport = answering(httpx.Response(200, text=body))
    with Client(transport=transport) as client:
        with pytest.raises(ServiceFault, match="another shape"):
            client.translate("a", "en", "de")
        with pytest.raises(ServiceFault, match="another shape"):
            client.translate(["a"], "en", "de")


def test_a_service_without_detection_says_so() -> None:
    _, transport = answering(httpx.Response(404, json={"error": "Not Found"}))
    with (
        Client("https://example.org", transport=transport) as client,
        pytest.raises(RequestRefused, match="does not detect languages"),
    ):
        client.detect("Grüße")


def test_keys_paths_and_detection() -> None:
    requests, transport = answering(httpx.Response(200, json=[{"confidence": 92, "language": "de"}]))
    with Client("https://example.org/below/", api_key="secret", transport=transport) as client:
        assert client.detect("Grüße") == (Detection("de", 92.0),)
    assert requests[0].url == "https://example.org/below/detect"
    assert httpx.Response(200, content=requests[0].content).json() == {"q": "Grüße", "api_key": "secret"}
    assert requests[0].headers["User-Agent"].startswith("selfhost-nmt-client/")


def test_without_httpx_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['httpx'] = None\nimport nmt.client"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install httpx" in done.stderr


# ---- the server itself


def test_threads_share_a_client_of_a_real_server(tmp_path: Path) -> None:
    make_bundle(tmp_path / "en-de", search={"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4})
    texts = toy_sentences(24)
    with Translator.load(tmp_path / "en-de") as translator:
        expected = [one.text for one in translator.translate(texts)]
    port = free_port()
    command = [sys.executable, "-m", "nmt.cli.main", "serve", "--port", str(port), "--models", str(tmp_path)]
    environment: dict[str, Any] = {name: value for name, value in os.environ.items() if not name.startswith("NMT_")}
    process = subprocess.Popen(command, env=environment | {"NMT_WORKERS": "1"})
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(address)
        with Client(address) as client, ThreadPoolExecutor(8) as threads:
            assert client.health().is_ready
            assert [one.code for one in client.languages()] == ["de", "en"]
            assert [one.text for one in client.translate(texts, "en", "de")] == expected
            single = threads.map(lambda text: client.translate(text, "en", "de", attention=True), texts)
            for one, text in zip(single, expected, strict=True):
                assert one.text == text
                assert one.attention is not None
                assert len(one.attention) == len(text.split())
    finally:
        process.kill()
        process.wait()
    with Client(address, retries=1) as client, pytest.raises(ServiceUnreachable):
        client.translate("a", "en", "de")
