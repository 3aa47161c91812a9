"""Noise as people make it: other case, no full stop, typing errors. Texts in, texts out; `epochs` decides where.

What is drawn comes from generators that the caller gives, so that a resumed run sees the noise it would have seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.config import NoiseConfig

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

    @classmethod
    def draw(cls, config: NoiseConfig, pairs: int, rng: np.random.Generator) -> Noise:
        """One draw for each kind and pair, whatever the shares: a share changes nothing of the other kinds."""
        by_case, by_end, by_typos = (rng.random(pairs) for _ in range(3))
        case = np.full(pairs, Case.KEPT, dtype=np.int8)
        case[by_case < config.lower + config.upper] = Case.UPPER
        case[by_case < config.lower] = Case.LOWER
        return cls(case, by_end < config.no_final, by_typos < config.typos)


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
