"""Batches by token budget: pairs of like length together, as many as fit, in an order that changes each epoch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]
Lengths: TypeAlias = npt.NDArray[np.integer[Any]]

CHUNK_PAIRS = 1 << 17
"""Pairs sorted by length at once: enough for even batches, few enough that their company changes between epochs."""


def batches(lengths_src: Lengths, lengths_tgt: Lengths, *, batch_tokens: int, seed: int, epoch: int) -> list[IntArray]:
    """Indices of the pairs of each batch; every pair is in exactly one batch. Deterministic in (seed, epoch).

    `lengths_src` [n] are tokens as the encoder sees them, `lengths_tgt` [n] tokens without BOS and EOS: the decoder
    works on one more. A batch has rows * max(longest src, longest tgt + 1) <= `batch_tokens` padded tokens; a pair over
    the budget on its own is a batch of its own. Row counts are rounded down to few different ones.
    """
    assert lengths_src.shape == lengths_tgt.shape, (lengths_src.shape, lengths_tgt.shape)
    assert batch_tokens >= 1, batch_tokens
    pairs = len(lengths_src)
    if not pairs:
        return []
    rng = np.random.Generator(np.random.PCG64([seed % 2**64, epoch]))
    cut: list[IntArray] = []
    for chunk in np.array_split(rng.permutation(pairs), -(-pairs // CHUNK_PAIRS)):
        by_length = chunk[_order(lengths_src[chunk], lengths_tgt[chunk], rng)]
        cut += _cut(by_length, _width(lengths_src[by_length], lengths_tgt[by_length]), batch_tokens)
    return [cut[place] for place in rng.permutation(len(cut))]


def padding_ratio(cut: Iterable[IntArray], lengths_src: Lengths, lengths_tgt: Lengths) -> float:
    """Share of padding in the cells of all batches, source and target matrices together."""
    cells = tokens = 0
    for batch in cut:
        src, tgt = lengths_src[batch], lengths_tgt[batch] + 1
        cells += len(batch) * (int(src.max()) + int(tgt.max()))
        tokens += int(src.sum()) + int(tgt.sum())
    return 1 - tokens / cells if cells else 0.0


def _width(lengths_src: Lengths, lengths_tgt: Lengths) -> IntArray:
    """Cells that a pair needs in a row: its longer side, EOS included."""
    return np.maximum(lengths_src, lengths_tgt + 1).astype(np.int64)


def _order(lengths_src: Lengths, lengths_tgt: Lengths, rng: np.random.Generator) -> IntArray:
    """Order by width, then roughly by source length.

    The source length is blurred so that the company a pair keeps changes between epochs even in a small corpus.
    """
    blurred = lengths_src + rng.uniform(0.0, 3.0, size=len(lengths_src))
    return np.lexsort((blurred, _width(lengths_src, lengths_tgt))).astype(np.int64)


def _even(rows: int) -> int:
    """At most so many rows, and few different numbers of them: 16, 18, ... 32, 36, ... 64, 72, ... and small ones.

    Libraries of products prepare for every shape anew and keep what they prepared.
    """
    step = 1 << max(0, rows.bit_length() - 4)
    return rows // step * step


def _cut(indices: IntArray, widths: IntArray, batch_tokens: int) -> list[IntArray]:
    """Cut indices whose widths ascend into the longest runs of even rows with rows * last width <= `batch_tokens`."""
    cut: list[IntArray] = []
    start = 0
    while start < len(indices):
        most = max(1, batch_tokens // int(widths[start]))
        ahead = widths[start : start + most]
        cells = np.arange(1, len(ahead) + 1) * ahead
        rows = _even(max(1, int(np.searchsorted(cells, batch_tokens, side="right"))))
        cut.append(indices[start : start + rows])
        start += rows
    return cut
