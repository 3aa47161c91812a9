"""The short way: a plain POST /translate goes to its function past the framework's routing and middleware.

Those cost several times what reading the request, handing it to the engine and writing the answer cost together, and on
a busy machine each microsecond here is taken from the engine. The answer is the same either way: what is not plainly
such a request (a form, a browser's cross-origin call, a body of unknown length) takes the framework's way, to the same
function.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors, exchange, logs
from app.caller import Caller, take_caller
from app.errors import BodyTimeout, BodyTooLarge, Stopping
from app.headers import SAFE, make_safe
from app.metrics import PATH
from app.parameters import parse_json
from app.routes import translate
from app.service import Service
from nmt.errors import NmtError

if TYPE_CHECKING:
    from app.tracing import Tracing

SERVER_TIMING = b"server-timing"
_JSON = (b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8")


class Application(FastAPI):
    """FastAPI with a short way for plain translation requests; all requests are counted and logged, by either way."""

    access_log: logs.AccessLog | None = None
    tracing: Tracing | None = None
    proxies: ASGIApp | None = None
    """Puts in a request what a trusted proxy says of its client, and hands it to `respond`."""

    def openapi(self) -> dict[str, Any]:
        """The API's description, without the 422 that the framework lists for every parameter: it is a 400 here."""
        if self.openapi_schema is None:
            document = super().openapi()
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                document.get("components", {}).get("schemas", {}).pop(name, None)
        return super().openapi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif self.proxies is not None:
            await self.proxies(scope, receive, send)
        else:
            await self.respond(scope, receive, send)

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by the way that is open to it, and take note of it. HEAD is GET without the body."""
        began = time.monotonic()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        here = exchange.begin(scope, headers)
        service = self._service
        metrics = service.metrics
        is_work = scope["path"] != PATH
        metrics.in_flight += is_work
        route, status = translate.PATH, 500
        caller = take_caller(scope)
        try:
            if scope["path"] == translate.PATH and scope["method"] == "POST" and _is_plain(scope, headers):
                response = await self._answer(scope, headers, caller or receive, service)
                response.raw_headers.append((SERVER_TIMING, here.timing(time.monotonic() - began)))
                status = response.status_code
                if caller is None or not caller.answer(response):
                    response.raw_headers += SAFE
                    await response(scope, receive, send)
                return

            async def watch(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    message["headers"] = headers = list(message.get("headers", ()))
                    make_safe(headers)
                    if here.texts:
                        headers.append((SERVER_TIMING, here.timing(time.monotonic() - began)))
                await send(message)

            route = "-"
            inner = scope
            if scope["method"] == "HEAD":
                scope.setdefault("state", {})  # both have the id of the request
                inner, send = {**scope, "method": "GET"}, _without_body(send)
            await super().__call__(inner, receive, watch)
            route = getattr(inner.get("route"), "path", "-")
        finally:
            metrics.in_flight -= is_work
            if status >= 400:
                service.gate.give_back(here)
            if exchange.IS_ANSWERED not in scope:
                self.note(scope, route, status, time.monotonic() - began, here)

    def note(
        self, scope: Mapping[str, Any], route: str, status: int, seconds: float, done: exchange.Exchange | None = None
    ) -> None:
        """Count and log a request that has been answered; `done` is None where nobody looked into it."""
        self._service.metrics.note_request(scope.get("method", "-"), route, status, seconds, done)
        if self.access_log is not None:
            self.access_log.note(scope, route, status, seconds, done)
        if self.tracing is not None and done is not None:
            self.tracing.note(scope, route, status, seconds, done)

    @property
    def _service(self) -> Service:
        service: Service = self.state.service
        return service

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, service: Service
    ) -> JSONResponse:
        request_id = logs.begin(scope, headers.get(logs.REQUEST_ID_BYTES, b""))
        try:
            # nothing here holds the body while its texts are translated
            response = await translate.respond(parse_json(await _read(headers, receive, service)), service, receive)
        except (NmtError, ClientDisconnect) as error:
            response = errors.handle(scope, error, translate.PATH)
        except asyncio.CancelledError:
            if not service.admission.is_stopping:
                raise
            response = errors.answer(Stopping())
        except Exception as error:
            errors.log_fault(error, scope, translate.PATH)
            response = errors.answer(error)
        response.raw_headers.append((logs.REQUEST_ID_BYTES, request_id))
        return response


def _is_plain(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    return (
        headers.get(b"content-type") in _JSON
        and headers.get(b"content-length", b"").isdigit()
        and b"transfer-encoding" not in headers
        and b"content-encoding" not in headers
        and b"origin" not in headers
        and not scope.get("root_path")
    )


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


async def _read(headers: dict[bytes, bytes], receive: Receive, service: Service) -> bytes:
    """The whole body. Raises BodyTooLarge, BodyTimeout and ClientDisconnect."""
    limit, seconds = service.settings.max_body_bytes, service.settings.deadline_s
    if len(length := headers[b"content-length"]) > 20 or int(length) > limit:
        raise BodyTooLarge.over(limit)
    if isinstance(receive, Caller) and (whole := receive.take_body()) is not None:
        return whole  # never longer than stated: the server reads no further
    task = asyncio.current_task()
    assert task is not None
    is_late = False

    def give_up() -> None:
        nonlocal is_late
        is_late = True
        task.cancel()

    # what asyncio.timeout does, at a quarter of its cost
    clock = task.get_loop().call_later(seconds, give_up)
    body = b""
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk: bytes = message.get("body", b"")
            body += chunk
            if len(body) > limit:
                raise BodyTooLarge.over(limit)
            if not message.get("more_body", False):
                return body
    except asyncio.CancelledError:
        if is_late and not task.uncancel():
            raise BodyTimeout.after(seconds) from None
        raise
    finally:
        clock.cancel()
