"""The list of words, phrases and labels, and what counts as right."""

from __future__ import annotations

from itertools import permutations

import pytest

from benchmarks.short_input import KINDS, Entry, bare, entries, right

LANGUAGES = ("en", "de", "fr", "es")


@pytest.mark.parametrize("languages", list(permutations(LANGUAGES, 2)))
def test_every_pair_of_languages_has_the_whole_list(languages: tuple[str, str]) -> None:
    found = entries(languages)
    assert len(found) == 125
    assert {entry.kind for entry in found} == set(KINDS)
    assert all(entry.source.strip() == entry.source and all(entry.right) for entry in found)


def test_another_language_is_refused() -> None:
    with pytest.raises(KeyError):
        entries(("en", "it"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Das Haus.", "haus"),
        ("the old man", "old man"),
        ("L’eau", "eau"),
        ("l'eau !", "eau"),
        ("¿Está seguro?", "está seguro"),
        ("to eat", "eat"),
        ("toes", "toes"),
        ("die", "die"),
        ("lesen", "lesen"),
        ("Dem", "dem"),
        ("", ""),
    ],
)
def test_case_articles_and_marks_do_not_count(text: str, expected: str) -> None:
    assert bare(text) == expected


def test_right_ones_are_counted_by_kind() -> None:
    found = [
        Entry("word", "house", frozenset({"haus"})),
        Entry("word", "dog", frozenset({"hund"})),
        Entry("screen", "Open", frozenset({"öffnen", "offen"})),
    ]
    said = ["Das Haus", "Hund ist", "offen."]
    assert right(found, said) == {"word": (1, 2), "phrase": (0, 0), "screen": (1, 1)}
