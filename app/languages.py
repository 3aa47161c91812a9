"""The languages served, by code: what /languages lists, and how the codes of a request find their model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.parameters import shown
from nmt.errors import UnsupportedPair
from nmt.inference import ModelInfo

ALIASES = {"zh-hans": "zh", "zh": "zh-hans", "zh-hant": "zt", "zt": "zh-hant", "pt-br": "pb", "pb": "pt-br"}
"""LibreTranslate's own codes and the standard ones. A code that is served itself is never replaced."""


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

    def __init__(self, models: Iterable[ModelInfo]) -> None:
        self._models: dict[tuple[str, str], ModelInfo] = {}
        for model in models:  # of two models for one pair the first counts
            self._models.setdefault((model.source_lang.lower(), model.target_lang.lower()), model)
        codes = sorted({code for model in self._models.values() for code in (model.source_lang, model.target_lang)})
        self._languages = {code.lower(): Language(code, name_of(code), self._targets(code)) for code in codes}

    @property
    def listed(self) -> tuple[Language, ...]:
        """All of them, ordered by code."""
        return tuple(self._languages.values())

    @property
    def default_pair(self) -> tuple[Language, Language]:
        """What a user interface starts with: the first model's pair."""
        source, target = next(iter(self._models))
        return self._languages[source], self._languages[target]

    def find(self, code: str) -> Language:
        """The language of a code or of its alias. Raises UnsupportedPair."""
        code = code.lower()
        language = self._languages.get(code) or self._languages.get(ALIASES.get(code, ""))
        if language is None:
            raise UnsupportedPair(f"{shown(code)} is not supported")
        return language

    def model(self, source: Language, target: Language) -> ModelInfo | None:
        """The model for a pair; None where source and target are one language. Raises UnsupportedPair."""
        if source == target:
            return None
        model = self._models.get((source.code.lower(), target.code.lower()))
        if model is None:
            raise UnsupportedPair(f"{target} is not available as a target language from {source}")
        return model

    def _targets(self, code: str) -> tuple[str, ...]:
        reached = {model.target_lang for (source, _), model in self._models.items() if source == code.lower()}
        return tuple(sorted(reached | {code}))


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
