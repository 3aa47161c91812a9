"""Which language a text is in. Knows nothing of models: only the codes that it may choose from.

The library behind it is loaded with the first `Detector`, not with this module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MOST_CHARS = 1_000
"""As much of a text is looked at: more makes no guess better."""
MOST_GUESSES = 3
COMPANY = (
    *("ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "hu", "id", "it", "ja"),
    *("ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "tr", "uk", "vi", "zh"),
)
"""Languages that a text may be in although nobody asks for them. Without them it would be one of few for sure."""
FEW_WORDS = 2
"""Runs of letters say little of texts of no more: those are told by the commonest words of the languages that have a
list of them, where one of their words is on a list."""
_WORD = re.compile(r"[^\W\d_]+")
_LEAST_SHARE = 1e-5
"""What a word that is on no list has of a language."""
_BASES = {"pb": "pt", "zt": "zh", "nb": "no"}


@dataclass(frozen=True, slots=True)
class Detection:
    """A guess at the language of a text."""

    language: str
    """Its code, as it was given to the detector."""
    confidence: float
    """From 0, a mere default, to 1."""


class Detector:
    """Tells languages apart by runs of letters (Lui and Baldwin 2012, as in py3langid). Loading it takes a moment."""

    def __init__(self, codes: Iterable[str]) -> None:
        """`codes`: the languages that may be asked for; one that the library does not know is never found."""
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        known = set(self._identifier.labels)
        self._base_of = {code: base for code in codes if (base := _base(code)) in known}
        self._identifier.set_languages(sorted({*COMPANY, *self._base_of.values()}))

    def detect(self, text: str, codes: Collection[str]) -> list[Detection]:
        """The likeliest of these languages, best first, at most three; none where the text tells nothing.

        A confidence is the probability among these, all others that may be asked for and `COMPANY`.
        """
        if not any(map(str.isalpha, text)):
            return []
        wanted: dict[str, str] = {}
        for code in codes:
            if base := self._base_of.get(code):
                wanted.setdefault(base, code)
        words = words_of(text[:MOST_CHARS])
        if len(words) <= FEW_WORDS and (known := _by_words(words, wanted)):
            return [Detection(wanted[base], share) for base, share in known][:MOST_GUESSES]
        ranked = self._identifier.rank(text[:MOST_CHARS])
        if ranked[0][1] == ranked[-1][1]:  # nothing in it points to any language
            return []
        return [Detection(wanted[base], share) for base, share in ranked if base in wanted][:MOST_GUESSES]


def words_of(text: str) -> list[str]:
    """Words as the lists of common ones have them."""
    return _WORD.findall(text.lower())


@cache
def _shares() -> Mapping[str, Mapping[str, float]]:
    """By language: what share of its text a common word has, as Zipf's law would have it."""
    lines = (Path(__file__).parent / "common_words.txt").read_text("utf-8").splitlines()
    lists = [line.split() for line in lines if not line.startswith("#")]
    total = sum(1 / rank for rank in range(1, 1 + max(map(len, lists))))
    return {
        language: {word: 1 / rank / total for rank, word in enumerate(words, start=1)} for language, *words in lists
    }


def _by_words(words: Sequence[str], languages: Iterable[str]) -> list[tuple[str, float]]:
    """These languages by the common words of a text, best first, with their probabilities; none where it has none."""
    lists = {language: _shares()[language] for language in languages if language in _shares()}
    if not any(word in common for common in lists.values() for word in words):
        return []
    scores = {
        language: math.prod(common.get(word, _LEAST_SHARE) for word in words) for language, common in lists.items()
    }
    total = sum(scores.values())
    return sorted(((language, score / total) for language, score in scores.items()), key=lambda pair: -pair[1])


def _base(code: str) -> str:
    base = code.lower().partition("-")[0]
    return _BASES.get(base, base)
