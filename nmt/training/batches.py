"""Tensors for training: encodes the pairs of a batch and pads them, a few batches ahead of the training step."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from hashlib import blake2b
from itertools import islice
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int
from torch import Tensor

from nmt.data.batching import batches
from nmt.data.epochs import Epoch, EpochSource, PairLengths
from nmt.data.prepared import TextPair
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID, TokenizerPair

I_co = TypeVar("I_co", covariant=True)
I_contra = TypeVar("I_contra", contravariant=True)
B_co = TypeVar("B_co", covariant=True)


class Batch(NamedTuple):
    """B pairs. The source ends in EOS; `tgt_in` begins with BOS, `tgt_out` ends in EOS."""

    src: Int[Tensor, "B S"]
    src_lengths: Int[Tensor, " B"]
    tgt_in: Int[Tensor, "B T"]
    tgt_out: Int[Tensor, "B T"]
    tokens: int
    """Real target tokens, EOS included."""

    def to(self, device: torch.device) -> Batch:
        src, src_lengths, tgt_in, tgt_out = (part.to(device, non_blocking=True) for part in self[:4])
        return Batch(src, src_lengths, tgt_in, tgt_out, self.tokens)

    def twice(self) -> Batch:
        """Every pair a second time: row B + b is row b. `tokens` stays the number of different ones."""
        src, src_lengths, tgt_in, tgt_out = (torch.cat((part, part)) for part in self[:4])
        return Batch(src, src_lengths, tgt_in, tgt_out, self.tokens)


def pad(sequences: Sequence[Sequence[int]]) -> Int[Tensor, "B S"]:
    """Sequences of ids as one matrix, filled with PAD on the right."""
    width = max(map(len, sequences), default=0)
    return torch.tensor([[*ids, *[PAD_ID] * (width - len(ids))] for ids in sequences], dtype=torch.long)


def make_batch(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Batch:
    """Pairs of ids without special tokens as tensors; possibly none."""
    return Batch(
        src=pad([[*ids, EOS_ID] for ids in sources]),
        src_lengths=torch.tensor([len(ids) + 1 for ids in sources], dtype=torch.long),
        tgt_in=pad([[BOS_ID, *ids] for ids in targets]),
        tgt_out=pad([[*ids, EOS_ID] for ids in targets]),
        tokens=sum(len(ids) + 1 for ids in targets),
    )


def token_lengths(pairs: Iterable[TextPair], tokenizers: TokenizerPair, chunk: int = 10_000) -> PairLengths:
    """Count the tokens of each pair, so many pairs in memory at a time."""
    src: list[int] = []
    tgt: list[int] = []
    rest = iter(pairs)
    while some := list(islice(rest, chunk)):
        src += [len(ids) for ids in tokenizers.source.encode_batch([s for s, _ in some])]
        tgt += [len(ids) for ids in tokenizers.target.encode_batch([t for _, t in some])]
    return PairLengths(np.array(src, dtype=np.int32), np.array(tgt, dtype=np.int32))


class Encode(Protocol[I_contra, B_co]):
    """Items of text as a batch."""

    def __call__(self, items: Sequence[I_contra], /, *draw: int) -> B_co:
        """`draw`: what anything random is drawn by, besides a seed."""


class BatchStream(Generic[I_co, B_co]):
    """The batches of any epoch, from any position: the same for the same seed, epoch and position.

    Of several processes each reads its own part of every batch.
    """

    AHEAD = 4

    def __init__(
        self,
        source: EpochSource[I_co],
        encode: Encode[I_co, B_co],
        *,
        batch_tokens: int,
        seed: int,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """`encode`: called in a thread of its own, with the items and (epoch, number of the batch, k).

        `part` (k, n): the rows k, k + n, k + 2n, ... of each batch, so that all parts are equally long and wide; a
        batch of fewer rows than parts is empty in some.
        """
        self._source = source
        self._encode = encode
        self._batch_tokens = batch_tokens
        self._seed = seed
        self._part = part
        self.waited_s = 0.0
        """How long training has waited for batches, but for the first of each `epoch` call."""
        self._last: tuple[int, Epoch[I_co], list[npt.NDArray[np.int64]]] | None = None
        """The epoch that was asked for last: its number, its items and their batches."""

    def cut(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """The indices of the items of every batch of an epoch, all parts together."""
        return self._epoch(epoch)[1]

    def lengths(self, epoch: int) -> PairLengths:
        """Of the items of an epoch, without special tokens, by the indices that `cut` gives."""
        return self._epoch(epoch)[0].lengths

    def _epoch(self, number: int) -> tuple[Epoch[I_co], list[npt.NDArray[np.int64]]]:
        if self._last is None or self._last[0] != number:
            items = self._source.epoch(number)
            src, tgt = items.lengths
            # + 1 for the source's EOS; batching itself counts the target's
            cut = batches(src + 1, tgt, batch_tokens=self._batch_tokens, seed=self._seed, epoch=number)
            self._last = number, items, cut
        return self._last[1:]

    def count(self, epoch: int) -> int:
        """Batches of an epoch."""
        return len(self.cut(epoch))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[B_co]:
        """The batches of an epoch from the one with index `start`, encoded in a thread ahead of their use."""
        items, cut = self._epoch(epoch)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:
            pending: deque[Future[B_co]] = deque()
            for index in range(start, len(cut)):
                pending.append(pool.submit(self._read, items, cut[index], epoch, index))
                if len(pending) > self.AHEAD:
                    yield self._next(pending, is_first=index == start + self.AHEAD)
            while pending:
                yield self._next(pending, is_first=False)

    def _next(self, pending: deque[Future[B_co]], *, is_first: bool) -> B_co:
        future = pending.popleft()
        if not is_first and not future.done():
            began = time.monotonic()
            wait([future])
            self.waited_s += time.monotonic() - began
        return future.result()

    def _read(self, items: Epoch[I_co], indices: npt.NDArray[np.int64], epoch: int, index: int) -> B_co:
        rank, parts = self._part
        return self._encode(items.read(indices[rank::parts]), epoch, index, rank)


def derive_seed(*parts: int | str) -> int:
    """A 32-bit seed of its own for each use."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=4).digest(), "little")
