"""The client of a request as our own server knows it: what it sent, whether it is still there, and its answer.

ASGI's way to the same is longer: a task that waits for the client to leave, an answer that is sent in two parts, each
looked through again. For a short text that is a good part of the whole work.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Protocol, cast

from starlette.responses import Response
from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.headers import SAFE

_KEY = "nmt.caller"
_SAFE_LINES = b"".join(name + b": " + value + b"\r\n" for name, value in SAFE)


class Line(Protocol):
    """What a caller needs of its connection."""

    on_leave: Callable[[], None] | None
    """Called when the connection is lost. One request of a connection is in work at a time."""


class Caller:
    """Stands for a request's `receive`, which it is when called. Its owner is the request's task."""

    __slots__ = ("_cycle", "_line")

    def __init__(self, line: Line, cycle: RequestResponseCycle) -> None:
        self._line = line
        self._cycle = cycle

    def introduce(self, scope: Any) -> None:
        """Let the application find it."""
        scope[_KEY] = self

    async def __call__(self) -> Message:
        return cast(Message, await self._cycle.receive())

    @property
    def has_left(self) -> bool:
        """Whether nobody waits for the answer any more."""
        # only the last of several requests that came one upon the other is told
        return self._cycle.disconnected or self._cycle.transport.is_closing()

    def when_gone(self, action: Callable[[], None] | None) -> None:
        """Have `action` called when the caller leaves, at once if it has; None: it need not be known any more."""
        self._line.on_leave = action
        if action is not None and self.has_left:
            action()

    def take_body(self) -> bytes | None:
        """The whole body; None as long as a part of it is still to come."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected:
            return None
        body = bytes(cycle.body)
        cycle.body = bytearray()
        return body

    def answer(self, response: Response) -> bool:
        """Write a whole answer at once, made safe.

        False: the caller is slow to read what it was sent, and must be waited for.
        """
        cycle = self._cycle
        if cycle.flow.write_paused or cycle.response_started:
            return False
        if self.has_left:
            cycle.disconnected = True
            return True
        parts = [STATUS_LINE[response.status_code]]
        keeps_alive = cycle.keep_alive
        lines = 2 + len(SAFE)
        for name, value in (*cycle.default_headers, *response.raw_headers):
            if name == b"connection":  # ours say nothing but "close"
                keeps_alive = False
                continue
            parts += (name, b": ", value, b"\r\n")
            lines += 1
        parts += (_SAFE_LINES, b"\r\n" if keeps_alive else b"connection: close\r\n\r\n")
        head = b"".join(parts)
        if head.count(b"\n") != lines + (not keeps_alive):
            raise RuntimeError("a header holds a line break")
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(head + bytes(response.body))
        cycle.message_event.set()
        if not keeps_alive:
            cycle.transport.close()
        cycle.on_response()
        return True


def take_caller(scope: MutableMapping[str, Any]) -> Caller | None:
    """Who sent a request; None under another server than ours. Out of the scope, which would hold itself in it."""
    caller: Caller | None = scope.pop(_KEY, None)
    return caller
