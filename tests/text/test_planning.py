"""Texts taken apart: nothing is lost, sentences are where a reader sees them, marks and spans are where they were."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.text.planning import Plan, Planner, Sentence, Wishes
from tests.effort import effort_s


def is_known(character: str) -> bool:
    return character.isascii() or character in "äöüßé–„“’"


PLANNER = Planner("en", "en", is_known, limit=40, count=lambda text: len(text.split()))


def raw(plan: Plan) -> str:
    return "".join(part if isinstance(part, str) else part.raw for part in plan)


def sentences(text: str, **wishes: Any) -> list[Sentence]:
    plan = PLANNER.plan(text, Wishes(**wishes))
    assert raw(plan) == text
    return [part for part in plan if not isinstance(part, str)]


PIECES = st.sampled_from(
    [
        *(
            "{a}",
            "%s",
            " ",
            "\n",
            "<b>",
            "</b>",
            "<i>",
            "</i>",
            "Hello",
            "word.",
            "Wow! ",
            "😀",
            "&amp;",
            "<",
            "&",
            "<x/>",
        ),
        *("<br>", "http://a.b/c", "\\n", "é", "ř", "日", "(", ")", ":", "- ", "1,000", "<!-- c -->", "<code>z</code>"),
        *("API", "\u2028", "\ufffc", "[b]", "[/b]", "\r", "Tom", "•", "a" * 50),
    ]
)


@settings(max_examples=800)
@given(
    st.lists(PIECES, max_size=25).map("".join),
    st.sampled_from(["", "html", "xml"]),
    st.sampled_from(["all", "punctuation", "none"]),
)
def test_the_parts_are_the_text_and_sentences_are_sound(text: str, markup: str, splitting: str) -> None:
    for sentence in sentences(text, markup=markup, splitting=splitting, terms=(("API", "X"),)):
        assert sentence.text
        assert sentence.text == sentence.text.strip()
        assert all(0 <= mark.at <= len(sentence.text) for mark in sentence.marks)
        assert [mark.at for mark in sentence.marks] == sorted(mark.at for mark in sentence.marks)
        places = [place for span in sentence.spans for place in (span.start, span.end)]
        assert places == sorted(places)
        assert all(0 <= place <= len(sentence.text) for place in places)


def shown(text: str, **wishes: Any) -> list[tuple[str, list[str], list[str]]]:
    return [(s.text, [span.out for span in s.spans], [mark.raw for mark in s.marks]) for s in sentences(text, **wishes)]


def test_sentences_do_not_end_within_what_is_protected() -> None:
    assert shown("See {a. B}. Then https://a.de/x.Y go.") == [
        ("See {a. B}.", ["{a. B}"], []),
        ("Then https://a.de/x.Y go.", ["https://a.de/x.Y"], []),
    ]
    assert shown("One\\nTwo") == [("One", [], []), ("Two", [], [])]


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("thing", ["%s", "{a}", '<x id="1"/>', "%1$s"])
def test_a_sentence_may_end_with_what_is_protected(language: str, thing: str) -> None:
    planner = Planner(language, "en", is_known, limit=40, count=lambda text: len(text.split()))
    plan = planner.plan(f"Otto {thing}. Anna {thing}! Otto", Wishes(markup="xml"))
    assert len([part for part in plan if isinstance(part, Sentence)]) == 3


def test_what_stands_apart_at_the_ends_is_copied() -> None:
    assert shown("Error: {text}") == [("Error:", [], [])]
    assert shown("{name}: not found") == [("not found", [], [])]
    assert shown("{a} - {b}") == []
    assert shown("• Item 😀") == [("Item", [], [])]
    assert shown("Delete {name}?") == [("Delete {name}?", ["{name}"], [])]


def test_symbols_and_tags_become_marks() -> None:
    assert shown("I ❤️ you") == [("I  you", [], ["❤️"])]
    assert shown("Hi😀there") == [("Hi there", [], ["😀"])]
    assert shown("a <b>bold</b> <name> <br> word") == [("a bold <name>  word", ["<name>"], ["<b>", "</b>", "<br>"])]


def test_tags_at_the_ends_of_a_sentence_stay_outside_of_it() -> None:
    assert shown("<b><i>All.</i></b>", markup="html") == [("All.", [], [])]
    assert shown("<b>One <i>two</i></b>", markup="html") == [("One two", [], ["<i>", "</i>"])]
    assert shown("<b>One</b> two", markup="html") == [("One two", [], ["<b>", "</b>"])]
    assert shown("<b>One two. Three</b> four.", markup="html") == [
        ("One two.", [], []),
        ("Three four.", [], ["</b>"]),
    ]


@pytest.mark.parametrize(
    ("splitting", "markup", "expected"),
    [
        ("all", "", ["One", "two.", "Three"]),
        ("punctuation", "", ["One\ntwo.", "Three"]),
        ("none", "", ["One\ntwo. Three"]),
        ("all", "html", ["One\ntwo.", "Three"]),
        ("all", "xml", ["One", "two.", "Three"]),
    ],
)
def test_where_sentences_end_is_the_callers_choice(splitting: str, markup: str, expected: list[str]) -> None:
    assert [s.text for s in sentences("One\ntwo. Three", splitting=splitting, markup=markup)] == expected


def test_a_long_sentence_is_not_cut_within_a_placeholder() -> None:
    text = "word " * 39 + "{a b c} " + "word " * 30
    assert [span.out for s in sentences(text) for span in s.spans] == ["{a b c}"]
    assert len(sentences(text)) == 2
    assert sentences("é" * 60 + "{a}" + "é" * 60) == []  # letters that touch it are part of it


def test_terms_come_before_what_looks_like_code() -> None:
    assert shown("Use my_file now", terms=(("my_file", "meine Datei"),)) == [("Use my_file now", ["meine Datei"], [])]


def test_brackets_and_ampersands_that_the_vocabulary_lacks_are_looked_after() -> None:
    poor = Planner("en", "en", lambda character: character not in "(&)", limit=40, count=lambda text: len(text.split()))

    def shown(text: str) -> list[tuple[str, list[str], list[str]]]:
        plan = poor.plan(text)
        assert raw(plan) == text
        return [
            (s.text, [span.kind for span in s.spans], [mark.raw for mark in s.marks])
            for s in plan
            if not isinstance(s, str)
        ]

    assert shown("He (my brother) is here.") == [("He my brother is here.", [], ["(", ")"])]
    assert shown("(All of it.)") == [("All of it.", [], [])]
    assert shown("He (“my” brother) is here.") == [("He my brother is here.", [], ["(", "“", "”", ")"])]
    (sentence,) = (part for part in poor.plan("He (“my” brother) is here.") if isinstance(part, Sentence))
    outer, inner, inner_end, outer_end = (mark.pair for mark in sentence.marks)
    assert outer == outer_end != inner == inner_end
    assert shown("f(x) and (5)") == [("f(x) and (5)", ["figures"], [])]
    assert shown("(a) He is here.\n(b) So am I.") == [("He is here.", [], []), ("So am I.", [], [])]
    assert shown("Tom & Mary") == [("Tom & Mary", ["and"], [])]
    assert PLANNER.plan("He (my brother) & I.") == [Sentence("He (my brother) & I.")]


def test_quotation_marks_and_emphasis_around_a_few_words_are_looked_after() -> None:
    """As a pair each; a sentence in quotation marks is the model's with them, as are signs that the vocabulary has."""
    poor = Planner(
        "en", "en", lambda character: character not in "*_[]”", limit=40, count=lambda text: len(text.split())
    )

    def shown(text: str) -> list[tuple[str, list[str]]]:
        plan = poor.plan(text)
        assert raw(plan) == text
        return [(s.text, [mark.raw for mark in s.marks]) for s in plan if not isinstance(s, str)]

    assert shown("The word “house” is short.") == [("The word house is short.", ["“", "”"])]
    assert shown('Say "yes" and *no*, **now**.') == [("Say yes and no, now.", ['"', '"', "*", "*", "**", "**"])]
    assert shown("It is _very_ [much] so.") == [("It is very much so.", ["_", "_", "[", "]"])]
    assert shown('He said, "I am tired." So am I.') == [('He said, "I am tired."', []), ("So am I.", [])]
    assert shown("5* is a lot, 6* too.") == [("5* is a lot, 6* too.", [])]
    assert shown('<b>"Never"</b> is one.') == [("Never is one.", ["<b>", '"', '"', "</b>"])]
    assert [s.marks for s in PLANNER.plan("It is *so*.") if isinstance(s, Sentence)] == [()]


