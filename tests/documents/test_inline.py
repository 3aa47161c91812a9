"""Codes in text: what a translator sees, and that what comes back is the same codes or nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.documents.inline import Inline, Mark, Piece
from nmt.documents.tags import tagged


def opened(name: str) -> Mark:
    return Mark("open", name, f"<{name}>")


def closed(name: str) -> Mark:
    return Mark("close", name, f"</{name}>")


def single(name: str) -> Mark:
    return Mark("empty", name, f"<{name}/>")


def text_of(*pieces: Piece) -> str:
    return Inline(pieces).unit("").text


def test_text_without_codes_is_plain() -> None:
    unit = Inline(["a < b ", "& c"]).unit("here")
    assert (unit.text, unit.markup, unit.place) == ("a < b & c", "", "here")


def test_codes_around_all_words_stay_outside() -> None:
    inline = Inline([single("p"), opened("b"), " ", opened("i"), "word", closed("i"), closed("b"), single("q")])
    assert inline.unit("").text == "word"
    assert inline.before == [single("p"), opened("b"), " ", opened("i")]
    assert inline.after == [closed("i"), closed("b"), single("q")]


def test_pairs_are_not_torn_apart() -> None:
    assert text_of(opened("b"), "one", closed("b"), " two") == '<g id="1">one</g> two'
    assert text_of("one ", opened("b"), "two", single("x"), closed("b")) == 'one <g id="1">two<m id="2"/></g>'


def test_what_does_not_nest_stands_for_itself() -> None:
    crossing: list[Piece] = ["a ", opened("b"), "b ", opened("i"), "c ", closed("b"), "d ", closed("i"), "e"]
    assert text_of(*crossing) == 'a <g id="1">b <m id="2"/>c </g>d <m id="3"/>e'
    assert text_of("a ", closed("b"), "b ", opened("i"), "c") == 'a <m id="1"/>b <m id="2"/>c'


def test_moved_codes_are_read_with_their_content() -> None:
    inline = Inline(["a ", opened("b"), "b & c", closed("b"), " d", single("x"), " e"])
    assert inline.unit("").text == 'a <g id="1">b &amp; c</g> d<m id="2"/> e'
    read = inline.read('E <m id="2"/>D &lt; <g id="1">B &amp; C</g> A')
    assert read == ["E ", single("x"), "D < ", opened("b"), "B & C", closed("b"), " A"]


@pytest.mark.parametrize(
    "translation",
    [
        "A B",
        '<g id="1">A',
        'A</g><x id="2"/>',
        '<g id="1">A</g><g id="1">B</g><x id="2"/>',
        '<g id="1">A</g><x id="2"/><x id="2"/>',
        '<g id="1">A</g><x id="3"/>',
        '<g id="2">A</g><x id="1"/>',
        '<g id="1">A</g><x id="2"/><b>',
        '<g id="1">A</g><x id="2">',
    ],
)
def test_other_codes_than_there_were_are_refused(translation: str) -> None:
    assert Inline(["z ", opened("b"), "a", closed("b"), single("x"), " z"]).read(translation) is None


MARKS = st.builds(Mark, st.sampled_from(["open", "close", "empty"]), st.sampled_from("bi"), st.text("<>&x", max_size=3))


@given(st.lists(st.text("ab <>&;\u00e4", max_size=4) | MARKS, max_size=12))
def test_the_unit_read_back_is_what_it_was_made_of(pieces: list[Piece]) -> None:
    inline = Inline(pieces)
    core = inline.read(inline.unit("").text)
    assert core is not None

    def flat(parts: list[Piece]) -> list[object]:
        """Texts joined, marks by what they contain."""
        joined: list[object] = []
        for part in parts:
            if isinstance(part, Mark):
                joined.append((part.content, id(part)))
            elif joined and isinstance(joined[-1], str):
                joined[-1] += part
            elif part:
                joined.append(part)
        return joined

    assert flat([*inline.before, *core, *inline.after]) == flat(pieces)


@given(st.text("ab<>/& =\"'x1\n", max_size=40))
def test_strings_with_tags_come_back_as_they_were(text: str) -> None:
    found = tagged(text, "")
    if found is not None:
        assert found.render(found.unit.text) == text
    else:
        assert not re.search("[a-z]", re.sub(r"<[^<>]*>", "", text))


def test_a_great_many_tags_take_no_great_time() -> None:
    text = "<b>" * 20_000 + "word" + "</i>" * 20_000
    found = tagged(text, "")
    assert found is not None
    assert found.render("WORD") == text.replace("word", "WORD")


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("Click <0>here</0> <1/> now", 'Click <g id="1">here</g> <x id="2"/> now'),
        ("if 3 <5 and 7> 2", "if 3 <5 and 7> 2"),
        ("one<br/>two<br>three", 'one<m id="1"/>two<m id="2"/>three'),
        ("an <img src='a'> or <Icon/> here", 'an <x id="1"/> or <x id="2"/> here'),
    ],
)
def test_tags_of_strings(text: str, unit: str) -> None:
    found = tagged(text, "")
    assert found is not None
    assert found.unit.text == unit
