"""Which language a text is in. Knows nothing of models: only the codes that it may choose from.

The library behind it is loaded with the first `Detector`, not with this module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

MOST_CHARS = 1_000
"""As much of a text is looked at: more makes no guess better."""
MOST_GUESSES = 3
COMPANY = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "tr")
"""Languages that a text may be in although nobody asks for them: without them each text would seem to be one of few."""
_BASES = {"pb": "pt", "zt": "zh", "no": "nb"}


@dataclass(frozen=True, slots=True)
class Detection:
    """A guess at the language of a text."""

    language: str
    """Its code, as it was given to the detector."""
    confidence: float
    """From 0, a mere default, to 1."""


class Detector:
    """Tells languages apart by their letters and words. Loading it takes a moment."""

    def __init__(self, codes: Iterable[str]) -> None:
        """`codes`: the languages that may be asked for; one that is not known is never found."""
        from lingua import IsoCode639_1, Language, LanguageDetectorBuilder

        known = {language.iso_code_639_1.name.lower(): language for language in Language.all()}
        assert IsoCode639_1
        self._base_of = {code: base for code in codes if (base := _base(code)) in known}
        chosen = dict.fromkeys((*self._base_of.values(), *COMPANY))
        self._detector = LanguageDetectorBuilder.from_languages(*(known[base] for base in chosen)).build()

    def detect(self, text: str, codes: Collection[str]) -> list[Detection]:
        """The likeliest of these languages, best first, at most three; none where the text tells nothing.

        A confidence is the probability among all languages that are known here.
        """
        bases: dict[str, str] = {}
        for code in codes:
            if base := self._base_of.get(code):
                bases.setdefault(base, code)
        found = self._detector.compute_language_confidence_values(text[:MOST_CHARS])
        guesses = [
            Detection(bases[base], value.value)
            for value in found
            if (base := value.language.iso_code_639_1.name.lower()) in bases and value.value > 0.0
        ]
        return guesses[:MOST_GUESSES]


def _base(code: str) -> str:
    base = code.lower().partition("-")[0]
    return _BASES.get(base, base)
