"""Steppers made of numbers: search without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nmt.search.stepper import Candidates

BOS, EOS = 0, 1
"""Of the tables: BOS only starts, EOS ends; the rest of the vocabulary are words."""


class Sources(NamedTuple):
    """The memory: nothing but the sentences themselves."""

    src: Tensor
    lengths: Tensor

    def select(self, sentences: Tensor) -> Sources:
        return Sources(self.src[sentences], self.lengths[sentences])


class Histories(NamedTuple):
    """The state: which table a row reads, and all tokens so far (BOS first)."""

    tables: Tensor
    tokens: Tensor

    def select(self, rows: Tensor) -> Histories:
        return Histories(self.tables[rows], self.tokens[rows])


class Table:
    """log p(y | history) from a table. A sentence's first source token says which of several tables it reads.

    `order` 1 looks at the last token alone (a Markov chain); a greater one at as many last tokens.
    """

    def __init__(self, log_probs: Tensor, order: int, attention: Tensor | None = None) -> None:
        """`log_probs`: [tables, V, ..., V]: tokens of the history, oldest first, then the next. `attention`: [T, S]."""
        assert log_probs.dim() == order + 2
        self.log_probs = log_probs
        self.order = order
        self.attention = attention

    def encode(self, src: Tensor, lengths: Tensor) -> Sources:
        return Sources(src, lengths)

    def start(self, memory: Sources) -> Histories:
        tables = memory.src[:, 0]
        return Histories(tables, torch.full((len(tables), self.order), BOS))

    def step(
        self, prev: Tensor, state: Histories, memory: Sources, allowed: Tensor | None = None
    ) -> tuple[Candidates, Histories, Tensor]:
        assert len(prev) % len(memory.src) == 0
        tokens = torch.cat((state.tokens, prev.unsqueeze(1)), dim=1)
        history = tokens[:, -self.order :].unbind(1)
        scores = self.log_probs[(state.tables, *history)]
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        steps_so_far = tokens.shape[1] - self.order - 1
        S = memory.src.shape[1]
        weights = (
            torch.zeros(len(prev), S) if self.attention is None else self.attention[steps_so_far].expand(len(prev), S)
        )
        return Candidates(scores), Histories(state.tables, tokens), weights


class FewCandidates:
    """Another stepper, its candidates cut to the best few and given in another order, with their ids."""

    def __init__(self, table: Table, few: int) -> None:
        self.table = table
        self.few = few

    def encode(self, src: Tensor, lengths: Tensor) -> Sources:
        return self.table.encode(src, lengths)

    def start(self, memory: Sources) -> Histories:
        return self.table.start(memory)

    def step(
        self, prev: Tensor, state: Histories, memory: Sources, allowed: Tensor | None = None
    ) -> tuple[Candidates, Histories, Tensor]:
        candidates, state, weights = self.table.step(prev, state, memory, allowed)
        favoured = candidates.scores.clone()
        favoured[:, EOS] = torch.inf  # always among them: the only candidate at the maximal length
        ids = favoured.topk(self.few, dim=1).indices
        scores = candidates.scores.gather(1, ids)
        return Candidates(scores.flip(1), ids.flip(1)), state, weights


def random_table(seed: int, vocab: int, order: int = 2, tables: int = 1, sharpness: float = 1.5) -> Table:
    """Normalised log-probabilities; BOS is never next."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(tables, *[vocab] * (order + 1), generator=generator, dtype=torch.float64)
    logits[..., BOS] = -torch.inf
    return Table(logits.log_softmax(dim=-1).float(), order)


def source(*tables: int, length: int = 1) -> tuple[Tensor, Tensor]:
    """One sentence a table."""
    src = torch.zeros(len(tables), length, dtype=torch.long)
    src[:, 0] = torch.tensor(tables)
    return src, torch.full((len(tables),), length)


class Ended(NamedTuple):
    """A finished hypothesis of `slow_beam`."""

    tokens: tuple[int, ...]
    score: float
    log_prob: float


def slow_beam(
    next_log_probs: Callable[[tuple[int, ...]], Sequence[float]],
    *,
    size: int,
    n_best: int,
    max_length: int,
    min_length: int = 0,
    alpha: float = 0.0,
    drops: bool = True,
    stops_when_full: bool = True,
) -> list[Ended]:
    """Beam search on lists of tuples, by the rules of docs/search.md: the n best hypotheses, best first.

    `next_log_probs`: of every token after some tokens. `drops=False` keeps hypotheses that cannot come among the n best
    any more, `stops_when_full=False` goes on when K are finished.
    """

    def divisor(length: int) -> float:
        return float(((5 + length) / 6) ** alpha)

    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    ended: list[Ended] = []
    for length in range(1, max_length + 1):
        continuations = [
            (total + log_prob, tokens, token)
            for total, tokens in live
            for token, log_prob in enumerate(next_log_probs(tokens))
            if log_prob > -torch.inf
            and not (token == EOS and length <= min_length)
            and not (token != EOS and length == max_length)
        ]
        continuations.sort(key=lambda item: -item[0])
        ended += [
            Ended(tokens, total / divisor(length), total)
            for total, tokens, token in continuations[:size]
            if token == EOS
        ]
        ended = sorted(ended, key=lambda item: -item.score)[:size]
        live = [(total, (*tokens, token)) for total, tokens, token in continuations[: 2 * size] if token != EOS][:size]
        if drops and len(ended) >= n_best:
            bar = ended[n_best - 1].score
            live = [(total, tokens) for total, tokens in live if total / divisor(max_length) > bar]
        if not live or (stops_when_full and len(ended) == size):
            break
    return ended[:n_best]
