"""Noise: what an error is, that shares are kept, and that a draw depends on what it is drawn by alone."""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import NoiseConfig
from nmt.data.noise import Case, Noise, in_case, keyboard_of, mistyped, with_other_numbers, with_typos, without_final

QWERTZ = keyboard_of("de-CH")


def distance(a: str, b: str) -> int:
    """Damerau & Levenshtein's (optimal string alignment): letters added, lost, changed, or swapped with a neighbour."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        rows.append([i])
        for j, y in enumerate(b, 1):
            least = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (x != y))
            if i > 1 and j > 1 and (x, y) == (b[j - 2], a[i - 2]):
                least = min(least, rows[i - 2][j - 2] + 1)
            rows[i].append(least)
    return rows[-1][-1]


@given(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12), st.integers())
def test_a_word_gets_one_error_at_most(word: str, seed: int) -> None:
    assert distance(word, mistyped(word, QWERTZ, random.Random(seed))) <= 1


def test_every_kind_of_error_happens_and_none_else() -> None:
    rng = random.Random(1)
    found = Counter(mistyped("Zaun", QWERTZ, rng) for _ in range(4000))
    swapped, dropped, doubled = (
        {"aZun", "Zuan", "Zanu"},
        {"aun", "Zun", "Zan", "Zau"},
        {"ZZaun", "Zaaun", "Zauun", "Zaunn"},
    )
    slipped = {
        "Zaun"[:i] + key.upper() * (i == 0) + key * (i > 0) + "Zaun"[i + 1 :]
        for i in range(4)
        for key in QWERTZ["zaun"[i]]
    }
    assert set(found) == swapped | dropped | doubled | slipped
    for kind in (swapped, dropped, doubled, slipped):
        assert sum(found[word] for word in kind) == pytest.approx(1000, rel=0.15)


@pytest.mark.parametrize("word", ["a", "1984", "--", "é", "x2"])
def test_what_has_no_two_letters_stays(word: str) -> None:
    assert mistyped(word, QWERTZ, random.Random(1)) == word


def test_letters_that_are_on_no_key_have_the_other_errors() -> None:
    assert {distance("ημ", mistyped("ημ", keyboard_of("el"), random.Random(seed))) for seed in range(50)} == {1}


def test_keys_are_beside_those_that_touch_them() -> None:
    assert {key: set(QWERTZ[key]) for key in "zgp"} == {"z": set("tugh"), "g": set("tzfhvb"), "p": set("oüöl")}
    assert set(keyboard_of("en")["y"]) == set("tugh")
    assert all(key in QWERTZ[other] for key, others in QWERTZ.items() for other in others)


def test_each_word_is_drawn_for_itself() -> None:
    text = " ".join(["wonder"] * 5000)
    found = with_typos(text, 0.3, QWERTZ, random.Random(3)).split(" ")
    assert len(found) == 5000
    assert sum(word != "wonder" for word in found) == pytest.approx(1500, rel=0.1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Da.", "Da"), ("Was?!", "Was"), ("Quoi\u202f?", "Quoi"), ("3.5 kg", "3.5 kg"), ("...", "..."), ("是。", "是")],
)
def test_final_punctuation_goes(text: str, expected: str) -> None:
    assert without_final(text) == expected


def test_lower_case_is_the_sources_alone_and_upper_case_both_sides() -> None:
    assert in_case("A Dog.", "Ein Spaß.", Case.LOWER) == ("a dog.", "Ein Spaß.")
    assert in_case("A Dog.", "Ein Spaß.", Case.UPPER) == ("A DOG.", "EIN SPASS.")
    assert in_case("A Dog.", "Ein Spaß.", Case.KEPT) == ("A Dog.", "Ein Spaß.")


def test_shares_are_kept_and_drawn_apart() -> None:
    config = NoiseConfig(lower=0.2, upper=0.1, no_final=0.3, typos=0.4)
    noise = Noise.draw(config, 20_000, np.random.default_rng(1))
    assert [float((noise.case == case).mean()) for case in Case] == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    assert float(noise.is_open.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(noise.has_typos.mean()) == pytest.approx(0.4, abs=0.02)
    assert float((noise.has_typos & noise.is_open).mean()) == pytest.approx(0.12, abs=0.02)
    assert not noise.has_numbers.any()
    assert not noise.has_names.any()
    other = Noise.draw(NoiseConfig(typos=0.4, numbers=0.25), 20_000, np.random.default_rng(1))
    assert float((other.has_typos & other.has_numbers).mean()) == pytest.approx(0.1, abs=0.02)
    assert np.array_equal(other.has_typos, noise.has_typos)
    assert float(
        Noise.draw(NoiseConfig(names=0.3), 20_000, np.random.default_rng(1)).has_names.mean()
    ) == pytest.approx(0.3, abs=0.02)
    assert not other.is_open.any()
    assert not other.case.any()


def other(source: str, target: str, seed: int, languages: tuple[str, str] = ("en", "de")) -> tuple[str, str]:
    return with_other_numbers(source, target, languages, random.Random(seed))


@given(st.integers())
def test_numbers_change_on_both_sides_alike(seed: int) -> None:
    english, german = "In 1965 he paid 10,000 dollars (2.5% more).", "1965 zahlte er 10.000 Dollar (2,5 % mehr)."
    source, target = other(english, german, seed)
    found = re.fullmatch(r"In (\d+) he paid (\d+,\d{3}) dollars \((\d\.\d)% more\)\.", source)
    assert found is not None
    year, price, share = found.groups()
    swapped = [text.translate({ord(","): ".", ord("."): ","}) for text in (price, share)]
    assert target == f"{year} zahlte er {swapped[0]} Dollar ({swapped[1]} % mehr)."
    assert not year.startswith("0")
    assert year != "1"


def test_a_region_does_not_change_how_numbers_are_written() -> None:
    pair = "He paid 10,000 dollars.", "Er zahlte 10.000 Dollar."
    for seed in range(20):
        assert other(*pair, seed) == other(*pair, seed, ("en-GB", "de-AT")) != pair


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("I have 1 dog.", "Ich habe 1 Hund."),
        ("on May 5th", "am 5. Mai"),
        ("at 2:30 p.m.", "um 14:30 Uhr"),
        ("I have 17 dogs.", "Ich habe siebzehn Hunde."),
        ("3 of 3", "3 von 3"),
        ("no number", "keine Zahl"),
    ],
)
def test_numbers_that_are_not_simply_copied_stay(source: str, target: str) -> None:
    assert {other(source, target, seed) for seed in range(20)} == {(source, target)}


def test_other_numbers_have_other_lengths_too() -> None:
    found = Counter(len(other("It is 30 km.", "Es sind 30 km.", seed)[0]) - len("It is  km.") for seed in range(2000))
    assert set(found) == set(range(1, 7))
    assert found[2] == pytest.approx(0.75 * 2000, rel=0.05)
