"""What is turned away before it costs anything: bodies, lists and texts over the limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BadRequest, BadText, BodyTimeout, BodyTooLarge, EncodedBody, answer, path_of
from app.settings import Settings
from nmt.errors import InputTooLong, TranslationError


class BodyLimit:
    """ASGI middleware: a body that is too large, too slow or compressed is refused, by its headers or while it is read.

    A chunked body states no length: `receive` raises BodyTooLarge out of the route that reads it, and BodyTimeout where
    not all of it has come `timeout_s` seconds after the head.
    """

    def __init__(
        self, app: ASGIApp, max_body_bytes: int, timeout_s: float, others: Mapping[str, tuple[int, float]] | None = None
    ) -> None:
        """`others`: paths with limits of their own, bytes and seconds."""
        self.app = app
        self.limits = max_body_bytes, timeout_s
        self.others = others or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        max_body_bytes, timeout_s = self.others.get(path_of(scope), self.limits)
        too_large = BodyTooLarge.over(max_body_bytes)
        headers = Headers(scope=scope)
        stated = headers.get("content-length", "")
        if stated.isdecimal() and int(stated[:20]) > max_body_bytes:
            await answer(too_large, path_of(scope))(scope, receive, send)
            return
        if is_encoded(headers.get("content-encoding", "")):
            error = EncodedBody("a body with a Content-Encoding is not read: send it as it is")
            await answer(error, path_of(scope))(scope, receive, send)
            return
        read_bytes = 0
        is_complete = False
        end = asyncio.get_running_loop().time() + timeout_s

        async def limited() -> Message:
            nonlocal read_bytes, is_complete
            if is_complete:  # what is waited for now is the caller's leaving
                return await receive()
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                raise BodyTimeout.after(timeout_s) from None
            is_complete = not message.get("more_body", False)
            read_bytes += len(message.get("body", b""))
            if read_bytes > max_body_bytes:
                raise too_large
            return message

        await self.app(scope, limited, send)


def is_encoded(content_encoding: str) -> bool:
    """Whether a body is other than it stands there, by its header."""
    return content_encoding.strip().lower() not in ("", "identity")


def check_count(texts: Sequence[str], settings: Settings) -> None:
    """Raises BadRequest where a request holds more texts than allowed."""
    if len(texts) > settings.max_texts:
        raise BadRequest(_over(len(texts), settings.max_texts))


def text_error(text: str, settings: Settings) -> TranslationError | None:
    """What is wrong with one text, or None. Its neighbours in a list are translated all the same."""
    if len(text) > settings.max_text_chars:
        return InputTooLong(_over(len(text), settings.max_text_chars))
    if "\x00" in text:
        return BadText("Invalid request: text holds a NUL character")
    return None


def _over(number: int, limit: int) -> str:
    return f"Invalid request: request ({number}) exceeds text limit ({limit})"
