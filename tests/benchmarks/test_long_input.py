"""Long lines are made of whole sentences, in order, and end up in the band of their length."""

from __future__ import annotations

from benchmarks.long_input import BANDS, join, parts, words

PAIRS = [(" ".join(f"s{k}.{i}" for i in range(length)), f"t{k}") for k, length in enumerate([4, 9, 1, 30, 3, 8, 12, 2])]


def test_joined_lines_have_the_words_asked_for_and_no_sentence_twice() -> None:
    for first, last in BANDS:
        made = join(PAIRS, first, last)
        assert all(first <= words(source) <= last for source, _ in made)
        numbers = [int(target[1:]) for _, targets in made for target in targets.split()]
        assert numbers == sorted(set(numbers))
        for source, targets in made:
            assert source == " ".join(PAIRS[int(target[1:])][0] for target in targets.split())


def test_a_line_ends_as_soon_as_it_is_long_enough() -> None:
    assert [targets for _, targets in join(PAIRS, 11, 20)] == ["t0 t1", "t4 t5", "t6"]
    assert [targets for _, targets in join(PAIRS, 1, 10)] == ["t0", "t1", "t2", "t4", "t5", "t7"]


def test_long_lines_are_taken_as_they_are() -> None:
    made = [part for part in parts([], PAIRS) if part.kind == "long"]
    assert [(part.first, len(part.pairs)) for part in made] == [(1, 6), (11, 1), (21, 1)]
