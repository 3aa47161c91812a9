"""Quotation marks become those of the language, from whichever style."""

from __future__ import annotations

import pytest

from nmt.text.planning import Planner, Sentence
from nmt.text.quotation import pair_edits, quotation_marks
from tests.text.edits import edited


@pytest.mark.parametrize(
    ("marks", "language", "expected"),
    [
        ("“ ”", "de", "„ “"),
        ("„ “", "en", "“ ”"),
        ("» «", "en-GB", "“ ”"),
        ("« »", "de_CH", "« »"),
        ("« »", "de-AT", "„ “"),
        ("‘ ’", "de", "‚ ‘"),
        ("“ ”", "ja", "「 」"),
        ("“ ”", "xx", "“ ”"),
        ("“ ”", "", "“ ”"),
        ('" "', "de", '" "'),
    ],
)
def test_a_pair_is_written_as_the_language_has_it(marks: str, language: str, expected: str) -> None:
    opening, closing = marks.split(" ")
    assert quotation_marks(opening, closing, language) == tuple(expected.split(" "))


def test_blanks_inside_french_marks_are_a_part_of_them() -> None:
    assert quotation_marks("« ", " »", "de") == ("„", "“")
    assert quotation_marks("„", "“", "fr") == ("«\u00a0", "\u00a0»")


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u202f"])
def test_a_plan_has_both_what_was_written_and_what_will_be(blank: str) -> None:
    planner = Planner("fr", "de", str.isalnum, limit=40, count=lambda text: len(text.split()))
    text = f"Le mot «{blank}maison{blank}» est court."
    [sentence] = [part for part in planner.plan(text) if isinstance(part, Sentence)]
    assert (sentence.raw, sentence.text) == (text, "Le mot maison est court.")
    assert [mark.out for mark in sentence.marks] == ["„", "“"]
    assert planner.plan(f"«{blank}Maison{blank}»")[::2] == ["„", "“"]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ('„So", sagte sie: "Nein“.', "de", "„So“, sagte sie: „Nein“."),
        ('"So“', "de-AT", "„So“"),
        ('“So"', "en", "“So”"),
        ('« Ah." Puis " oh. »', "fr", "« Ah.\u00a0» Puis « oh. »"),
        ('« Ah ! "', "fr", "« Ah ! »"),
        ('Hän sanoi: ”Ei".', "fi", "Hän sanoi: ”Ei”."),
    ],
)
def test_both_marks_of_a_pair_are_the_languages_own(text: str, language: str, expected: str) -> None:
    assert edited(text, pair_edits(text, language)) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ('"So" und „so“', "de"),
        ('„Ein Bild von 5" Breite“', "de"),
        ('„So" sagte sie, „nicht.', "de"),
        ('So“, sagte "sie', "de"),
        ('Ein "Bild', "de"),
        ('„So"', "xx"),
    ],
)
def test_pairs_of_one_kind_and_marks_left_over_stay(text: str, language: str) -> None:
    assert not list(pair_edits(text, language))
