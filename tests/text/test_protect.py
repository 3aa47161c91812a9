"""Placeholders, addresses, code and symbols: found where they are, not found where they are not, in time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.text.protect import (
    NAMES,
    NUMBERS,
    find,
    find_pairs,
    find_symbols,
    find_unknown_words,
    is_everyday,
    looks_like_number,
    signature,
    stand_ins,
    without_placeholders,
)
from tests.effort import effort_s


def found(text: str) -> list[str]:
    return [span.out for span in find(text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello {name}, you have {{count}} of {0}.", ["{name}", "{{count}}", "{0}"]),
        ("{n, plural, one {# file} other {# files}} left", ["{n, plural, one {# file} other {# files}}"]),
        ("Dear ${x}, #{y} and %{z}: $HOME, %PATH%, __init__", ["${x}", "#{y}", "%{z}", "$HOME", "%PATH%", "__init__"]),
        ("%s of %d, %1$s and %.2f, %(name)s, %n and %1", ["%s", "%d", "%1$s", "%.2f", "%(name)s", "%n", "%1"]),
        ("%s%d: %s/%s", ["%s%d", "%s/%s"]),
        ("[X12X] and [3] and [[link]]", ["[X12X]", "[3]", "[[link]]"]),
        ("See https://a.example/b?c=d&e#f, then (www.x.org).", ["https://a.example/b?c=d&e#f", "www.x.org"]),
        ("(https://en.wikipedia.org/wiki/A_(b))", ["https://en.wikipedia.org/wiki/A_(b)"]),
        ("Write to bob.b+c@mail.example.org.", ["bob.b+c@mail.example.org"]),
        ("example.com/x is up", ["example.com/x"]),
        ("in /etc/nginx/conf.d/. Or ~/x.txt, C:\\Temp\\a", ["/etc/nginx/conf.d/", "~/x.txt", "C:\\Temp\\a"]),
        ("call foo() with --dry-run=1 in my_file or userName", ["foo()", "--dry-run=1", "my_file", "userName"]),
        ("Save as a.tar.gz or report.pdf", ["a.tar.gz", "report.pdf"]),
        ("MP3 on +49 30 1234567 at 2024-01-31T10:00:00Z", ["MP3", "+49 30 1234567", "2024-01-31T10:00:00Z"]),
        ("un{word}able, {count}x, {name}s and {name}'s", ["un{word}able", "{count}x", "{name}", "{name}"]),
        ("{host}:{port}", ["{host}:{port}"]),
        ("a <b>big</b> one, &nbsp; and [i]x[/i]", ["<b>", "</b>", "&nbsp;", "[i]", "[/i]"]),
        ("one\\ntwo \\t", ["\\n", "\\t"]),
        ("@bob likes #tag", ["@bob", "#tag"]),
        ("I like foo() very much.", ["foo()"]),
        ("It takes 5-10 minutes.", ["5-10"]),
        ("9:00-17:00, 1999–2005, 555-1234", ["9:00-17:00", "1999–2005", "555-1234"]),
        ("on 2024-01-31.", ["2024-01-31"]),
        ("[url=x]a[/url] [B]b[/B]", ["[url=x]", "[/url]", "[B]", "[/B]"]),
    ],
)
def test_what_must_come_through_is_found(text: str, parts: list[str]) -> None:
    assert found(text) == parts
    assert all(text[span.start : span.end] == span.out for span in find(text))


@pytest.mark.parametrize(
    "text",
    [
        "100% sure",
        "100%ige Sicherheit",
        "50 % off",
        "A 5% discount",
        "It costs $5 or 3 €.",
        "x < 3 and y > 4",
        "I <3 you",
        "He left.Then she came.",
        "3pm, the 20th, the 1990s",
        "and/or",
        'Tom\'s (old) dog: "yes"!',
        "well-known",
        "a 5-star hotel, 1990-ish, a 10-",
        "[laughs] I know.",
        "<unk>",
    ],
)
def test_ordinary_text_is_not_protected(text: str) -> None:
    assert found(text) == []
    assert not signature(text)


HINTS = st.text(st.sampled_from("{}%$[]<>&@#/\\`_=-+.:~ \n1aAsdbX()\"'!?,;|*^é😀\u200d\ufffc"), max_size=60)


@settings(max_examples=500)
@given(HINTS)
def test_spans_lie_in_order_and_everyday_texts_have_none(text: str) -> None:
    spans = find(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert all(0 <= span.start < span.end <= len(text) and span.out == text[span.start : span.end] for span in spans)
    if is_everyday(text):
        assert spans == []
        assert not signature(text)
        assert not any(character.isdigit() for character in text)
    assert not signature(without_placeholders(text))


@pytest.mark.parametrize(
    "part",
    [
        "{",
        "<a ",
        "[[",
        "http://",
        "`",
        "%(",
        "/a",
        "a@",
        "a_",
        "{a",
        "<a b='",
        "\\n",
        "0x",
        "1-",
        "{% ",
        "a.b-",
        "+1",
        "[url=",
        '"a ',
        "“a",
        "(a",
        "(“a",
        "([",
        '(["a])',
        " *a",
        " _a b",
    ],
)
def test_a_hostile_text_takes_no_longer_than_its_length_explains(part: str) -> None:
    """Ten times as long may take ten times as long, and some noise: not a hundred times."""

    def look(text: str) -> None:
        find(text)
        signature(text)
        find_pairs(text, str.isalnum, "en")
        find_pairs(text, str.isprintable, "en")

    limit_s = 40 * max(effort_s(lambda: look(part * 1_000), 0.01), 0.01)
    assert effort_s(lambda: look(part * 10_000), limit_s) < limit_s


def known(character: str) -> bool:
    return character in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZäöüß.,:–"


def test_symbols_are_what_the_vocabulary_lacks() -> None:
    def symbols(text: str) -> list[str]:
        return [span.out for span in find_symbols(text, known)]

    assert symbols("Great! 😀👍🏽 I ❤️ 👨‍👩‍👧 🇩🇪 1️⃣") == ["😀👍🏽", "❤️", "👨‍👩‍👧", "🇩🇪", "1️⃣"]
    assert symbols("• a → b | c & d") == ["•", "→", "|", "&"]
    assert symbols("5 € at 20°C, x*y (and) „so“ – e.g. ¿qué?") == []
    assert find_symbols("a 😀 b", lambda _: True) == []


@pytest.mark.parametrize(
    ("text", "unknown", "parts"),
    [
        ("Say it (“yes”) now.", "", ["“", "”"]),
        ("He (the “boss” of us) left.", "", ["“", "”"]),
        ("It (“yes”", "", ["“", "”"]),
        ('It [*is* "so"].', "*", ["*", "*", '"', '"']),
        ("It [(“so”)].", "", ["“", "”"]),
        ("Say it (“yes”) now.", "()", ["(", "“", "”", ")"]),
        ("It ((very) much) is.", "()", ["(", ")"]),
        ("(“x) y” [a (b)]", "()[]", ["(", ")", "[", "(", ")", "]"]),
        ("a) “yes” and f(“x)", "", ["“", "”"]),
    ],
)
def test_pairs_are_found_in_brackets(text: str, unknown: str, parts: list[str]) -> None:
    found = find_pairs(text, lambda character: character not in unknown, "en")
    assert [span.out for span in found] == parts
    assert all(one.end <= other.start for one, other in pairwise(found))


def test_words_of_another_script_are_unknown_and_borrowed_letters_are_not() -> None:
    assert [s.out for s in find_unknown_words("I like Москва, हिन्दी and a café in Köln.", known)] == ["Москва", "हिन्दी"]


def test_a_name_with_a_letter_that_is_lacking_is_unknown() -> None:
    """Of a word in small letters or in capitals the rest may be enough; a name has to be all there."""
    found = find_unknown_words("Dvořák hört in Łódź naïve Musik, ÜBER ÅL und Österreich.", known)
    assert [span.out for span in found] == ["Dvořák", "Łódź"]


@pytest.mark.parametrize(
    ("text", "language", "is_number"),
    [
        ("{count} files", "en", True),
        ("{num_files} left", "en", True),
        ("%d", "en", True),
        ("{0} files", "en", True),
        ("Hello {0}!", "en", False),
        ("{0} Dateien", "de", True),
        ("{0} ist hier", "de", False),
        ("{name} is", "en", False),
        ("%s", "en", False),
    ],
)
def test_a_name_tells_whether_a_number_comes(text: str, language: str, is_number: bool) -> None:
    (span,) = find(text)
    assert looks_like_number(span, text, language) is is_number


def test_stand_ins_are_in_none_of_the_texts() -> None:
    assert stand_ins(["{a} and {n} of {b}"], [False, True, False]) == [NAMES[0], NUMBERS[0], NAMES[1]]
    assert stand_ins([f"{NAMES[0]} saw {{a}} in {NUMBERS[0]}"], [False, True]) == [NAMES[1], NUMBERS[1]]
    assert stand_ins(["{a}"], [False], others=True) == [NAMES[1]]
    assert stand_ins(["{a}"], [False] * (len(NAMES) + 1)) is None
