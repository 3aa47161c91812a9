"""A load generator, closed or open.

    python -m benchmarks.load http://127.0.0.1:8000 models/sentences.txt --clients 64 --seconds 10
    python -m benchmarks.load http://127.0.0.1:8000 models/sentences.txt --rate 500 --seconds 10

Closed: so many clients, each of which sends its next request when it has its last answer. Open: requests come at random
times (Poisson) at this rate, whatever becomes of those before them; each takes a connection that is free, or a new one.
How long an answer took counts from when its request was due, so that a generator that is late flatters nobody.

A program of its own, so that its processor time can be told from the service's. It does little for a request: the bytes
of every request are made beforehand, and of an answer it reads the status and the length.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

from nmt.data.corpus import read_lines

PATIENCE_S = 60.0
"""How long after an open load its last answers are waited for."""


@dataclass(frozen=True)
class Load:
    """What the clients saw."""

    requests: int
    """Answered within the measured time."""
    seconds: float
    statuses: dict[int, int]
    p50_ms: float
    p99_ms: float
    cpu_s: float
    """Of the generator itself."""

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class OpenLoad:
    """What came of requests that were due within the measured time. Times are in milliseconds from when they were."""

    due: int
    seconds: float
    statuses: dict[int, int]
    good_within: int
    """Successes within the measured time, of requests due then or before."""
    good_p50_ms: float
    good_p99_ms: float
    rejected_p50_ms: float
    """Of answers 503."""
    rejected_p99_ms: float
    rejected_max_ms: float
    without_retry_after: int
    """Answers 503 that do not say when to come again."""
    unanswered: int
    """Requests whose connection was closed, or that had no answer after a long wait."""
    late_p99_ms: float
    """How late this generator sent."""
    connections: int
    cpu_s: float
    """Of the generator itself, within the measured time."""

    @property
    def goodput(self) -> float:
        """Successes a second."""
        return self.good_within / self.seconds


class Wire(asyncio.Protocol):
    """One connection, and one request at a time on it."""

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is of another class

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        headers = self.buffer[:head].lower()
        start = headers.index(b"content-length:") + 15
        end = headers.find(b"\r\n", start)
        length = int(headers[start : end if end > 0 else head])
        if len(self.buffer) < head + 4 + length:
            return
        self.buffer = b""
        self.answered(int(headers[9:12]), headers)

    def answered(self, status: int, headers: bytes) -> None:
        """An answer is complete."""
        raise NotImplementedError


class Client(Wire):
    """Sends the requests that all clients share, in turn, the next when the last is answered."""

    def __init__(self, load: Generator) -> None:
        super().__init__()
        self.load = load
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._send()

    def answered(self, status: int, headers: bytes) -> None:
        self.load.note(status, self.sent)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.lost += not self.load.is_over

    def _send(self) -> None:
        self.sent = time.monotonic()
        self.transport.write(self.load.next_request())


class Generator:
    """What the clients share."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self.requests = requests
        self.sent = self.lost = 0
        self.is_over = False
        self.began: float | None = None
        self.waits: list[float] = []
        self.statuses: Counter[int] = Counter()

    def next_request(self) -> bytes:
        self.sent += 1
        return self.requests[self.sent % len(self.requests)]

    def note(self, status: int, sent: float) -> None:
        if self.began is not None and not self.is_over:
            self.waits.append(time.monotonic() - sent)
            self.statuses[status] += 1


async def generate(
    host: str, port: int, requests: Sequence[bytes], clients: int, seconds: float, warm_s: float
) -> Load:
    """Load the service for `warm_s` seconds, then for `seconds` that count. Raises ConnectionError if it hangs up."""
    load = Generator(requests)
    loop = asyncio.get_running_loop()
    transports = [(await loop.create_connection(lambda: Client(load), host, port))[0] for _ in range(clients)]
    await asyncio.sleep(warm_s)
    cpu, load.began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    load.is_over = True
    taken, cpu = time.monotonic() - load.began, time.process_time() - cpu
    for transport in transports:
        transport.close()
    if load.lost:
        raise ConnectionError(f"the service closed {load.lost} of {clients} connections")
    waits = sorted(load.waits)
    p50, p99 = (1000 * share_of(waits, share) for share in (0.5, 0.99))
    return Load(len(waits), taken, dict(load.statuses), p50, p99, cpu)


class Visitor(Wire):
    """Sends a request when one is due and it is free."""

    def __init__(self, street: Street) -> None:
        super().__init__()
        self.street = street
        self.due: float | None = None
        self.is_open = True

    def send(self, request: bytes, due: float) -> None:
        """Send one; `due`: when it should have been sent."""
        self.due = due
        self.transport.write(request)

    def answered(self, status: int, headers: bytes) -> None:
        assert self.due is not None
        self.street.note(status, self.due, b"\r\nretry-after:" in headers)
        self.due = None
        self.street.free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self.due is not None:
            self.street.note(0, self.due, True)
            self.due = None


