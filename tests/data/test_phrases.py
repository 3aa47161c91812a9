"""Phrases learnt from sentences: those that agree with the links, each with the translation that it has alone."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data import lexicon, phrases
from nmt.data.phrases import Link, Word, grow_diag, phrase_pairs
from tests.corpora import LEXICON, toy_pair

EN_DE = ("en", "de")


def test_the_words_of_a_language_are_found_in_its_sentences() -> None:
    """All of them, as they are inside a sentence, and no sentence's end."""
    rng = random.Random(4)
    found = dict(phrase_pairs([toy_pair(rng) for _ in range(400)], EN_DE, seed=1))
    assert {word: found[word] for word in LEXICON} == {word: said.lower() for word, said in LEXICON.items()}
    assert found["old dog"] == "alte hund"
    # "sees the dog today." is "sieht heute der Hund.": the adverb parts what belongs together
    assert "dog today" not in found
    assert not any(sign in text for pair in found.items() for text in pair for sign in ".,")


def test_the_translation_of_a_phrase_is_the_one_it_has_alone() -> None:
    pairs = [("I have no time.", "Ich habe keine Zeit."), ("He has no money.", "Er hat keine Mittel.")] * 10
    pairs += [("No, I have time.", "Nein, ich habe Zeit."), ("He has time.", "Er hat Zeit.")] * 3
    assert dict(phrase_pairs(pairs, EN_DE, seed=1))["no"] == "nein"


def test_rare_phrases_are_left_out() -> None:
    rare = [("A dog sleeps.", "Ein Hund schläft.")] * (phrases.LEAST_COUNT - 1)
    found = dict(phrase_pairs([*rare, ("A cat sees.", "Eine Katze sieht.")], EN_DE, seed=1))
    assert found["dog"] == "Hund"  # words are told from fewer
    assert not {"cat", "dog sleeps"} & found.keys()
    assert "dog sleeps" in dict(phrase_pairs([*rare, rare[0]], EN_DE, seed=1))


def test_phrases_that_something_is_missing_from_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """They end with a word of grammar, and are never seen alone."""
    verbs, places = (("ran", "rannte"), ("flew", "flog"), ("drove", "fuhr")), (("Rome", "Rom"), ("Prague", "Prag"))
    pairs = [(f"Tom {ran} to {rome}.", f"Tom {rannte} nach {rom}.") for ran, rannte in verbs for rome, rom in places]
    pairs = [*pairs, *pairs, *[("Keep to!", "Halte nach!")] * 3]
    halves, wholes = {"ran to", "flew to", "drove to"}, {"keep to", "to Rome", "to Prague", "to", "ran"}
    assert halves | wholes <= dict(phrase_pairs(pairs, EN_DE, seed=1)).keys()
    monkeypatch.setattr(phrases, "FREQUENT_SHARE", 0.15)  # of eight words
    found = dict(phrase_pairs(pairs, EN_DE, seed=1)).keys()
    assert wholes <= found
    assert not halves & found


def test_the_frequent_come_first() -> None:
    pairs = [("cats", "katzen")] * 5 + [("dogs", "hunde")] * 7
    assert phrase_pairs(pairs, EN_DE, seed=1) == [("dogs", "hunde"), ("cats", "katzen")]


def test_words_have_the_capitals_that_they_have_inside_sentences() -> None:
    """ "Run" is seen at the beginning alone, and no name."""
    pairs = [("Tom sees a dog.", "Tom sieht einen Hund."), ("Dogs see Tom.", "Hunde sehen Tom."), ("Run!", "Lauf!")] * 4
    found = dict(phrase_pairs([*pairs, *[("I like dogs.", "Ich mag Hunde.")] * 4], EN_DE, seed=1))
    assert {word: found[word] for word in ("Tom", "dogs", "run")} == {"Tom": "Tom", "dogs": "Hunde", "run": "lauf"}


