"""Numbers of a text and of its translation: which stand in both, and how a number is written in another language.

"1,234.5" and "1.234,5" are one number, "3" may become "three", "7 p.m." may become "19 Uhr", and the parts of a
date may change places. What cannot be told apart counts as equal; a digit that got lost does not. Knows nothing of
models.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

Reading = tuple[str, Decimal | tuple[str, ...]]
"""What a number may mean: ("value", 1234.5), or ("parts", (2024, 1, 31)) of a date, a time, a version, sorted."""

_NUMBER = re.compile(
    r"(?P<before>[$€£¥])?(?P<body>\d+(?:[.,:/\u2019'\u00a0\u202f -](?=\d)\d+)*)"
    r"(?P<after>[ \u00a0\u202f]?[%€£$¥°](?!\d))?"
)
_BLANKS = " \u00a0\u202f"
_GROUPS = [re.compile(rf"\d{{1,3}}(?:{blank}\d{{3}})+(?:[.,]\d+)?") for blank in _BLANKS]
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?-\d\d?-\d{2,4}")
_COMMA_DECIMAL = frozenset(
    [
        "de",
        "fr",
        "es",
        "it",
        "nl",
        "pt",
        "pl",
        "ru",
        "cs",
        "sv",
        "da",
        "nb",
        "fi",
        "tr",
        "uk",
        "id",
        "vi",
        "el",
        "hu",
        "ro",
        "bg",
        "hr",
        "sk",
        "sl",
        "et",
        "lv",
        "lt",
    ]
)
"""Languages that write 1.234,5 (or 1 234,5) where English writes 1,234.5."""
_GROUPED_BY_BLANKS = frozenset(["fr", "pl", "ru", "cs", "sv", "nb", "fi", "uk", "hu", "bg", "sk", "et", "lv", "lt"])
"""Those of them that part thousands by a blank that does not break, in French a narrow one."""
_CURRENCY_LAST = _COMMA_DECIMAL - {"nl", "tr", "pt"}

_UNITS = {
    "%": ("%", "percent", "per cent", "prozent", "pour cent", "por ciento"),
    "$": ("$", "dollar", "dólar"),
    "€": ("€", "euro"),
    "£": ("£", "pound", "pfund", "livre", "libra"),
    "¥": ("¥", "yen", "yuan"),
    "°": ("°", "degree", "grad", "degré", "grado"),
}
"""What a translation may have for the sign beside a number."""

# A clock of twelve hours: what behind a number adds twelve hours to it, and what of 24 takes them away.
_AFTERNOON = re.compile(
    r"\s*(?:p\.?\s?m\b|o'clock in the (?:afternoon|evening)|in the (?:afternoon|evening))", re.IGNORECASE
)
_MORNING = re.compile(r"\s*a\.?\s?m\b", re.IGNORECASE)
_HOURS = re.compile(r"\s*(?:Uhr\b|heures?\b|h\b|horas\b)", re.IGNORECASE)
_ROUGH = re.compile(
    r"\b(?:half|quarter|dozens?|noon|midnight|past|once|twice|couple|score|halb\w*|viertel|dreiviertel|dutzend\w*|mittag"
    r"|mitternacht|vor|nach|paar|demie?|quart|midi|minuit|douzaine|media|cuarto|mediod[ií]a|medianoche|docena"
    r"|hundreds?|thousands?|millions?|billions?|hundert\w*|tausend\w*|million\w*|milliarde\w*|cents?|mille|mil|cien\w*)\b",
    re.IGNORECASE,
)
"""Words by which a number may be written in another way altogether."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number with digits, `text[start:end]`, its sign of currency, percent or degrees included."""

    start: int
    end: int
    body: str
    """Without the sign."""
    sign: str
    readings: frozenset[Reading]

    @property
    def digits(self) -> int:
        """How many it has."""
        return sum(map(str.isdigit, self.body))


