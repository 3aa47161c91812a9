"""Text to words or characters and back, by rules of no particular language. Knows nothing of vocabularies and ids.

A piece that begins with `SPACE` has a blank before it, unless the piece before it ends with `GLUE`: "(now)!" is
`▁(￭ ▁now ) !`. So a word is one piece wherever it stands, what there is to know of blanks lies on the few symbols, and
a word that no vocabulary has leaves no doubt about the blanks around it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from nmt.text.sampling import SPACE

GLUE = "\uffed"
"""Ends a piece that no blank follows: the joiner of OpenNMT's tokenizer."""

_PLAIN = re.compile(rf"{SPACE}?(?:[^\W{SPACE}]+|[^\w\s{SPACE}])|{SPACE}")


def split_words(text: str) -> list[str]:
    """Words as Moses' tokenizer (Koehn et al. 2007) separates them, but without its lists of abbreviations.

    Symbols stand alone, up to three of a kind as one piece. A word keeps hyphens and full stops inside it ("T-shirt",
    "3.14", "z.B."), a number also commas and colons ("1,000", "12:30"). At an apostrophe it is cut: before it in front
    of an English clitic ("Tom 's", "don 't"), otherwise behind it ("l' homme").
    """
    pieces: list[str] = []
    for chunk in _readable(text).split():
        before = ""  # the kind of the piece before, within this chunk
        for match in _words().finditer(chunk):
            kind = match.lastgroup or ""
            has_blank = not before
            if kind in ("word", "elided") and before in ("symbol", "elided"):
                pieces[-1] += GLUE
                has_blank = True
            pieces.append(SPACE + match[0] if has_blank else match[0])
            before = kind
    return pieces


def split_plain(text: str) -> list[str]:
    """Runs of letters and digits, and single symbols, each with the blank before it: how old vocabularies split."""
    return _PLAIN.findall(_marked(text))


def split_characters(text: str) -> list[str]:
    """Single characters, blanks among them."""
    return list(_marked(text))


def split_blanks(text: str) -> list[str]:
    """What stands between blanks, whatever it is: labels."""
    return [SPACE + word for word in _readable(text).split()]


RULES: Mapping[str, Callable[[str], list[str]]] = {"words": split_words, "plain": split_plain, "blanks": split_blanks}
"""Ways to split words, by the name under which a vocabulary remembers its own."""


def join_pieces(pieces: Iterable[str]) -> str:
    """The text of pieces, whichever way it was split."""
    return "".join(pieces).replace(GLUE + SPACE, "").replace(GLUE, "").replace(SPACE, " ").strip()


def bare(piece: str) -> str:
    """A piece without its marks."""
    return piece.removeprefix(SPACE).removesuffix(GLUE)


def _marked(text: str) -> str:
    """A text with its blanks marked, one at the front; empty where there is nothing else."""
    words = _readable(text).split()
    return SPACE + SPACE.join(words) if words else ""


def _readable(text: str) -> str:
    """A text without characters that are marks of ours."""
    return text.replace(SPACE, "_").replace(GLUE, "\u25a0")


@cache
def _words() -> re.Pattern[str]:
    """One piece of a text without blanks."""
    marks = _combining_marks()
    letter = rf"[\w{marks}]"
    word = rf"\w{letter}*(?:(?:[.\-\u2010\u2011]|(?<=\d)[,:](?=\d)){letter}+)*"
    clitic = rf"['\u2019](?i:s|t|re|ve|ll|d|m)(?!{letter})"
    return re.compile(
        rf"(?P<clitic>(?<={letter}){clitic})"
        rf"|(?P<elided>{word}(?!{clitic})['\u2019](?={letter}))"
        rf"|(?P<word>(?:[^\W\d_]\.){{2,}}(?!{letter})|{word})"
        rf"|(?P<symbol>(?P<same>[^\w\s])(?P=same){{0,2}}[{marks}]*)"
    )


def _combining_marks() -> str:
    """Vowel signs, accents and the like, which belong to the letter before them, as ranges of a character class."""
    ranges: list[list[int]] = []
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):
        if unicodedata.category(chr(code)).startswith("M"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
