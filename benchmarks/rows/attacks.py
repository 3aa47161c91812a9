"""Rows about callers that behave badly: what they cost, and what others notice of them."""

from __future__ import annotations

import asyncio
import gzip
import random
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

from benchmarks.load import Load
from benchmarks.rows.row import Row, Run, Wire, ask, post, probed, translation
from benchmarks.served import Served

HEALTH_MS = 50.0
MEMORY_MB = 150.0
"""What the process that speaks HTTP may grow by: 64 MiB of bodies, a thousand connections and change."""
GOODPUT = 0.5
"""Of their speed before, what an attack must leave other clients: it takes its own time from the same cores."""

Attack = Callable[[Served, float], Coroutine[Any, Any, dict[Any, int]]]
"""Carried out on a server for so many seconds; what became of its connections, counted."""


def attacks(run: Run) -> Iterator[Row]:
    """All of them, one by one."""
    _allow_files(12_000)
    seconds = run.seconds(20, 10)
    for name, what, attack, is_right in (
        ("slow-loris", "2,000 connections send a header byte by byte", slow_loris, _all_ended),
        ("half-bodies", "500 requests whose bodies do not come: 408", half_bodies, _only(408)),
        ("huge-bodies", "bodies of 100 MB, their length stated or not: 413", huge_bodies, _only(413)),
        ("many-bodies", "300 bodies of 2 MB that stop before their end", many_bodies, _only(408, 503)),
        ("gzip-bombs", "gzip of 100 MB of blanks: 415", gzip_bombs, _only(415)),
        ("headers", "100,000 header fields, a field of 10 MB, a URL of 1 MB: 431", headers, _only(431)),
        ("pipelines", "1,000 requests on one connection without waiting", pipelines, _all_ended),
        ("garbage", "bytes that are not HTTP: 400, 408 or 431", garbage, _only(400, 408, 431)),
        ("idle", "10,000 connections that say nothing", idle, _all_ended),
    ):
        # the last ones need the time that a connection without a word is given, and that to make so many
        yield _row(run, name, what, attack, 30.0 if is_right is _all_ended else seconds, is_right)


def _row(
    run: Run, name: str, what: str, attack: Attack, seconds: float, is_right: Callable[[dict[Any, int]], bool]
) -> Row:
    """What four clients and the health check notice of an attack, and what memory it takes."""
    with run.serve(deadline_s="5", header_timeout_s="5") as server:
        calm = run.closed(server, 4, 3, warm_s=2)
        base, highest = server.own_pss_mb(), 0.0
        watching = run.probe(server, "/health", seconds=seconds)
        found: list[Load] = []
        others = threading.Thread(target=lambda: found.append(run.closed(server, 4, seconds - 2, warm_s=1)))
        others.start()
        is_over = False

        def measure() -> None:
            nonlocal highest
            while not is_over:
                highest = max(highest, server.own_pss_mb())
                time.sleep(0.2)

        measuring = threading.Thread(target=measure)
        measuring.start()
        outcome = asyncio.run(attack(server, seconds - 1))
        others.join()
        health = probed(watching)["/health"]
        is_over = True
        measuring.join()
        answer = asyncio.run(ask(server, translation("Where is the station?")))
    (load,) = found
    growth, share = highest - base, load.per_s / calm.per_s
    return Row(
        name,
        f"{what}; memory grows by at most {MEMORY_MB:.0f} MB, health p99 <= {HEALTH_MS:.0f} ms, others lose no request"
        f" and keep {GOODPUT:.0%} of their speed",
        f"{_words(outcome)}; {growth:+.0f} MB, health p99 {health['p99_ms']:.0f} ms, others {load.per_s:.0f}/s"
        f" ({share:.0%}), p99 {load.p99_ms:.0f} ms",
        is_right(outcome)
        and growth <= MEMORY_MB
        and health["p99_ms"] <= HEALTH_MS
        and set(health["statuses"]) == {200}
        and set(load.statuses) == {200}
        and share >= GOODPUT
        and answer.status == 200,
        {"outcome": {str(key): value for key, value in outcome.items()}, "growth_mb": growth, "health": health},
    )


def _words(outcome: dict[Any, int]) -> str:
    return ", ".join(f"{number} x {what}" for what, number in sorted(outcome.items(), key=str))


def _only(*statuses: int) -> Callable[[dict[Any, int]], bool]:
    """Whether every request had one of these answers."""
    return lambda outcome: bool(outcome) and set(outcome) <= set(statuses)


def _all_ended(outcome: dict[Any, int]) -> bool:
    """Whether no connection was open at the end."""
    return bool(outcome) and not outcome.get("open")


async def slow_loris(server: Served, seconds: float) -> dict[Any, int]:
    """A byte of a header every half second, for as long as it is taken."""
    outcome: Counter[Any] = Counter()
    end = time.monotonic() + seconds

    async def one() -> None:
        try:
            wire = await Wire.to(server)
            await wire.send(b"GET /health HTTP/1.1\r\nX-Field: ")
            while time.monotonic() < end:
                await wire.send(b"a")
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        data = await wire.reader.read(12)
                        outcome[data[9:12].decode() or "closed"] += 1
                        return
            outcome["open"] += 1
        except OSError:
            outcome["closed"] += 1

    await asyncio.gather(*(one() for _ in range(2000)))
    return outcome


