"""From exceptions to answers: the one table of statuses, and the shape of an error in each contract.

The native contract's is `{"error": "..."}`. Under the paths of other services' contracts an error has the shape, and
now and then the status, that their clients understand.
"""

from __future__ import annotations

import asyncio
import logging
import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import responses as phrases
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import exchange
from nmt.errors import (
    Cancelled,
    DeadlineExceeded,
    DocumentError,
    InputTooLong,
    NmtError,
    Overloaded,
    TranslationError,
    UnsupportedPair,
)

logger = logging.getLogger(__name__)


class BadRequest(NmtError):
    """The request itself is wrong: a field is missing, of the wrong type or out of range."""


class BadText(TranslationError):
    """One text of the request cannot be translated whatever the model."""


class BodyTooLarge(NmtError):
    """The request's body is over the limit."""

    @classmethod
    def over(cls, limit: int) -> BodyTooLarge:
        """The one message for it; `limit` in bytes."""
        return cls(f"request body exceeds the limit of {limit} bytes")


class BodyTimeout(NmtError):
    """The request's body did not arrive in time."""

    @classmethod
    def after(cls, seconds: float) -> BodyTimeout:
        """The one message for it."""
        return cls(f"the request body did not arrive within {seconds:g} s")


class EncodedBody(NmtError):
    """The request's body is compressed, and this service does not unpack: a small body could hold a huge one."""


class HeadTimeout(NmtError):
    """The request's line and header fields did not arrive in time."""

    @classmethod
    def after(cls, seconds: float) -> HeadTimeout:
        """The one message for it."""
        return cls(f"the head of the request did not arrive within {seconds:g} s")


class HeadTooLarge(NmtError):
    """The request's line and header fields are over the limit."""

    @classmethod
    def over(cls, limit: int) -> HeadTooLarge:
        """The one message for it; `limit` in bytes."""
        return cls(f"the head of the request exceeds the limit of {limit} bytes")


class InvalidKey(NmtError):
    """The key that came with the request is none of ours, or does not allow this."""


class KeyRequired(NmtError):
    """The request needs a key and has none."""


class ReloadFailed(NmtError):
    """Other models were to serve and cannot: those that serve go on."""


class NotFound(NmtError):
    """What the path names is not there, or not this caller's."""


class NotDone(Overloaded):
    """What is asked for is still in work."""


class Stopping(Overloaded):
    """The service is about to end: it takes no more work, or cannot finish what it has taken in time."""

    def __init__(self) -> None:
        super().__init__("the service is stopping", retry_after_s=5.0)


class RateLimited(NmtError):
    """The caller sends more in a minute than it may. `retry_after_s`: when its next request fits, in seconds."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaExceeded(RateLimited):
    """The caller has used its characters of this month. `retry_after_s`: to the month's end, in seconds."""


STATUS: dict[type[Exception], int] = {
    BadRequest: 400,
    RequestValidationError: 400,
    BadText: 400,
    DocumentError: 400,
    InputTooLong: 400,
    UnsupportedPair: 400,
    KeyRequired: 400,
    InvalidKey: 403,
    NotFound: 404,
    BodyTimeout: 408,
    ReloadFailed: 409,
    HeadTimeout: 408,
    BodyTooLarge: 413,
    EncodedBody: 415,
    RateLimited: 429,
    HeadTooLarge: 431,
    Cancelled: 499,  # nobody reads this answer; the number (nginx's) is for logs and counters
    ClientDisconnect: 499,
    NmtError: 500,
    Overloaded: 503,
    DeadlineExceeded: 504,
}
"""Status by exception; an exception not listed counts as its nearest listed base class, any other as 500."""

MEANINGS = {
    400: "The request is wrong: the message says which field and why.",
    403: "The key is not known, or does not allow this.",
    404: "No such path, or nothing of that name.",
    405: "The path does not take this method.",
    408: "The request body did not arrive in time.",
    409: "The models on the disk cannot serve; those that serve go on.",
    413: "The request body is larger than this service accepts.",
    415: "The body is compressed, which this service does not read.",
    429: "The caller's own limit is reached. Try again after `Retry-After` seconds.",
    500: "A fault of this service.",
    503: "Too much work is waiting, or the service is starting or stopping. Try again after `Retry-After` seconds.",
    504: "The translation was not ready within this service's time limit.",
}
MEANINGS |= {456: "The caller has used up its characters of this month.", 529: MEANINGS[503]}
"""What a status says, for the API's documentation and for callers."""

INTERNAL = "internal error"


@dataclass(frozen=True)
class Contract:
    """How the clients of one service's API read errors."""

    prefix: str
    """Paths that begin so are this contract's."""
    body: Callable[[int, str], dict[str, Any]]
    """The JSON object for a status and a message."""
    statuses: Mapping[type[Exception], int] = field(default_factory=dict)
    """Where its statuses differ from the table's."""


def _native(_status: int, message: str) -> dict[str, Any]:
    return {"error": message}


def _deepl(status: int, message: str) -> dict[str, Any]:
    """Both must be strings: DeepL's own client adds them to its message."""
    return {"message": message, "detail": MEANINGS.get(status, _phrase(status))}


_GOOGLE_WORDS = {
    403: ("forbidden", "PERMISSION_DENIED"),
    404: ("notFound", "NOT_FOUND"),
    413: ("uploadTooLarge", "INVALID_ARGUMENT"),
    429: ("rateLimitExceeded", "RESOURCE_EXHAUSTED"),
    500: ("backendError", "INTERNAL"),
    503: ("backendError", "UNAVAILABLE"),
    504: ("backendError", "DEADLINE_EXCEEDED"),
}
"""By status: the reason, and the status in letters."""


