"""Attention finds the alignment of a language that was made up for it, within seconds and to a stated error."""

from __future__ import annotations

import pytest

from benchmarks.synthetic_alignment import synthetic_error
from nmt.config import ModelConfig, Recipe

LARGEST_ERROR = 0.25
"""A word need not be looked at where others tell it: a verb, or the second word of a translation of two.

Linking every target word to a source word drawn at random makes about 0.8.
"""


def test_attention_learns_to_align(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe(model=ModelConfig(attention="dot", input_feeding=False))
    found = synthetic_error(recipe, updates=200)
    assert found is not None
    assert found.links > 1000
    assert found.aer <= LARGEST_ERROR
    assert capsys.readouterr() == ("", "")


def test_a_network_without_attention_has_no_error_to_tell() -> None:
    assert synthetic_error(Recipe(model=ModelConfig(attention="none", input_feeding=False))) is None
