"""What one epoch of training consists of: every pair of a corpus once, or a mixture drawn by seed and epoch.

A mixture repeats corpora by weight, marks them by tag, adds phrases and noise and joins short pairs to longer ones. It
is a function of seed and epoch: whoever asks again, in another process or after a kill, gets the same. Knows nothing of
batches.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from nmt.config import DataConfig, NoiseConfig
from nmt.data.names import Names
from nmt.data.noise import Case, Noise, in_case, keyboard_of, with_other_numbers, with_typos, without_final
from nmt.data.prepared import PreparedCorpus, TextPair

Lengths = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Item_co = TypeVar("Item_co", covariant=True)

CAPITALS = 0.5
"""Share of the phrases that begin with a capital on both sides."""
MOST_REPEATED = 2
"""How often an epoch has a phrase at most: of little text few can be learnt."""
_MIXTURE, _VOCABULARY = 1, 2
"""What numbers are drawn for, so that no two uses share them."""


class PairLengths(NamedTuple):
    """Tokens of each pair's sides, without special ones, by index."""

    src: Lengths
    tgt: Lengths


class Measured(NamedTuple):
    """The lengths of a corpus's pairs, and of its phrases behind them."""

    plain: PairLengths
    upper: PairLengths | None = None
    """In upper case, which vocabularies spell in more pieces, where `data.noise` has that."""


class Sample(NamedTuple):
    """A pair as training sees it."""

    source: str
    target: str
    tag: str = ""
    """The piece in front of the source; none where empty."""


class Epoch(Protocol[Item_co]):
    """The items of one epoch, by index."""

    @property
    def lengths(self) -> PairLengths:
        """Of every item, for the cutting of batches: noise that moves a few letters is not counted."""

    def read(self, indices: Places) -> Sequence[Item_co]:
        """Some items, in the order given."""


class EpochSource(Protocol[Item_co]):
    """The same items for the same number, whoever asks."""

    def epoch(self, number: int) -> Epoch[Item_co]: ...


class WholeCorpus:
    """Every pair once, in every epoch."""

    def __init__(self, corpus: PreparedCorpus, lengths: PairLengths) -> None:
        self._corpus = corpus
        self.lengths = lengths

    def epoch(self, number: int) -> WholeCorpus:
        return self

    def read(self, indices: Places) -> Sequence[TextPair]:
        return self._corpus.pairs(indices)


class Mixture:
    """A corpus as `data.weights`, `data.tags` and `data.noise` ask for it. Without them: every pair once."""

    def __init__(self, corpus: PreparedCorpus, config: DataConfig, measured: Measured, seed: int) -> None:
        self._corpus = corpus
        self._config = config
        self._lengths = measured.plain
        self._upper = measured.upper or measured.plain
        self._seed = seed
        self._names = Names.find(corpus) if config.noise.names else Names(())

    def epoch(self, number: int) -> MixedEpoch:
        config, noise = self._config, self._config.noise
        rng = np.random.Generator(np.random.PCG64([self._seed % 2**64, number, _MIXTURE]))
        corpora = self._corpus.corpora
        names, marks = np.unique(config.tags or [""] * len(corpora), return_inverse=True)
        pairs = _repeated(corpora, config.weights, rng)
        mark_of = np.repeat(marks, corpora)
        members = _joined(pairs, mark_of, self._lengths, noise, rng) if noise.join else pairs[:, np.newaxis]
        if self._corpus.phrases:
            mark_of = np.append(mark_of, np.repeat(marks, self._corpus.phrases))
            drawn_phrases = _drawn_phrases(self._corpus, config, rng)
            alone = np.full((len(drawn_phrases), members.shape[1]), -1, dtype=np.int64)
            alone[:, 0] = drawn_phrases
            members = np.concatenate([members, alone])
        drawn = Noise.draw(noise, len(members), rng)
        tags = mark_of[members[:, 0]]
        is_upper = drawn.case == Case.UPPER
        src, tgt = (
            np.where(is_upper, _sums(upper, members), _sums(plain, members))
            for plain, upper in zip(self._lengths, self._upper, strict=True)
        )
        lengths = PairLengths(src + (names != "")[tags], tgt)
        noisy = _Noisy(config, drawn, self._names, key := f"{self._seed} {number}")
        return MixedEpoch(self._corpus, noisy, members, names[tags], lengths, key)


class MixedEpoch:
    """One epoch of a mixture."""

    def __init__(
        self,
        corpus: PreparedCorpus,
        noisy: _Noisy,
        members: npt.NDArray[np.int64],
        tags: npt.NDArray[np.str_],
        lengths: PairLengths,
        key: str,
    ) -> None:
        """`members` [n, most]: the pairs of each sample, -1 where it has fewer.

        `key`: what phrases' capitals are drawn by, besides the sample's index.
        """
        self._corpus = corpus
        self._key = key
        self._noisy = noisy
        self._members = members
        self._tags = tags
        self.lengths = lengths

    def read(self, indices: Places) -> list[Sample]:
        return [self._sample(int(index)) for index in indices]

    def _sample(self, index: int) -> Sample:
        members = self._members[index].tolist()
        pairs = self._corpus.pairs(member for member in members if member >= 0)
        source, target = pairs[0] if len(pairs) == 1 else (" ".join(side) for side in zip(*pairs, strict=True))
        if members[0] >= len(self._corpus) and random.Random(f"{self._key} {index} capital").random() < CAPITALS:
            source, target = source[:1].upper() + source[1:], target[:1].upper() + target[1:]
        return Sample(*self._noisy(index, source, target), str(self._tags[index]))


