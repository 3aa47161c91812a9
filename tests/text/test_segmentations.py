"""Segmentations against all ways to cut a text."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from nmt.text.segmentations import segmentations


@given(text=st.text("ab", min_size=1, max_size=7), pieces=st.sets(st.text("ab", min_size=1, max_size=3), max_size=9))
def test_every_way_to_cut_a_text_into_pieces_is_there_once(text: str, pieces: set[str]) -> None:
    ids = {piece: number for number, piece in enumerate(sorted(pieces))}
    expected = set()
    for count in range(len(text)):
        for cuts in combinations(range(1, len(text)), count):
            parts = [text[a:b] for a, b in zip((0, *cuts), (*cuts, len(text)), strict=True)]
            if pieces.issuperset(parts):
                expected.add(tuple(ids[part] for part in parts))
    found = segmentations(text, ids, 1000)
    assert len(found) == len(expected)
    assert set(found) == expected
    assert [len(way) for way in found] == sorted(len(way) for way in found)
    assert segmentations(text, ids, 2) == found[:2]


def test_of_no_text_there_is_none() -> None:
    assert segmentations("", {"a": 1}, 5) == []
    assert segmentations("b", {"a": 1}, 5) == []
    assert segmentations("b", {}, 5) == []
