"""The languages served, by code: what /languages lists, and how the codes of a request find their models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from app.parameters import shown
from nmt.errors import UnsupportedPair
from nmt.inference import ModelInfo

Route: TypeAlias = tuple[ModelInfo, ...]
"""The models from one language to another, in turn: one, or two with a language in between; none for one language."""

ALIASES = {"zh-hans": "zh", "zh": "zh-hans", "zh-hant": "zt", "zt": "zh-hant", "pt-br": "pb", "pb": "pt-br"}
"""LibreTranslate's own codes and the standard ones. A code that is served itself is never replaced."""


DEFAULT_SOURCE = "en"
"""LibreTranslate's answer for a text of which nothing can be said."""


@dataclass(frozen=True)
class Language:
    """A language that some model reads or writes. `targets`: codes in order, its own among them."""

    code: str
    name: str
    targets: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class Languages:
    """The languages of a set of models. Codes are compared without case."""

    def __init__(self, models: Iterable[ModelInfo], *, has_pivots: bool = True) -> None:
        """`has_pivots`: where no model translates directly, two may do it together."""
        direct: dict[tuple[str, str], Route] = {}
        for model in models:  # of two models for one pair the first counts
            direct.setdefault((model.source_lang.lower(), model.target_lang.lower()), (model,))
        self._routes = _with_pivots(direct) if has_pivots else direct
        codes: dict[str, str] = {}
        for (model,) in direct.values():
            for code in (model.source_lang, model.target_lang):
                codes.setdefault(code.lower(), code)
        self._languages = {
            code: Language(codes[code], name_of(codes[code]), self._targets(code, codes)) for code in sorted(codes)
        }

    @property
    def listed(self) -> tuple[Language, ...]:
        """All of them, ordered by code."""
        return tuple(self._languages.values())

    @property
    def default_pair(self) -> tuple[Language, Language]:
        """What a user interface starts with: the first model's pair, of those from English if there are any."""
        first = next(iter(self._routes))
        source, target = next((pair for pair in self._routes if pair[0] == DEFAULT_SOURCE), first)
        return self._languages[source], self._languages[target]

    def find(self, code: str) -> Language:
        """The language of a code or of its alias. Raises UnsupportedPair."""
        code = code.lower()
        language = self._languages.get(code) or self._languages.get(ALIASES.get(code, ""))
        if language is None:
            raise UnsupportedPair(f"{shown(code)} is not supported")
        return language

    def route(self, source: Language, target: Language) -> Route:
        """The models for a pair. Raises UnsupportedPair."""
        if source == target:
            return ()
        route = self._routes.get((source.code.lower(), target.code.lower()))
        if route is None:
            raise UnsupportedPair(f"{target} is not available as a target language from {source}")
        return route

    def by_default(self, target: Language | None = None) -> list[Language]:
        """All that can be translated into a language, itself included; without one, all. First the one that a text is
        taken for that tells nothing: English if it is there, else the first model's."""
        usual = (DEFAULT_SOURCE, self.default_pair[0].code.lower())
        able = [language for language in self.listed if target is None or target.code in language.targets]
        return sorted(able, key=lambda language: [language.code.lower() != code for code in usual])

    def _targets(self, code: str, codes: Mapping[str, str]) -> tuple[str, ...]:
        reached = {target for source, target in self._routes if source == code}
        return tuple(sorted(codes[target] for target in reached | {code}))


def _with_pivots(direct: dict[tuple[str, str], Route]) -> dict[tuple[str, str], Route]:
    """Also the pairs that two models reach together; of several ways the one whose models come first."""
    routes = dict(direct)
    for (source, middle), first in direct.items():
        for (other, target), second in direct.items():
            if middle == other and source != target:
                routes.setdefault((source, target), first + second)
    return routes


def name_of(code: str) -> str:
    """English name of a language code, a region or script in brackets; the code itself where it is not known."""
    language, _, rest = code.partition("-")
    name = _names().get(language.lower())
    if name is None:
        return code
    return f"{name} ({rest})" if rest else name


@cache
def _names() -> dict[str, str]:
    """English names of the ISO 639-1 codes and of LibreTranslate's own pb and zt."""
    names: dict[str, str] = json.loads(Path(__file__).with_name("language_names.json").read_text("utf-8"))
    return names
