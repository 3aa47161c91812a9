"""Codes of other services find the languages that are served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import app.codes
from app.codes import base_of, find_language, long_code
from app.languages import Languages
from nmt.errors import UnsupportedPair
from tests.app.fake_engine import model


@pytest.mark.parametrize(
    ("served", "asked", "found"),
    [
        ("de", "DE", "de"),
        ("de", "deu", "de"),
        ("en", "EN-US", "en"),
        ("en", "en_GB", "en"),
        ("en", "eng", "en"),
        ("es", "es-419", "es"),
        ("pt-BR", "pt-BR", "pt-BR"),
        ("pb", "PT-BR", "pb"),
        ("pt", "PT-BR", "pt"),
        ("pt-BR", "PT", "pt-BR"),
        ("pb", "pt", "pb"),
        ("zh", "zh-CN", "zh"),
        ("zh", "ZH-HANS", "zh"),
        ("zh-Hans", "zh", "zh-Hans"),
        ("zt", "zh-TW", "zt"),
        ("zt", "ZH-HANT", "zt"),
        ("he", "iw", "he"),
        ("nb", "no", "nb"),
        ("no", "NB", "no"),
        ("no", "nob", "no"),
    ],
)
def test_a_code_finds_its_language(served: str, asked: str, found: str) -> None:
    assert find_language(Languages([model("xx", served)]), asked).code == found


@pytest.mark.parametrize(
    ("served", "asked"),
    [("zh", "zh-Hant"), ("zh", "zh-TW"), ("zt", "zh"), ("pt-BR", "pt-PT"), ("de", "de-Latn"), ("de", ""), ("de", "d")],
)
def test_a_code_finds_no_other_language(served: str, asked: str) -> None:
    """Neither script nor region is put in the place of another."""
    with pytest.raises(UnsupportedPair, match="is not supported"):
        find_language(Languages([model("xx", served)]), asked)


def test_a_region_that_is_served_goes_before_the_language() -> None:
    both = Languages([model("en", "pt"), model("en", "pt-BR")])
    assert find_language(both, "PT-BR").code == "pt-BR"
    assert find_language(both, "PT-PT").code == find_language(both, "pt").code == "pt"


@pytest.mark.parametrize(
    ("code", "base", "long"),
    [
        ("de", "de", "deu"),
        ("pt-BR", "pt", "por"),
        ("pb", "pt", "por"),
        ("zt", "zh-hant", "zho"),
        ("nds", "nds", "nds"),
    ],
)
def test_codes_of_a_language(code: str, base: str, long: str) -> None:
    [language] = [each for each in Languages([model("xx", code)]).listed if each.code == code]
    assert (base_of(language), long_code(language)) == (base, long)


def test_every_language_that_has_a_name_has_a_long_code() -> None:
    folder = Path(app.codes.__file__).parent
    names, codes = (
        json.loads((folder / name).read_text("utf-8")) for name in ("language_names.json", "language_codes.json")
    )
    assert names.keys() - codes.keys() == {"bh", "pb", "zt"}  # a group of languages, LibreTranslate's own
    assert len(set(codes.values())) == len(codes)
    assert all(len(short) == 2 and len(long) == 3 for short, long in codes.items())
