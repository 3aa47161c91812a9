"""One token is the difference: against the edit distance over all pairs of sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.near_copies import NearCopies

SENTENCES = st.lists(st.sampled_from("abc"), max_size=5).map(" ".join)


def distance(one: list[str], other: list[str]) -> int:
    rows = [list(range(len(other) + 1))]
    for i, x in enumerate(one, 1):
        rows.append([i])
        for j, y in enumerate(other, 1):
            rows[i].append(min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (x != y)))
    return rows[-1][-1]


@given(st.lists(SENTENCES, max_size=4), SENTENCES)
def test_near_is_one_token_away(known: list[str], sentence: str) -> None:
    expected = any(distance(sentence.split(), other.split()) <= 1 for other in known)
    assert NearCopies(known).has(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [("I see the dog.", True), ("i see the CAT!", True), ("I see dogs.", False), ("I see the old dog!", True)],
)
def test_case_does_not_matter_and_signs_are_tokens(sentence: str, expected: bool) -> None:
    assert NearCopies(["I see the dog!"]).has(sentence) == expected
