"""Rows about work: how much there is, that its result does not depend on company, and what too much of it does."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.load import Load, OpenLoad, share_of
from benchmarks.rows.row import Answer, Row, Run, Wire, ask, probed, translation
from benchmarks.served import Served
from nmt.hardware import available_cores

HEALTH_MS = 50.0
METRICS_MS = 200.0
REJECTION_MS = 50.0
IDLE_S = 0.25
"""How long engines may work on for callers that have left: the step in hand and some more."""


def capacity(run: Run) -> Iterator[Row]:
    """How much the service does for 64 clients."""
    with run.serve() as server:
        load = run.closed(server, 64, run.seconds(30, 6), warm_s=3)
    run.capacity = load.statuses.get(200, 0) / load.seconds
    share = load.cpu_s / load.seconds
    yield Row(
        "capacity",
        "64 clients, each with one sentence under way: all are answered",
        f"{run.capacity:.0f} sentences/s, p50 {load.p50_ms:.0f} ms, p99 {load.p99_ms:.0f} ms; "
        f"the clients used {share:.2f} of a core",
        set(load.statuses) == {200},
        load.__dict__,
    )


def invariance(run: Run) -> Iterator[Row]:
    """Whether a text's translation depends on the company."""
    number = 100 if run.quick else 1000
    texts = [run.texts[index % len(run.texts)] for index in range(number)]
    for precision, least in (("int8", 0.995), ("fp32", 1.0)):
        with run.serve(precision=precision) as server:
            alone, together, listed = asyncio.run(_alone_and_together(server, texts, run.seed))
        same = sum(one == two for one, two in zip(alone, together, strict=True))
        same_listed = sum(one == two for one, two in zip(alone, listed, strict=True))
        share = min(same, same_listed) / number
        yield Row(
            f"alone-{precision}",
            f"{number} sentences: the same text alone, among 64 and in lists of 2 to 32, for {least:.1%} of them",
            f"{same / number:.1%} among 64, {same_listed / number:.1%} in lists",
            share >= least and all(alone),
            {"among_64": same, "in_lists": same_listed, "of": number},
        )


async def _alone_and_together(
    server: Served, texts: Sequence[str], seed: int
) -> tuple[list[str], list[str], list[str]]:
    """Translations of the texts one by one, 64 at a time, and in lists of random length, eight at a time."""
    alone = [await _text(await ask(server, translation(text))) for text in texts]
    gate = asyncio.Semaphore(64)

    async def one(text: str) -> str:
        async with gate:
            return await _text(await ask(server, translation(text)))

    together = list(await asyncio.gather(*(one(text) for text in texts)))
    sizes, lists, start = random.Random(seed), [], 0
    while start < len(texts):
        lists.append(texts[start : start + sizes.randint(2, 32)])
        start += len(lists[-1])
    gate = asyncio.Semaphore(8)

    async def several(part: Sequence[str]) -> list[str]:
        async with gate:
            answer = await ask(server, translation(part))
            return list(answer.json()["translatedText"]) if answer.status == 200 else [""] * len(part)

    listed = [text for part in await asyncio.gather(*map(several, lists)) for text in part]
    return alone, together, listed


async def _text(answer: Answer) -> str:
    return str(answer.json()["translatedText"]) if answer.status == 200 else ""


def overload(run: Run) -> Iterator[Row]:
    """Requests that come whatever becomes of those before them: fewer than can be done, and more.

    What the service can do is measured again before and after each rate, since a machine's speed changes by the minute.
    """
    with run.serve() as server:
        before = run.closed(server, 64, run.seconds(10, 3), warm_s=3)
        run.capacity = run.capacity or before.per_s
        for percent in (50, 80, 100, 150, 300):
            seconds = run.seconds(60, 8)
            watching = run.probe(server, "/health", "/metrics", seconds=seconds + 2)
            load = run.open(server, before.per_s * percent / 100, seconds)
            seen = probed(watching)
            time.sleep(1)
            after = run.closed(server, 64, run.seconds(10, 3))
            yield _row(percent, load, seen, (before, after))
            before = after


def _row(percent: int, load: OpenLoad, seen: dict[str, dict[str, Any]], beside: tuple[Load, Load]) -> Row:
    health, metrics = seen["/health"], seen["/metrics"]
    rejected = load.statuses.get(503, 0)
    capacity = statistics.mean(one.per_s for one in beside)
    share = load.goodput / capacity
    given_back = (
        share * _left(statistics.mean(one.cpu_s / one.seconds for one in beside)) / _left(load.cpu_s / load.seconds)
    )
    is_healthy = health["p99_ms"] <= HEALTH_MS and set(health["statuses"]) == {200} and metrics["p99_ms"] <= METRICS_MS
    passed = is_healthy and set(load.statuses) <= {200, 503} and not load.without_retry_after
    promise = f"health p99 <= {HEALTH_MS:.0f} ms, /metrics <= {METRICS_MS:.0f} ms"
    if percent <= 80:
        promise = "nothing is rejected; " + promise
        passed = passed and not rejected
    if percent >= 150:
        promise = (
            f"goodput >= 90 % of capacity, the rest 503 with Retry-After within {REJECTION_MS:.0f} ms (p99); " + promise
        )
        passed = passed and share >= 0.9 and load.rejected_p99_ms <= REJECTION_MS
    measured = (
        f"{load.goodput:.0f}/s ({share:.0%} of capacity, clients' time given back {given_back:.0%}), "
        f"p50 {load.good_p50_ms:.0f} ms, p99 {load.good_p99_ms:.0f} ms; {rejected / max(1, load.due):.0%} rejected"
        + (f" (p50 {load.rejected_p50_ms:.1f} ms, p99 {load.rejected_p99_ms:.1f} ms)" if rejected else "")
        + f"; health p99 {health['p99_ms']:.0f} ms, /metrics p99 {metrics['p99_ms']:.0f} ms; clients used"
        f" {load.cpu_s / load.seconds:.2f} of a core"
    )
    figures = {"load": load.__dict__, "probe": seen, "beside": [one.__dict__ for one in beside]}
    return Row(f"open-{percent}", promise, measured, passed, figures)


