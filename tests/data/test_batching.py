"""Token batches: every pair once, never over budget, the same again, little padding, other company each epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.data import IntArray, batches, padding_ratio
from nmt.data import batching as batching_module

LENGTHS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=200)


def arrays(pairs: list[tuple[int, int]]) -> tuple[IntArray, IntArray]:
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def skewed(pairs: int, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Log-normal sentence lengths, as corpora have them: most short, some very long; the sides correlate."""
    rng = np.random.default_rng(seed)
    src = np.clip(rng.lognormal(2.3, 0.6, pairs), 1, 200)
    tgt = np.clip(src * rng.normal(1.0, 0.15, pairs), 1, 250)
    return src.astype(np.int64), tgt.astype(np.int64)


def padded_tokens(batch: IntArray, src: IntArray, tgt: IntArray) -> int:
    return len(batch) * max(max(int(src[i]), int(tgt[i]) + 1) for i in batch)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 2000), st.integers(-5, 2**40), st.integers(0, 50))
def test_every_pair_once_and_none_over_budget(
    pairs: list[tuple[int, int]], batch_tokens: int, seed: int, epoch: int
) -> None:
    src, tgt = arrays(pairs)
    cut = batches(src, tgt, batch_tokens=batch_tokens, seed=seed, epoch=epoch)
    assert sorted(int(i) for batch in cut for i in batch) == list(range(len(pairs)))
    for batch in cut:
        assert len(batch) == 1 or padded_tokens(batch, src, tgt) <= batch_tokens


def test_batches_are_full() -> None:
    """But for the last of a chunk, a batch cannot take an eighth more of rows as wide as its widest."""
    src, tgt = skewed(5000)
    cut = batches(src, tgt, batch_tokens=2000, seed=1, epoch=0)
    widest = [max(max(int(src[i]), int(tgt[i]) + 1) for i in batch) for batch in cut]
    roomy = [
        batch
        for batch, width in zip(cut, widest, strict=True)
        if (len(batch) + len(batch) // 8 + 1) * (width + 2) <= 2000
    ]
    assert len(roomy) <= 1


def test_batches_have_few_different_numbers_of_rows() -> None:
    src, tgt = skewed(60_000)
    rows = [len(batch) for batch in batches(src, tgt, batch_tokens=4000, seed=1, epoch=0)[:-1]]
    assert max(rows) > 500
    # eight numbers between a power of two and the next, and the last batch of the chunk
    assert len(set(rows)) <= 8 * max(rows).bit_length() // 2 + 1


def test_the_same_again_and_another_for_another_epoch_or_seed() -> None:
    src, tgt = skewed(3000)

    def made(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in batches(src, tgt, batch_tokens=1000, seed=seed, epoch=epoch)]

    assert made(1, 0) == made(1, 0)
    assert made(1, 0) != made(1, 1)
    assert made(1, 0) != made(2, 0)
    assert made(1, 2) != made(2, 1)


def test_pairs_meet_others_in_each_epoch() -> None:
    """Not only the order of the batches changes: two pairs of a batch seldom share one in the next epoch."""
    src, tgt = skewed(20_000)
    first, second = (batches(src, tgt, batch_tokens=1000, seed=1, epoch=epoch) for epoch in (0, 1))
    batch_of = np.empty(len(src), dtype=np.int64)
    for number, batch in enumerate(second):
        batch_of[batch] = number
    together = sum(len(batch) * (len(batch) - 1) for batch in first)
    again = sum(int(np.sum(batch_of[batch][:, None] == batch_of[batch])) - len(batch) for batch in first)
    assert again / together < 0.3


def test_batches_come_in_no_order_of_length() -> None:
    src, tgt = skewed(20_000)
    cut = batches(src, tgt, batch_tokens=2000, seed=3, epoch=0)
    means = np.array([src[batch].mean() for batch in cut])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.25


@pytest.mark.parametrize("pairs", [10_000, 60_000])
def test_padding_is_small(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching_module, "CHUNK_PAIRS", 25_000)
    src, tgt = skewed(pairs)
    assert padding_ratio(batches(src, tgt, batch_tokens=2000, seed=1, epoch=0), src, tgt) < 0.1
    shuffled = np.array_split(np.random.default_rng(1).permutation(pairs), pairs // 100)
    assert padding_ratio(shuffled, src, tgt) > 0.5  # what the sorting is for


def test_chunks_mix_a_large_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching_module, "CHUNK_PAIRS", 64)
    src, tgt = skewed(1000)
    cut = batches(src, tgt, batch_tokens=300, seed=1, epoch=0)
    assert sorted(np.concatenate(cut).tolist()) == list(range(1000))
    assert all(len(batch) == 1 or padded_tokens(batch, src, tgt) <= 300 for batch in cut)


def test_padding_ratio_by_hand() -> None:
    src, tgt = np.array([2, 4]), np.array([3, 1])
    # source [2, 4]: 6 of 8 cells; target with EOS [4, 2]: 6 of 8 cells
    assert padding_ratio([np.array([0, 1])], src, tgt) == pytest.approx(4 / 16)
    assert padding_ratio([np.array([0]), np.array([1])], src, tgt) == 0.0
    assert padding_ratio([], src, tgt) == 0.0


def test_a_million_pairs_in_seconds_with_small_lengths_types() -> None:
    src, tgt = skewed(1_000_000)
    cut = batches(src.astype(np.uint16), tgt.astype(np.uint16), batch_tokens=4096, seed=1, epoch=0)
    assert sum(len(batch) for batch in cut) == 1_000_000
