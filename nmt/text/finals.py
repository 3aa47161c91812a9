"""What a sentence ends with: its translation ends alike, for a model writes every text as if it were a whole sentence.

Knows nothing of models. Parts of a sentence are `nmt.text.clauses`' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_RUN = re.compile(r"\s*(\.{3}|[.!?:;,…]+)\Z")
_FEW_WORDS = 3
"""A text of more words that ends with nothing may be a sentence whose full stop was forgotten."""
_BLANK_BEFORE = {"fr": {"!": "\u202f", "?": "\u202f", ";": "\u202f", ":": "\u00a0"}}
"""What stands before a mark, where that is not nothing."""
_TURNED = {"es": {"!": "¡", "?": "¿"}}
"""The mark that a sentence begins with where it ends with this one."""
_LOOSE = re.compile(r"(?<=[¡¿])\s+(?=\w)")
"""A blank behind such a mark."""


def final_edits(source: str, text: str, language: str) -> Iterator[tuple[int, int, str]]:
    """What is to be written in the place of which characters of `text`, a translation of `source` into `language`.

    A sentence that ends with a question mark, colon, comma or the like ends with that. A few words that end with
    nothing end with no full stop and no exclamation mark; a longer text may get one. Between these two the model
    chooses, since languages do not agree: a German order ends with the one, an English one mostly with the other.
    No blank stands behind a mark that a sentence begins with, though a vocabulary may know its first word only so.
    """
    turned = _TURNED.get(language, {})
    for blank in _LOOSE.finditer(text) if turned else ():
        yield *blank.span(), ""
    if source.endswith(".") and text.endswith(".") and not source.endswith(".."):
        return
    theirs, _ = _last(source)
    ours, end = _last(text)
    if theirs in (ours, ".") or (theirs == "!" and ours == "."):
        return
    if not theirs:
        if ours in (".", "!") and source[-1:].isalnum() and len(source.split()) <= _FEW_WORDS:
            if text[0] == turned.get(ours):
                yield 0, 1, ""
            yield end, len(text), ""
        return
    if not text or not (ours or text[-1].isalnum()):  # a closing bracket, or a writing system with marks of its own
        return
    begins = turned.get(theirs[-1], "")
    if any(sign != begins and sign in text for sign in turned.values()):
        return
    if begins and begins not in text:
        yield 0, 0, begins
    yield end, len(text), _BLANK_BEFORE.get(language, {}).get(theirs[0], "") + theirs


def _last(text: str) -> tuple[str, int]:
    """The last mark, and where the text ends without it."""
    found = _RUN.search(text)
    return (found[1].replace("…", "..."), found.start()) if found else ("", len(text))
