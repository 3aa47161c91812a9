"""Learning which unknown word a source word stands for, from the training text alone: no network, no torch.

IBM model 1 (Brown et al. 1993) with the prior of Dyer et al. 2013 (fast_align), which prefers words at like places: it
keeps rare words from taking the links of everything around them. A dictionary is asked only where a model says
`<unk>`, and what a model knows it says itself, so of a source word's translations only unknown ones count. On the
unknown words of unseen sentences that is right twice as often as the likeliest translation of all, and as often as
counting where a trained network looks (docs/words.md has the figures); unlike that it needs no network and is the same
for every checkpoint.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.config import Recipe
from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import UNK_ID, TokenizerPair, VocabularyTokenizer, reservoir
from nmt.text.words import bare

TextPair = tuple[str, str]
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
LEAST = 0.01
"""An entry's least t(target | source): below, the source word says more than a wrong translation."""


class Translations(NamedTuple):
    """t(target | source) of every two words that share a sentence pair; n such pairs."""

    src: Ids
    """[n] rising; -1: no word."""
    tgt: Ids
    """[n]"""
    probability: Floats
    """[n]; adds up to one for each source word."""


def needs_dictionary(recipe: Recipe, tokenizers: TokenizerPair) -> bool:
    """Whether something is to stand for unknown words: that takes words, and attention to choose one."""
    says_unknown = isinstance(tokenizers.target, VocabularyTokenizer) and tokenizers.target.unit == "word"
    is_replaced = recipe.task == "translation" and recipe.search.unknown_words == "replace"
    return says_unknown and is_replaced and recipe.model.attention != "none"


def learn_dictionary(pairs: Iterable[TextPair], tokenizers: TokenizerPair, *, seed: int) -> Dictionary:
    """The unknown target word that each source word most likely stands for, if any does with some probability."""
    sample = reservoir(pairs, MOST_PAIRS, random.Random(seed))
    random.Random(seed).shuffle(sample)
    src_index: dict[str, int] = {}
    tgt_index: dict[str, int] = {}
    unknown: list[bool] = []
    sources: list[Sequence[int]] = []
    targets: list[Sequence[int]] = []
    cells = 0
    for source, target in sample:
        src = [bare(piece) for piece in tokenizers.source.split(source)]
        tgt = [bare(piece) for piece in tokenizers.target.split(target)]
        cells += (len(src) + 1) * len(tgt)
        if cells > MOST_CELLS:
            break
        sources.append([src_index.setdefault(word, len(src_index)) for word in src])
        targets.append([tgt_index.setdefault(word, len(tgt_index)) for word in tgt])
        ids = tokenizers.target.encode(target)
        unknown += [False] * (len(tgt_index) - len(unknown))
        for place, i in zip(targets[-1], ids, strict=True):
            unknown[place] |= i == UNK_ID
    src_words, tgt_words = list(src_index), list(tgt_index)
    is_entry = np.array([u and has_letter(word) for u, word in zip(unknown, tgt_words, strict=True)], dtype=np.bool_)
    learnt = translation_probabilities(sources, targets)
    keep = (learnt.src >= 0) & is_entry[learnt.tgt] & (learnt.probability >= LEAST)
    s, t, probability = learnt.src[keep], learnt.tgt[keep], learnt.probability[keep]
    # the likeliest of each source word; of equally likely ones that seen first
    order = np.lexsort((t, -probability, s))
    best = order[np.unique(s[order], return_index=True)[1]]
    entries = [(src_words[i], tgt_words[j]) for i, j in zip(s[best].tolist(), t[best].tolist(), strict=True)]
    return Dictionary({source: target for source, target in entries if has_letter(source)})


def has_letter(word: str) -> bool:
    """Whether it is more than a symbol or a number, which translate as themselves."""
    return any(character.isalpha() for character in word)


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
    del pair, within, i, j, distance

    V = int(tgt.max(initial=0)) + 1
    keys, cell = np.unique((src + 1) * V + tgt, return_inverse=True)
    of = keys // V
    t = np.ones(len(keys))
    for _ in range(iterations):
        share = t[cell] * prior
        share /= np.bincount(position, share)[position]
        counts = np.bincount(cell, share, minlength=len(keys))
        t = counts / np.bincount(of, counts)[of]
    return Translations(of - 1, keys % V, t)
