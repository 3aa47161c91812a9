"""What must come through a translation as it is: placeholders, addresses, code, tags. Knows nothing of models.

The patterns take too little rather than too much: a word that is protected by mistake stays untranslated. All of them
run in time that grows with the length of the text, whatever it holds.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from nmt.text import items
from nmt.text.quotation import quotation_marks

_INNER = r"[^{}\n]"
_BRACES = rf"\{{(?:{_INNER}|\{{(?:{_INNER}|\{{{_INNER}*+\}})*+\}})*+\}}"
"""A brace and what it holds, as deep as messages in ICU's syntax go."""
_PLAIN_URL = r"(?:[^\s<>\"'“”„«»()\[\]{}]|\([^\s()]*+\)|\{[^\s{}]*+\})"
_URL_END = r"(?:[\w/=&#%~$+@-]|(?<=\))|(?<=\}))"

_PLACEHOLDERS = {
    "braces": rf"[$#%]?{_BRACES}|\{{%[^%\n]*+%\}}",
    "brackets": r"\[\[[^\[\]\n]++\]\]|\[[A-Za-z]{0,3}\d++[A-Za-z]{0,3}\]",
    "python": r"%\([\w. ]++\)[-+#0]*\d*(?:\.\d+)?[sdifuxXoeEgGcr]",
    "printf": r"(?<![\w%])(?:%(?:\d+\$)?[-+#0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|ll|[hlLqjzt])?[sdifuxXoeEgGcp@])+"
    r"(?![a-z]{3})",
    "qt": r"(?<![\w%])%(?:L?\d{1,2}|n)(?!\w)|(?<!\w)%[A-Za-z_]\w*+%(?!\w)|%%",
    "variable": r"(?<!\w)\$[A-Za-z_]\w*+|(?<!\w)__\w+?__(?!\w)",
    "entity": r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z]\w{1,30});",
}
"""Forms that no text has by chance."""

_ADDRESSES = {
    "url": rf"(?<!\w)(?:[a-z][a-z0-9+.\-]{{1,15}}://|mailto:|www\.){_PLAIN_URL}*{_URL_END}",
    "email": r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++",
    "domain": r"(?<![\w@.\-/])(?:[a-z0-9][a-z0-9-]*+\.)++"
    rf"(?:com|org|net|edu|gov|info|io|dev|app|de|uk|eu|fr|es|ch|nl|pl)(?![\w@])(?:/{_PLAIN_URL}*{_URL_END})?",
}

_CODE = {
    "quoted": r"`[^`\n]++`",
    "path": r"(?<![\w/\\])(?:(?:~|\.{1,2})/[\w.@/-]*\w|(?:/[\w.@-]*[\w@-]){2,}+/?|[A-Za-z]:\\[^\s\"<>|]*[\w\\])",
    "file": r"(?<![\w.-])[\w-]++(?:\.[\w-]++)*?\.(?:txt|pdf|docx?|xlsx?|pptx?|odt|csv|tsv|json|ya?ml|toml|xml|html?|css"
    r"|js|ts|py|sh|zip|tar|gz|png|jpe?g|gif|svg|mp[34]|exe|dll|so|ini|cfg|conf|log|md|po|xlf|tmx|srt)(?![\w-]|\.\w)",
    "time": r"(?<![\w-])\d{4}-\d\d-\d\d(?:T\d\d:\d\d[\d:.]*(?:Z|[+-]\d\d:?\d\d)?)?(?![\w-])",
    "uuid": r"(?<![\w-])[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}(?![\w-])|(?<!\w)0x[\da-fA-F]++(?!\w)",
    "range": r"(?<![\w.,:/-])\d++(?::\d\d)?(?:[-–]\d++(?::\d\d)?)++(?![\w-]|[.,:/]\d)",
    "phone": r"(?<![\w+])\+\d{1,3}(?:[ ()/.-]{0,2}\d){6,14}(?!\w)",
    "option": r"(?<![\w-])--[a-z][\w-]*+(?:=[^\s,;]*\w)?",
    "mention": r"(?<![\w&/@#])[@#]\w(?:[\w-]*\w)?",
    "call": r"(?<![\w.])[A-Za-z_][\w.]*+\(\)",
    "name": r"(?<![\w.-])(?:[A-Za-z]\w*_\w+|[a-z]++[A-Z]\w*+|[A-Za-z]++\d\w*+)(?:[-.]\d[\w.]*\w|[-.]\d)?(?![\w-])",
}

