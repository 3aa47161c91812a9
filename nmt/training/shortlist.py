"""Learning a lexical shortlist: where a trained model looks while it reads the translations that people made.

The model is shown each pair (teacher forcing), and its attention says which source piece each target piece comes from.
What a shortlist is and how it is used: `nmt.shortlist`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from nmt.data.batching import batches
from nmt.errors import CorpusError
from nmt.model.seq2seq import Seq2Seq
from nmt.shortlist import Shortlist
from nmt.text.tokenizer import EOS_ID, PAD_ID, TokenizerPair, reservoir
from nmt.training.batches import Batch, make_batch

TextPair = tuple[str, str]
IdPair = tuple[list[int], list[int]]

BATCH_TOKENS = 4096
CHUNK_PAIRS = 20_000
MIN_WEIGHT = 0.05
"""Attention below this is spread over a sentence rather than on a piece."""
HELD_OUT = 1000


@dataclass(frozen=True)
class LinkCounts:
    """How much attention each source id got while a target id was produced, summed over a text; n pairs that occur."""

    src: npt.NDArray[np.int64]
    """[n] source ids, rising."""
    tgt: npt.NDArray[np.int64]
    """[n] target ids, rising within a source id."""
    mass: npt.NDArray[np.float64]
    """[n] attention weights, summed."""
    tgt_counts: npt.NDArray[np.int64]
    """[V] how often each target id occurs, EOS included."""

    @property
    def pairs(self) -> int:
        """How many sentence pairs were read: each has one end."""
        return int(self.tgt_counts[EOS_ID])


class Coverage(NamedTuple):
    """What a shortlist lets through of translations that it was not learnt from."""

    tokens: float
    """Share of their tokens that are among their sentence's words."""
    sentences: float
    """Share of sentences all of whose tokens are."""
    words: float
    """Mean number of words that a sentence may use."""


