"""Capitals that say how: recognised, taken away for the model, put back."""

from __future__ import annotations

import pytest

from nmt.text.casing import Casing, casing_of, first_edits, like, normal, restored
from tests.text.edits import edited

VOCABULARY = "how to train your own model do not open the door please save us Tom Tom's Haus das ist mein I i".split()  # noqa: SIM905


def cost(word: str) -> int:
    return 1 if word in VOCABULARY else len(word)


@pytest.mark.parametrize(
    ("text", "language", "casing", "written"),
    [
        ("DO NOT OPEN THE DOOR!", "en", Casing.UPPER, "Do not open the door!"),
        ("SAVE", "en", Casing.UPPER, "Save"),
        ("NATO", "en", Casing.NORMAL, "NATO"),
        ("OK", "en", Casing.NORMAL, "OK"),
        ("PLEASE SAVE US, TOM'S MODEL", "en", Casing.UPPER, "Please save us, Tom's model"),
        ("DAS IST MEIN HAUS", "de", Casing.UPPER, "Das ist mein Haus"),
        ("How To Train Your Own Model", "en", Casing.TITLE, "How to train your own model"),
        ("Das Haus Ist Mein", "de", Casing.NORMAL, "Das Haus Ist Mein"),
        ("Tom saw the door.", "en", Casing.NORMAL, "Tom saw the door."),
        ("", "en", Casing.NORMAL, ""),
        ("1 + 1", "en", Casing.NORMAL, "1 + 1"),
    ],
)
def test_how_a_sentence_is_written(text: str, language: str, casing: Casing, written: str) -> None:
    assert casing_of(text, language, cost) is casing
    assert normal(text, casing, cost) == written
    assert len(written) == len(text)


def test_places_stay_even_where_small_letters_are_longer() -> None:
    text = "İSTANBUL IS OPEN ẞ"
    assert len(normal(text, Casing.UPPER, cost)) == len(text)


def test_shouts_are_shouted_again() -> None:
    assert restored("Straße offen", Casing.UPPER) == "STRASSE OFFEN"
    assert restored("Wie man trainiert", Casing.TITLE) == "Wie man trainiert"


def test_a_term_takes_the_capitals_of_what_it_stands_for() -> None:
    assert like("NETWORK", "netz") == "NETZ"
    assert like("Network", "netz") == "Netz"
    assert like("network", "Netz") == "Netz"
    assert like("I", "ich") == "Ich"


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("Sport überwindet Grenzen.", "sports is overweight.", "Sports is overweight."),
        ("Does money bring happiness?", "¿dinero trae la felicidad?", "¿Dinero trae la felicidad?"),
        ("“Let's ignore that.”", "«ignorons cela.»", "«Ignorons cela.»"),
        ("Était-il là ?", "élan!", "Élan!"),
        ("I contributed (once.)", "contribuí (una vez.)", "Contribuí (una vez.)"),
        ("Computers", "ordinateurs", "ordinateurs"),  # a word of a list
        ("i contributed.", "contribuí.", "contribuí."),
        ("In 1989 he left.", "1989 ging er.", "1989 ging er."),
        ("2 of us came.", "zwei von uns kamen.", "zwei von uns kamen."),
        ("My iPhone is new.", "iPhone ist neu.", "iPhone ist neu."),
        ("The level pH changes.", "pH-Wert ändert sich.", "pH-Wert ändert sich."),
        ("Yes.", "კი.", "კი."),
        ("Street.", "ßtraße.", "ßtraße."),
        ("Yes.", "是。", "是。"),
        ("Yes.", "", ""),
        ("...", "und?", "und?"),
    ],
)
def test_a_sentence_begins_with_a_capital_where_its_source_does(source: str, text: str, expected: str) -> None:
    assert edited(text, first_edits(source, text)) == expected


def test_the_first_part_of_a_sentence_begins_with_a_capital_too() -> None:
    assert edited("wenn es regnet,", first_edits("If it rains,", "wenn es regnet,")) == "wenn es regnet,"
    assert edited("wenn es regnet,", first_edits("If it rains,", "wenn es regnet,", is_open=True)) == "Wenn es regnet,"
