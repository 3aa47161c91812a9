"""What logs may know of a request: its id, path, status and time. Never a text, a query string or a key."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import re
import secrets
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import count
from typing import Any, Literal, TextIO

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import LOGGING_CONFIG

from app import exchange
from app.exchange import Exchange

REQUEST_ID = "X-Request-Id"
REQUEST_ID_BYTES = b"x-request-id"
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._-]{1,64}")
FLUSH_S = 0.1
_OF_PROCESS = secrets.token_hex(8)
_numbers = count()


class RequestId:
    """ASGI middleware: every answer carries X-Request-Id, the caller's own if it sent an acceptable one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = begin(scope, dict(scope["headers"]).get(REQUEST_ID_BYTES, b"")).decode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)


def begin(scope: Scope, offered: bytes) -> bytes:
    """Give a request its id: the one that its caller offered if that is acceptable, else one of its own."""
    request_id = offered if _ACCEPTABLE.fullmatch(offered) else f"{_OF_PROCESS}{next(_numbers):016x}".encode()
    scope.setdefault("state", {})["request_id"] = request_id.decode()
    return request_id


class AccessLog:
    """A line on standard output for each request: time, method, route, status, milliseconds, request id.

    In JSON also who called, how many texts and characters, and where the time went. The route is the one in our table,
    never what the caller wrote, and the caller's address is left out. Lines are written a tenth of a second late and
    together: a write of its own costs as much as the rest of a request.
    """

    def __init__(self, stream: TextIO | None = None, *, is_json: bool = False) -> None:
        self._stream = stream
        self._line = json_line if is_json else text_line
        self._lines: list[str] = []

    def note(
        self, scope: Mapping[str, Any], route: str, status: int, seconds: float, done: Exchange | None = None
    ) -> None:
        """Log a request that has been answered; its id is the one that `begin` left in the scope."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        self._lines.append(self._line(scope, route, status, seconds, done))

    def flush(self) -> None:
        """Write what has not been written."""
        lines, self._lines = self._lines, []
        with suppress(OSError, ValueError):  # nobody reads standard output any more: no reason to stop answering
            stream = self._stream or sys.stdout
            stream.write("".join(lines))
            stream.flush()


def text_line(scope: Mapping[str, Any], route: str, status: int, seconds: float, _: Exchange | None) -> str:
    """A request in words."""
    request_id = scope.get("state", {}).get("request_id", "-")
    return f"{_now()} {scope.get('method', '-')} {route} {status} {1000 * seconds:.1f} ms {request_id}\n"


def json_line(scope: Mapping[str, Any], route: str, status: int, seconds: float, done: Exchange | None) -> str:
    """A request as a JSON object."""
    entry: dict[str, Any] = {
        "time": _now(),
        "level": "info",
        "event": "request",
        "request_id": scope.get("state", {}).get("request_id", "-"),
        "method": scope.get("method", "-"),
        "route": route,
        "status": status,
        "ms": round(1000 * seconds, 1),
    }
    if done is not None and done.caller:
        entry |= {
            "caller": done.caller,
            "texts": done.texts,
            "characters": done.characters,
            "queue_ms": round(1000 * done.queue_s, 1),
            "engine_ms": round(1000 * done.engine_s, 1),
        }
    if done is not None and done.error is not None:
        entry["error"] = done.error.__name__
    return json.dumps(entry, ensure_ascii=False) + "\n"


class JsonFormatter(logging.Formatter):
    """A record as a JSON object on one line. Of an exception its kind and place: its message may hold text."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _stamp(int(record.created)),
            "level": record.levelname.lower(),
            "event": "message",
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = exchange.current().request_id
        if request_id != "-":
            entry["request_id"] = request_id
        if record.exc_info and record.exc_info[0] is not None:
            entry["error"] = record.exc_info[0].__name__
            entry["place"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(entry, ensure_ascii=False)


def log_config(log_format: Literal["text", "json"]) -> dict[str, Any]:
    """How the process logs, for `logging.config` (uvicorn's option `log_config`): to standard error, ours as uvicorn's.

    Access lines are the matter of `AccessLog`.
    """
    config = copy.deepcopy(LOGGING_CONFIG)
    if log_format == "json":
        config["formatters"]["default"] = {"()": f"{__name__}.{JsonFormatter.__name__}"}
    for name in ("app", "nmt"):
        config["loggers"][name] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config


def _now() -> str:
    """UTC to the second, in ISO 8601."""
    return _stamp(int(time.time()))


@lru_cache(1)
def _stamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


class WithoutQuery(logging.Filter):
    """Cuts the query string from uvicorn's access lines: clients may put the text and the key there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            record.args = (client, method, str(path).partition("?")[0], version, status)
        return True


def keep_texts_out() -> None:
    """Make uvicorn's access log safe. Called twice it acts once."""
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(known, WithoutQuery) for known in access.filters):
        access.addFilter(WithoutQuery())
