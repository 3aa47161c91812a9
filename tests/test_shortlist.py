"""The lexical shortlist against sets of Python, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import BundleError
from nmt.shortlist import Shortlist
from nmt.text.tokenizer import EOS_ID

SRC, TGT = 9, 40
ids = st.integers(0, TGT - 1)
all_lists = st.lists(st.lists(ids, max_size=6, unique=True), min_size=SRC, max_size=SRC)


@given(all_lists, st.sets(ids, max_size=5), st.lists(st.integers(0, SRC - 1), max_size=12))
def test_the_words_of_a_sentence_are_the_union_of_its_lists_and_what_is_always_allowed(
    lists: list[list[int]], common: set[int], sentence: list[int]
) -> None:
    shortlist = Shortlist.of_lists(lists, common, TGT)
    expected = common | {EOS_ID} | set(lists[EOS_ID])
    for source_id in sentence:
        expected |= set(lists[source_id])
    words = shortlist.words(sentence)
    assert words.tolist() == sorted(expected)
    assert words.dtype == np.int32
    assert shortlist.always.tolist() == sorted(common | {EOS_ID} | set(lists[EOS_ID]))
    assert shortlist.words([*sentence, EOS_ID]).tolist() == words.tolist()


@pytest.mark.parametrize(("tgt_vocab", "kind"), [(TGT, np.uint16), (1 << 16, np.uint16), ((1 << 16) + 1, np.int32)])
def test_a_shortlist_comes_back_from_its_arrays(tgt_vocab: int, kind: type) -> None:
    last = tgt_vocab - 1
    lists = [[], [5], [], [7, last, 6], [], [], [1], [last], []]
    arrays = Shortlist.of_lists(lists, [8, 4], tgt_vocab).to_arrays()
    assert arrays["targets"].dtype == kind
    again = Shortlist.from_arrays(arrays, SRC, tgt_vocab)
    assert (again.src_vocab, again.tgt_vocab) == (SRC, tgt_vocab)
    assert [again.candidates(s).tolist() for s in range(SRC)] == lists  # in the order given: best first
    assert again.words([3]).tolist() == [EOS_ID, 4, 6, 7, 8, last]


def arrays(**changes: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    return Shortlist.of_lists([[1, 2]] * SRC, [3], TGT).to_arrays() | changes


def rising(*starts: int) -> npt.NDArray[np.int32]:
    return np.array(starts, np.int32)


@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        ({"extra": rising(0)}, "extra"),
        ({"targets": np.zeros(2 * SRC, np.float32)}, "targets"),
        ({"common": np.zeros((1, 1), np.int32)}, "common"),
        ({"offsets": rising(*range(0, 2 * SRC, 2))}, "source vocabulary"),
        ({"offsets": rising(1, *range(2, 2 * SRC + 2, 2))}, "do not rise"),
        ({"offsets": rising(0, 4, 2, *range(6, 2 * SRC + 2, 2))}, "do not rise"),
        ({"offsets": rising(*range(0, 2 * SRC, 2), 2 * SRC - 1)}, "do not rise"),
        ({"offsets": rising(0)}, "source vocabulary"),
        ({"offsets": rising()}, "source vocabulary"),
        ({"targets": np.full(2 * SRC, TGT, np.uint16)}, "targets has ids outside"),
        ({"targets": np.full(2 * SRC, -1, np.int32)}, "targets has ids outside"),
        ({"common": rising(3, TGT)}, "common has ids outside"),
    ],
)
def test_a_malformed_shortlist_is_refused(damaged: dict[str, npt.NDArray[Any]], named: str) -> None:
    Shortlist.from_arrays(arrays(), SRC, TGT)
    with pytest.raises(BundleError, match=named):
        Shortlist.from_arrays(arrays(**damaged), SRC, TGT)


def test_a_missing_array_is_refused() -> None:
    for name in ("offsets", "targets", "common"):
        incomplete = arrays()
        del incomplete[name]
        with pytest.raises(BundleError, match="shortlist is offsets, targets and common"):
            Shortlist.from_arrays(incomplete, SRC, TGT)
