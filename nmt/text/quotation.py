"""Quotation marks as languages write them: “so” in English, „so“ in German, « so » in French.

After the delimiters of Unicode CLDR 46, with the no-break spaces that French has inside its marks. Knows nothing of
models.
"""

from __future__ import annotations

_TURNED_UP = ("“", "”", "‘", "’")
_LOW = ("„", "“", "‚", "‘")
_LOW_HIGH = ("„", "”", "‚", "’")
_POINTED = ("«", "»", "“", "”")
_RAISED = ("”", "”", "’", "’")

_MARKS = {
    **dict.fromkeys(("af", "en", "id", "lv", "nl", "pt", "tr", "vi", "zh"), _TURNED_UP),
    **dict.fromkeys(("bg", "cs", "de", "is", "lt", "sk", "sl"), _LOW),
    **dict.fromkeys(("hr", "hu", "pl", "ro"), _LOW_HIGH),
    **dict.fromkeys(("ca", "el", "es", "it"), _POINTED),
    **dict.fromkeys(("ru", "uk"), ("«", "»", "„", "“")),
    **dict.fromkeys(("fi", "sv"), _RAISED),
    **dict.fromkeys(("de-ch", "de-li"), ("«", "»", "‹", "›")),
    "fr": ("«\u00a0", "\u00a0»", "“", "”"),
    "ja": ("「", "」", "『", "』"),
}
"""The marks around a quotation, and those around one inside it or, in English, a word."""


def quotation_marks(opening: str, closing: str, language: str) -> tuple[str, str]:
    """What a pair of marks is in a language: plain ones (" and ') are themselves, others the language's own.

    `language`: a code such as "de-AT". Of a language whose marks are not known here, they stay.
    """
    if opening.isascii() and closing.isascii():
        return opening, closing
    code = language.lower().replace("_", "-")
    marks = _MARKS.get(code) or _MARKS.get(code.partition("-")[0])
    if marks is None:
        return opening, closing
    return marks[2:] if opening.strip() in "‘‚‹›" else marks[:2]
