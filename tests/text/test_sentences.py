"""Sentence splitting: nothing is lost whatever the input, and common texts are cut where a reader would."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
import sentencex  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.text.sentences import LEAST_WORDS, WINDOW, Segment, fit, fit_clauses, split, split_long
from tests.effort import effort_s

# Arbitrary Unicode, lone surrogates included, and the characters that decide about sentences more often than chance.
ANY_TEXT = st.one_of(
    st.text(st.characters(codec=None, categories=None), max_size=80),
    st.text(
        st.sampled_from(" \t\n\r\u00a0\u2028\u0085.?!…。！？\"'“”„‚‘»«()[]0123aAbZäß,;:-–\ud800\u200d\u0301👩"),
        max_size=80,
    ),
    st.lists(
        st.sampled_from(["Dr. ", "B\xa0.", "z. B. ", "am 3. ", "Mai", "U.S. ", "\n", "  ", "„", "(", ".) ", "Er "])
    ).map("".join),
)

LANGUAGES = st.sampled_from(["en", "de", "fr", "zh", "ja", "hy", "DE-at", "", "no-such"])


def whole(segments: list[Segment]) -> str:
    return "".join(segment.before + segment.text + segment.after for segment in segments)


def sentences(text: str, language: str) -> list[str]:
    return [segment.text for segment in split(text, language)]


def words(text: str) -> int:
    return len(text.split())


@settings(max_examples=400)
@given(ANY_TEXT, LANGUAGES)
def test_segments_add_up_to_the_text_and_white_space_is_outside_them(text: str, language: str) -> None:
    segments = split(text, language)
    assert whole(segments) == text
    for segment in segments:
        assert segment.text == segment.text.strip()
        assert not (segment.before + segment.after).strip()
        assert "\n" not in segment.text
        assert "\r" not in segment.text


@settings(max_examples=400)
@given(ANY_TEXT, st.integers(1, 12), st.sampled_from([len, words]))
def test_parts_add_up_to_the_text_and_fit_the_limit(text: str, limit: int, count: Callable[[str], int]) -> None:
    parts = split_long(text, limit, count)
    assert whole(parts) == text
    assert all(count(part.text) <= limit for part in parts)


@settings(max_examples=200)
@given(ANY_TEXT, st.integers(1, 12))
def test_fit_keeps_the_text_and_the_white_space(text: str, limit: int) -> None:
    segments = split(text, "en")
    fitting = fit(segments, limit, len)
    assert whole(fitting) == text
    assert all(len(segment.text) <= limit for segment in fitting if segment.translatable)


@settings(max_examples=200)
@given(ANY_TEXT, st.integers(1, 12))
def test_clauses_keep_the_text_and_say_what_they_are_parts_of(text: str, limit: int) -> None:
    segments = split(text, "en")
    parts = fit_clauses(segments, limit, words)
    assert whole(parts) == text
    for one, other in pairwise(parts):
        assert one.is_open == other.continues
        if one.is_open:
            assert one.text[-1] in ";:,-–—；：，、،\"'”’“»)]"
    assert [part.continues for part in parts].count(False) == len(segments)


CASES = [
    ("en", "Dr. Smith went to Washington.|He arrived on Jan. 5th.|It was cold."),
    ("en", "Mr. and Mrs. Jones met Prof. Li, e.g. today, i.e. now.|They left."),
    ("en", "He lives in the U.S. now.|J. R. R. Tolkien did not."),
    ("en", "I met him at 5 p.m.|He was late."),
    ("en", "This costs 3.50 dollars.|Version 2.0.1 costs more!|Really?!|Yes."),
    ("en", '"Are you coming?" he asked.|"Yes!"|Then he left.'),
    ("en", "Tom asked, “Where?”|Mary said, ‘Here.’|Bye."),
    ("en", "I have a cat.|(It is black.)|It eats."),
    ("en", "Wait for it... now.|No way!!!|You??|Yes."),
    ("en", "Open www.example.com/a.B?c=D now.|Node.Js is foo.Bar(x) here."),
    ("en", "Approx. Ten of them met Max.|Yahoo! is big."),
    ("en", "He saw me.|Tom said it's OK.|“No.”|They fell ill.|Tom left."),
    ("de", "Er sah mich.|Tom tut, was er mag.|Vgl. Art. 5 der Satzung."),
    ("de", "Wir treffen uns am 3. Mai.|Das ist z. B. ein Dienstag.|Gut."),
    ("de", "Der 2. Weltkrieg endete 1945.|Danach kam Frieden.|Im 19. Jh. nicht."),
    ("de", "Am 1. April, 24. Dez. und 3. Okt. war es.|Der 1. FC Köln gewann."),
    ("de", "Ich bin 25.|Du bist 30.|Das kostet ca. 3,50 Euro."),
    ("de", "Dipl.-Ing. Meier, Prof. Dr. Huber und Hr. Abt kamen.|Inkl. Mehrwertsteuer."),
    ("de", "„Kommst du?“, fragte er.|„Ja.“|Dann ging er.|»Nein.«|Sie blieb."),
    ("de", "Um 12.30 Uhr am 3.5.2020 kam er.|Ludwig XIV. war König."),
    ("fr", "M. Dupont et Mme. Curie sont là.|Bonjour !|Ça va ?"),
    ("zh", "你好。|你好吗？|很好！|谢谢。|“是的。”|他说。"),
    ("ja", "こんにちは。|元気ですか？|「そうです。」|と言った。"),
]


@pytest.mark.parametrize(("language", "marked"), CASES)
def test_sentences_end_where_a_reader_ends_them(language: str, marked: str) -> None:
    expected = marked.split("|")
    blank = "" if language in {"zh", "ja"} else " "
    assert sentences(blank.join(expected), language) == expected


@pytest.mark.parametrize("language", ["de", "DE", "de-AT", "de_CH"])
def test_language_codes_are_read_by_their_first_part(language: str) -> None:
    assert sentences("Es war am 3. Mai. Gut.", language) == ["Es war am 3. Mai.", "Gut."]


def test_line_breaks_always_split_and_come_back_exactly() -> None:
    text = "Title without stop\r\n\r\n  First line,\nsecond line. Third.\t\r Last \n"
    segments = split(text, "en")
    assert [segment.text for segment in segments] == [
        "Title without stop",
        "First line,",
        "second line.",
        "Third.",
        "Last",
    ]
    assert [segment.before for segment in segments] == ["", "\r\n\r\n  ", "\n", " ", "\t\r "]
    assert segments[-1].after == " \n"


def test_text_longer_than_a_window_is_cut_as_its_sentences_are() -> None:
    expected = [f"Dr. Smith met {number} people on the way." for number in range(2 * WINDOW // 30)]
    assert sentences("  ".join(expected), "en") == expected


def test_line_separators_inside_a_sentence_do_not_split() -> None:
    assert sentences("One\u2028sentence\u0085here.", "en") == ["One\u2028sentence\u0085here."]


@pytest.mark.parametrize(("text", "expected"), [("", []), (" \n", [Segment("", before=" \n")])])
def test_text_without_characters(text: str, expected: list[Segment]) -> None:
    assert split(text, "en") == expected
    assert split(text, "en") == expected


def test_punctuation_and_emoji_are_copied() -> None:
    segments = split("***\nHello there.\n\n😀 !?\n42", "en")
    assert [segment.translatable for segment in segments] == [False, True, False, False]
    assert whole(segments) == "***\nHello there.\n\n😀 !?\n42"


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "- First item.\n* Second.\n  • Third\n– Fourth", ["First item.", "Second.", "Third", "Fourth"]),
        ("en", "1. First item. 2. Second item. a) Third item.", ["First item.", "Second item.", "Third item."]),
        ("en", "(a) One\n(ii) Two\n- [ ] Three\n[x] Four\n12) Five", ["One", "Two", "Three", "Four", "Five"]),
        ("en", "Hello! - Hello, Tom.", ["Hello!", "Hello, Tom."]),
        ("en", "There are two. 3) is wrong.", ["There are two.", "3) is wrong."]),
        ("en", "-5 degrees\n- 5", ["-5 degrees", "- 5"]),
        ("en", "A. Smith met Max.\n2024. That was late.", ["A. Smith met Max.", "2024.", "That was late."]),
        ("de", "1. Mai ist Feiertag.\n2. Auflage", ["1. Mai ist Feiertag.", "Auflage"]),
    ],
)
def test_what_marks_an_item_of_a_list_is_no_part_of_a_sentence(language: str, text: str, sentences: list[str]) -> None:
    segments = split(text, language)
    assert [segment.text for segment in segments] == sentences
    assert whole(segments) == text


def test_long_segments_are_cut_at_the_best_place() -> None:
    text = "one two, three four; five six seven eight nine, ten eleven twelve"
    assert [part.text for part in split_long(text, 7, words)] == [
        "one two, three four;",
        "five six seven eight nine,",
        "ten eleven twelve",
    ]
    assert [part.text for part in split_long("a b c d e f", 4, words)] == ["a b c", "d e f"]
    assert [part.text for part in split_long("3,5 4,5 5,5 6,5", 2, words)] == ["3,5 4,5", "5,5 6,5"]


def test_clauses_are_cut_near_the_middle_and_never_between_words() -> None:
    text = "We know, as you can see, that the dog sleeps; he, too, has seen the cat before"
    assert [part.text for part in fit_clauses([Segment(text, before=" ")], 12, words)] == [
        "We know, as you can see, that the dog sleeps;",
        "he, too, has seen the cat before",
    ]
    parts = fit_clauses([Segment(text, before=" ")], 5, words)
    assert [part.text for part in parts] == [
        "We know, as you can see,",
        "that the dog sleeps;",
        "he, too, has seen the cat before",
    ]
    assert [(part.before, part.continues, part.is_open) for part in parts] == [
        (" ", False, True),
        (" ", True, True),
        (" ", True, False),
    ]
    plain = [Segment("no clause ends anywhere in all of these words")]
    assert fit_clauses(plain, 2, words) == plain


@pytest.mark.parametrize("unit", ["a, ", "word, ", "a b c, ", "– a"])
def test_cutting_into_clauses_takes_no_longer_than_its_length_explains(unit: str) -> None:
    """Ten times as long may take ten times as long, and some noise: not a hundred times."""

    def cut(size: int) -> list[Segment]:
        return fit_clauses([Segment((unit * size).strip())], 5, words)

    limit_s = 40 * max(effort_s(lambda: cut(200), 0.01), 0.01)
    assert effort_s(lambda: cut(2_000), limit_s) < limit_s


@pytest.mark.parametrize("count", [LEAST_WORDS - 1, LEAST_WORDS])
def test_a_clause_has_a_few_words(count: int) -> None:
    text = "word " * count + "word, " + "word " * 20
    assert len(fit_clauses([Segment(text.strip())], 5, words)) == (2 if count + 1 >= LEAST_WORDS else 1)
    assert len(fit_clauses([Segment("Yes, " + text.strip())], 5, words)) == 2


def test_parts_of_a_long_sentence_say_so_too() -> None:
    parts = fit([Segment("a b c d e f"), Segment("g h", before=" ")], 2, words)
    assert [(part.continues, part.is_open) for part in parts] == [
        (False, True),
        (True, True),
        (True, False),
        (False, False),
    ]


def test_text_that_fits_is_not_cut() -> None:
    assert split_long(" a, b; c ", 3, words) == [Segment("a, b; c", before=" ", after=" ")]


@pytest.mark.parametrize("grapheme", ["👨‍👩‍👧", "e\u0301\u0323", "🇩🇪", "👍🏽", "❤️"])
def test_cuts_are_between_graphemes(grapheme: str) -> None:
    parts = split_long(grapheme * 20, len(grapheme) + 1, len)
    assert {part.text for part in parts} == {grapheme}


def test_a_grapheme_over_the_limit_is_cut_and_a_code_point_is_not() -> None:
    zalgo = "e" + "\u0301" * 30
    assert whole(split_long(zalgo, 10, len)) == zalgo
    assert all(len(part.text) <= 10 for part in split_long(zalgo, 10, len))
    byte_tokens = split_long("日本", 2, lambda text: len(text.encode()))
    assert [part.text for part in byte_tokens] == ["日", "本"]


@pytest.mark.parametrize(
    "unit", ["„a. ", "(A. ", "word ", "a.B", ". ", "1. ", "Dr. ", "“A? ", "。", "a" + " " * 99 + "B. "]
)
def test_cost_is_linear_for_hostile_text(unit: str) -> None:
    text = (unit * 200_000)[:200_000]
    assert whole(split(text, "de")) == text
    assert effort_s(lambda: split(text, "de"), 2.0) < 2.0, "quadratic cost took over 10 s here; linear is about 0.1 s"


def test_a_panic_of_the_library_costs_the_split_not_the_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    panic = type("PanicException", (BaseException,), {})

    def fail(language: str, text: str) -> list[dict[str, int]]:
        raise panic("byte index 2 is not a char boundary")

    monkeypatch.setattr(sentencex, "get_sentence_boundaries", fail)
    with caplog.at_level(logging.WARNING):
        assert sentences("One. Two.\nThree.", "en") == ["One. Two.", "Three."]
    assert "left whole" in caplog.text


@pytest.mark.parametrize("blank", ["\u00a0", "\u2028", "\u202f", "\u3000"])
def test_unusual_white_space_between_sentences(blank: str) -> None:
    segments = split(f"See plan B{blank}. Then one.{blank}Then two.", "en")
    assert [segment.text for segment in segments][-1] == "Then two."
    assert segments[-1].before == blank
