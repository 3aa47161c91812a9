"""Loops are seen, and what only looks like one is not."""

from __future__ import annotations

import pytest

from nmt.text.repetition import is_loop, times_repeated


@pytest.mark.parametrize(
    ("words", "times"),
    [
        ("", 1),
        ("a b c", 1),
        ("a a", 1),  # not looked at: two words alike are no loop
        ("a a b a", 2),
        ("a a a", 3),
        ("x a b a b a b y", 3),
        ("a b c d a b c d a b c d a b c d", 4),
    ],
)
def test_how_often_a_run_comes_in_a_row(words: str, times: int) -> None:
    assert times_repeated(words.split()) == times


@pytest.mark.parametrize(
    ("source", "target", "loops"),
    [
        ("I am here.", "Ich bin bin bin hier.", True),
        ("I am here.", "um die Welt, um die Welt, um die Welt", True),
        ("very very very good", "sehr sehr sehr gut", False),
        ("I am here.", "Ich bin hier, sehr sehr oft.", False),
        ("I am here.", "Verhaltenhaltenhaltenhalten", True),
        ("hahahahahahaha", "hahahahahahaha", False),
        ("1000", "1000 000 000 000", False),
        ("", "", False),
    ],
)
def test_a_loop_is_one_that_the_source_has_not(source: str, target: str, loops: bool) -> None:
    assert is_loop(source, target) is loops