TAG = (
    r"(?!<unk>)</?[A-Za-z][\w:.-]*+(?:\s(?:[^<>\"']|\"[^\"]*+\"|'[^']*+')*+|/)?>"
    r"|\[/?(?i:[bisup*]|url|img|quote|code|size|colou?r|font|list|li|[uo]l|table|t[rdh]|left|center|right|spoiler|su[bp]"
    r"|email|h[1-6r]|br|youtube|video)(?:=[^\[\]\s]*+)?\]"
)
"""A tag of HTML or XML, or one in brackets (BBCode), in a text that is neither."""
_ESCAPE = r"(?:\\[nrt])++"
"""A line break or tabulator as strings of programs write it."""

_STRICT = re.compile("|".join((*_PLACEHOLDERS.values(), *_ADDRESSES.values(), TAG)))
_ALL = re.compile(
    "|".join(
        f"(?P<{name}>{pattern})"
        for name, pattern in {**_PLACEHOLDERS, **_ADDRESSES, "tag": TAG, "break": _ESCAPE, **_CODE}.items()
    )
)
# Whether a look is worth while: everyday sentences have none of these.
_HINT = re.compile(r"[{}%$\[\]<>&@#/\\`_\d.+(-]")
_CAMEL = re.compile(r"[A-Z](?<=[a-z].)")
_NUMBER_FORM = re.compile(r"%(?:\d+\$)?[-+#0]*\d*(?:\.\d+)?(?:hh|ll|[hlqjzt])?[diufxoeg]|%n")
_NAME_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# fmt: off
_NUMBER_NAMES = frozenset([
    "count", "counter", "num", "number", "n", "total", "size", "amount", "sum", "qty", "quantity", "day", "days",
    "hour", "hours", "minute", "minutes", "second", "seconds", "year", "years", "age", "percent", "percentage",
    "pages", "index", "min", "max", "limit", "length", "price", "anzahl", "zahl", "summe", "betrag", "tage",
    "stunden", "minuten", "jahre",
])
# fmt: on


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, `text[start:end]`, that comes through as it is."""

    start: int
    end: int
    kind: str
    """`tag`, `symbol`, `break`, or the name of another pattern; `term` where the caller says what `out` is."""
    out: str
    """What stands in the translation."""

    def moved(self, by: int) -> Span:
        """The same so many characters further."""
        return replace(self, start=self.start + by, end=self.end + by)


def is_everyday(text: str) -> bool:
    """Whether a text has nothing to look at: no sign that placeholders, code and the like have, and no digit."""
    # the last character is a full stop, or else behind another of them
    has_hint = _HINT.search(text, 0, len(text) - 1) or _CAMEL.search(text)
    return not has_hint and not text[-1:].isdigit()


def find(text: str) -> list[Span]:
    """Placeholders, addresses, code, tags and escaped line breaks of a text, in order, none over another.

    Those that touch, or that no more than punctuation parts, are one; letters and digits that touch one belong to it.
    Tags and line breaks stay by themselves.
    """
    if is_everyday(text):
        return []
    spans: list[Span] = []
    for found in _ALL.finditer(text):
        kind = found.lastgroup or ""
        if spans and (joined := _joined(text, spans[-1], found.start(), found.end(), kind)):
            spans[-1] = joined
        else:
            spans.append(Span(found.start(), found.end(), kind, found[0]))
    return _widened(text, spans)


def signature(text: str) -> Counter[str]:
    """Placeholders, addresses and tags of a text, with how often each stands in it: equal before and after."""
    if is_everyday(text):
        return Counter()
    return Counter(found[0] for found in _STRICT.finditer(text))


def without_placeholders(text: str) -> str:
    """What is left of a text without anything that `signature` counts; empty where there are no words."""
    while signature(text):
        text = " ".join(_STRICT.sub(" ", text).split())
    return text if any(character.isalnum() for character in text) else ""


def looks_like_number(span: Span, text: str, language: str) -> bool:
    """Whether what comes in the place of a placeholder is a number, as far as its name and the next word tell."""
    if span.kind in ("phone", "time", "range"):
        return True
    if _NUMBER_FORM.fullmatch(span.out):
        return True
    if span.kind in _PLACEHOLDERS and any(p.lower() in _NUMBER_NAMES for p in _NAME_PARTS.findall(span.out)):
        return True
    if span.kind not in _PLACEHOLDERS or re.search(r"[A-Za-z]{2}", span.out):
        return False
    after = re.match(r"[ \u00a0-]?([^\W\d_]{3,})", text[span.end : span.end + 24])
    if after is None:
        return False
    word = after[1]
    return word[0].isupper() if language == "de" else word.islower() and word.endswith("s")


HOLE = "\ufffc"
"""Stands in a text for something that is copied as it is, such as an element of markup."""
_LONE = r"(?<!\S)[^\w\s.,;:!?'\"“”„‚‘’«»()\[\]…%$€£¥°-]+(?!\S)"
_SYMBOL = re.compile(
    r"(?:\d\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{2}"
    r"|[^\w\s!-~¡-ÿ\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u3000-\u30ff\uff00-\uffef\ufffc]"
    r"[^\w\s!-~¡-ÿ\u2010-\u2027\u2030-\u205e\u3000-\u30ff\uff00-\uffef\ufffc]*"
    rf"|[¦§©¬®¯°±¶·×÷†‡•‣※]|{_LONE})"
)
_SYMBOL_HINT = re.compile(r"[^\w\s.,;:!?'\"’“”„()-]")


def find_symbols(text: str, is_known: Callable[[str], bool]) -> list[Span]:
    """Emoji and other signs that a vocabulary lacks, with the joiners and modifiers among them.

    Punctuation and currency stay with the sentence, and so do plain signs that touch a word. `is_known`: whether the
    vocabulary has a character.
    """
    if _SYMBOL_HINT.search(text) is None:
        return []
    return [
        Span(found.start(), found.end(), "symbol", found[0])
        for found in _SYMBOL.finditer(text)
        if _is_symbol(found[0])
        and HOLE not in found[0]
        and not all(map(is_known, found[0]))
        and not (found[0] == "°" and text[found.start() - 1 : found.start()].isdigit())
    ]


_MOST_QUOTED = 4
"""Words between quotation marks that are kept: what is longer may be a sentence, with marks that belong to it."""
_PAIRED = re.compile(
    r"(?<![^\s>(\[])(?:"
    r"\([^()\n]+\)"
    r"|\[[^\[\]\n]+\](?!\()"
    r"|(?P<quote>\"[^\"\n]+\"|“[^“”\n]+[”“]|„[^„“”\n]+[“”]|»[^«»\n]+«|«[^«»\n]+»|‘[^‘’\n]+’)"
    r"|(?P<sign>\*{1,3}|_{1,2}|~~)(?=[^\s*_~])[^*_~\n]*[^\s*_~](?P=sign)"
    r")(?!\w)"
)
BRACKETS = {"(": ")", "[": "]"}
"""Those that may stand around words, and around other pairs."""
_PAIR_HINT = re.compile(r"[(\[\"“„»«‘*_~]")
_FINAL = ".,!?…"


def find_pairs(text: str, is_known: Callable[[str], bool], language: str) -> list[Span]:
    """What stands around words in pairs and is kept as tags would be: quotation marks, signs of emphasis, brackets.

    Quotation marks around a few words, which become those of `language`; those around a sentence, whose full stop
    stands inside, are the model's. Others where the vocabulary lacks them. Both may stand in brackets. A pair around
    figures alone is kept with them, as one.
    """
    if _PAIR_HINT.search(text) is None:
        return []
    spans: list[Span] = []
    for found in _pairs(text, 0, len(text)):
        width = len(found["sign"] or "(")
        start, end = found.span()
        low, high = start + width, end - width
        if found["quote"] and not text[start].isascii():  # « so »
            while low < high and text[low].isspace():
                low += 1
            while low < high and text[high - 1].isspace():
                high -= 1
        inner = text[low:high]
        if items.IN_BRACKETS.fullmatch(found[0]) and not text[:start].rpartition("\n")[2].strip():
            continue  # "(a) first": of a list
        if found["quote"]:
            if inner.rstrip()[-1:] in _FINAL or len(inner.split()) > _MOST_QUOTED:
                continue
        elif is_known(text[start]):
            continue
        if any(map(str.isalpha, inner)):
            opening, closing = text[start:low], text[high:end]
            if found["quote"]:
                opening, closing = quotation_marks(opening, closing, language)
            spans.append(Span(start, low, "opening", opening))
            spans.append(Span(high, end, "closing", closing))
        elif not found["quote"]:
            spans.append(Span(start, end, "figures", found[0]))
    return sorted(spans, key=lambda span: span.start)


def _pairs(text: str, start: int, stop: int) -> Iterator[re.Match[str]]:
    """What stands in pairs of signs, each in brackets behind these."""
    for found in _PAIRED.finditer(text, start, stop):
        yield found
        if found[0][0] in BRACKETS:
            yield from _pairs(text, found.start() + 1, found.end() - 1)


def find_ands(text: str, is_known: Callable[[str], bool]) -> list[Span]:
    """Signs that are said as a word, where the vocabulary lacks them."""
    if "&" not in text or is_known("&"):
        return []
    return [Span(found.start(), found.end(), "and", "&") for found in re.finditer(r"(?<=\w )&(?= \w)", text)]


AND = {"en": "and", "de": "und", "fr": "et", "es": "y", "it": "e", "nl": "en", "pt": "e", "sv": "och", "da": "og"}
"""What stands in for an ampersand, and what its translation is."""


def find_unknown_words(text: str, is_known: Callable[[str], bool]) -> list[Span]:
    """Words of which a vocabulary has no letter, which are those of another script; and names of which it lacks one.

    What begins with a capital and goes on in small letters is taken for a name.
    """
    if text.isascii():
        return []
    return [
        Span(found.start(), found.end(), "word", found[0])
        for found in _WORD.finditer(text)
        if not found[0].isascii() and _is_unreadable(found[0], is_known)
    ]


def _is_unreadable(word: str, is_known: Callable[[str], bool]) -> bool:
    letters = [character for character in word if character.isalpha()]
    if not any(map(is_known, letters)):
        return True
    is_name = word[0].isupper() and not word.isupper()
    # a capital may be rare where its small letter is not
    return is_name and not all(is_known(letter) or is_known(letter.lower()) for letter in letters)


# Combining marks are no letters for `re`, though words of many writing systems have them.
_WORD = re.compile(r"[^\W_](?:[\w\u0300-\u036f\u0590-\u109f]|['\u2019-](?=\w))*")


def without_overlap(spans: Iterable[Span]) -> list[Span]:
    """In order; of those that overlap the one that begins first, and of those the longest."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


