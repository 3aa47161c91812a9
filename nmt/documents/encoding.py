"""From bytes to text and back to the same encoding: byte order marks, declared names, line ends. Guesses nothing."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from nmt.errors import DocumentError

_BOMS = (  # the longer first: UTF-16's is the beginning of UTF-32's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
"""Codecs of Python's that no document is written in."""


@dataclass(frozen=True)
class Coding:
    """How a document's text lies in its bytes. Line ends stay in the text."""

    name: str
    bom: bytes = b""

    def encode(self, text: str, escape: Callable[[str], str] | None = None) -> bytes:
        """The bytes of a text; `escape` gives what stands for a character that the encoding has not.

        Raises DocumentError where there is such a character and no `escape`.
        """
        try:
            return self.bom + text.encode(self.name)
        except UnicodeEncodeError as error:
            if escape is None:
                character = error.object[error.start]
                raise DocumentError(
                    f"its encoding, {self.name}, has no {character!r} for the translation: convert the file to UTF-8"
                ) from None
        fitting = (character if self._has(character) else escape(character) for character in text)
        return self.bom + "".join(fitting).encode(self.name)

    def _has(self, character: str) -> bool:
        try:
            character.encode(self.name)
        except UnicodeEncodeError:
            return False
        return True


UTF_8 = Coding("utf-8")


def marked(data: bytes) -> Coding | None:
    """The encoding that a byte order mark names, if there is one."""
    return next((Coding(name, bom) for bom, name in _BOMS if data.startswith(bom)), None)


def decode(data: bytes, declared: str | None = None) -> tuple[str, Coding]:
    """A document's text. Its encoding is the one of its byte order mark, else the declared one, else UTF-8.

    Raises DocumentError where the bytes are not in that encoding, the declared one is unknown, or the text holds NUL,
    which no text does.
    """
    coding = marked(data) or _declared(declared) or UTF_8
    body = data[len(coding.bom) :]
    try:
        text = body.decode(coding.name)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        advice = "convert it with iconv" if coding is UTF_8 else "it declares another encoding than it has"
        raise DocumentError(
            f"not valid {coding.name.upper()} (byte 0x{body[error.start]:02x}): {advice}", place=f"line {line}"
        ) from None
    if coding is not UTF_8 and coding.encode(text) != data:
        raise DocumentError(f"its encoding, {coding.name}, cannot be written back as it is: convert the file to UTF-8")
    if "\x00" in text:
        raise DocumentError(
            "it holds NUL characters: not a text", place=f"line {text.count(chr(10), 0, text.index(chr(0))) + 1}"
        )
    return text, coding


def _declared(name: str | None) -> Coding | None:
    if not name:
        return None
    try:
        if not re.fullmatch(r"[A-Za-z0-9._:-]{1,40}", name):
            raise LookupError
        found = codecs.lookup(name).name
        bytes(4).decode(found)  # raises LookupError for codecs that are none of text
        if found in _NO_CHARSETS:
            raise LookupError
    except (LookupError, ValueError):
        raise DocumentError(f"declares an encoding that is not known: {name[:40]!r}") from None
    return UTF_8 if found == "utf-8" else Coding(found)
