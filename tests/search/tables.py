"""Steppers made of numbers: search without a network."""

from __future__ import annotations

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
