"""JSON, properties and strings: values change, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import DocumentError
from tests.documents.samples import loud, read, rewritten, same, units

JSON = """{
  "title" : "Hello \\"you\\"",   "n": 12, "empty": "",
  "deep": {"list": ["one <b>two</b>", true, null, "3 \\u00e4 \\ud83d\\ude00"], "Key": "a\\/b\\n"}
}
"""
PROPERTIES = """# A comment = no
! another
title = Hello you
path=C:\\\\dir\\tand
long: one \\
      two
  spaced   value here
empty=
alone
key\\=odd = \\ leading
"""
STRINGS = """/* A comment = "no"; */
"title" = "Hello \\"you\\"";
// another
key.two="Line\\nbreak %@";
"""

VALUES = st.recursive(
    st.text(max_size=8) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def shouted(value: Any) -> Any:
    """What `loud` makes of a value."""
    if isinstance(value, dict):
        return {key: shouted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shouted(inner) for inner in value]
    return value + "!" if isinstance(value, str) and any(map(str.isalpha, value)) else value


def test_values_are_units_and_keys_are_not() -> None:
    assert units("json", JSON) == ['Hello "you"', 'one <g id="1">two</g>', "3 ä 😀", "a/b\n"]
    assert units("properties", PROPERTIES) == ["Hello you", "C:\\dir\tand", "one two", "value here", " leading"]
    assert units("strings", STRINGS) == ['Hello "you"', "Line\nbreak %@"]
    assert read("json", JSON).units[1].place == "line 3"


@pytest.mark.parametrize(("form", "text"), [("json", JSON), ("properties", PROPERTIES), ("strings", STRINGS)])
def test_the_same_texts_give_the_same_bytes(form: str, text: str) -> None:
    for newline in ("\n", "\r\n"):
        changed = text.replace("\n", newline)
        assert rewritten(form, changed, same) == changed.encode()


def test_only_values_change() -> None:
    assert rewritten("json", JSON, loud).decode() == JSON.replace('Hello \\"you\\"', 'HELLO \\"YOU\\"').replace(
        "one <b>two</b>", "ONE <b>TWO</b>"
    ).replace("3 \\u00e4 \\ud83d\\ude00", "3 \\u00c4 \\ud83d\\ude00").replace("a\\/b\\n", "A/B\\n")
    written = rewritten("properties", PROPERTIES, lambda unit: loud(unit) + "ü")
    assert written.decode().splitlines()[2:6] == [
        "title = HELLO YOU\\u00fc",
        "path=C:\\\\DIR\\tAND\\u00fc",
        "long: ONE TWO\\u00fc",
        "  spaced   VALUE HERE\\u00fc",
    ]
    assert written.decode().splitlines()[-1] == "key\\=odd = \\ LEADING\\u00fc"
    assert rewritten("strings", STRINGS, loud).decode() == STRINGS.replace("Hello", "HELLO").replace(
        "you", "YOU"
    ).replace("Line\\nbreak", "LINE\\nBREAK")


@given(VALUES)
def test_any_json_keeps_its_structure(value: Any) -> None:
    for is_ascii in (True, False):
        text = json.dumps(value, ensure_ascii=is_ascii, indent=1)
        if "\ud800" in text or not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                continue
        written = rewritten("json", text, lambda unit: unit.text + "!" if not unit.markup else unit.text)
        found = json.loads(written)
        assert found == shouted(value) or "<" in text


def test_properties_in_the_old_encoding_stay_in_it() -> None:
    written = rewritten("properties", "a=Grüße\n".encode("latin-1"), lambda _: "Größe – neu")
    assert written == b"a=Gr\\u00f6\\u00dfe \\u2013 neu\n"
    assert rewritten("properties", "a=Grüße\nb=x y\n", loud) == "a=GRÜSSE\nb=X Y\n".encode()


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("properties", "=no key\na=b\\", "=NO KEY\na=B"),
        ("properties", "a=b\n\\", "a=B\n\\"),
        ("properties", "a\u00a0b=c d\u00e9", "a\u00a0b=C D\u00c9"),
        ("strings", '"a" /* c */ = // d\n "b" /* e */; "f"="g"', '"a" /* c */ = // d\n "B" /* e */; "f"="G"'),
    ],
)
def test_what_other_readers_take_is_taken(form: str, text: str, expected: str) -> None:
    assert rewritten(form, text, loud).decode() == expected


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("strings", r'"a" = "Gr\U00fcn"; "b" = "x";', r'"a" = "GR\U00dcN\U00e9"; "b" = "X\U00e9";'),
        ("strings", r'"a" = "Gr\U00fcn"; "b" = "ü";', r'"a" = "GR\U00dcN\U00e9"; "b" = "Üé";'),
        ("json", r'["gr\u00fcn", "ü", "x"]', r'["GR\u00dcN\u00e9", "Üé", "Xé"]'),
        ("properties", "a=gr\\u00fcn\nb=ü", "a=GR\\u00dcN\\u00e9\nb=Üé"),
    ],
)
def test_a_value_that_was_written_with_escapes_stays_so(form: str, text: str, expected: str) -> None:
    assert rewritten(form, text, lambda unit: loud(unit) + "é").decode() == expected


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("json", '{"a": }', "line 1: not JSON"),
        ("json", "[" * 100_000, "not JSON"),
        ("json", '{"a": "b"} x', "not JSON"),
        ("strings", '"a" = "b"\n"c" = "d";', "line 1: not a strings file"),
        ("strings", '"a" = "b";\nx', "line 2: not a strings file"),
    ],
)
def test_another_file_is_refused(form: str, text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read(form, text)
