"""Subword regularisation: segmentations drawn at random, word by word, from a seed that the caller gives.

SentencePiece samples too, but its generator cannot be seeded the same in two processes, and a resumed training run must
see the very pieces it would have seen. Pieces never cross a blank, so drawing each word by itself is drawing the
sentence.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Protocol

import sentencepiece as spm

SPACE = "\u2581"
"""Marks a blank inside pieces, as SentencePiece does."""

BEST = 64
"""Segmentations of a word that can be drawn."""

CACHED_WORDS = 200_000

Word = tuple[int, ...]


class Sampler(Protocol):
    """Draws another segmentation of one word."""

    def draw(self, word: Word, strength: float, rng: random.Random) -> Sequence[int]:
        """`word`: its best segmentation."""


class UnigramSampler:
    """P(x) ~ prod p(piece)^alpha over a word's best segmentations (Kudo 2018, section 3.2, with l = `BEST` a word)."""

    def __init__(self, processor: spm.SentencePieceProcessor) -> None:
        self._processor = processor
        self._scores: list[float] = [processor.get_score(i) for i in range(processor.get_piece_size())]
        self._choices: dict[tuple[Word, float], tuple[list[Word], list[float]]] = {}

    def draw(self, word: Word, strength: float, rng: random.Random) -> Sequence[int]:
        key = (word, strength)
        if (choices := self._choices.get(key)) is None:
            if len(self._choices) >= CACHED_WORDS:
                self._choices.clear()
            choices = self._choices[key] = self._segmentations(word, strength)
        words, cumulative = choices
        return words[0] if len(words) == 1 else rng.choices(words, cum_weights=cumulative)[0]

    def _segmentations(self, word: Word, alpha: float) -> tuple[list[Word], list[float]]:
        surface = self._processor.decode(list(word))
        found = [tuple(ids) for ids in self._processor.nbest_encode_as_ids(surface, nbest_size=BEST)] if surface else []
        if word not in found:  # a word in bytes, or one that normalisation does not leave alone
            return [word], [1.0]
        log_weights = [alpha * sum(self._scores[i] for i in ids) for ids in found]
        peak = max(log_weights)
        return found, list(accumulate(math.exp(w - peak) for w in log_weights))


class BPEDropout:
    """Each possible merge is left out with probability p, at every step anew (Provilkov et al. 2020, algorithm 1)."""

    def __init__(self, processor: spm.SentencePieceProcessor) -> None:
        self._pieces: list[str] = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
        self._ids = {piece: i for i, piece in enumerate(self._pieces)}
        # a piece's score is minus the rank of the merge that makes it
        self._scores: list[float] = [processor.get_score(i) for i in range(len(self._pieces))]

    def draw(self, word: Word, strength: float, rng: random.Random) -> Sequence[int]:
        symbols = list("".join(self._pieces[i] for i in word))
        if any(symbol not in self._ids for symbol in symbols) or "<0x" in "".join(self._pieces[i] for i in word):
            return word  # spelt in bytes
        while True:
            merges = [
                (self._scores[merged], -place)
                for place in range(len(symbols) - 1)
                if (merged := self._ids.get(symbols[place] + symbols[place + 1])) is not None
                and rng.random() >= strength
            ]
            if not merges:
                return [self._ids[symbol] for symbol in symbols]
            place = -max(merges)[1]
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]


def sample(
    sentences: Iterable[Sequence[int]], starts: Sequence[bool], sampler: Sampler, strength: float, seed: int
) -> list[list[int]]:
    """Other segmentations of sentences given by their best ones. `starts`: of each id, whether it begins a word."""
    rng = random.Random(seed)
    sampled: list[list[int]] = []
    for ids in sentences:
        drawn: list[int] = []
        first = 0
        for end in range(1, len(ids) + 1):
            if end == len(ids) or starts[ids[end]]:
                drawn.extend(sampler.draw(tuple(ids[first:end]), strength, rng))
                first = end
        sampled.append(drawn)
    return sampled
