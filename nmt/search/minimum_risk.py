"""Minimum Bayes risk decoding: of several hypotheses the one that is most like all of them, by their probability.

Kumar & Byrne 2004: argmin over e' of sum over e of L(e, e') P(e | f), with 1 - sentence BLEU of tokens as the loss L
and the hypotheses at hand as the space. It sees ids and scores, no model and no text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ORDER = 4
"""Longest n-grams of BLEU, in tokens."""

SHARPNESS = 0.5
"""The exponent of the probabilities: chosen on val of Multi30k, where 0.3 to 0.7 are alike (docs/search.md)."""

Floats = NDArray[np.float64]


def by_risk(sequences: Sequence[Sequence[int]], weights: ArrayLike) -> list[int]:
    """The places of N hypotheses, that of the least risk first; of equal ones the first comes first.

    `weights` [N]: not negative, one of them above 0; only their ratios count.
    """
    shares = np.asarray(weights, dtype=np.float64)
    utilities = sentence_bleu(sequences) @ (shares / shares.sum())
    places: list[int] = np.argsort(-utilities.round(9), kind="stable").tolist()
    return places


def posterior(scores: ArrayLike, log_prob: float) -> Floats:
    """P of each hypothesis of a search, [N], from its score, [N]: P = p^0.5 over the sum, lengths made equal.

    A score is log p / lp. `log_prob` of the first over its score takes lp away again, of all alike: so how sharp P is
    does not depend on the length penalty, and long hypotheses do not lose.
    """
    found = np.asarray(scores, dtype=np.float64)
    nats = log_prob / found[0] if found[0] else 1.0
    shares = np.exp(SHARPNESS * nats * (found - found.max()))
    P: Floats = shares / shares.sum()
    return P


def sentence_bleu(sequences: Sequence[Sequence[int]]) -> Floats:
    """[N, N]: BLEU, 0 to 1, of sequence i with sequence j as its reference.

    For n above 1 there is one match and one n-gram more (Lin & Och 2004), so that a short sentence, which has no four
    tokens in common with another, is judged by what it has.
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.float64)
    total = np.zeros((len(sequences), len(sequences)))
    with np.errstate(divide="ignore", invalid="ignore"):
        for n in range(1, ORDER + 1):
            counts = ngram_counts(sequences, n)
            # row by row: all pairs at once would be gigabytes of a thousand hypotheses
            matches = np.stack([np.minimum(row, counts).sum(axis=-1, dtype=np.float64) for row in counts])
            added = float(n > 1)
            total += np.log((matches + added) / (np.maximum(lengths - n + 1, 0) + added)[:, None])
        brevity = np.minimum(0.0, 1 - lengths[None] / lengths[:, None])
        found: Floats = np.exp(total / ORDER + brevity)
    return np.nan_to_num(found, nan=0.0)


def ngram_counts(sequences: Sequence[Sequence[int]], n: int) -> NDArray[np.int32]:
    """[N, G]: how often each of the G n-grams that occur comes in each sequence."""
    numbers: dict[tuple[int, ...], int] = {}
    places = [
        (row, numbers.setdefault(tuple(sequence[i : i + n]), len(numbers)))
        for row, sequence in enumerate(sequences)
        for i in range(len(sequence) - n + 1)
    ]
    counts = np.zeros((len(sequences), len(numbers)), dtype=np.int32)
    if places:
        np.add.at(counts, tuple(zip(*places, strict=True)), 1)
    return counts
