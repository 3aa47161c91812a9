"""Learning which unknown word a source word stands for, from the training text alone: no network, no torch.

The words are aligned by `nmt.data.lexicon`. A dictionary is asked only where a model says `<unk>`, and what a model
knows it says itself, so of a source word's translations only unknown ones count. On the unknown words of unseen
sentences that is right twice as often as the likeliest translation of all, and as often as counting where a trained
network looks (docs/words.md has the figures); unlike that it needs no network and is the same for every checkpoint.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np

from nmt.config import Recipe
from nmt.data.lexicon import MOST_CELLS, MOST_PAIRS, translation_probabilities
from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import UNK_ID, TokenizerPair, VocabularyTokenizer, reservoir
from nmt.text.words import bare

TextPair = tuple[str, str]
LEAST = 0.01
"""An entry's least t(target | source): below, the source word says more than a wrong translation."""


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