async def half_bodies(server: Served, seconds: float) -> dict[Any, int]:
    """A body of ten bytes, of which a thousand were announced."""
    data = post(b"", more="").replace(b"Content-Length: 0", b"Content-Length: 1000") + b'{"q":"Hall'
    answers = await asyncio.gather(*(ask(server, data, seconds) for _ in range(500)))
    return Counter(answer.status for answer in answers)


async def huge_bodies(server: Served, seconds: float) -> dict[Any, int]:
    """Eight at a time, half of them in chunks."""
    block = b" " * 1_000_000
    chunk = b"%x\r\n" % len(block) + block + b"\r\n"
    outcome: Counter[Any] = Counter()

    async def one(is_chunked: bool) -> None:
        field = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: 100000000"
        wire = await Wire.to(server)
        answer = asyncio.create_task(wire.receive(time.monotonic(), seconds))
        with suppress(OSError):
            await wire.send(post(b"").replace(b"Content-Length: 0", field))
            for _ in range(100):
                await wire.send(chunk if is_chunked else block)
        outcome[(await answer).status] += 1
        wire.leave()

    end = time.monotonic() + seconds / 2
    while time.monotonic() < end:
        await asyncio.gather(*(one(bool(number % 2)) for number in range(8)))
    return outcome


async def many_bodies(server: Served, seconds: float) -> dict[Any, int]:
    """Bodies of two megabytes that stop a kilobyte before their end."""
    size = 2 * 1024 * 1024
    data = post(b"").replace(b"Content-Length: 0", b"Content-Length: %d" % size) + b" " * (size - 1024)
    answers = await asyncio.gather(*(_answer_to(server, data, seconds) for _ in range(300)))
    return Counter(answers)


async def _answer_to(server: Served, data: bytes, seconds: float) -> int:
    wire = await Wire.to(server)
    answer = asyncio.create_task(wire.receive(time.monotonic(), seconds))
    with suppress(OSError):
        await wire.send(data)
    status = (await answer).status
    wire.leave()
    return status


async def gzip_bombs(server: Served, seconds: float) -> dict[Any, int]:
    """A hundred kilobytes that would be a hundred megabytes, to several routes."""
    bomb = gzip.compress(b" " * 100_000_000)
    paths = ("/translate", "/detect", "/v2/translate", "/language/translate/v2")
    outcome: Counter[Any] = Counter()
    end = time.monotonic() + seconds / 2
    while time.monotonic() < end:
        for path in paths:
            outcome[await _answer_to(server, post(bomb, path, more="Content-Encoding: gzip\r\n"), seconds)] += 1
    return outcome


async def headers(server: Served, seconds: float) -> dict[Any, int]:
    """Too many header fields, one that is too long, a URL that is too long."""
    heads = (
        b"GET /health HTTP/1.1\r\n" + b"X: a\r\n" * 100_000 + b"\r\n",
        b"GET /health HTTP/1.1\r\nX: " + b"a" * 10_000_000 + b"\r\n\r\n",
        b"GET /translate?q=" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
    )
    outcome: Counter[Any] = Counter()
    end = time.monotonic() + seconds / 2
    while time.monotonic() < end:
        outcome.update(await asyncio.gather(*(_answer_to(server, head, seconds) for head in heads * 4)))
    return outcome


async def pipelines(server: Served, seconds: float) -> dict[Any, int]:
    """A thousand requests in one go, on each of 50 connections."""
    outcome: Counter[Any] = Counter()

    async def one() -> None:
        wire = await Wire.to(server)
        with suppress(OSError):
            await wire.send(translation("Where is the station?") * 1000)
        try:
            async with asyncio.timeout(seconds):
                while await wire.reader.read(65536):
                    pass
            outcome["closed"] += 1
        except TimeoutError:
            outcome["open"] += 1
        except OSError:
            outcome["closed"] += 1
        wire.leave()

    await asyncio.gather(*(one() for _ in range(50)))
    return outcome


async def garbage(server: Served, seconds: float) -> dict[Any, int]:
    """Random bytes, other protocols' greetings, and requests with a byte changed."""
    rng = random.Random(1)
    good = translation("Where is the station?")
    outcome: Counter[Any] = Counter()
    end = time.monotonic() + seconds / 2
    while time.monotonic() < end:
        datas = [rng.randbytes(rng.randint(1, 5000)) + b"\r\n\r\n" for _ in range(20)]
        datas += [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
        for _ in range(10):
            changed = bytearray(good)
            changed[rng.randrange(14)] = rng.choice(b"\x00\x01\x7f\xff\r ")
            datas.append(bytes(changed))
        outcome.update(await asyncio.gather(*(_answer_to(server, data, seconds) for data in datas)))
    # a changed byte may leave a request that is right or names no route
    return Counter({status: number for status, number in outcome.items() if status not in (0, 200, 404, 405)})


async def idle(server: Served, seconds: float) -> dict[Any, int]:
    """Ten thousand connections, and nothing on them."""
    outcome: Counter[Any] = Counter()
    end = time.monotonic() + seconds
    gate = asyncio.Semaphore(200)

    async def one() -> None:
        try:
            async with gate:
                wire = await Wire.to(server)
            async with asyncio.timeout(max(0.1, end - time.monotonic())):
                await wire.reader.read(1)
            outcome["closed"] += 1
        except TimeoutError:
            outcome["open"] += 1
        except OSError:
            outcome["closed"] += 1

    await asyncio.gather(*(one() for _ in range(10_000)))
    return outcome


def _allow_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))
