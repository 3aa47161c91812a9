"""What is turned away before it costs anything: bodies, lists and texts over the limits."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BadRequest, BadText, BodyTooLarge, answer, path_of
from app.settings import Settings
from nmt.errors import InputTooLong, TranslationError


class BodyLimit:
    """ASGI middleware: a body of more than `max_body_bytes` is refused, by its stated length or while it is read.

    A chunked body states no length: `receive` raises BodyTooLarge out of the route that reads it.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        too_large = BodyTooLarge.over(self.max_body_bytes)
        stated = Headers(scope=scope).get("content-length", "")
        if stated.isdecimal() and int(stated[:20]) > self.max_body_bytes:
            await answer(too_large, path_of(scope))(scope, receive, send)
            return
        read_bytes = 0

        async def limited() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > self.max_body_bytes:
                raise too_large
            return message

        await self.app(scope, limited, send)


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