def _left(used: float) -> float:
    """Cores that clients which use so much of them leave to the service."""
    return available_cores() - used


def fairness(run: Run) -> Iterator[Row]:
    """Single sentences beside a long list."""
    rounds = 2 if run.quick else 10
    with run.serve(max_texts="500", max_queue="1024") as server:
        idle, busy, listed = asyncio.run(_fairness(server, run.texts, rounds))
    idle_p99, busy_p99 = share_of(sorted(idle), 0.99), share_of(sorted(busy), 0.99)
    yield Row(
        "fairness",
        "20 single sentences beside a list of 500: their p99 at most 3 times that of an idle service",
        f"p99 {busy_p99:.0f} ms beside the list, {idle_p99:.0f} ms idle: {busy_p99 / idle_p99:.1f} times "
        f"(p50 {share_of(sorted(busy), 0.5):.0f} and {share_of(sorted(idle), 0.5):.0f} ms); "
        f"the list took {share_of(sorted(listed), 0.5):.0f} ms",
        busy_p99 <= 3 * idle_p99,
        {"idle_ms": idle, "busy_ms": busy, "list_ms": listed},
    )


async def _fairness(server: Served, texts: Sequence[str], rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of singles on an idle service, of singles beside a list, and of the lists."""
    singles, big = texts[:20], [texts[index % len(texts)] for index in range(20, 520)]
    wire = await Wire.to(server)
    for text in singles:
        await wire.ask(translation(text))
    idle, busy, listed = [], [], []
    for _ in range(rounds):
        idle += [1000 * (await wire.ask(translation(text))).seconds for text in singles]
        large = asyncio.create_task(ask(server, translation(big)))
        await asyncio.sleep(0.05)
        for text in singles:
            if large.done():
                break
            answer = await wire.ask(translation(text))
            assert answer.status == 200, answer
            busy.append(1000 * answer.seconds)
        done = await large
        assert done.status == 200, done.body[:200]
        listed.append(1000 * done.seconds)
    return idle, busy, listed


def storm(run: Run) -> Iterator[Row]:
    """Callers that leave."""
    with run.serve() as server:
        asyncio.run(_warm(server, run.texts))
        before = server.engine_cpu_s()
        began = time.monotonic()
        asyncio.run(_leave_early(server, run.texts))
        left = time.monotonic()
        worked = server.engine_cpu_s() - before
        idle_after = _idle_after(server) - left
        wasted = server.engine_cpu_s() - before - worked
        waiting = server.get("/metrics")[1]
        queue = [line for line in waiting.splitlines() if line.startswith("nmt_queue")]
        answer = asyncio.run(ask(server, translation("Where is the station?")))
    yield Row(
        "storm",
        f"64 callers with 8 sentences each leave after 200 ms: the engines are idle {1000 * IDLE_S:.0f} ms later",
        f"idle after {1000 * idle_after:.0f} ms; {1000 * wasted:.0f} ms of processor time for callers that had left, "
        f"{1000 * worked:.0f} ms before; then a sentence in {1000 * answer.seconds:.0f} ms",
        idle_after <= IDLE_S and answer.status == 200,
        {"idle_after_s": idle_after, "seconds": left - began, "queue": queue},
    )


async def _warm(server: Served, texts: Sequence[str]) -> None:
    await asyncio.gather(*(ask(server, translation(text)) for text in texts[:32]))


async def _leave_early(server: Served, texts: Sequence[str]) -> None:
    wires = [await Wire.to(server) for _ in range(64)]
    for number, wire in enumerate(wires):
        await wire.send(translation([texts[(8 * number + index) % len(texts)] for index in range(8)]))
    await asyncio.sleep(0.2)
    for wire in wires:
        wire.leave()


def _idle_after(server: Served) -> float:
    """When the engines had stopped: the end of the last tenth of a second in which they worked."""
    last, cpu = time.monotonic(), server.engine_cpu_s()
    while time.monotonic() - last < 1.0:
        time.sleep(0.01)
        now = server.engine_cpu_s()
        if now - cpu > 0.001:
            last = time.monotonic()
        cpu = now
    return last


def after(run: Run) -> Iterator[Row]:
    """The service when an overload is over."""
    with run.serve() as server:
        rate = 3 * (run.capacity or 500)
        run.open(server, rate, run.seconds(10, 3))
        ended = time.monotonic()
        alone = [asyncio.run(ask(server, translation(text))) for text in run.texts[:20]]
        seconds = time.monotonic() - ended
        body = json.dumps([answer.status for answer in alone])
    yield Row(
        "after",
        "5 s after an overload the service is as it was: 20 single sentences are answered",
        f"20 answers in {seconds:.2f} s, the slowest in {1000 * max(answer.seconds for answer in alone):.0f} ms",
        all(answer.status == 200 for answer in alone) and seconds <= 5,
        {"statuses": body},
    )
