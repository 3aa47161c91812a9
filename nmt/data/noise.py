"""Noise as people make it: other case, no full stop, typing errors. Texts in, texts out; `epochs` decides where.

What is drawn comes from generators that the caller gives, so that a resumed run sees the noise it would have seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.config import NoiseConfig
from nmt.text import numbers
from nmt.text.numbers import Number

FINAL = ".!?…。！？।؟"
"""Punctuation that ends a sentence."""
BLANKS = " \u00a0\u202f"
"""What may stand before it, as in French."""


class Case(IntEnum):
    """What becomes of a pair's letters."""

    KEPT = 0
    LOWER = 1
    """The source in lower case; the translation as it was."""
    UPPER = 2
    """Both sides in upper case."""


class Noise(NamedTuple):
    """What is done to each of n pairs."""

    case: npt.NDArray[np.int8]
    is_open: npt.NDArray[np.bool_]
    """Whether the source loses its final punctuation."""
    has_typos: npt.NDArray[np.bool_]
    has_numbers: npt.NDArray[np.bool_]
    """Whether its numbers become others."""
    has_names: npt.NDArray[np.bool_]
    """Whether its names become others."""

    @classmethod
    def draw(cls, config: NoiseConfig, pairs: int, rng: np.random.Generator) -> Noise:
        """One draw for each kind and pair, whatever the shares: a share changes nothing of the other kinds."""
        by_case, by_end, by_typos, by_numbers, by_names = (rng.random(pairs) for _ in range(5))
        case = np.full(pairs, Case.KEPT, dtype=np.int8)
        case[by_case < config.lower + config.upper] = Case.UPPER
        case[by_case < config.lower] = Case.LOWER
        return cls(
            case,
            is_open=by_end < config.no_final,
            has_typos=by_typos < config.typos,
            has_numbers=by_numbers < config.numbers,
            has_names=by_names < config.names,
        )


def in_case(source: str, target: str, case: int) -> tuple[str, str]:
    """A pair in one of `Case`."""
    match case:
        case Case.LOWER:
            return source.lower(), target
        case Case.UPPER:
            return source.upper(), target.upper()
        case _:
            return source, target


def without_final(text: str) -> str:
    """The text without the punctuation at its end; as it is where nothing else is in it."""
    return text.rstrip(FINAL + BLANKS) or text


def with_other_numbers(source: str, target: str, languages: tuple[str, str], rng: random.Random) -> tuple[str, str]:
    """Each number that stands in digits once on either side becomes another one on both, as each language writes it.

    Left as they are: 1, behind which words may be in the singular, numbers that touch letters ("5th"), and what the two
    sides write differently, such as the times of two clocks.
    """
    left, right = numbers.find(source, languages[0]), numbers.find(target, languages[1])
    changes: list[tuple[Number, Number, str]] = []
    for number in left:
        body = _localised(number, languages)
        partners = [other for other in right if other.body == body]
        is_alone = len(partners) == 1 and sum(other.body == number.body for other in left) == 1
        if is_alone and number.body != "1" and _is_apart(source, number) and _is_apart(target, partners[0]):
            changes.append((number, partners[0], _other_number(number.body, rng)))
    for number, _, body in sorted(changes, key=lambda change: -change[0].start):
        source = _with_body(source, number, body)
    for number, other, body in sorted(changes, key=lambda change: -change[1].start):
        target = _with_body(target, other, _localised(replace(number, body=body), languages))
    return source, target


def _localised(number: Number, languages: tuple[str, str]) -> str:
    """Without its sign, which the sides may write in words."""
    return numbers.localised(replace(number, sign=""), languages)


def _is_apart(text: str, number: Number) -> bool:
    return not (text[: number.start][-1:].isalpha() or text[number.end :][:1].isalpha())


def _with_body(text: str, number: Number, body: str) -> str:
    at = text.index(number.body, number.start)
    return text[:at] + body + text[at + len(number.body) :]


def _other_number(body: str, rng: random.Random) -> str:
    """Other digits, no zero in front that was not there; of plain digits now and then more or fewer of them."""
    if body.isdecimal() and not body.startswith("0") and rng.random() < OTHER_LENGTH:
        body = "9" * rng.randint(1, MOST_DIGITS)
    made = "".join(
        _other_digit(body, place, rng) if character.isdecimal() else character for place, character in enumerate(body)
    )
    return "2" if made == "1" else made


def _other_digit(body: str, place: int, rng: random.Random) -> str:
    is_leading = not body[place - 1 : place].isdecimal() and body[place] != "0"
    return str(rng.randint(1 if is_leading else 0, 9))


OTHER_LENGTH, MOST_DIGITS = 0.3, 6


def with_typos(text: str, rate: float, keyboard: Keyboard, rng: random.Random) -> str:
    """Each word that has two letters gets, with probability `rate`, one error: see `ERRORS`."""
    return " ".join(mistyped(word, keyboard, rng) if rng.random() < rate else word for word in text.split(" "))


def mistyped(word: str, keyboard: Keyboard, rng: random.Random) -> str:
    """The word with one error of a kind drawn among those that it can have."""
    letters = [place for place, character in enumerate(word) if character.isalpha()]
    if len(letters) < 2:
        return word
    for error in rng.sample(ERRORS, len(ERRORS)):
        if (found := error(word, letters, keyboard, rng)) != word:
            return found
    return word


Keyboard = Mapping[str, str]
"""The keys beside each key, in lower case."""


def _swap(word: str, letters: Sequence[int], _: Keyboard, rng: random.Random) -> str:
    """Two letters that stand side by side change places."""
    first = rng.choice([place for place in letters if place + 1 in letters] or [len(word)])
    return word[:first] + word[first + 1 : first + 2] + word[first : first + 1] + word[first + 2 :]


def _drop(word: str, letters: Sequence[int], _: Keyboard, rng: random.Random) -> str:
    """A letter is missing."""
    place = rng.choice(letters)
    return word[:place] + word[place + 1 :]


def _double(word: str, letters: Sequence[int], _: Keyboard, rng: random.Random) -> str:
    """A letter is there twice."""
    place = rng.choice(letters)
    return word[:place] + word[place] + word[place:]


def _slip(word: str, letters: Sequence[int], keyboard: Keyboard, rng: random.Random) -> str:
    """A letter is the key beside it."""
    place = rng.choice(letters)
    letter = word[place]
    if not (near := keyboard.get(letter.lower())):
        return word
    key = rng.choice(near)
    return word[:place] + (key.upper() if letter.isupper() else key) + word[place + 1 :]


ERRORS: tuple[Callable[[str, Sequence[int], Keyboard, random.Random], str], ...] = (_swap, _drop, _double, _slip)

LAYOUTS = {
    "": ("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "de": ("qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
    "es": ("qwertyuiop", "asdfghjklñ", "zxcvbnm"),
    "fr": ("azertyuiop", "qsdfghjklm", "wxcvbn"),
    "ru": ("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
}
"""Rows of letters by language; "" for the others. A row stands half a key further right than the one above."""


@cache
def keyboard_of(language: str) -> Keyboard:
    """Which keys are beside each other where people write `language` (a code such as de or de-CH)."""
    rows = LAYOUTS.get(language.partition("-")[0].lower(), LAYOUTS[""])
    places = {key: (row, column + row / 2) for row, keys in enumerate(rows) for column, key in enumerate(keys)}
    return {
        key: "".join(other for other, (r, c) in places.items() if other != key and abs(r - row) + abs(c - column) < 1.6)
        for key, (row, column) in places.items()
    }
