"""Steppers made of numbers: search without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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


class SlowBeam:
    """Beam search on lists of tuples, by the rules of docs/search.md, one step at a time."""

    def __init__(
        self,
        next_log_probs: Callable[[tuple[int, ...]], Sequence[float]],
        *,
        size: int,
        n_best: int,
        max_length: int,
        min_length: int = 0,
        alpha: float = 0.0,
        drops: bool = True,
        stops_when_full: bool = True,
    ) -> None:
        """`next_log_probs`: of every token after some tokens.

        `drops=False` keeps hypotheses that cannot come among the n best any more, `stops_when_full=False` goes on when
        K are finished.
        """
        self.next_log_probs = next_log_probs
        self.size, self.n_best, self.alpha = size, n_best, alpha
        self.max_length, self.min_length = max_length, min_length
        self.drops, self.stops_when_full = drops, stops_when_full
        self.length = 0
        self.live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        self.ended: list[Ended] = []

    @property
    def is_done(self) -> bool:
        return not self.live or (self.stops_when_full and len(self.ended) == self.size)

    @property
    def best(self) -> list[Ended]:
        return self.ended[: self.n_best]

    def divisor(self, length: int) -> float:
        return float(((5 + length) / 6) ** self.alpha)

    def step(self) -> None:
        self.length += 1
        continuations = [
            (total + log_prob, tokens, token)
            for total, tokens in self.live
            for token, log_prob in enumerate(self.next_log_probs(tokens))
            if log_prob > -torch.inf
            and not (token == EOS and self.length <= self.min_length)
            and not (token != EOS and self.length == self.max_length)
        ]
        continuations.sort(key=lambda item: -item[0])
        now = [
            Ended(tokens, total / self.divisor(self.length), total)
            for total, tokens, token in continuations[: self.size]
            if token == EOS
        ]
        self.ended = sorted(self.ended + now, key=lambda item: -item.score)[: self.size]
        longer = continuations[: 2 * self.size]
        self.live = [(total, (*tokens, token)) for total, tokens, token in longer if token != EOS][: self.size]
        if self.drops and len(self.ended) >= self.n_best:
            bar = self.ended[self.n_best - 1].score
            best_possible = self.divisor(self.max_length)
            self.live = [(total, tokens) for total, tokens in self.live if total / best_possible > bar]


def after(table: Table, which: int = 0) -> Callable[[tuple[int, ...]], list[float]]:
    """The table's log-probabilities after some tokens."""

    def next_log_probs(tokens: tuple[int, ...]) -> list[float]:
        history = ([BOS] * table.order + list(tokens))[-table.order :]
        row: list[float] = table.log_probs[(which, *history)].tolist()
        return row

    return next_log_probs


def slow_beam(table: Table, **choices: Any) -> list[Ended]:
    """The n best hypotheses of a table, best first. `choices` are those of `SlowBeam`."""
    beam = SlowBeam(after(table), **choices)
    while not beam.is_done:
        beam.step()
    return beam.best