def find(text: str, language: str) -> list[Number]:
    """The numbers of a text, in order. `language`: a code such as "de-AT", as in all that follows."""
    if not _HAS_DIGIT(text):
        return []
    language = _primary(language)
    numbers: list[Number] = []
    for found in _NUMBER.finditer(text):
        at = found.start("body")
        for body in _split(found["body"]):
            at = text.index(body, at)
            is_first, is_last = at == found.start("body"), at + len(body) == found.end("body")
            before = (found["before"] or "") if is_first else ""
            after = (found["after"] or "") if is_last else ""
            sign = (before or after).strip()
            end = at + len(body)
            readings = frozenset(_readings(body, language) | _clock(body, text[end : end + 32]))
            numbers.append(Number(at - len(before), end + len(after), body, sign, readings))
            at = end
    return numbers


_HAS_DIGIT = re.compile(r"\d").search


def _primary(language: str) -> str:
    """What regions share: how they differ in numbers is not known here."""
    return language.partition("-")[0].lower()


def _split(body: str) -> list[str]:
    """Blanks group the digits of one number ("1 234 567"), or part two; hyphens join a date, or part a range."""
    if "-" in body and not _DATE.fullmatch(body):
        return [part for piece in body.split("-") for part in _split(piece)]
    if not any(blank in body for blank in _BLANKS):
        return [body]
    for pattern in _GROUPS:
        if pattern.fullmatch(body):
            return [body]
    return [part for piece in re.split(rf"[{_BLANKS}]", body) for part in _split(piece)]


@cache
def _marks(language: str) -> tuple[str, str]:
    """The signs for fractions and for groups of three."""
    return (",", ".") if language in _COMMA_DECIMAL else (".", ",")


def _written(language: str) -> tuple[str, str]:
    """The signs that a language is to be written with, as `_marks`."""
    decimal, group = _marks(language)
    if language in _GROUPED_BY_BLANKS:
        group = "\u202f" if language == "fr" else "\u00a0"
    return decimal, group


def _value(body: str, decimal: str, group: str) -> Decimal | None:
    """What a well-formed number says; None where it is none."""
    whole, _, fraction = body.partition(decimal)
    if fraction and not _is_digits(fraction):
        return None
    if not _is_digits(whole):
        parts = re.split(rf"[{re.escape(group)}'\u2019{_BLANKS}]", whole)
        if not all(map(_is_digits, parts)) or not 1 <= len(parts[0]) <= 3 or any(len(part) != 3 for part in parts[1:]):
            return None
        if parts[0].startswith("0"):
            return None
        whole = "".join(parts)
    return Decimal(f"{whole}.{fraction or 0}")


def _is_digits(text: str) -> bool:
    return text.isdecimal()


def _readings(body: str, language: str) -> set[Reading]:
    if _is_digits(body):
        return {("value", Decimal(body))}
    decimal, group = _marks(language)
    readings: set[Reading] = set()
    value = _value(body, decimal, group)
    if value is None:
        value = _value(body, group, decimal)
    if value is not None:
        readings.add(("value", value))
    parts = re.split(r"\D", body)
    looks_grouped = value is not None and (len(parts[-1]) == 3 or not re.fullmatch(r"\d{1,2}\.\d\d", body))
    if all(parts) and not looks_grouped:
        readings.add(_parts(*parts))
    return readings


def _parts(*parts: str | int) -> Reading:
    return "parts", tuple(sorted(str(part).lstrip("0") for part in parts))


def _clock(body: str, after: str) -> set[Reading]:
    """The same time by the other clock."""
    if not _TIME.fullmatch(body):
        return set()
    hour, minutes = int(_HOUR.split(body)[0]), [*_HOUR.split(body), "00"][1]
    if _AFTERNOON.match(after) and hour < 12:
        other = hour + 12
    elif _MORNING.match(after) and hour == 12:
        other = 0
    elif 12 < hour <= 24 and (":" in body or _HOURS.match(after)):
        other = hour - 12
    else:
        return set()
    if minutes == "00":
        return {("value", Decimal(other)), _parts(other, 0)}
    return {_parts(other, minutes)}