class Street:
    """What the visitors share. Status 0 stands for no answer."""

    def __init__(self) -> None:
        self.free: list[Visitor] = []
        self.answers: list[tuple[int, float, float, bool]] = []
        """Status, when due, when answered, whether a 503 says when to come again."""

    def note(self, status: int, due: float, says_when: bool) -> None:
        self.answers.append((status, due, time.monotonic(), says_when))


async def generate_open(
    host: str,
    port: int,
    requests: Sequence[bytes],
    rate: float,
    seconds: float,
    warm_s: float,
) -> OpenLoad:
    """Requests at `rate` a second, at times of a Poisson process: for `warm_s` seconds, then `seconds` that count."""
    street = Street()
    everybody: list[Visitor] = []
    loop = asyncio.get_running_loop()
    arrivals = random.Random(1)
    opening: set[asyncio.Task[None]] = set()
    lateness: list[float] = []

    async def visit_anew(request: bytes, due: float) -> None:
        try:
            _, visitor = await loop.create_connection(lambda: Visitor(street), host, port)
        except OSError:
            street.note(0, due, True)
            return
        everybody.append(visitor)
        visitor.send(request, due)

    start = due = time.monotonic()
    begin, end = start + warm_s, start + warm_s + seconds
    cpu = 0.0
    number = 0
    while due < end:
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if due >= begin:
            cpu = cpu or time.process_time()
            lateness.append(time.monotonic() - due)
        while street.free and not street.free[-1].is_open:
            street.free.pop()
        if street.free:
            street.free.pop().send(requests[number % len(requests)], due)
        else:
            task = asyncio.create_task(visit_anew(requests[number % len(requests)], due))
            opening.add(task)
            task.add_done_callback(opening.discard)
        number += 1
        due += arrivals.expovariate(rate)
    cpu = time.process_time() - cpu
    limit = time.monotonic() + PATIENCE_S
    while (opening or any(visitor.due for visitor in everybody)) and time.monotonic() < limit:
        await asyncio.sleep(0.05)
    for visitor in everybody:
        if visitor.due is not None:
            street.note(0, visitor.due, True)
            visitor.due = None
        visitor.transport.abort()
    counted = [answer for answer in street.answers if begin <= answer[1] < end]
    good = sorted(1000 * (at - due) for status, due, at, _ in counted if status == 200)
    rejected = sorted(1000 * (at - due) for status, due, at, _ in counted if status == 503)
    return OpenLoad(
        due=len(counted),
        seconds=seconds,
        statuses=dict(Counter(status for status, *_ in counted)),
        good_within=sum(status == 200 and begin <= at < end for status, _, at, _ in street.answers),
        good_p50_ms=share_of(good, 0.5),
        good_p99_ms=share_of(good, 0.99),
        rejected_p50_ms=share_of(rejected, 0.5),
        rejected_p99_ms=share_of(rejected, 0.99),
        rejected_max_ms=share_of(rejected, 1.0),
        without_retry_after=sum(status == 503 and not says_when for status, _, _, says_when in counted),
        unanswered=sum(status == 0 for status, *_ in counted),
        late_p99_ms=share_of(sorted(1000 * late for late in lateness), 0.99),
        connections=len(everybody),
        cpu_s=cpu,
    )


def share_of(ordered: Sequence[float], share: float) -> float:
    """The value that so large a share is at most; 0 for none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def request(host: str, text: str, source: str, target: str, fields: dict[str, object]) -> bytes:
    """The bytes of one POST /translate."""
    body = json.dumps({"q": text, "source": source, "target": target} | fields).encode()
    head = f"POST /translate HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("texts", help="one text a line, .gz or not")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rate", type=float, help="requests a second, whatever becomes of them, instead of clients")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warm", type=float, default=1.0, help="seconds of load before those that count")
    parser.add_argument("--source", default="en")
    parser.add_argument("--target", default="de")
    parser.add_argument("--fields", type=json.loads, default={}, help="more fields of the request, as a JSON object")
    chosen = parser.parse_args()
    address = urlsplit(chosen.url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    requests = [request(host, text, chosen.source, chosen.target, chosen.fields) for text in read_lines(chosen.texts)]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 8192 if chosen.rate else chosen.clients + 256
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit[1], files), limit[1]))
    load: Load | OpenLoad
    if chosen.rate:
        load = uvloop.run(generate_open(host, port, requests, chosen.rate, chosen.seconds, chosen.warm))
    else:
        load = uvloop.run(generate(host, port, requests, chosen.clients, chosen.seconds, chosen.warm))
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
