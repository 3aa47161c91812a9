"""Language codes as other services and their clients write them, and the languages of ours that they mean."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from app.languages import Language, Languages
from app.parameters import shown
from nmt.errors import UnsupportedPair

_OTHER_NAMES = {
    "zh-cn": "zh-hans",
    "zh-sg": "zh-hans",
    "zh-tw": "zh-hant",
    "zh-hk": "zh-hant",
    "zh-mo": "zh-hant",
    "iw": "he",
    "in": "id",
    "ji": "yi",
    "jw": "jv",
    "nb": "no",
    "no": "nb",
    "tl": "fil",
    "fil": "tl",
}
"""Google's codes, old ones, and two names for one language."""


def find_language(languages: Languages, code: str) -> Language:
    """The language that a code means: in two letters or three, with a region or without, whatever joins them.

    A region that is not served by itself is dropped; a code without one finds a language that is served for one region
    only. Raises UnsupportedPair.
    """
    wanted = code.strip().lower().replace("_", "-")
    base, _, region = wanted.partition("-")
    base = _short_codes().get(base, base)
    full = f"{base}-{region}" if region else base
    names = [full, _OTHER_NAMES.get(full, full)]
    if _is_region(region) and full not in _OTHER_NAMES:
        names += [base, _OTHER_NAMES.get(base, base)]
    for name in names:
        try:
            return languages.find(name)
        except UnsupportedPair:
            continue
    for language in languages.listed:
        if not region and base_of(language) == base:
            return language
    raise UnsupportedPair(f"{shown(code)} is not supported")


def base_of(language: Language) -> str:
    """Its code without a region, in lower case; a script that is not the language's usual one stays."""
    code = {"pb": "pt", "zt": "zh-hant"}.get(language.code.lower(), language.code.lower())
    return code if code == "zh-hant" else code.partition("-")[0]


def long_code(language: Language) -> str:
    """Its ISO 639-3 code; the code itself where that has no other."""
    return _long_codes().get(base_of(language).partition("-")[0], language.code)


def _is_region(part: str) -> bool:
    """Two letters (ISO 3166) or three digits (UN M.49)."""
    return (len(part) == 2 and part.isalpha()) or (len(part) == 3 and part.isdigit())


@cache
def _long_codes() -> dict[str, str]:
    """ISO 639-3 (of languages that have two there, the terminological one) by ISO 639-1."""
    codes: dict[str, str] = json.loads(Path(__file__).with_name("language_codes.json").read_text("utf-8"))
    return codes


@cache
def _short_codes() -> dict[str, str]:
    return {long: short for short, long in _long_codes().items()}