def noisy_pairs(corpus: PreparedCorpus, config: DataConfig, seed: int) -> Iterator[TextPair]:
    """Every pair once with the noise of an epoch, none joined: text for a vocabulary that will see such noise.

    Names stay, or a vocabulary would have a piece for each of them, and nobody would learn to spell one.
    """
    rng = np.random.Generator(np.random.PCG64([seed % 2**64, _VOCABULARY]))
    noisy = _Noisy(config, Noise.draw(config.noise, len(corpus), rng), Names(()), str(seed))
    return (noisy(index, *pair) for index, pair in enumerate(corpus))


class _Noisy:
    """Adds to a pair the noise that was drawn for its index."""

    def __init__(self, config: DataConfig, noise: Noise, names: Names, key: str) -> None:
        """`key`: what typing errors, numbers and names are drawn by, besides the index."""
        self._rate = config.noise.typo_rate
        self._keyboard = keyboard_of(config.source_lang)
        self._languages = (config.source_lang, config.target_lang)
        self._noise = noise
        self._names = names
        self._key = key

    def __call__(self, index: int, source: str, target: str) -> TextPair:
        if self._noise.has_numbers[index]:
            source, target = with_other_numbers(
                source, target, self._languages, random.Random(f"{self._key} {index} numbers")
            )
        if self._noise.has_names[index]:
            source, target = self._names.replaced(source, target, random.Random(f"{self._key} {index} names"))
        if self._noise.is_open[index]:
            source = without_final(source)
        if self._noise.has_typos[index]:
            source = with_typos(source, self._rate, self._keyboard, random.Random(f"{self._key} {index}"))
        return in_case(source, target, int(self._noise.case[index]))


def _repeated(corpora: Sequence[int], weights: Sequence[float], rng: np.random.Generator) -> Places:
    """The index of each pair as often as its corpus weighs: of a weight of 2.5 some pairs twice, some three times.

    `corpora`: how many pairs each has. One pair there is at least, however little they weigh.
    """
    pairs = np.arange(sum(corpora))
    if not weights:
        return pairs
    chosen = _times(np.repeat(np.array(weights), corpora), rng)
    return chosen if len(chosen) else rng.integers(len(pairs), size=1)


def _times(weights: npt.NDArray[np.float64], rng: np.random.Generator) -> Places:
    """Each index as often as it weighs, rising: with 2.5 twice, and half of them thrice."""
    times = np.floor(weights) + (rng.random(len(weights)) < weights % 1)
    return np.repeat(np.arange(len(weights)), times.astype(np.int64))


def _drawn_phrases(corpus: PreparedCorpus, config: DataConfig, rng: np.random.Generator) -> Places:
    """The index of each phrase as often as an epoch has it: all those of a corpus equally often, on average."""
    weights = config.weights or [1.0] * len(corpus.corpora)
    wanted = [
        min(MOST_REPEATED, config.phrases * weight * pairs / phrases) if phrases else 0.0
        for weight, pairs, phrases in zip(weights, corpus.corpora, corpus.phrases, strict=True)
    ]
    return len(corpus) + _times(np.repeat(wanted, corpus.phrases), rng)


def _joined(
    pairs: Places, marks: Places, lengths: PairLengths, noise: NoiseConfig, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Members [n, `join_most`]: a share of the pairs in groups, the others alone. `marks`: only like joins like."""
    most = noise.join_most
    is_chosen = rng.random(len(pairs)) < noise.join
    pool = rng.permutation(pairs[is_chosen])
    pool = pool[np.argsort(marks[pool], kind="stable")]
    sizes = rng.integers(2, most + 1, size=len(pool) // 2)
    starts = np.cumsum(sizes) - sizes
    is_whole = starts + sizes <= len(pool)
    starts, sizes = starts[is_whole], sizes[is_whole]
    steps = np.arange(most)
    places = starts[:, np.newaxis] + steps
    groups = np.where(steps < sizes[:, np.newaxis], pool[np.minimum(places, max(0, len(pool) - 1))], -1)
    longest = np.maximum(_sums(lengths.src, groups), _sums(lengths.tgt, groups))
    last = groups[np.arange(len(groups)), sizes - 1]
    fits = (longest <= noise.join_length) & (marks[groups[:, 0]] == marks[last])
    used = np.zeros(len(pool), dtype=np.bool_)
    used[places[fits][steps < sizes[fits][:, np.newaxis]]] = True
    alone = np.concatenate([pairs[~is_chosen], pool[~used]])
    single = np.full((len(alone), most), -1, dtype=np.int64)
    single[:, 0] = alone
    return np.concatenate([single, groups[fits]])


def _sums(lengths: Lengths, members: npt.NDArray[np.int64]) -> Lengths:
    """Tokens of each row of members, -1 being nobody."""
    sums: Lengths = np.append(lengths, 0)[members].sum(axis=1, dtype=np.int32)
    return sums
