"""What a row is, what all rows share, and the clients they are made with."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load import Load, OpenLoad
from benchmarks.served import ROOT, Served, served
from nmt.data.corpus import read_lines

MODELS = ROOT / "models"
DATA = ROOT / "benchmarks" / "data"


@dataclass(frozen=True)
class Row:
    """One promise, and what was measured."""

    name: str
    promise: str
    measured: str
    passed: bool | None
    """None: not measured, and `measured` says why."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Everything behind `measured`."""

    @property
    def verdict(self) -> str:
        """For the table."""
        return {True: "yes", False: "**no**", None: "not measured"}[self.passed]


@dataclass
class Run:
    """What the rows of one run share."""

    quick: bool
    folder: Path
    """For files that servers need, and for their logs."""
    soak_s: float
    strings: Path | None
    """A list of difficult strings, as JSON."""
    seed: int = 1
    capacity: float | None = None
    """Answers a second, as the row of this name has measured it."""

    def __post_init__(self) -> None:
        self.texts = mix(self.seed)
        self.texts_file = self.folder / "mix.txt"
        self.texts_file.write_text("".join(f"{text}\n" for text in self.texts), "utf-8")

    def seconds(self, full: float, quick: float) -> float:
        """How long something is measured."""
        return quick if self.quick else full

    @contextmanager
    def serve(self, *arguments: str, models: Path | None = None, **settings: str) -> Iterator[Served]:
        """The real service on the models that ship; `settings` are its variables without the prefix, in lower case."""
        environment = {f"NMT_{name.upper()}": value for name, value in settings.items()}
        options = ["--models", str(models or self.models()), *arguments]
        with served(options, log=self.folder / "server.log", environment=environment) as server:
            yield server

    def models(self) -> Path:
        """A folder with the English-German model that ships, alone."""
        folder = self.folder / "models"
        folder.mkdir(exist_ok=True)
        if not (link := folder / "en-de").exists():
            link.symlink_to(MODELS / "en-de")
        return folder

    def closed(
        self, server: Served, clients: int, seconds: float, warm_s: float = 1.0, texts: Path | None = None
    ) -> Load:
        """So many clients, each with one request under way."""
        answer = self._load(server, seconds, warm_s, texts, "--clients", str(clients))
        return Load(**answer | {"statuses": _numbers(answer["statuses"])})

    def open(self, server: Served, rate: float, seconds: float, warm_s: float = 2.0) -> OpenLoad:
        """So many requests a second."""
        answer = self._load(server, seconds, warm_s, None, "--rate", str(rate))
        return OpenLoad(**answer | {"statuses": _numbers(answer["statuses"])})

    def _load(self, server: Served, seconds: float, warm_s: float, texts: Path | None, *options: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.load", server.url, str(texts or self.texts_file), *options]
        command += ["--seconds", str(seconds), "--warm", str(warm_s)]
        answer: dict[str, Any] = json.loads(
            subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout
        )
        return answer

    def probe(self, server: Served, *paths: str, seconds: float) -> subprocess.Popen[bytes]:
        """Begin to ask paths; `probed` has the answer."""
        command = [sys.executable, "-m", "benchmarks.probe", server.url, *paths, "--seconds", str(seconds)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def probed(process: subprocess.Popen[bytes]) -> dict[str, dict[str, Any]]:
    """By path: number, statuses, p50_ms, p99_ms, max_ms."""
    output, _ = process.communicate()
    found: dict[str, dict[str, Any]] = json.loads(output)
    return {path: one | {"statuses": _numbers(one["statuses"])} for path, one in found.items()}


def mix(seed: int) -> list[str]:
    """The sentences of all measurements: the project's test sets, short and long ones, in a fixed random order."""
    texts = [text for name in ("test.en.gz", "test_long.en.gz") for text in read_lines(DATA / name) if text.strip()]
    random.Random(seed).shuffle(texts)
    return texts


def _numbers(statuses: dict[str, int]) -> dict[int, int]:
    return {int(status): number for status, number in statuses.items()}


@dataclass(frozen=True)
class Answer:
    """Status 0: none came."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body; None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Wire:
    """A connection for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, server: Served) -> Wire:
        """A new one."""
        return cls(*await asyncio.open_connection("127.0.0.1", server.port, limit=2**24))

    async def send(self, data: bytes) -> None:
        """Send bytes, as far as the other side takes them."""
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self, began: float, timeout_s: float = 60.0) -> Answer:
        """The next answer, timed from `began`."""
        try:
            async with asyncio.timeout(timeout_s):
                head = await self.reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines)
                if "chunked" in headers.get("transfer-encoding", ""):
                    body = await self._chunks()
                else:
                    body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            return Answer(0, {}, b"", time.monotonic() - began)
        return Answer(int(first.split()[1]), headers, body, time.monotonic() - began)

    async def ask(self, data: bytes, timeout_s: float = 60.0) -> Answer:
        """Send a request and wait for its answer."""
        began = time.monotonic()
        try:
            await self.send(data)
        except OSError:
            return Answer(0, {}, b"", time.monotonic() - began)
        return await self.receive(began, timeout_s)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body

    def leave(self) -> None:
        """Hang up."""
        self.writer.transport.abort()


async def ask(server: Served, data: bytes, timeout_s: float = 60.0) -> Answer:
    """A request on a connection of its own."""
    began = time.monotonic()
    try:
        wire = await Wire.to(server)
    except OSError:
        return Answer(0, {}, b"", time.monotonic() - began)
    try:
        return await wire.ask(data, timeout_s)
    finally:
        wire.leave()


def post(body: bytes, path: str = "/translate", kind: str = "application/json", more: str = "") -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def get(path: str) -> bytes:
    """The bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def translation(q: str | Sequence[str], **fields: Any) -> bytes:
    """The bytes of a request to translate from English to German."""
    return post(json.dumps({"q": q, "source": "en", "target": "de"} | fields).encode())