def draw(pairs: Iterable[TextPair], most: int, seed: int) -> tuple[list[TextPair], list[TextPair]]:
    """At most `most` pairs at random: those to learn from, and 1 % of them (at most 1,000) to measure with.

    Raises CorpusError where there are fewer than two.
    """
    drawn = reservoir(pairs, most, random.Random(seed))
    if len(drawn) < 2:
        raise CorpusError(f"{len(drawn)} sentence pairs: a shortlist is learnt from the text that trained the model")
    random.Random(seed).shuffle(drawn)
    held_out = min(HELD_OUT, -(-len(drawn) // 100))
    return drawn[held_out:], drawn[:held_out]


def encode_pairs(tokenizers: TokenizerPair, pairs: Iterable[TextPair], max_tokens: int) -> Iterator[IdPair]:
    """The ids of pairs, without special ones; pairs with a side that is empty or over `max_tokens` are left out."""
    stream = iter(pairs)
    while chunk := list(islice(stream, CHUNK_PAIRS)):
        src = tokenizers.source.encode_batch([source for source, _ in chunk])
        tgt = tokenizers.target.encode_batch([target for _, target in chunk])
        yield from (
            (s, t) for s, t in zip(src, tgt, strict=True) if 0 < len(s) <= max_tokens and 0 < len(t) <= max_tokens
        )


@torch.no_grad()
def count_links(
    model: Seq2Seq,
    pairs: Iterable[IdPair],
    tgt_vocab: int,
    device: torch.device,
    *,
    advance: Callable[[int], object] = lambda _: None,
) -> LinkCounts:
    """Attention mass of every (source id, target id) over a text. `advance` is told how many pairs are done."""
    V = tgt_vocab
    sums = _Sums()
    tgt_counts = np.zeros(V, np.int64)
    for batch in _batches(pairs):
        batch = batch.to(device)
        _, weights = model(batch.src, batch.src_lengths, batch.tgt_in)
        real = batch.tgt_out != PAD_ID
        row, t, s = ((weights >= MIN_WEIGHT) & real.unsqueeze(2)).nonzero(as_tuple=True)
        keys = batch.src[row, s] * V + batch.tgt_out[row, t]
        sums.add(keys.cpu().numpy(), weights[row, t, s].double().cpu().numpy())
        tgt_counts += np.bincount(batch.tgt_out[real].cpu().numpy(), minlength=V)
        advance(len(batch.src))
    links, mass = sums.total()
    return LinkCounts(links // V, links % V, mass, tgt_counts)


def _batches(pairs: Iterable[IdPair]) -> Iterator[Batch]:
    """Batches of pairs of like length."""
    stream = iter(pairs)
    while chunk := list(islice(stream, CHUNK_PAIRS)):
        src, tgt = (np.array([len(pair[side]) for pair in chunk]) for side in (0, 1))
        for indices in batches(src + 1, tgt, batch_tokens=BATCH_TOKENS, seed=0, epoch=0):
            yield make_batch([chunk[i][0] for i in indices], [chunk[i][1] for i in indices])


class _Sums:
    """Sums by key, in memory that grows with the number of different keys rather than of summands."""

    LIMIT = 1 << 22

    def __init__(self) -> None:
        self._keys: list[npt.NDArray[np.int64]] = []
        self._values: list[npt.NDArray[np.float64]] = []
        self._waiting = 0

    def add(self, keys: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        self._keys.append(keys)
        self._values.append(values)
        self._waiting += len(keys)
        if self._waiting > self.LIMIT:
            self.total()

    def total(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The different keys, rising, and the sum of each."""
        keys, places = np.unique(np.concatenate([np.zeros(0, np.int64), *self._keys]), return_inverse=True)
        values = np.concatenate([np.zeros(0), *self._values])
        sums = np.bincount(places, values, minlength=len(keys)).astype(np.float64)
        self._keys, self._values, self._waiting = [keys], [sums], 0
        return keys, sums


def build_shortlist(
    counts: LinkCounts,
    tokenizers: TokenizerPair,
    *,
    per_token: int,
    min_share: float,
    common: int,
    forbidden_ids: frozenset[int] | None = None,
) -> Shortlist:
    """The `common` most frequent target ids, and for each source id at most `per_token` others with the most attention.

    An entry costs one word in every sentence that has its source id, and is worth the attention it got. The share of
    its source id's attention is the one by the other, so of all lists that allow as many words a sentence, those of the
    shares above one limit, `min_share`, let the most through. `per_token` bounds the longest.

    A source piece that the target vocabulary spells the same way may always be copied: a name, or the bytes of a
    character that no text has shown. Ids that a search never generates, `forbidden_ids` or else the vocabulary's, are
    left out.
    """
    target = tokenizers.target
    forbidden = target.forbidden_ids if forbidden_ids is None else forbidden_ids
    frequent = np.argsort(-counts.tgt_counts, kind="stable")[: common + len(forbidden)].tolist()
    always = [i for i in frequent if counts.tgt_counts[i] and i not in forbidden][:common]
    barred = {EOS_ID, *always, *forbidden}
    starts = np.searchsorted(counts.src, np.arange(tokenizers.source.size + 1))
    lists: list[list[int]] = []
    for copy, first, end in zip(_copies(tokenizers), starts[:-1], starts[1:], strict=True):
        tgt, mass = counts.tgt[first:end], counts.mass[first:end]
        order = np.argsort(-mass, kind="stable")
        best_first = tgt[order[mass[order] >= min_share * mass.sum()]].tolist()
        row = [i for i in best_first if i not in barred][:per_token]
        if copy is not None and copy not in barred and copy not in row:
            row.append(copy)
        lists.append(row)
    return Shortlist.of_lists(lists, always, target.size)


def _copies(tokenizers: TokenizerPair) -> list[int | None]:
    """For each source id the target id of the same spelling."""
    if tokenizers.is_joint:
        return list(range(tokenizers.source.size))
    ids = {piece: i for i, piece in enumerate(tokenizers.target.pieces(range(tokenizers.target.size)))}
    return [ids.get(piece) for piece in tokenizers.source.pieces(range(tokenizers.source.size))]


def measure(shortlist: Shortlist, pairs: Sequence[IdPair]) -> Coverage:
    """What a shortlist lets through of pairs (at least one) that it was not learnt from."""
    words = [set(shortlist.words(src).tolist()) for src, _ in pairs]
    found = [sum(i in own for i in tgt) for own, (_, tgt) in zip(words, pairs, strict=True)]
    lengths = [len(tgt) for _, tgt in pairs]
    return Coverage(
        tokens=sum(found) / sum(lengths),
        sentences=sum(f == n for f, n in zip(found, lengths, strict=True)) / len(pairs),
        words=sum(map(len, words)) / len(pairs),
    )
