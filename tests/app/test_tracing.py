"""Spans, as an exporter in memory gets them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app import tracing
from app.direct import Application
from app.exchange import Exchange
from app.tracing import Tracing
from nmt.errors import ConfigError
from tests.app.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

GOOD = {"q": "hunter2-secret", "source": "en", "target": "de"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(app: Application, spans: InMemorySpanExporter) -> Application:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    app.tracing = Tracing(provider)
    return app


def times(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


@pytest.mark.usefixtures("traced")
async def test_a_request_is_a_span_below_its_callers(client: httpx.AsyncClient, spans: InMemorySpanExporter) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine"}
    for way in ({"json": GOOD}, {"data": GOOD}):
        spans.clear()
        await client.post("/translate", headers=headers, **way)  # type: ignore[arg-type]
        (span,) = spans.get_finished_spans()
        assert (span.name, span.kind) == ("POST /translate", SpanKind.SERVER)
        assert span.parent is not None
        assert f"{span.parent.trace_id:032x} {span.parent.span_id:016x}" == f"{TRACE} {PARENT}"
        attributes = dict(span.attributes or {})
        assert attributes["http.response.status_code"] == 200
        assert attributes["nmt.request_id"] == "mine"
        assert (attributes["nmt.caller"], attributes["nmt.texts"], attributes["nmt.characters"]) == ("anonymous", 1, 14)


@pytest.mark.usefixtures("traced")
async def test_spans_hold_no_text_no_address_and_no_key(client: httpx.AsyncClient, spans: InMemorySpanExporter) -> None:
    await client.post("/translate", json=GOOD | {"api_key": "hunter2-key"})
    await client.post("/translate", json=GOOD | {"target": "hunter2"})
    await client.get("/hunter2?q=hunter2")
    shown = "".join(span.to_json() for span in spans.get_finished_spans())
    assert len(spans.get_finished_spans()) == 3
    assert "hunter2" not in shown
    assert "127.0.0.1" not in shown


@pytest.mark.usefixtures("traced")
async def test_a_fault_is_an_error_and_a_mistake_of_the_caller_is_none(
    client: httpx.AsyncClient, spans: InMemorySpanExporter, engine: FakeEngine
) -> None:
    await client.post("/translate", json=GOOD | {"target": "xx"})
    engine.fault = RuntimeError("secret")
    await client.post("/translate", json=GOOD)
    mistake, fault = spans.get_finished_spans()
    assert (mistake.status.status_code, fault.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert (mistake.attributes or {})["error.type"] == "UnsupportedPair"
    assert (fault.attributes or {})["error.type"] == "RuntimeError"
    assert not fault.events, "an event would hold the fault's words"


def test_wait_and_work_lie_below_the_request_one_after_the_other(spans: InMemorySpanExporter) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    done = Exchange({}, {})
    done.queue_s, done.engine_s = 0.5, 1.25
    Tracing(provider).note({"method": "POST"}, "/translate", 200, 2.0, done)
    named = {span.name: span for span in spans.get_finished_spans()}
    whole, queue, engine = named["POST /translate"], named["queue"], named["engine"]
    assert queue.parent == engine.parent == whole.get_span_context()
    assert times(queue)[1] - times(queue)[0] == 500_000_000
    assert times(engine)[1] - times(engine)[0] == 1_250_000_000
    assert times(whole)[0] < times(queue)[0]
    assert times(queue)[1] == times(engine)[0]
    assert times(engine)[1] == times(whole)[1]


def test_the_exporter_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    named = {}
    for name in ("", "otlp", "console", "none"):
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", name)
        named[name] = type(tracing.exporter()).__name__
    assert named == {
        "": "OTLPSpanExporter",
        "otlp": "OTLPSpanExporter",
        "console": "ConsoleSpanExporter",
        "none": "NoneType",
    }
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(ConfigError, match="zipkin is not known here"):
        tracing.exporter()


def test_without_the_setting_none_of_it_is_imported() -> None:
    program = (
        "import sys; from app.main import create_app; from app.settings import Settings; create_app(Settings());"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
