"""Which language a text is in. Knows nothing of models: only the codes that it may choose from.

The library behind it is loaded with the first `Detector`, not with this module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

MOST_CHARS = 1_000
"""As much of a text is looked at: more makes no guess better."""
MOST_GUESSES = 3
COMPANY = (
    *("ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "hu", "id", "it", "ja"),
    *("ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "tr", "uk", "vi", "zh"),
)
"""Languages that a text may be in although nobody asks for them. Without them it would be one of few for sure."""
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
        ranked = self._identifier.rank(text[:MOST_CHARS])
        if ranked[0][1] == ranked[-1][1]:  # nothing in it points to any language
            return []
        return [Detection(wanted[base], share) for base, share in ranked if base in wanted][:MOST_GUESSES]


def _base(code: str) -> str:
    base = code.lower().partition("-")[0]
    return _BASES.get(base, base)
