"""Numbers of a text and of its translation: equal where they say the same, missing where they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.text.numbers import beside, compare, find, localised, repaired

PAIR = ("en", "de")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("1,234.5 and 2", "1.234,5 und 2"),
        ("1,234,567", "1.234.567"),
        ("1,234,567", "1 234 567"),
        ("1'000", "1000"),
        ("3.5", "3,5"),
        ("3.5", "3.5"),
        ("3 cats", "drei Katzen"),
        ("31 days", "einunddreißig Tage"),
        ("1st place", "erster Platz"),
        ("100 years", "hundert Jahre"),
        ("20%", "zwanzig Prozent"),
        ("$5.50", "5,50 Dollar"),
        ("at 7 p.m.", "um 19 Uhr"),
        ("at 7:30 pm", "um 19.30 Uhr"),
        ("10:30", "10.30 Uhr"),
        ("half past 6", "halb sieben"),
        ("half past 6", "6:30 Uhr"),
        ("12/31/2024", "31.12.2024"),
        ("2024-01-31", "31.1.2024"),
        ("5-10 people", "5 bis 10 Leute"),
        ("three cats", "3 Katzen"),
        ("1.2.3", "1.2.3"),
        ("no number", "keine Zahl"),
    ],
)
def test_the_same_number_in_another_form_is_equal(source: str, target: str) -> None:
    assert compare(source, target, PAIR).is_equal


@pytest.mark.parametrize(
    ("source", "target", "missing", "extra"),
    [
        ("2.200.112 x", "2,200,12 x", ["2.200.112"], ["2,200,12"]),
        ("1.234 grams", "1.234 Gramm", ["1.234"], ["1.234"]),
        ("in 2019 and 2020", "in 2019 und 2029", ["2020"], ["2029"]),
        ("25 cats", "Katzen", ["25"], []),
        ("cats", "5 Katzen", [], ["5"]),
        ("It costs 5 €.", "Es kostet fünf.", ["5"], []),
        ("10:30", "12:30", ["10:30"], ["12:30"]),
        ("100", "1000", ["100"], ["1000"]),
        ("3 items", "dreißig Dinge", ["3"], []),
        ("8 items", "Achtung", ["8"], []),
        ("1 item", "mein Stein", ["1"], []),
        ("5 items", "fünfundfünfzig", ["5"], []),
    ],
)
def test_another_number_is_not(source: str, target: str, missing: list[str], extra: list[str]) -> None:
    found = compare(source, target, PAIR)
    assert [number.body for number in found.missing] == missing
    assert [number.body for number in found.extra] == extra


@pytest.mark.parametrize(
    ("languages", "source", "target", "is_equal"),
    [
        (("de", "en"), "6 Katzen", "six cats", True),
        (("de", "en"), "6 Katzen", "sixty cats", False),
        (("de", "en"), "10 Spiele", "tennis", False),
        (("de", "en"), "0 Fehler", "now", False),
        (("de", "en"), "der 4. Mann", "the fourth man", True),
        (("de", "en"), "20 Katzen", "twenty cats", True),
        (("de", "en"), "20 Katzen", "twenty-one cats", False),
        (("de", "en"), "1 Katze", "twenty-one cats", False),
        (("en", "de"), "2 times", "zweimal", True),
        (("en", "de"), "a 5-year-old", "ein fünfjähriges Kind", True),
        (("en", "fr"), "7 cats", "en septembre", False),
        (("en", "fr"), "the 4th cat", "le quatrième chat", True),
        (("en", "es"), "1000 cats", "un milagro", False),
        (("en", "es"), "1 cat", "una gata", True),
        (("en", "fr"), "the 17th cat", "le dix-septième chat", True),
        (("en", "fr"), "the 35th cat", "le trente-cinquième chat", True),
        (("en", "fr"), "21 cats", "vingt et une chattes", True),
        (("en", "fr"), "60 seconds", "soixante secondes", True),
        (("en", "fr"), "30 cats", "une trentaine de chats", True),
        (("en", "fr"), "20 cats", "vingt-deuxième chat", False),
        (("en", "fr"), "1 cat", "une tante et un chat", True),
        (("en", "fr"), "77 cats", "septante-sept chats", True),
        (("en", "fr"), "81 cats", "octante et un chats", True),
        (("en", "fr"), "98 cats", "nonante-huit chats", True),
        (("en", "fr"), "on September 10", "le dix septembre", True),
        (("fr", "en"), "dix-sept chats", "17 cats", True),
        (("fr", "en"), "dix-sept chats", "10 cats", False),
        (("en", "es"), "31 cats", "treinta y una gatas", True),
        (("en", "es"), "21 cats", "veintiún gatos", True),
        (("en", "es"), "30 seconds", "treinta segundos", True),
    ],
)
def test_a_word_is_a_number_only_where_it_says_it(
    languages: tuple[str, str], source: str, target: str, is_equal: bool
) -> None:
    assert compare(source, target, languages).is_equal == is_equal


# fmt: off
FRENCH = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize",
    "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
]
SPANISH = [
    "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce", "trece",
    "catorce", "quince", "dieciséis", "diecisiete", "dieciocho", "diecinueve", "veinte", "veintiuno", "veintidós",
    "veintitrés", "veinticuatro", "veinticinco", "veintiséis", "veintisiete", "veintiocho", "veintinueve",
]
# fmt: on
FRENCH_TENS = ["vingt", "trente", "quarante", "cinquante", "soixante"]
SPANISH_TENS = ["treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"]


def french(number: int) -> str:
    """As France spelt it before 1990."""
    if number < 20:
        return FRENCH[number]
    if number >= 80:
        return "quatre-vingts" if number == 80 else f"quatre-vingt-{FRENCH[number - 80]}"
    ten, unit = (number // 10, number % 10) if number < 70 else (6, number - 60)
    joint = " et " if unit in (1, 11) else "-"
    return FRENCH_TENS[ten - 2] + (joint + FRENCH[unit] if unit else "")


def spanish(number: int) -> str:
    if number < 30:
        return SPANISH[number]
    return SPANISH_TENS[number // 10 - 3] + (f" y {SPANISH[number % 10]}" if number % 10 else "")


@pytest.mark.parametrize("number", range(1, 100))
def test_every_number_below_a_hundred_has_its_words_and_no_part_of_them_is_one(number: int) -> None:
    parts = {number % 10, number % 20, number // 10 * 10, number // 20 * 20, 10, 4, 20} - {number}
    forms = {
        ("fr", french(number)),
        ("fr", french(number).replace(" ", "-")),
        ("fr", french(number).replace("-", " ")),
        ("es", spanish(number)),
    }
    for language, words in forms:
        assert compare(f"{number} cats", f"{words} x", ("en", language)).is_equal
        for part in parts:
            assert not compare(f"{part} cats", f"{words} x", ("en", language)).is_equal


def test_one_wrong_number_is_put_right_where_it_is_plain_which() -> None:
    def mended(source: str, target: str) -> str | None:
        return repaired(target, compare(source, target, PAIR), PAIR)

    assert mended("He paid 1,234,567.", "Er zahlte 1.234.56.") == "Er zahlte 1.234.567."
    assert mended("in 1867", "im Jahr 1876") == "im Jahr 1867"
    assert mended("25 cats", "35 Katzen") is None  # small numbers may be said in other ways
    assert mended("1867 and 1990", "1876 und 1999") is None
    assert mended("in 1867", "in zehn1876") is None


@pytest.mark.parametrize(
    ("text", "languages", "expected"),
    [
        ("1,234.50", ("en", "de"), "1.234,50"),
        ("$1,234.50", ("en", "de"), "1.234,50\u00a0$"),
        ("5%", ("en", "de"), "5\u00a0%"),
        ("1.234,50 €", ("de", "en"), "€1,234.50"),
        ("5 %", ("de", "en"), "5%"),
        ("10:30", ("en", "de"), "10:30"),
        ("12/31/2024", ("en", "de"), "12/31/2024"),
        ("1.2.3", ("en", "de"), "1.2.3"),
        ("1,5", ("de", "fr"), "1,5"),
        ("12,345.5", ("en", "fr"), "12\u202f345,5"),
        ("1.234.567", ("de", "fr"), "1\u202f234\u202f567"),
        ("1 500,5", ("fr", "en"), "1,500.5"),
        ("12,345", ("en", "pl"), "12\u00a0345"),
    ],
)
def test_a_number_is_written_as_the_target_does(text: str, languages: tuple[str, str], expected: str) -> None:
    (number,) = find(text, languages[0])
    assert localised(number, languages) == expected


@pytest.mark.parametrize("languages", [("en-GB", "de-AT"), ("EN", "DE")])
def test_a_code_with_a_region_is_read_by_its_first_part(languages: tuple[str, str]) -> None:
    assert compare("1.234 grams and 17 cats", "1,234 Gramm und siebzehn Katzen", languages).is_equal
    (number,) = find("$1,234.50", languages[0])
    assert localised(number, languages) == "1.234,50\u00a0$"


def test_a_sign_is_not_said_twice() -> None:
    assert beside("1.250\u00a0%", " Prozent.") == "1.250"
    assert beside("1.250\u00a0%", " Äpfel") == "1.250\u00a0%"


@given(st.text(st.sampled_from("0123456789.,:/-' $%€xa\u00a0"), max_size=40))
def test_any_text_has_its_own_numbers(text: str) -> None:
    numbers = find(text, "en")
    assert all(0 <= n.start < n.end <= len(text) and n.body in text[n.start : n.end] for n in numbers)
    assert sum(n.digits for n in numbers) == sum(c.isdecimal() for c in text)
    assert not compare(text, text, ("en", "en")).missing


def test_thousands_of_digits_are_a_number_too() -> None:
    digits = "7" * 20_000
    assert compare(digits, digits, PAIR).is_equal
    assert not compare(digits, digits[:-1] + "8", PAIR).is_equal
