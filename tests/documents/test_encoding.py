"""Bytes to text and back: the same encoding, or an error that says where and why."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.documents.encoding import Coding, decode
from nmt.errors import DocumentError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(text=TEXT, bom=st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]))
def test_a_byte_order_mark_names_the_encoding_and_is_written_back(text: str, bom: str) -> None:
    marks = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    marks |= {"utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE}
    if bom == "utf-16-le" and text.startswith("\x00"):
        return
    data = marks[bom] + text.encode(bom)
    found, coding = decode(data)
    assert found == text
    assert coding.encode(found) == data


@pytest.mark.parametrize(
    "name", ["iso-8859-1", "windows-1252", "KOI8-R", "shift_jis", "gb18030", "iso-8859-15", "EUC-KR"]
)
def test_a_declared_encoding_is_used_and_written_back(name: str) -> None:
    data = {"KOI8-R": "Привет", "shift_jis": "日本", "gb18030": "中文", "EUC-KR": "한국"}.get(name, "Grüße").encode(
        name
    )
    text, coding = decode(data, name)
    assert text == data.decode(name)
    assert coding.encode(text) == data


@pytest.mark.parametrize(
    "name", ["utf-7", "unicode_escape", "rot13", "base64", "idna", "punycode", "no-such", "a" * 99, "../x"]
)
def test_what_is_no_encoding_of_documents_is_refused(name: str) -> None:
    with pytest.raises(DocumentError, match="encoding that is not known"):
        decode(b"abc", name)


def test_an_error_names_line_and_byte() -> None:
    with pytest.raises(DocumentError, match=r"^line 3: not valid UTF-8 \(byte 0xe4\)"):
        decode("eins\nzwei\nfällt auf\n".encode("latin-1"))
    with pytest.raises(DocumentError, match=r"^line 2: it holds NUL"):
        decode(b"a\nb\x00c")


def test_an_encoding_that_cannot_be_written_back_as_it_is_is_refused() -> None:
    with pytest.raises(DocumentError, match="cannot be written back"):
        decode(b'\x1b$B\x1b(B\x1b$B$"\x1b(B', "iso-2022-jp")


def test_a_character_that_the_encoding_has_not_is_escaped_or_an_error() -> None:
    coding = Coding("iso8859-1")
    assert coding.encode("ä€", lambda character: f"&#{ord(character)};") == b"\xe4&#8364;"
    with pytest.raises(DocumentError, match="has no '€'"):
        coding.encode("ä€")
