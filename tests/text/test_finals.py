"""A translation ends as its source does, where languages agree about that."""

from __future__ import annotations

import pytest

from nmt.text.finals import final_edits
from tests.text.edits import edited


def ended(source: str, text: str, language: str = "de") -> str:
    return edited(text, final_edits(source, text, language))


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("Hello", "Hallo!", "Hallo"),
        ("My page", "Meine Seite.", "Meine Seite"),
        ("Are you there", "Bist du da?", "Bist du da?"),
        ("I am very tired today", "Ich bin heute sehr müde.", "Ich bin heute sehr müde."),
        ("Name:", "Name.", "Name:"),
        ("First,", "Zuerst!", "Zuerst,"),
        ("Well...", "Nun ja.", "Nun ja..."),
        ("Well…", "Nun ja...", "Nun ja..."),
        ("Tom is here?", "Tom ist hier.", "Tom ist hier?"),
        ("Help!", "Hilf mir", "Hilf mir!"),
        ("Help!", "Hilf mir.", "Hilf mir."),
        ("Come in.", "Herein!", "Herein!"),
        ("Is that so?", "Ist das „so“", "Ist das „so“"),
        ("(Tom)", "(Tom).", "(Tom)."),
        ("Where?", "どこですか。", "どこですか。"),
        ("Where?", "", ""),
    ],
)
def test_the_last_mark(source: str, text: str, expected: str) -> None:
    assert ended(source, text) == expected


@pytest.mark.parametrize(
    ("language", "source", "text", "expected"),
    [
        ("fr", "Is it you?", "C'est toi.", "C'est toi\u202f?"),
        ("fr", "Name:", "Nom.", "Nom\u00a0:"),
        ("es", "Is it you?", "Eres tú.", "¿Eres tú?"),
        ("es", "Is it you?", "¡Eres tú!", "¡Eres tú!"),
        ("es", "Is it you?", "¿Eres tú.", "¿Eres tú?"),
        ("es", "Hello", "¡Hola!", "Hola"),
        ("es", "Hello", "¡ Hola!", "Hola"),
        ("es", "Is it you?", "¿ Eres tú?", "¿Eres tú?"),
        ("es", "Is it you?", "Tom, ¿ eres tú.", "Tom, ¿eres tú?"),
        ("de", "¿ is a mark.", "¿ ist ein Zeichen.", "¿ ist ein Zeichen."),
    ],
)
def test_languages_write_marks_their_own_way(language: str, source: str, text: str, expected: str) -> None:
    assert ended(source, text, language) == expected
