"""Where pieces stand in a text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.text.pieces import offsets
from nmt.text.words import split_words
from tests.bundles import toy_sentences


def parts(pieces: list[str], text: str) -> list[str]:
    return [text[start:end] for start, end in offsets(pieces, text)]


def test_pieces_are_found_one_after_the_other() -> None:
    assert parts(["▁He", "ll", "o", "▁wor", "ld", "."], "Hello  world.") == ["He", "ll", "o", "wor", "ld", "."]
    assert parts(["▁(￭", "▁now", ")"], "(now)") == ["(", "now", ")"]
    assert parts(["▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "▁x"], "😀 x") == ["", "😀", "😀", "😀", "😀", "x"]


def test_other_forms_of_the_same_characters_are_found() -> None:
    assert parts(["▁fine", ".", ".", "."], "ﬁne…")[0] == "ﬁne"


def test_a_piece_that_is_not_there_has_no_characters() -> None:
    assert parts(["▁a", "▁unseen", "▁c"], "a b c") == ["a", "", "c"]


@settings(max_examples=200)
@given(st.text(max_size=40), st.lists(st.sampled_from(["▁a", "b", "<0xC3>", "<0xA9>", "▁", "￭", "é", ""])))
def test_ranges_lie_in_the_text_whatever_the_pieces_are(text: str, pieces: list[str]) -> None:
    found = offsets(pieces, text)
    assert len(found) == len(pieces)
    assert all(0 <= start <= end <= len(text) for start, end in found)


def test_words_of_a_sentence_are_all_found() -> None:
    for text in toy_sentences(20):
        assert "".join(parts(split_words(text), text)) == text.replace(" ", "")
