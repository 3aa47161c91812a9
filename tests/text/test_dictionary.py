"""The dictionary for unknown words: what it gives for a piece, and its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.errors import TokenizerError
from nmt.text.dictionary import Dictionary

DICTIONARY = Dictionary({"dachshund": "Dackel", "Vienna": "Wien", "vienna": "never", "größe": "size", "l'": "der"})


@pytest.mark.parametrize(
    ("piece", "translation"),
    [
        ("▁dachshund", "▁Dackel"),
        ("dachshund", "Dackel"),
        ("▁l'￭", "▁der￭"),
        ("▁Vienna", "▁Wien"),
        # the first word of a sentence
        ("▁Dachshund", "▁Dackel"),
        ("▁Größe", "▁Size"),
        # a name that looks like another word in capitals is none
        ("▁DACHSHUND", "▁DACHSHUND"),
        ("▁Zarkov", "▁Zarkov"),
        ("▁(￭", "▁(￭"),
        ("!", "!"),
    ],
)
def test_a_piece_becomes_its_translation_between_the_same_blanks(piece: str, translation: str) -> None:
    assert DICTIONARY.translate(piece) == translation


def test_a_saved_dictionary_loads_equal(tmp_path: Path) -> None:
    DICTIONARY.save(tmp_path / "d.tsv")
    assert Dictionary.load(tmp_path / "d.tsv").entries == DICTIONARY.entries
    assert (tmp_path / "d.tsv").read_text("utf-8").splitlines()[:2] == ["Vienna\tWien", "dachshund\tDackel"]
    Dictionary({}).save(tmp_path / "empty.tsv")
    assert Dictionary.load(tmp_path / "empty.tsv").entries == {}


@pytest.mark.parametrize("content", [b"a\tb\nab\n", b"a\t\n", b"\tb\n", b"\xff\t\xff\n"])
def test_a_damaged_dictionary_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.tsv").write_bytes(content)
    with pytest.raises(TokenizerError, match=r"d\.tsv") as caught:
        Dictionary.load(tmp_path / "d.tsv")
    assert "\n" not in str(caught.value)
