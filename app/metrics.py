"""Figures for operators, by Prometheus' rules: plain numbers where requests are answered, families at the scrape.

Labels hold routes, statuses, languages, models and names of keys: never a text, a key or an address. All of it is for
one thread, that of the event loop.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from app.errors import BodyTimeout, BodyTooLarge, InvalidKey, KeyRequired, QuotaExceeded, RateLimited
from app.exchange import Exchange
from nmt import __version__
from nmt.errors import Cancelled, DeadlineExceeded, Overloaded
from nmt.inference import Translation

if TYPE_CHECKING:
    from app.service import Service
    from app.translation import Outcome

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of all times."""
PATH = "/metrics"
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""Others are the caller's invention, of which a label must not take any number."""

REASONS: tuple[tuple[type[Exception], str], ...] = (
    (QuotaExceeded, "quota"),
    (RateLimited, "rate"),
    (InvalidKey, "key"),
    (KeyRequired, "key"),
    (BodyTooLarge, "size"),
    (BodyTimeout, "slow_body"),
    (Overloaded, "overload"),
)
"""Why a request was turned away without a look at its texts."""
REASON_OF_STATUS = {413: "size", 408: "slow_body", 431: "size", 503: "overload", 529: "overload"}
"""The same for what the server's connections answer by themselves."""
FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (Overloaded, "rejected"),
    (Cancelled, "cancelled"),
    (DeadlineExceeded, "timeout"),
)
"""What became of a text that failed; any other failure is an `error`."""


class Histogram:
    """Counts by bucket, and the sum."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def note(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: upper bound and how many are at most that."""
        total, rows = 0, []
        for bound, number in zip((*map(str, SECONDS), "+Inf"), self.counts, strict=True):
            total += number
            rows.append((bound, float(total)))
        return rows


class Pair:
    """What has been counted of texts between two languages."""

    __slots__ = ("characters", "outcomes", "source_tokens", "target_tokens")

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.characters = self.source_tokens = self.target_tokens = 0


class Metrics:
    """What has been counted since the start."""

    def __init__(self) -> None:
        self.began = time.time()
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.durations: dict[str, Histogram] = {}
        self.in_flight = 0
        self.rejected: Counter[str] = Counter({reason: 0 for _, reason in REASONS})
        self.left = 0
        """Requests whose callers went away before the answer."""
        self.pairs: defaultdict[tuple[str, str], Pair] = defaultdict(Pair)
        """By codes of source and target."""
        self.pivoted = 0
        self.flags: Counter[str] = Counter()
        self.queue = Histogram()
        self.engine = Histogram()

    def note_request(self, method: str, route: str, status: int, seconds: float, done: Exchange | None) -> None:
        """Count a request that has been answered; `done` is None where nobody looked into it."""
        self.requests[route, method if method in METHODS else "other", status] += 1
        durations = self.durations.get(route)
        if durations is None:
            durations = self.durations[route] = Histogram()
        durations.note(seconds)
        if status == 499:
            self.left += 1
        elif status >= 400:
            reason = _reason(done.error) if done and done.error else REASON_OF_STATUS.get(status)
            if reason:
                self.rejected[reason] += 1

    def note_texts(self, outcomes: Iterable[Outcome], target: str) -> None:
        """Count what became of texts; `target` is the code of their language."""
        for outcome in outcomes:
            result = outcome.result
            pair = self.pairs[outcome.source.code, target]
            if isinstance(result, Translation):
                pair.outcomes["ok"] += 1
                pair.characters += len(outcome.text)
                pair.source_tokens += result.source_tokens
                pair.target_tokens += result.target_tokens
                self.queue.note(result.queue_s)
                self.engine.note(result.engine_s)
                self.pivoted += outcome.via is not None
                if result.flags:
                    self.flags.update(result.flags)
            else:
                pair.outcomes["unchanged" if result is None else failure_of(type(result))] += 1

    def note_failure(self, number: int, source: str, target: str, error: type[Exception]) -> None:
        """Count texts of a request that failed as a whole, by codes of languages that are served."""
        self.pairs[source, target].outcomes[failure_of(error)] += number


def failure_of(error: type[Exception]) -> str:
    """What became of a text that came to this."""
    return next((name for kind, name in FAILURES if issubclass(error, kind)), "error")


def _reason(error: type[Exception]) -> str | None:
    return next((name for kind, name in REASONS if issubclass(error, kind)), None)