_TIME = re.compile(r"\d{1,2}(?:[:.]\d\d)?")
_HOUR = re.compile("[:.]")


_PART_OF_HOUR = re.compile(
    r"\b(?:half past|quarter (?:to|past)|halb|viertel (?:vor|nach)|dreiviertel)\s+$", re.IGNORECASE
)
"""What says, before a number, that it is an hour from which something is added or taken: no two languages agree."""


@dataclass(frozen=True)
class Comparison:
    """What of the numbers of a text and of its translation has no counterpart."""

    missing: tuple[Number, ...]
    """Of the source."""
    extra: tuple[Number, ...]
    """Of the target."""

    @property
    def is_equal(self) -> bool:
        """Whether each has one."""
        return not self.missing and not self.extra


EQUAL = Comparison((), ())


def compare(source: str, target: str, languages: tuple[str, str]) -> Comparison:
    """Match the numbers of a text with those of its translation; words for small numbers count as numbers.

    `languages`: of the source and of the target.
    """
    if not _HAS_DIGIT(source) and not _HAS_DIGIT(target):
        return EQUAL
    languages = (_primary(languages[0]), _primary(languages[1]))
    left = find(source, languages[0])
    right = find(target, languages[1])
    missing: list[Number] = []
    lowered = target.lower()
    is_rough = _ROUGH.search(target) is not None
    for number in left:
        before = len(right)
        has_sign = not number.sign or any(word in lowered for word in _UNITS[number.sign])
        place = next((i for i, other in enumerate(right) if number.readings & other.readings), None)
        if place is not None:
            if has_sign:
                del right[place]
            else:
                missing.append(number)
        elif _PART_OF_HOUR.search(source[max(0, number.start - 16) : number.start]):
            right = [other for other in right if other.digits not in (3, 4)]
            if not is_rough and len(right) == before:
                missing.append(number)
        elif not (has_sign and _is_spelt(number, lowered, languages[1])):
            missing.append(number)
    extra = [number for number in right if not _is_spelt(number, source.lower(), languages[0])]
    if extra and _ROUGH.search(source):
        extra = []
    return Comparison(tuple(missing), tuple(extra))


def repaired(target: str, comparison: Comparison, languages: tuple[str, str]) -> str | None:
    """The translation with the one wrong number put right; None where it is not plain which that is."""
    if len(comparison.missing) != 1 or len(comparison.extra) != 1:
        return None
    (right,), (wrong,) = comparison.missing, comparison.extra
    # short numbers may well be another way to say the same: hours, floors, "half past 6"
    if right.digits < 3 or wrong.digits < 2:
        return None
    before, after = target[wrong.start - 1 : wrong.start], target[wrong.end : wrong.end + 1]
    if (before and not before.isspace() and before not in "([\"'„“") or after.isalnum():
        return None
    return target[: wrong.start] + localised(right, languages) + target[wrong.end :]


def localised(number: Number, languages: tuple[str, str]) -> str:
    """A number as the target language writes it: "$1,234.50" in English is "1.234,50 $" in German.

    Dates, times and whatever else is not one value stay as they are.
    """
    source, target = map(_primary, languages)
    body = number.body
    if _written(source) != _written(target) and not _is_digits(body) and _value(body, *_marks(source)) is not None:
        whole, point, fraction = body.partition(_marks(source)[0])
        decimal, group = _written(target)
        body = group.join(re.split(r"\D", whole)) + (decimal + fraction if point else "")
    if not number.sign:
        return body
    if number.sign in "$€£¥":
        return f"{body}\u00a0{number.sign}" if target in _CURRENCY_LAST else f"{number.sign}{body}"
    blank = "\u00a0" if number.sign == "%" and target in ("de", "fr") else ""
    return f"{body}{blank}{number.sign}"