def test_a_long_sentence_is_cut_into_clauses_where_sentences_are_looked_for() -> None:
    planner = Planner("en", "en", is_known, limit=40, count=lambda text: len(text.split()), clause_limit=5)
    text = "Otto sees Anna, who sees {a, b}, and <b>Anna, too,</b> sees Otto. Anna sleeps."

    def found(**wishes: Any) -> list[tuple[str, bool, bool]]:
        parts = planner.plan(text, Wishes(**wishes))
        return [(s.text, s.continues, s.is_open) for s in parts if isinstance(s, Sentence)]

    assert found() == [
        ("Otto sees Anna,", False, True),
        ("who sees {a, b},", True, True),
        ("and Anna, too, sees Otto.", True, False),
        ("Anna sleeps.", False, False),
    ]
    assert found(markup="html") == found()
    assert len(found(splitting="none")) == 1


@pytest.mark.parametrize(
    ("first", "second", "wishes"),
    [
        ("{a} is here. ", "", {}),
        ("<zz> x ", "</yy> ", {}),
        ("<b>x</b> 😀 ", "", {"markup": "html"}),
        ("{a} API ", "", {"terms": (("API", "X"),)}),
    ],
)
def test_planning_takes_no_longer_than_a_texts_length_explains(first: str, second: str, wishes: dict[str, Any]) -> None:
    """Twenty times as long may take twenty times as long, and some noise: not four hundred times."""

    def plan(size: int) -> Plan:
        return PLANNER.plan(first * size + second * size, Wishes(**wishes))

    limit_s = 50 * max(effort_s(lambda: plan(400), 0.01), 0.01)
    assert effort_s(lambda: plan(8_000), limit_s) < limit_s