NAMES = ("Tom", "Paris", "Boston", "Osaka", "Jackson", "John", "London", "Japan")
NUMBERS = ("350", "480", "1960", "1999", "47", "85", "37", "64")
"""What stands for a protected part while a sentence is translated: those that the models that ship copy most reliably.

docs/text.md has the figures, and those of others: many names have another form in another language, 500 becomes a word
and 2000 gets a comma.
"""


def stand_ins(texts: Sequence[str], wants_number: Sequence[bool], *, others: bool = False) -> list[str] | None:
    """A word for each protected part, a number where one is wanted, none of them anywhere in `texts`; or None.

    `others`: not those that are taken without it.
    """
    lowered = [text.lower() for text in texts]
    numbers, names = (
        [word for word in words if not any(word.lower() in text for text in lowered)] for words in (NUMBERS, NAMES)
    )
    if others:
        numbers, names = numbers[sum(wants_number) :], names[len(wants_number) - sum(wants_number) :]
    if sum(wants_number) > len(numbers) or len(wants_number) - sum(wants_number) > len(names):
        return None
    number, name = iter(numbers), iter(names)
    return [next(number) if wants else next(name) for wants in wants_number]


def _joined(text: str, before: Span, start: int, end: int, kind: str) -> Span | None:
    """Two spans as one, where they touch or where only signs stand between them."""
    if {"tag", "break"} & {kind, before.kind}:
        return None
    between = text[before.end : start]
    if between and (len(between) > 3 or any(c.isalnum() or c.isspace() or c in "()\"'“”„«»" for c in between)):
        return None
    return Span(before.start, end, before.kind, text[before.start : end])