def beside(written: str, after: str) -> str:
    """A number as `localised` writes it, without its sign where what follows it says the same in words."""
    for sign, words in _UNITS.items():
        if sign in written and after.lower().lstrip().startswith(words):
            return written.replace(sign, "").strip()
    return written


_LARGEST = 1_000_000
"""Number that any language of `_WORDS` has a word for."""


def _is_spelt(number: Number, lowered: str, language: str) -> bool:
    """Whether a text says a small number in words. Other languages than `_WORDS` knows: no."""
    return any(
        kind == "value" and isinstance(value, Decimal) and _says(lowered, value, language)
        for kind, value in number.readings
    )


def _says(lowered: str, value: Decimal, language: str) -> bool:
    if language not in _WORDS or value > _LARGEST or value % 1:
        return False
    forms = "|".join(_WORDS[language]().get(int(value), ()))
    if not forms:
        return False
    found = re.finditer(rf"\b(?P<tens>{_TENS[language]})?(?:{forms}){_ENDINGS[language]}", lowered)
    return any(said["tens"] is None for said in found)


def _numbered(words: Sequence[str], start: int = 0) -> dict[int, list[str]]:
    return {number: word.split("|") for number, word in enumerate(words, start)}


@cache
def _english() -> dict[int, Collection[str]]:
    words = _numbered(
        [
            "zero|no|o'clock|midnight",
            "one|a|an|first|once|single",
            "two|second|twice|both|couple",
            "three|third",
            "four",
            "five|fifth",
            "six",
            "seven",
            "eight",
            "nine|ninth",
            "ten",
            "eleven",
            "twelve|twelfth|dozen|noon|midday",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
    tens = dict(
        zip(
            range(20, 100, 10),
            ["twenty", "thirty", "fort", "fifty", "sixty", "seventy", "eighty", "ninety"],
            strict=True,
        )
    )
    for ten, word in tens.items():
        stem = "fort(?:y|ie)" if ten == 40 else word[:-1] + "(?:y|ie)"
        words[ten] = [stem]
        for unit in range(1, 10):
            words[ten + unit] = [
                f"{stem}[- ]?{form}" for form in words[unit] if form not in ("a", "an", "once", "twice")
            ]
    return {**words, 100: ["hundred"], 1000: ["thousand"], 1_000_000: ["million"]}


@cache
def _german() -> dict[int, Collection[str]]:
    words = _numbered(
        [
            "null|kein|mitternacht",
            "ein(?:e[nmrs]?|s|mal\\w*|zig\\w*)?\\b|erst",
            "zwei|zweit|beid|paar",
            "drei|dritt",
            "vier",
            "fünf",
            "sechs",
            "sieb",
            "acht",
            "neun",
            "zehn",
            "elf",
            "zwölf|dutzend|mittag",
            "dreizehn",
            "vierzehn",
            "fünfzehn",
            "sechzehn",
            "siebzehn",
            "achtzehn",
            "neunzehn",
        ]
    )
    tens = ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
    units = ["ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
    for ten, word in zip(range(20, 100, 10), tens, strict=True):
        words[ten] = [word]
        for unit, name in enumerate(units, 1):
            words[ten + unit] = [f"{name}und{word}"]
    return {**words, 100: ["hundert"], 1000: ["tausend"], 1_000_000: ["million"]}


_FRENCH_TENS = {
    20: ["vingt"],
    30: ["trent(?=[eia])"],
    40: ["quarant(?=[eia])"],
    50: ["cinquant(?=[eia])"],
    60: ["soixant(?=[eia])"],
    70: ["septant(?=[eia])"],
    80: ["quatre[- ]vingt", "huitant(?=[eia])", "octant(?=[eia])"],
    90: ["nonant(?=[eia])"],
}
"""In Belgium and Switzerland 75 and 95 are said as 35 and 45 are, elsewhere as 60 and 15, 80 and 15."""
_FRENCH_JOINT = r"e?s?[- ](?:et[- ](?=un|onz))?"


@cache
def _french() -> dict[int, Collection[str]]:
    words = _numbered(
        [
            "zéro",
            "un|premi",
            "deux|second",
            "trois",
            "quatre(?![- ]vingt)|quatri",
            "cinq|cinqui",
            "six",
            "sept",
            "huit",
            "neuf|neuvi",
            rf"dix(?![- ](?:sept|huit|neuf|neuvi){_ENDINGS['fr']})|diz(?=a)",
            "onz(?=[ei])",
            "douz(?=[eia])",
            "treiz(?=[ei])",
            "quatorz(?=[ei])",
            "quinz(?=[eia])",
            "seiz(?=[ei])",
            "dix[- ]sept",
            "dix[- ]huit",
            "dix[- ]neu(?:f|vi)",
        ]
    )
    units = {unit: "|".join(form for form in words[unit] if form not in ("premi", "second")) for unit in range(1, 20)}
    for ten, names in _FRENCH_TENS.items():
        last = 19 if ten in (60, 80) else 9
        any_unit = "|".join(units[unit] for unit in range(1, last + 1))
        for name in names:
            alone = rf"(?!{name}{_FRENCH_JOINT}(?:{any_unit}){_ENDINGS['fr']}){name}"
            words.setdefault(ten, []).append(alone)
            for unit in range(1, last + 1):
                words.setdefault(ten + unit, []).append(f"{name}{_FRENCH_JOINT}(?:{units[unit]})")
    return {**words, 100: ["cent"], 1000: ["mille"]}


_SPANISH_TENS = ("treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa")


@cache
def _spanish() -> dict[int, Collection[str]]:
    words = _numbered(
        [
            "cero",
            "un|primer",
            "dos|segund",
            "tres|tercer",
            "cuatro|cuart",
            "cinco|quint",
            "seis",
            "siete",
            "ocho",
            "nueve",
            "diez",
            "once",
            "doce",
            "trece",
            "catorce",
            "quince",
            "diecis[eé]is",
            "diecisiete",
            "dieciocho",
            "diecinueve",
            "veinte",
        ]
    )
    units = ["[uú]n", "d[oó]s", "tr[eé]s", "cuatro", "cinco", "s[eé]is", "siete", "ocho", "nueve"]
    for unit, name in enumerate(units, 1):
        words[20 + unit] = [f"veinti{name}"]
    for ten, word in zip(range(30, 100, 10), _SPANISH_TENS, strict=True):
        words[ten] = [rf"{word}(?! y (?:{'|'.join(units)}){_ENDINGS['es']})"]
        for unit, name in enumerate(units, 1):
            words[ten + unit] = [f"{word}(?: y |i){name}"]
    return {**words, 100: ["cien"], 1000: ["mil"]}


_ENDINGS = {
    "en": r"(?:s|h|th|ths|fold)?\b(?!-(?:one|two|three|four|five|six|seven|eight|nine)\b)",
    # words grow together there: "zweimal", "dreißigjährig"; but not to other numbers
    "de": r"(?!zehn|zig|ßig|ßen|und|hundert|tausend|tel|ung|sam|los)",
    "fr": r"(?:e|s|es|er|ère|ers|ières?|ième|ièmes|ème|èmes|aine|aines)?\b",
    "es": r"(?:a|o|as|os|to|tos|es)?\b",
}
"""What may stand behind the word for a number."""
_TENS = {
    "en": r"\w+ty-",
    "de": r"(?!)",  # one word with what follows
    "fr": rf"(?:(?:{'|'.join(name for names in _FRENCH_TENS.values() for name in names)}){_FRENCH_JOINT}"
    r"|quatre[- ](?=vingt)|dix[- ](?=sept|huit|neu[fv])){1,2}",
    "es": rf"(?:{'|'.join(_SPANISH_TENS)}) y ",
}
"""What stands before the word for a number where both are another one."""
_WORDS = {"en": _english, "de": _german, "fr": _french, "es": _spanish}
