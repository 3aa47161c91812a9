"""A closed-loop load generator: so many clients, each of which sends its next request when it has its last answer.

    python -m benchmarks.load http://127.0.0.1:8000 models/sentences.txt --clients 64 --seconds 10

A program of its own, so that its processor time can be told from the service's. It does little for a request: the bytes
of every request are made beforehand, and of an answer it reads the status and the length.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

from nmt.data.corpus import read_lines


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


class Client(asyncio.Protocol):
    """One connection: a request at a time, of those that all clients share in turn."""

    def __init__(self, load: Generator) -> None:
        self.load = load
        self.buffer = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is of another class
        self._send()

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
        self.load.note(int(headers[9:12]), self.sent)
        self.buffer = b""
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
    p50, p99 = ((1000 * waits[int(share * len(waits))] if waits else 0.0) for share in (0.5, 0.99))
    return Load(len(waits), taken, dict(load.statuses), p50, p99, cpu)


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
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit[1], chosen.clients + 256), limit[1]))
    load = uvloop.run(generate(host, port, requests, chosen.clients, chosen.seconds, chosen.warm))
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
