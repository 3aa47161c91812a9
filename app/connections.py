"""The server's connections: how many there may be, how long a request may take to arrive, how large its head may be.

uvicorn leaves all of these open: a connection that sends nothing stays for ever, and so does a header that never ends.
Here its protocol gets limits, and all connections of a server share a door. Knows nothing of routes but which of them
tell how the service is; those are answered whatever happens.
"""

from __future__ import annotations

import asyncio
import fcntl
import re
import termios
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app import errors, logs
from app.caller import Caller
from app.errors import BadRequest, BodyTimeout, HeadTimeout, HeadTooLarge, Stopping
from app.exchange import IS_ANSWERED
from app.headers import SAFE
from app.settings import Settings
from nmt.errors import NmtError, Overloaded

ALWAYS_ANSWERED = frozenset({b"/livez", b"/readyz", b"/health", b"/metrics"})
"""How the service is: told when it is full and when it is stopping, too."""
WORK = frozenset(
    {
        b"/translate",
        b"/translate_file",
        b"/v2/translate",
        b"/v2/document",
        b"/language/translate/v2",
        b"/apy/translate",
        b"/translator/translate",
    }
)
"""The paths whose requests need the engine."""
SETTLE_S = 0.1
"""A connection is not closed for another sooner: what its caller has sent may be on its way."""
MAX_LOOKED_AT = 16
"""Of the connections awaited longest, so many are asked whether they have sent something meanwhile."""
MAX_EXTRA = 128
"""Connections beyond the limit, while none can go."""
MAX_FIELDS = 128
"""Header fields of one request. Each costs a few hundred bytes once it has been read, however short it is."""
MAX_PIPELINED = 8
"""Requests that one connection may send before it has the answer to the first."""
MAX_FRAMING = 8
"""Bytes around a chunked body for each byte in it: chunks of one byte need five."""
SMALL_BODY_BYTES = 64 * 1024
"""Bodies up to here are not counted: the number of connections bounds what they need."""
LINGER_S = 30.0
"""How long the rest of a body that was refused is still read, and thrown away, so that its sender sees the answer."""
LINGER_AT_THE_END_S = 1.0
"""The same when the service is stopping."""
BODY_GRACE_S = 1.0
"""Routes that wait for a body answer 408 themselves; this is how long after that the connection does."""


TOO_MANY = Overloaded("too many connections", retry_after_s=1.0)

_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class Gauge(Protocol):
    """What the door asks of the service."""

    def refusal(self) -> Overloaded | None:
        """Why no request that needs the engine can be taken now, if so."""

    def note(self, scope: dict[str, Any], status: int) -> None:
        """A request was answered here, past the application."""

    def note_arrival(self) -> None:
        """A connection was made."""

    def gather(self) -> None:
        """Something has come. Returns when it should be looked at: a moment later where others will have come, too."""


class Door:
    """What all connections of one server share."""

    def __init__(self, settings: Settings, gauge: Gauge) -> None:
        self.gauge = gauge
        self.max_connections = settings.max_connections
        self.max_head_bytes = settings.max_head_bytes
        self.max_bodies_bytes = settings.max_bodies_bytes
        self.header_timeout_s = settings.header_timeout_s
        self.body_timeout_s = max(settings.deadline_s, settings.file_deadline_s) + BODY_GRACE_S
        self.is_stopping = False
        """No request is taken any more but those that ask how the service is."""
        self.bodies_bytes = 0
        """Of bodies that are not small, until their requests are answered."""
        self.inside: set[Connection] = set()
        self.extra: set[Connection] = set()
        """Those that came when no other could go. They may ask how the service is."""
        self.awaited: dict[Connection, float] = {}
        """Those that owe us a request or the rest of one, and since when, the longest awaited first."""

    def enter(self, connection: Connection) -> None:
        """Let a connection in. Where that is one too many, the one that has let us wait longest must go."""
        now = connection.loop.time()
        self.gauge.note_arrival()
        self.inside.add(connection)
        self.awaited[connection] = now
        if len(self.inside) <= self.max_connections:
            return
        oldest, since = next(iter(self.awaited.items()))
        if now - since > SETTLE_S:
            # we may be so late that it is not they who let us wait
            waited = (one for one, since in islice(self.awaited.items(), MAX_LOOKED_AT) if now - since > SETTLE_S)
            oldest = next((one for one in waited if not one.has_unread()), oldest)
            self.leave(oldest)
            oldest.end()
        elif len(self.extra) < MAX_EXTRA:
            self.extra.add(connection)
        else:
            self.leave(connection)
            connection.turn_away()

    def leave(self, connection: Connection) -> None:
        """It is closed, or is about to be."""
        self.inside.discard(connection)
        self.extra.discard(connection)
        self.awaited.pop(connection, None)

    def await_request(self, connection: Connection) -> None:
        """It has been answered: the next word is its caller's."""
        if connection in self.inside:
            self.awaited.pop(connection, None)
            self.awaited[connection] = connection.loop.time()

    def refusal(self, connection: Connection, path: bytes) -> NmtError | None:
        """Why a request is not even looked at. Must cost next to nothing: it is asked for each one."""
        if path in ALWAYS_ANSWERED:
            return None
        if self.is_stopping:
            return Stopping()
        if connection in self.extra and len(self.inside) > self.max_connections:
            return TOO_MANY
        return self.gauge.refusal() if path in WORK else None