class ServiceCollector:
    """Makes Prometheus' families of what has been counted and of how the service stands."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """All families, in the order of docs/operations.md."""
        metrics = self._service.metrics
        yield _counter(
            "nmt_http_requests", "Requests answered.", ("route", "method", "status"), metrics.requests.items()
        )
        yield _histogram(
            "nmt_http_request_duration_seconds",
            "From a request's head to the end of its answer.",
            ("route",),
            ((route, durations) for route, durations in metrics.durations.items()),
        )
        yield _gauge("nmt_http_requests_in_flight", "Requests not yet answered, scrapes left out.", metrics.in_flight)
        yield _counter("nmt_rejected_requests", "Requests turned away unseen.", ("reason",), metrics.rejected.items())
        yield _counter("nmt_cancelled_requests", "Requests whose callers left before the answer.", (), metrics.left)
        yield from _texts(metrics.pairs)
        yield _counter("nmt_pivoted_texts", "Texts translated by way of a third language.", (), metrics.pivoted)
        yield _counter("nmt_output_flags", "Translations with a flag.", ("flag",), metrics.flags.items())
        yield _histogram("nmt_queue_wait_seconds", "How long a text waited for a worker.", (), [(metrics.queue,)])
        yield _histogram("nmt_engine_seconds", "How long a worker had a text.", (), [(metrics.engine,)])
        yield from self._engine()
        yield from self._models()
        yield _gauge(
            "nmt_caller_month_characters",
            "Characters of this month (UTC) by name of the key.",
            self._service.gate.usage_by_caller(),
            "caller",
        )
        build = GaugeMetricFamily("nmt_build_info", "Always 1; the label says what runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build

    def _engine(self) -> Iterator[Metric]:
        status = self._service.models.current.engine.status()
        yield _gauge("nmt_queue_depth", "Texts that wait.", status.queued)
        yield _gauge("nmt_queue_limit", "Texts that may wait.", self._service.settings.max_queue)
        yield _gauge("nmt_texts_in_work", "Texts that workers have.", status.running)
        yield _gauge("nmt_workers", "Engine workers that are up.", status.workers)
        yield _counter("nmt_worker_restarts", "Engine workers that ended and were replaced.", (), status.restarts)
        yield _gauge("nmt_ready", "1 if the service calls itself ready.", not self._service.admission.obstacles())

    def _models(self) -> Iterator[Metric]:
        models = self._service.models
        labels = ("model", "version", "source", "target", "precision", "runner")
        family = GaugeMetricFamily("nmt_model_info", "Always 1; the labels say what serves.", labels=labels)
        for model in models.current.engine.models:
            family.add_metric(
                [model.name, model.version, model.source_lang, model.target_lang, model.precision, model.runner], 1
            )
        yield family
        yield _counter("nmt_model_reloads", "Reloads of the models.", ("result",), models.reloads.items())


def _texts(pairs: Mapping[tuple[str, str], Pair]) -> Iterator[Metric]:
    languages = ("source", "target")
    yield _counter(
        "nmt_texts",
        "Texts by what became of them.",
        (*languages, "outcome"),
        (((*key, outcome), number) for key, pair in pairs.items() for outcome, number in pair.outcomes.items()),
    )
    for name, text, value in (
        ("nmt_characters", "Characters of texts translated.", attrgetter("characters")),
        ("nmt_source_tokens", "Tokens of texts translated.", attrgetter("source_tokens")),
        ("nmt_target_tokens", "Tokens of translations.", attrgetter("target_tokens")),
    ):
        yield _counter(name, text, languages, ((key, value(pair)) for key, pair in pairs.items()))


def _counter(
    name: str, text: str, labels: Sequence[str], values: int | Iterable[tuple[Any, int]]
) -> CounterMetricFamily:
    """`values`: a number, or pairs of label values (one, or a tuple of them) and a number."""
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in [((), values)] if isinstance(values, int) else values:
        family.add_metric([str(part) for part in (key if isinstance(key, tuple) else (key,))], value)
    return family


def _gauge(name: str, text: str, value: float | dict[str, int], label: str = "") -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label] if label else [])
    for key, number in value.items() if isinstance(value, dict) else [("", value)]:
        family.add_metric([key] if label else [], float(number))
    return family


def _histogram(name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> HistogramMetricFamily:
    """`rows`: label values and then the histogram."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for *values, histogram in rows:
        family.add_metric(values, histogram.buckets(), histogram.sum)
    return family


def registry_of(service: Service) -> CollectorRegistry:
    """What a scrape reads: the service's figures and those of its process."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(service))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def expose(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The answer to a scrape, and its media type, of those that `accept` (a header) names."""
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
