"""Translations of a sentence's parts read as one sentence."""

from __future__ import annotations

import pytest

from nmt.text.clauses import part_edits
from tests.text.edits import edited


def cost(word: str) -> int:
    """A vocabulary that knows names and German nouns with a capital, and other words in small letters."""
    return 1 if word in {"Haus", "Tom", "die", "the", "er", "I", "i'm", "I'm"} else 2


def fitted(source: str, text: str, *, continues: bool = False, is_open: bool = False) -> str:
    return edited(text, part_edits(source, text, cost, continues=continues, is_open=is_open))


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("We know,", "Wir wissen.", "Wir wissen,"),
        ("We know,", "Wir wissen,", "Wir wissen,"),
        ("We know;", "Wir wissen es!", "Wir wissen es;"),
        ("We know:", "Wir wissen", "Wir wissen:"),
        ("We know -", "Wir wissen.", "Wir wissen -"),
        ("“We know,”", "“Wir wissen.", "“Wir wissen,”"),
        ("We know that the", "Wir wissen, dass die.", "Wir wissen, dass die"),
        ("We know,", "...", "..."),
        ("We know,", "", ""),
    ],
)
def test_a_part_ends_as_its_source_does(source: str, text: str, expected: str) -> None:
    assert fitted(source, text, is_open=True) == expected
    assert fitted(source, text) == text


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("that he sleeps.", "Er schläft.", "er schläft."),
        ("that houses burn.", "Haus brennt.", "Haus brennt."),
        ("which Tom saw.", "Tom sah es.", "Tom sah es."),
        ("That he sleeps.", "Er schläft.", "Er schläft."),
        ("dass ich komme.", "I am coming.", "I am coming."),
        ("dass ich komme.", "I'm coming.", "I'm coming."),
        ("dass die NATO kommt.", "NATO comes.", "NATO comes."),
        ("that he sleeps.", "„Er schläft.", "„Er schläft."),
        ("that he sleeps.", "", ""),
    ],
)
def test_a_sentence_goes_on_in_small_letters(source: str, text: str, expected: str) -> None:
    assert fitted(source, text, continues=True) == expected
    assert fitted(source, text) == text
