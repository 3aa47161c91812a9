"""Which words of two languages belong together, learnt from sentence pairs alone: no network, no torch.

IBM model 1 (Brown et al. 1993) with the prior of Dyer et al. 2013 (fast_align), which prefers words at like places: it
keeps rare words from taking the links of everything around them. Words are numbers here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_PAIRS = 200_000
MOST_CELLS = 12_000_000
"""Pairs of a source and a target position that are looked at: some 50 bytes each."""
ITERATIONS = 5
NULL_SHARE = 0.08
"""p_0 of Dyer et al. 2013: how often a target word comes from no source word."""
TENSION = 4.0
"""Their lambda: how strongly words at like places belong together."""


class Translations(NamedTuple):
    """t(target | source) of every two words that share a sentence pair; n such pairs."""

    src: Ids
    """[n] rising; -1: no word."""
    tgt: Ids
    """[n]"""
    probability: Floats
    """[n]; adds up to one for each source word."""


class _Cells(NamedTuple):
    """All pairs of a target position and a source position (or no word), pair after pair; n in all, N positions."""

    position: Ids
    """[n] rising: the target position, counted through all pairs."""
    place: Ids
    """[n] the source position, from 1; 0: no word."""
    of: Ids
    """[n] the number of the cell's two words among those that occur together."""
    prior: Floats
    """[n] d(j | i); adds up to one for each target position."""
    src: Ids
    """By number: the source word; -1: no word."""
    tgt: Ids
    """By number: the target word."""


def translation_probabilities(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    iterations: int = ITERATIONS,
    tension: float = TENSION,
    null_share: float = NULL_SHARE,
) -> Translations:
    """Expectation maximisation of t(e | f) over sentence pairs of word numbers.

    p(e_i | f) = sum_j d(j | i) t(e_i | f_j), d(0 | i) = null_share (no word) and otherwise
    d(j | i) ~ exp(-tension |i / m - j / n|) for m target and n source words (Dyer et al. 2013, eq. 1; i and j count
    from 1). `tension=0` makes it IBM model 1 but for the share of the empty word.
    """
    cells = _cells(sources, targets, tension, null_share)
    return Translations(cells.src, cells.tgt, _learnt(cells, iterations))


def links(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> list[list[int]]:
    """By pair and target word the place of the source word that it most likely comes from; -1: of none.

    argmax_j d(j | i) t(e_i | f_j), with what `translation_probabilities` learns from the same pairs.
    """
    cells = _cells(sources, targets, TENSION, NULL_SHARE)
    lengths = [len(target) for target in targets]
    if not len(cells.position):
        return [[] for _ in lengths]
    share = _learnt(cells, ITERATIONS)[cells.of] * cells.prior
    starts = np.flatnonzero(np.diff(cells.position, prepend=-1))
    is_best = share == np.repeat(np.maximum.reduceat(share, starts), np.diff(starts, append=len(share)))
    best = np.flatnonzero(is_best)
    first = best[np.unique(cells.position[best], return_index=True)[1]]  # of equals the first
    places = (cells.place[first] - 1).tolist()
    ends = np.cumsum(lengths).tolist()
    return [places[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _cells(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], tension: float, null_share: float
) -> _Cells:
    S = np.array([len(source) + 1 for source in sources], np.int64)
    T = np.array([len(target) for target in targets], np.int64)
    sizes = S * T
    pair = np.repeat(np.arange(len(S)), sizes)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    i, j = within // S[pair], within % S[pair]  # j = 0: no word
    position = (np.cumsum(T) - T)[pair] + i
    src = np.fromiter(chain.from_iterable((-1, *source) for source in sources), np.int64)[(np.cumsum(S) - S)[pair] + j]
    tgt = np.fromiter(chain.from_iterable(targets), np.int64)[position]
    distance = np.abs((i + 1) / np.maximum(T[pair], 1) - j / np.maximum(S[pair] - 1, 1))
    prior = np.where(j > 0, np.exp(-tension * distance), 0.0)
    prior *= (1 - null_share) / np.maximum(np.bincount(position, prior), np.finfo(np.float64).tiny)[position]
    prior[j == 0] = null_share
    del pair, within, i, distance

    V = int(tgt.max(initial=0)) + 1
    keys, of = np.unique((src + 1) * V + tgt, return_inverse=True)
    return _Cells(position, j, of, prior, keys // V - 1, keys % V)


def _learnt(cells: _Cells, iterations: int) -> Floats:
    """t of each two words, by number."""
    t = np.ones(len(cells.src))
    for _ in range(iterations):
        share = t[cells.of] * cells.prior
        share /= np.bincount(cells.position, share)[cells.position]
        counts = np.bincount(cells.of, share, minlength=len(t))
        t = counts / np.bincount(cells.src + 1, counts)[cells.src + 1]
    return t
