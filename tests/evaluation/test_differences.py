"""Runs of words give the text back, and say what each word is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nmt.evaluation.differences import Run, most_different, runs

WORDS = st.lists(st.sampled_from(["a", "b", "c", "D.", "e!"]), max_size=8)


def test_own_words_are_right_or_wrong_by_the_references() -> None:
    found = runs("Der alte Hund schläft hier.", "Der Hund schläft dort", ["Hier schläft der alte Hund"])
    assert found == [
        Run("Der", "shared"),
        Run("alte", "right"),
        Run("Hund schläft", "shared"),
        Run("hier.", "right"),
    ]
    assert runs("ganz falsch", "", ["richtig"]) == [Run("ganz falsch", "wrong")]


@given(WORDS, WORDS, WORDS)
def test_runs_are_the_text_and_alternate(text: list[str], other: list[str], reference: list[str]) -> None:
    found = runs(" ".join(text), " ".join(other), [" ".join(reference)])
    assert " ".join(run.text for run in found) == " ".join(text)
    assert all(one.kind != following.kind for one, following in pairwise(found))
    shared = [word for run in found if run.kind == "shared" for word in run.text.split()]
    rest = iter(other)
    assert all(word in rest for word in shared)  # a subsequence of the other text


def test_texts_that_are_the_same_share_everything() -> None:
    assert runs("a b c", "a b c", [""]) == [Run("a b c", "shared")]
    assert runs("", "a", ["a"]) == []


def test_sentences_come_in_order_of_the_difference() -> None:
    ours, theirs = np.array([50.0, 90, 10, 40, 70]), np.array([50.0, 20, 30, 80, 65])
    assert most_different(ours, theirs, 2) == ([1, 4], [3, 2])
    assert most_different(ours, theirs, 1) == ([1], [3])
    assert most_different(ours, ours, 3) == ([], [])