class Connection(HttpToolsProtocol):
    """One connection: uvicorn's, with limits. `door` is set by `connections_of`."""

    door: Door

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""
        self._clock: asyncio.TimerHandle | None = None
        """Ends the wait for a request or its rest."""
        self._is_in_head = self._is_in_body = False
        self.is_lingering = False
        """It has its answer, and is still sending its request."""
        self._head_bytes = self._fields = 0
        self._body_bytes = self._framing_bytes = 0
        self._mistake: NmtError | None = None
        """Why a callback stopped the parser."""
        self.on_leave: Callable[[], None] | None = None
        """Set by the request in work, to be told when nobody waits for its answer."""

    # The connection's life

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _Transport(transport, self.is_sending, self.linger)))
        self._set_clock(self.door.header_timeout_s, self._on_late_head)
        self.door.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.leave(self)
        self._release_body()
        self._stop_clock()
        self._unset_keepalive_if_required()
        self._is_in_body = False  # nothing more will come: closing is closing
        super().connection_lost(exc)
        self._tell_leaving()
        cast(_Transport, self.transport).forget()
        if self._open_cycle() is None:
            self.cycle = cast(RequestResponseCycle, None)

    def end(self) -> None:
        """Close at once: the caller has given no request that could be answered."""
        self.transport.abort()

    def has_unread(self) -> bool:
        """Whether it has sent something that has not been read yet."""
        own = self.transport.get_extra_info("socket")
        unread = bytearray(4)
        with suppress(OSError, ValueError):
            fcntl.ioctl(own.fileno(), termios.FIONREAD, unread)
        return any(unread)

    def turn_away(self) -> None:
        """Close at once, but say why: its caller may have sent a request already."""
        self._write(TOO_MANY, keeps_alive=False)
        self.transport.close()

    def shutdown(self) -> None:
        super().shutdown()
        if self.is_lingering:
            self.end()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():  # its caller does not read: closing would wait for that
            self.end()
        else:
            super().timeout_keep_alive_handler()

    def is_sending(self) -> bool:
        """Whether the rest of a request is still to come."""
        return self._is_in_body

    def linger(self) -> None:
        """Throw away what still comes of the request."""
        self.is_lingering = True
        self.flow.resume_reading()
        self._set_clock(LINGER_AT_THE_END_S if self.door.is_stopping else LINGER_S, self.end)
        self.door.await_request(self)

    # What comes in

    def data_received(self, data: bytes) -> None:
        if self.is_lingering:
            return
        self.door.gauge.gather()
        self._unset_keepalive_if_required()
        if self._is_in_head:
            self._head_bytes += len(data)
        elif self._is_in_body:
            self._framing_bytes += len(data)
        elif b"pgrade:" in data:
            data = without_upgrade(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # to what is not offered: the request itself is answered
        except httptools.HttpParserError:
            mistake, self._mistake = self._mistake, None
            if mistake is not None:
                mistake.__traceback__ = None  # whose frames hold this connection and what it sent
            self._refuse(mistake or BadRequest("not an HTTP/1.1 request"))
            return
        if self._is_in_head and self._head_bytes > self.door.max_head_bytes:
            self._refuse(HeadTooLarge.over(self.door.max_head_bytes))
        elif self._is_in_body and self._framing_bytes > self.door.max_head_bytes + MAX_FRAMING * self._body_bytes:
            self._refuse(BadRequest("the body is lost in its framing"))  # an endless trailer, say
        elif self._clock is None:
            if self._is_in_head:
                self._set_clock(self.door.header_timeout_s, self._on_late_head)
            elif self._is_in_body:
                self._set_clock(self.door.body_timeout_s, self._on_late_body)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = self._fields = self._framing_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.door.max_head_bytes:
            self._stop(HeadTooLarge.over(self.door.max_head_bytes))

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        self._fields += 1
        if self._fields > MAX_FIELDS:
            self._stop(HeadTooLarge(f"more than {MAX_FIELDS} header fields"))

    def on_headers_complete(self) -> None:
        self._is_in_head, self._is_in_body = False, True
        self._stop_clock()
        is_busy = self._open_cycle() is not None
        if is_busy and len(self.pipeline) >= MAX_PIPELINED:
            self._stop(BadRequest(f"more than {MAX_PIPELINED} requests wait on one connection"))
        refusal = None if is_busy else self.door.refusal(self, self.url.partition(b"?")[0])
        if refusal is None or any(name == b"origin" for name, _ in self.headers):
            super().on_headers_complete()  # a page elsewhere needs more headers to read its answer
            Caller(self, self.cycle).introduce(self.scope)
            return
        self.scope["method"] = self.parser.get_method().decode("ascii")
        keeps_alive = (
            self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive() and not self.door.is_stopping
        )
        self._answer_here(refusal, keeps_alive=keeps_alive)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._framing_bytes -= len(body)
        if self.cycle.response_complete:
            return
        before = max(self._body_bytes, SMALL_BODY_BYTES)
        self._body_bytes += len(body)
        if self._body_bytes <= before:
            return
        self.door.bodies_bytes += self._body_bytes - before
        if self.door.bodies_bytes > self.door.max_bodies_bytes:
            self._refuse(Overloaded("too many large requests are being read", retry_after_s=1.0))

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._stop_clock()
        if self.is_lingering:  # that was the rest
            self.transport.close()
        if not self.cycle.response_complete:
            self.door.awaited.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._release_body()
        self.door.await_request(self)
        super().on_response_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """No line in the log that any caller could write as often as it likes."""

    # Answers past the application

    def _on_late_head(self) -> None:
        self._clock = None
        if self._is_in_head:
            self._refuse(HeadTimeout.after(self.door.header_timeout_s))
        else:
            self.transport.close()  # it has said nothing at all

    def _on_late_body(self) -> None:
        self._clock = None
        self._refuse(BodyTimeout.after(self.door.body_timeout_s))

    def _stop(self, mistake: NmtError) -> None:
        """Leave the parser from within a callback."""
        self._mistake = mistake
        raise mistake

    def _refuse(self, mistake: NmtError) -> None:
        """Answer what cannot go on, if an answer has not begun, and close."""
        if self.transport.is_closing():
            return
        cycle = self._open_cycle()
        has_answer = self._is_in_body if cycle is None else cycle.response_started
        if not has_answer:
            self._write(mistake, keeps_alive=False)
        if cycle is not None:
            if not has_answer:
                cast(dict[str, Any], cycle.scope)[IS_ANSWERED] = True
            cycle.disconnected = True  # for the route that waits for the rest
            cycle.message_event.set()
            self._tell_leaving()
        self._release_body()
        self._is_in_body = True  # whatever comes now is thrown away
        self.transport.close()

    def _answer_here(self, refusal: NmtError, *, keeps_alive: bool) -> None:
        """The whole answer to a request whose head has been read."""
        self._write(refusal, keeps_alive=keeps_alive)
        self.cycle = cast(RequestResponseCycle, ANSWERED)
        if keeps_alive:
            self.on_response_complete()
        else:
            self.transport.close()

    def _write(self, refusal: NmtError, *, keeps_alive: bool) -> None:
        scope = cast("dict[str, Any] | None", self.scope) or {}
        scope.setdefault("method", "-")
        offered = next((value for name, value in self.headers or () if name == logs.REQUEST_ID_BYTES), b"")
        request_id = logs.begin(scope, offered)
        path = self.url.partition(b"?")[0]
        status, head, body = (written if path in WORK else written.__wrapped__)(refusal, path)
        lines = [head]
        for name, value in self.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        lines += (logs.REQUEST_ID_BYTES, b": ", request_id, b"\r\n")
        lines += (b"\r\n" if keeps_alive else b"connection: close\r\n\r\n", b"" if scope["method"] == "HEAD" else body)
        self.transport.write(b"".join(lines))
        self.door.gauge.note(scope, status)

    # Small things

    def _open_cycle(self) -> RequestResponseCycle | None:
        """The request in hand, where it is not answered. (Before the first there is none, whatever the types say.)"""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def _tell_leaving(self) -> None:
        if self.on_leave is not None:
            self.on_leave()

    def _release_body(self) -> None:
        self.door.bodies_bytes -= max(0, self._body_bytes - SMALL_BODY_BYTES)
        self._body_bytes = 0

    def _set_clock(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(seconds, action)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


class _Transport:
    """A transport that does not hang up on somebody who is still talking.

    Where a request is answered before all of it has come (413, say), closing would reset the connection, and what the
    caller gets to see is that and not the answer. So it hears the end of ours, and may talk on for a while.
    """

    __slots__ = (
        "_inner", "_is_closing", "_is_sending", "_linger", "abort", "get_extra_info", "get_write_buffer_size",
        "pause_reading", "resume_reading", "write",
    )  # fmt: skip

    def __init__(self, inner: asyncio.Transport, is_sending: Callable[[], bool], linger: Callable[[], object]) -> None:
        self._inner, self._is_sending, self._linger = inner, is_sending, linger
        self._is_closing = False
        self.write = inner.write
        self.abort = inner.abort
        self.get_extra_info = inner.get_extra_info
        self.pause_reading = inner.pause_reading
        self.resume_reading = inner.resume_reading
        self.get_write_buffer_size = inner.get_write_buffer_size

    def forget(self) -> None:
        """Let go of the connection, which is lost: otherwise it and what it sent would wait for garbage collection."""
        self._is_sending = self._linger = lambda: False

    def is_closing(self) -> bool:
        return self._is_closing or self._inner.is_closing()

    def close(self) -> None:
        if self._is_closing or not self._is_sending() or self._inner.is_closing() or not self._inner.can_write_eof():
            self._inner.close()
            return
        self._is_closing = True
        self._inner.write_eof()
        self._linger()


class _Answered:
    """Stands for a request that was answered here. No application waits for it."""

    response_complete = response_started = True
    disconnected = keep_alive = False
    message_event = asyncio.Event()


ANSWERED = _Answered()


@lru_cache(64)
def written(refusal: NmtError, path: bytes) -> tuple[int, bytes, bytes]:
    """Status, most of the head, and body of an answer. Under load it is the same one again and again.

    Remembers the path, which is not to be the caller's invention.
    """
    response = errors.answer(refusal, path.decode("latin-1"))
    lines = [STATUS_LINE[response.status_code]]
    for name, value in (*response.raw_headers, *SAFE):
        if name != b"connection":
            lines += (name, b": ", value, b"\r\n")
    return response.status_code, b"".join(lines), bytes(response.body)


def without_upgrade(data: bytes) -> bytes:
    """The bytes of a request under whose wish for another protocol lies an ordinary request.

    Java's client wishes for HTTP/2 with each first request, and httptools takes what follows such a wish for that other
    protocol: the request would be without its body. A server may ignore the wish (RFC 9110, 7.8).
    """
    head, blank, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nX-Ignored-Upgrade:", head) + blank + rest


def connections_of(door: Door) -> type[asyncio.Protocol]:
    """The protocol of a server's connections, as uvicorn's option `http` takes it."""
    return type("Connection", (Connection,), {"door": door})