def _google(status: int, message: str) -> dict[str, Any]:
    reason, name = _GOOGLE_WORDS.get(status, ("invalid", "INVALID_ARGUMENT"))
    mistakes = [{"message": message, "domain": "global", "reason": reason}]
    return {"error": {"code": status, "message": message, "errors": mistakes, "status": name}}


def _apertium(status: int, message: str) -> dict[str, Any]:
    """APY's own shape, and the one of its answers: older clients look for the status there."""
    old = {"responseData": {"translatedText": None}, "responseDetails": message, "responseStatus": status}
    return {"status": "error", "code": status, "message": _phrase(status), "explanation": message, **old}


def _opennmt(_status: int, message: str) -> dict[str, Any]:
    return {"error": message, "status": "error"}


NATIVE = Contract("/", _native)
# 529 is DeepL's own for a service that is busy. Its clients try again; Weblate, which turns an engine off for half an
# hour at a 503, does not at this.
_DEEPL_STATUSES = {KeyRequired: 403, InputTooLong: 413, QuotaExceeded: 456, NotDone: 503, Overloaded: 529}
CONTRACTS = (
    Contract("/v2/", _deepl, _DEEPL_STATUSES),
    Contract("/v3/", _deepl, _DEEPL_STATUSES),
    Contract("/language/translate/v2", _google, {KeyRequired: 403, QuotaExceeded: 403}),
    Contract("/apy/", _apertium),
    Contract("/translator/", _opennmt),
)
"""Those that are not the native one, by the beginning of their paths."""


def contract_of(path: str) -> Contract:
    """Whose clients call this path."""
    return next((contract for contract in CONTRACTS if path.startswith(contract.prefix)), NATIVE)


def status_of(error: Exception, contract: Contract = NATIVE) -> int:
    """The HTTP status of an exception."""
    if isinstance(error, HTTPException):
        return error.status_code
    for kind in type(error).__mro__:
        if kind in contract.statuses:
            return contract.statuses[kind]
        if kind in STATUS:
            return STATUS[kind]
    return 500


def message_of(error: Exception) -> str:
    """What a caller may read of an exception: our own messages, and nothing of a fault's inside."""
    if isinstance(error, HTTPException):
        text = str(error.detail)
    elif isinstance(error, RequestValidationError):
        text = "Invalid request"
    else:
        text = str(error) if isinstance(error, NmtError) else INTERNAL
    return text.encode("utf-8", "replace").decode()  # a lone surrogate echoed from the request cannot be sent


def answer(error: Exception, path: str = "/") -> JSONResponse:
    """The HTTP answer to an exception; `path` is the request's, without the prefix of a proxy."""
    exchange.current().error = type(error)
    contract = contract_of(path)
    headers = _headers_of(error) if isinstance(error, HTTPException) else {}
    if isinstance(error, Overloaded | RateLimited):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, BodyTooLarge | BodyTimeout | Stopping):
        headers["Connection"] = "close"  # the rest of the body is never read
    status = status_of(error, contract)
    return JSONResponse(contract.body(status, message_of(error)), status, headers)


def _headers_of(error: HTTPException) -> dict[str, str]:
    """Its own; what takes GET takes HEAD, too."""
    headers = dict(error.headers or {})
    allowed = headers.get("Allow", "").split(", ")
    if "GET" in allowed:
        headers["Allow"] = ", ".join(dict.fromkeys([*allowed, "HEAD"]))
    return headers


def install(app: FastAPI) -> None:
    """Answer every known exception of `app` by the table."""
    for kind in (*STATUS, HTTPException):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    if request.method == "OPTIONS" and isinstance(error, HTTPException) and error.status_code == 405:
        return Response(headers=_headers_of(error))  # Allow says what the path takes: that is what was asked
    return handle(request.scope, error)


def handle(scope: Scope, error: Exception, route: str = "") -> JSONResponse:
    """The answer to a known exception; what is this service's own fault is logged, too. `route`: as `log_fault`."""
    if status_of(error) >= 500 and not isinstance(error, Overloaded | DeadlineExceeded):
        log_fault(error, scope, route)
    return answer(error, path_of(scope))


class Faults:
    """ASGI middleware: an exception nobody expected becomes a JSON 500, and its place (never its text) is logged.

    A request that the server cancels because the service is stopping is told so.
    """

    def __init__(self, app: ASGIApp, is_stopping: Callable[[], bool]) -> None:
        self.app = app
        self._is_stopping = is_stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_started = False

        async def watch(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except asyncio.CancelledError:
            if has_started or not self._is_stopping():
                raise
            await answer(Stopping(), path_of(scope))(scope, receive, send)
        except Exception as error:
            log_fault(error, scope)
            if has_started:
                raise
            await answer(error, path_of(scope))(scope, receive, send)


def path_of(scope: Scope) -> str:
    """The path of a request in our own table, without the prefix of a proxy."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "").rstrip("/"))


def _phrase(status: int) -> str:
    return phrases.get(status, "Unknown")


def log_fault(error: Exception, scope: Scope, route: str = "") -> None:
    """Log where a fault arose. Not `str(error)`: it may quote what a user wanted translated.

    `route`: the one in our table, where the framework's routing has not put it into the scope. Not the path that the
    caller wrote, which may hold the name of a file or the id of a glossary.
    """
    place = "".join(traceback.format_tb(error.__traceback__))
    request_id = scope.get("state", {}).get("request_id", "-")
    route = route or getattr(scope.get("route"), "path", "-")
    logger.error("request %s: %s in %s\n%s", request_id, type(error).__name__, route, place)
