"""Spans for OpenTelemetry: one a request, with its wait and its work below it. Imported only where they are asked for.

They say route, status, numbers, times and the caller's name; never a text, a key or an address. Where they go is the
matter of OpenTelemetry's own variables (docs/operations.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from app.exchange import Exchange
from nmt import __version__
from nmt.errors import ConfigError

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
    from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:  # pragma: no cover
    raise ConfigError(f"NMT_TRACING needs the extra `otel` ({error})") from None

SERVICE_NAME = "nmt"
_HEADERS = ("traceparent", "tracestate")


def exporter() -> SpanExporter | None:
    """What OTEL_TRACES_EXPORTER names: otlp (over HTTP), console or none. Raises ConfigError for any other."""
    name = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if name == "none":
        return None
    if name == "console":
        return ConsoleSpanExporter()
    if name == "otlp":
        return OTLPSpanExporter()
    raise ConfigError(f"OTEL_TRACES_EXPORTER: {name} is not known here; otlp, console and none are")


class Tracing:
    """Makes the spans of a request when it has been answered: until then nothing of it is slower."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """`provider`: for tests; without it one that the environment's OTEL_ variables describe. Raises ConfigError."""
        if provider is None:
            named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE_NAME}
            provider = TracerProvider(resource=Resource.create({**named, "service.version": __version__}))
            destination = exporter()
            if destination is not None:
                provider.add_span_processor(BatchSpanProcessor(destination))
        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE_NAME, __version__)
        self._propagator = TraceContextTextMapPropagator()

    def note(self, scope: Mapping[str, Any], route: str, status: int, seconds: float, done: Exchange) -> None:
        """A request that has just been answered after so many seconds."""
        ended = time.time_ns()
        began = ended - _ns(seconds)
        carrier = {name: value for name in _HEADERS if (value := done.header(name.encode()))}
        attributes: dict[str, str | int | float] = {
            "http.request.method": scope["method"],
            "http.route": route,
            "http.response.status_code": status,
            "url.scheme": scope.get("scheme", "http"),
            "nmt.request_id": scope.get("state", {}).get("request_id", "-"),
        }
        if done.caller:
            attributes |= {"nmt.caller": done.caller, "nmt.texts": done.texts, "nmt.characters": done.characters}
        if done.error is not None:
            attributes["error.type"] = done.error.__name__
        span = self._tracer.start_span(
            f"{scope['method']} {route}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=began,
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        if done.engine_s:
            # the last moment that is known of both is the answer's; rendering it takes microseconds
            work_began = max(began, ended - _ns(done.engine_s))
            self._child(span, "queue", max(began, work_began - _ns(done.queue_s)), work_began)
            self._child(span, "engine", work_began, ended)
        span.end(ended)

    def close(self) -> None:
        """Send what has not been sent. Waits for the other end, as long as OTEL_BSP_EXPORT_TIMEOUT says."""
        self._provider.shutdown()

    def _child(self, parent: Span, name: str, began: int, ended: int) -> None:
        self._tracer.start_span(name, context=set_span_in_context(parent), start_time=began).end(ended)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
