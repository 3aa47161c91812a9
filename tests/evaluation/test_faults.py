"""Loops, copies, empty lines and lengths: each made, and each left alone where it is right."""

from __future__ import annotations

import json

import pytest

from nmt.evaluation.faults import find_faults

SOURCES = ["a red dog", "John Smith", "very very very good", "one two", "", "Ja, ja."]
REFERENCES = ["ein roter Hund", "John Smith", "sehr sehr sehr gut", "eins zwei", "", "Ja ja"]


def test_faults_are_found_where_they_are() -> None:
    outputs = ["rot rot rot rot", "John Smith.", "sehr sehr sehr gut", "ONE two!", "", " "]
    found = find_faults(outputs, [REFERENCES], SOURCES)
    assert found.loops == (0,)  # the third says it three times because its source does
    assert found.copies == (3,)  # a name stays as it is
    assert found.empty == (5,)  # where there is nothing there is nothing to translate
    assert found.doubled == 3 + 2
    assert found.reference_doubled == 2 + 1
    assert found.length_ratio == pytest.approx((4 + 2 + 4 + 2) / (3 + 2 + 4 + 2 + 2))


def test_a_copy_is_right_where_any_reference_is_one() -> None:
    second: list[str | None] = ["a red dog", None, None, "one two", None, None]
    assert find_faults(SOURCES, [REFERENCES, second], SOURCES).copies == (2,)


def test_without_sources_copies_are_unknown() -> None:
    found = find_faults(["sehr sehr sehr gut", ""], [["a", "b"]])
    assert found.copies is None
    assert found.loops == (0,)
    assert found.empty == (1,)


def test_faults_are_json_with_lines_from_1() -> None:
    found = json.loads(json.dumps(find_faults(["x x x x", "b"], [["a", "b"]], ["a", "b"]).as_dict()))
    assert found["repetition"] == {"rate": 0.5, "lines": [1]}
    assert found["copies"] == {"rate": 0, "lines": []}
    assert found["doubled_words"] == {"rate": 3 / 5, "reference_rate": 0}
    assert found["length_ratio"] == 2.5
