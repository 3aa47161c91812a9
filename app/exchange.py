"""What is known of the request in hand, for whoever needs it below the routes: the gate, logs, metrics, spans.

Never its texts. A context variable holds it, so that no route has to pass it on; every request runs in a task of its
own, and sees its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from nmt.errors import NmtError
from nmt.inference import Translation

IS_ANSWERED = "nmt.is_answered"
"""In the scope of a request that the server has answered, and taken note of, while its route still waited for it."""

_KEY_SCHEMES = ("bearer", "deepl-auth-key")
_NO_HEADERS: Mapping[bytes, bytes] = {}


class Exchange:
    """One request, and what became of it. What its parts learn they write here."""

    __slots__ = ("_headers", "_scope", "caller", "characters", "charged", "engine_s", "error", "queue_s", "texts")

    def __init__(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> None:
        self._scope = scope
        self._headers = headers
        self.caller = ""
        """Name of who called, once the gate has let it in."""
        self.texts = 0
        self.characters = 0
        """Of all its texts."""
        self.charged = 0
        """Characters that count as used unless the request comes to nothing."""
        self.queue_s = 0.0
        """How long its texts waited for an engine: the longest wait."""
        self.engine_s = 0.0
        """How long they were in work: the longest time."""
        self.error: type[Exception] | None = None
        """The kind of what it was answered with, if that is no success. Not the error, which would hold it in turn."""

    @property
    def address(self) -> str:
        """Of the client; "" where there is none (a Unix socket)."""
        client = self._scope.get("client")
        return str(client[0]) if client else ""

    @property
    def origin(self) -> str:
        """The web origin whose page sent it, in lower case; "" for none."""
        return self.header(b"origin").lower()

    @property
    def request_id(self) -> str:
        """The id that its answer carries."""
        return str(self._scope.get("state", {}).get("request_id", "-"))

    @property
    def offered_key(self) -> str | None:
        """The key of its Authorization header; None where that has none (a proxy's own Basic scheme, say)."""
        scheme, _, key = self.header(b"authorization").partition(" ")
        return key.strip() or None if scheme.lower() in _KEY_SCHEMES else None

    def header(self, name: bytes) -> str:
        """A header's value, "" for none; `name` in lower case."""
        return self._headers.get(name, b"").decode("latin-1")

    def timing(self, seconds: float) -> bytes:
        """The value of Server-Timing after so many seconds in all."""
        if not self.engine_s:
            return b"total;dur=%.1f" % (1000 * seconds)
        parts = 1000 * self.queue_s, 1000 * self.engine_s, 1000 * seconds
        return b"queue;dur=%.1f, engine;dur=%.1f, total;dur=%.1f" % parts

    def note_times(self, results: Iterable[Translation | NmtError | None]) -> None:
        """Add how long these texts waited and were in work."""
        for result in results:
            if isinstance(result, Translation):
                self.queue_s = max(self.queue_s, result.queue_s)
                self.engine_s = max(self.engine_s, result.engine_s)


_current: ContextVar[Exchange] = ContextVar("exchange")


def begin(scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Exchange:
    """Make this request the one in hand."""
    exchange = Exchange(scope, headers)
    _current.set(exchange)
    return exchange


def begin_anew() -> Exchange:
    """Another one for the request in hand: for work that goes on in a task of its own when that has been answered."""
    here = current()
    return begin(here._scope, here._headers)


def current() -> Exchange:
    """The request in hand; outside a request one that nobody reads."""
    return _current.get(None) or Exchange({}, _NO_HEADERS)