@pytest.mark.parametrize(("language", "expected"), [("fr", "eau"), ("fr-CA", "eau"), ("en", None)])
def test_an_apostrophe_parts_words_where_vowels_are_left_out(language: str, expected: str | None) -> None:
    pairs = [("L'eau est là.", "Das Wasser ist da."), ("Il a de l'eau.", "Er hat Wasser.")] * 5
    assert dict(phrase_pairs(pairs, (language, "de"), seed=1)).get("eau") == (expected and "Wasser")


def test_only_so_much_text_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(4)
    pairs = [toy_pair(rng) for _ in range(300)]
    whole = phrase_pairs(iter(pairs), EN_DE, seed=1)
    monkeypatch.setattr(lexicon, "MOST_CELLS", 3000)
    assert 0 < len(phrase_pairs(pairs, EN_DE, seed=1)) < len(whole)
    monkeypatch.setattr(lexicon, "MOST_PAIRS", 10)
    assert len(phrase_pairs(pairs, EN_DE, seed=1)) < 20
    assert phrase_pairs([], EN_DE, seed=1) == []
    assert phrase_pairs([("...", "!"), ("", "")], EN_DE, seed=1) == []


def test_links_grow_from_what_both_directions_have() -> None:
    """By places: 0-0 is common; 1-1 and 2-1 are neighbours with one new word each; 4-3 touches nothing."""
    forward = [0, 1, -1, 4]
    backward = [0, -1, 1, -1, -1]
    assert grow_diag(forward, backward) == {(0, 0), (1, 1), (2, 1)}
    assert grow_diag([1], [0, 0]) == {(1, 0), (0, 0)}
    assert grow_diag([1, 0], [-1, -1]) == set()


@st.composite
def one_way_links(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    n, m = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    forward = draw(st.lists(st.integers(-1, n - 1), min_size=m, max_size=m))
    return forward, draw(st.lists(st.integers(-1, m - 1), min_size=n, max_size=n))


@given(one_way_links())
def test_grown_links_lie_between_the_common_ones_and_all(both: tuple[list[int], list[int]]) -> None:
    forward, backward = both
    one = {(i, j) for j, i in enumerate(forward) if i >= 0}
    other = {(i, j) for i, j in enumerate(backward) if j >= 0}
    grown = grow_diag(forward, backward)
    assert one & other <= grown <= one | other
    linked = {i for i, _ in grown}, {j for _, j in grown}
    for i, j in (one | other) - grown:  # nothing is left that could be added
        near = any((i + di, j + dj) in grown for di, dj in product((-1, 0, 1), repeat=2))
        assert not near or (i in linked[0] and j in linked[1])


@given(one_way_links(), st.sets(st.integers(0, 5)))
def test_phrases_are_all_that_no_link_leaves(both: tuple[list[int], list[int]], signs: set[int]) -> None:
    """Against the definition: every two spans, links inside or outside of both, ends linked, words alone."""
    forward, backward = both
    links = grow_diag(forward, backward)
    src = [Word("," if i in signs else "w", i, i + 1) for i in range(len(backward))]
    tgt = [Word("v", j, j + 1) for j in range(len(forward))]
    expected: set[tuple[Link, Link]] = set()
    for a, b, c, d in product(range(len(src)), range(len(src)), range(len(tgt)), range(len(tgt))):
        if a > b or c > d or b - a >= phrases.MOST_WORDS[0] or d - c >= phrases.MOST_WORDS[1]:
            continue
        inside = {(i, j) for i, j in links if a <= i <= b and c <= j <= d}
        touching = {(i, j) for i, j in links if a <= i <= b or c <= j <= d}
        ends = {a, b} <= {i for i, _ in inside} and {c, d} <= {j for _, j in inside}
        if inside == touching and ends and not any(i in signs for i in range(a, b + 1)):
            expected.add(((a, b), (c, d)))
    found = list(phrases._spans(src, tgt, links))
    assert len(found) == len(set(found))
    assert set(found) == expected
