"""Words by how rare they are: counts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.errors import CorpusError
from nmt.evaluation.rarity import WordRow, by_pieces, by_rarest_word, count_words, word_accuracy, words_of

FREQUENCIES = {"the": 5000, "cat": 150, "sat": 99, "ocelot": 1}


def test_words_have_letters_or_digits_and_no_case() -> None:
    assert words_of("The CAT, (sat) — 3.5 % ...") == ["the", "cat", "sat", "3.5"]


def test_training_text_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("The cat.\nthe dog\n", "utf-8")
    (tmp_path / "b").write_text("THE\n", "utf-8")
    assert count_words([tmp_path / "a", tmp_path / "b"]) == {"the": 3, "cat": 1, "dog": 1}
    with pytest.raises(CorpusError, match="no such file"):
        count_words([tmp_path / "c"])


def test_a_source_is_as_rare_as_its_rarest_word() -> None:
    sources = ["The cat sat.", "the cat", "The", "The ocelot", "the axolotl sat", "...", "THE CAT"]
    assert by_rarest_word(sources, FREQUENCIES) == {
        "never seen": [4],
        "1-9 times": [3],
        "10-99 times": [0],
        "100-999 times": [1, 6],
        "1000+ times": [2],
    }
    # the limits themselves
    counts = {"a": 9, "b": 10, "c": 999, "d": 1000}
    assert [list(by_rarest_word([word], counts)) for word in "abcd"] == [
        ["1-9 times"],
        ["10-99 times"],
        ["100-999 times"],
        ["1000+ times"],
    ]


def test_a_source_is_as_rare_as_its_word_of_most_pieces() -> None:
    # a piece a letter; the clitic of "don't" is no word
    assert by_pieces(["a bc!", "x y", "don't", "abcdefg hi", "?", "z 12 345"], len) == {
        "4+ pieces": [3],
        "3 pieces": [2, 5],
        "2 pieces": [0],
        "1 piece": [1],
    }


def test_words_that_come_through_are_counted_by_frequency() -> None:
    rows = word_accuracy(["the the cat", "an axolotl", "nothing"], ["The cat sat sat", "the ocelot", None], FREQUENCIES)
    assert rows == (
        WordRow("never seen", 0, 2, 0),
        WordRow("1-9 times", 1, 0, 0),
        WordRow("10-99 times", 2, 0, 0),
        WordRow("100-999 times", 1, 1, 1),
        WordRow("1000+ times", 2, 2, 1),
    )
    assert (rows[4].precision, rows[4].recall, rows[4].f1) == (0.5, 0.5, 0.5)
    assert (rows[1].precision, rows[1].recall, rows[1].f1) == (0, 0, 0)
    assert WordRow("x", 4, 2, 2).f1 == pytest.approx(2 * 1 * 0.5 / 1.5)


def test_a_translation_that_is_the_reference_has_every_word() -> None:
    texts = ["The cat sat.", "An ocelot!"]
    assert {row.f1 for row in word_accuracy(texts, texts, FREQUENCIES)} == {1.0}
