"""The list of words, phrases and labels, and what counts as right."""

from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path

import pytest

from benchmarks.short_input import KINDS, Entry, bare, entries, right

LANGUAGES = ("en", "de", "fr", "es")
PHRASEBOOK = Path(__file__).parents[2] / "models" / "recipes" / "phrasebook"


def phrasebook(language: str) -> list[str]:
    """What the models that ship are trained on besides sentences."""
    return PHRASEBOOK.with_suffix(f".{language}").read_text("utf-8").splitlines()


@pytest.mark.parametrize("languages", list(permutations(LANGUAGES, 2)))
def test_every_pair_of_languages_has_the_whole_list(languages: tuple[str, str]) -> None:
    found = entries(languages)
    assert len(found) == 150
    assert {entry.kind for entry in found} == set(KINDS)
    assert all(entry.source.strip() == entry.source and all(entry.right) for entry in found)


def test_the_phrasebook_has_a_translation_for_every_line() -> None:
    sides = [phrasebook(language) for language in LANGUAGES]
    assert len({len(side) for side in sides}) == 1
    rows = list(zip(*sides, strict=True))
    assert len(set(rows)) == len(rows)
    assert all(text and text.strip() == text for row in rows for text in row)


@pytest.mark.parametrize("languages", [(language, "en") for language in LANGUAGES[1:]] + [("en", "de")])
def test_the_list_has_nothing_that_models_are_trained_on(languages: tuple[str, str]) -> None:
    lines = phrasebook(languages[0])
    learnt, words = set(map(bare, lines)), {word for line in lines for word in re.findall(r"\w+", line)}
    for entry in entries(languages):
        assert bare(entry.source) not in learnt
        assert entry.kind != "name" or not entry.right & words


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
        Entry("name", "I know Ada.", frozenset({"Ada"})),
        Entry("name", "I know Eve.", frozenset({"Eve"})),
    ]
    said = ["Das Haus", "Hund ist", "offen.", "Ada ist mir bekannt.", "Ich kenne Eva."]
    assert right(found, said) == {"word": (1, 2), "phrase": (0, 0), "screen": (1, 1), "name": (1, 2)}
