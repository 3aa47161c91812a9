"""LibreTranslate's HTTP layer beside ours, on the same machine under the same load.

Its engine is replaced by one that does nothing but take time: so long for a text that its four threads together do as
many a second as our service does. What differs is then how each treats its callers. It gets an environment of its own,
and runs as its own command starts it: waitress with four threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import Load, OpenLoad
from benchmarks.peer_envs import LIBRETRANSLATE, install
from benchmarks.rows.row import Row, Run, Wire, probed, translation
from benchmarks.served import ROOT, Served, served

ENVS = Path.home() / ".cache" / "selfhost-nmt" / "peers"
STANDINS = ROOT / "benchmarks" / "peer_drivers" / "libretranslate"
THREADS = 4
START = "from libretranslate.main import main; main()"
PERCENT = 150


@dataclass(frozen=True)
class Side:
    """What one service did."""

    closed: Load
    closed_health: dict[str, Any]
    open: OpenLoad
    open_health: dict[str, Any]
    wasted: float
    """Texts translated for callers that had left; of ours, estimated from its engines' processor time."""
    busy_s: float
    """How long the engine worked on after they had left."""


def beside(run: Run) -> Iterator[Row]:
    """Both, one after the other."""
    python = install(LIBRETRANSLATE, ENVS)
    with run.serve() as server:
        load = run.closed(server, 64, run.seconds(20, 5), warm_s=3)
        run.capacity = load.statuses.get(200, 0) / load.seconds
        ours = _ours(run, server, run.capacity)
    count = run.folder / "count"
    environment = {
        "ENGINE_S": str(THREADS / run.capacity),
        "ENGINE_COUNT": str(count),
        "PYTHONPATH": str(STANDINS),
    }
    with ExitStack() as stack:
        other = stack.enter_context(
            served(
                ["--host", "127.0.0.1", "--threads", str(THREADS), "--disable-web-ui"],
                program=(str(python), "-c", START),
                ready="/health",
                log=run.folder / "server.log",
                environment=environment,
                folder=run.folder,
            )
        )
        theirs = _theirs(run, other, run.capacity, count)
    yield from _rows(ours, theirs, run.capacity)


def _rows(ours: Side, theirs: Side, capacity: float) -> Iterator[Row]:
    def pair(one: str, other: str) -> str:
        return f"ours: {one}. LibreTranslate: {other}"

    def closed(side: Side) -> str:
        return (
            f"{side.closed.per_s:.0f}/s, p50 {side.closed.p50_ms:.0f} ms, p99 {side.closed.p99_ms:.0f} ms,"
            f" health p99 {side.closed_health['p99_ms']:.0f} ms (worst {side.closed_health['max_ms']:.0f} ms)"
        )

    def opened(side: Side) -> str:
        rejected = side.open.statuses.get(503, 0) / side.open.due
        return (
            f"{side.open.goodput:.0f}/s in time, p50 {side.open.good_p50_ms:.0f} ms, p99 {side.open.good_p99_ms:.0f}"
            f" ms; {rejected:.0%} refused (p99 {side.open.rejected_p99_ms:.0f} ms), {side.open.unanswered} without an"
            f" answer; health p99 {side.open_health['p99_ms']:.0f} ms (worst {side.open_health['max_ms']:.0f} ms)"
        )

    def storm(side: Side) -> str:
        return f"{side.wasted:.0f} texts for nobody, busy for {1000 * side.busy_s:.0f} ms"

    figures = {"ours": ours.__dict__, "theirs": theirs.__dict__}
    yield Row(
        "beside-closed",
        f"64 clients, engines of {capacity:.0f} texts/s: our health check is no slower",
        pair(closed(ours), closed(theirs)),
        ours.closed_health["p99_ms"] <= theirs.closed_health["p99_ms"],
        figures,
    )
    yield Row(
        "beside-open",
        f"{PERCENT} % of what the engines can do: we do no less, fewer get no answer, our health check is no slower",
        pair(opened(ours), opened(theirs)),
        ours.open.goodput >= theirs.open.goodput
        and ours.open.unanswered <= theirs.open.unanswered
        and ours.open_health["p99_ms"] <= theirs.open_health["p99_ms"],
    )
    yield Row(
        "beside-storm",
        "64 callers with 8 texts each leave after 200 ms: we do less work for nobody",
        pair(storm(ours), storm(theirs)),
        ours.wasted <= theirs.wasted,
    )


def _ours(run: Run, server: Served, capacity: float) -> Side:
    before = server.engine_cpu_s()
    measured = _loads(run, server, capacity)
    requests = measured[0].requests + sum(measured[2].statuses.values())
    cpu_a_text = (server.engine_cpu_s() - before) / max(1, requests)
    asyncio.run(_leave_early(server, run.texts))
    left, at = server.engine_cpu_s(), time.monotonic()
    last, cpu = at, left
    while time.monotonic() - last < 1.0:
        time.sleep(0.01)
        if (now := server.engine_cpu_s()) - cpu > 0.001:
            last, cpu = time.monotonic(), now
    return Side(*measured, (cpu - left) / cpu_a_text, last - at)


def _theirs(run: Run, server: Served, capacity: float, count: Path) -> Side:
    measured = _loads(run, server, capacity)
    asyncio.run(_leave_early(server, run.texts))
    left, at = count.stat().st_size, time.monotonic()
    last, done = at, left
    while time.monotonic() - last < 1.0 + THREADS / capacity:
        time.sleep(0.01)
        if (now := count.stat().st_size) > done:
            last, done = time.monotonic(), now
    return Side(*measured, done - left, last - at)


def _loads(run: Run, server: Served, capacity: float) -> tuple[Load, dict[str, Any], OpenLoad, dict[str, Any]]:
    seconds = run.seconds(30, 6)
    watching = run.probe(server, "/health", seconds=seconds)
    closed = run.closed(server, 64, seconds, warm_s=1)
    closed_health = probed(watching)["/health"]
    time.sleep(2)
    watching = run.probe(server, "/health", seconds=seconds)
    opened = run.open(server, capacity * PERCENT / 100, seconds)
    open_health = probed(watching)["/health"]
    time.sleep(2)
    return closed, closed_health, opened, open_health


async def _leave_early(server: Served, texts: Sequence[str]) -> None:
    wires = [await Wire.to(server) for _ in range(64)]
    for number, wire in enumerate(wires):
        await wire.send(translation([texts[(8 * number + index) % len(texts)] for index in range(8)]))
    await asyncio.sleep(0.2)
    for wire in wires:
        wire.leave()