def _widened(text: str, spans: Sequence[Span]) -> list[Span]:
    """With the letters and digits that touch a placeholder: half a word has no translation.

    An English or German genitive stays outside, as does what comes behind a hyphen.
    """
    widened: list[Span] = []
    for number, span in enumerate(spans):
        if span.kind in ("tag", "break"):
            widened.append(span)
            continue
        low = widened[-1].end if widened else 0
        high = spans[number + 1].start if number + 1 < len(spans) else len(text)
        start, end = span.start, span.end
        while start > low and text[start - 1].isalnum():
            start -= 1
        after = _GLUED.match(text, end, high)
        if after and after[0] != "s":
            end = after.end()
        widened.append(replace(span, start=start, end=end, out=text[start:end]))
    return widened


_GLUED = re.compile(r"[^\W_]+")


def _is_symbol(text: str) -> bool:
    """Whether it is signs: some writing systems have marks that are no part of a word for `re`."""
    first = text[0]
    return first.isdigit() or unicodedata.category(first)[0] in "SPC" or "\u2600" <= first <= "\u27bf"


def parts(text: str, spans: Sequence[Span]) -> Iterator[str | Span]:
    """A text as what lies between its spans, and the spans, in turn."""
    position = 0
    for span in spans:
        if span.start > position:
            yield text[position : span.start]
        yield span
        position = span.end
    if position < len(text):
        yield text[position:]
