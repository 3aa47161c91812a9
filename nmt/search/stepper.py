"""The seam between search and models: three methods, and state that can be selected by row.

A table of probabilities implements it in ten lines, which makes search testable without a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor


@runtime_checkable
class Selectable(Protocol):
    """A batch of something that can be reordered, thinned out and refilled by row."""

    def select(self, rows: Int[Tensor, " n"], /) -> Any: ...


class Candidates(NamedTuple):
    """Next tokens of N hypotheses: C a row, the whole vocabulary in order (`ids` None) or a few, EOS among them."""

    scores: Float[Tensor, "N C"]
    """log p of the token alone; -inf where it may not be chosen."""
    ids: Int[Tensor, "N C"] | None = None


@runtime_checkable
class Stepper(Protocol):
    """What search may know of a model."""

    def encode(self, src: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]) -> Any:
        """Read B sentences, padded to S; the result has `select(sentences)`."""

    def start(self, memory: Any) -> Any:
        """The state of B hypotheses, one a sentence, before their first token; it has `select(rows)`."""

    def step(
        self, prev: Int[Tensor, " N"], state: Any, memory: Any, allowed: Bool[Tensor, "#N V"] | None = None
    ) -> tuple[Candidates, Any, Float[Tensor, "N S"]]:
        """One step of N = B * Q hypotheses whose last tokens are `prev`, rows of one sentence together.

        Returns the candidates for the next token, the state after it, and the attention weights. `allowed` is False
        on tokens that must not be candidates.
        """


@runtime_checkable
class PlainModel(Protocol):
    """A model that gives logits over its whole vocabulary (`nmt.model.seq2seq.Seq2Seq`).

    One that copies gives them over further ids, V and above: words of the source sentence.
    """

    def encode(self, src: Tensor, lengths: Tensor) -> tuple[Any, Any]: ...

    def step(self, prev: Tensor, state: Any, memory: Any) -> tuple[Tensor, Any, Tensor]: ...


@runtime_checkable
class WordLists(Protocol):
    """The few words that the translation of a sentence may use (`nmt.shortlist.Shortlist`)."""

    tgt_vocab: int
    """V."""

    def words(self, source_ids: Iterable[int]) -> NDArray[np.int32]:
        """Their ids; EOS among them."""


class Encoded(NamedTuple):
    """A model's memory with the state that its decoder starts from."""

    memory: Any
    first: Any
    words: Bool[Tensor, "B V"] | None = None
    """Each sentence's shortlist."""

    def select(self, sentences: Int[Tensor, " b"]) -> Encoded:
        words = None if self.words is None else self.words.index_select(0, sentences)
        return Encoded(self.memory.select(sentences), self.first.select(sentences), words)


def with_copies(mask: Bool[Tensor, "n V"], width: int) -> Bool[Tensor, "n W"]:
    """A mask over a vocabulary for a model that copies: what lies beyond are copies, and always allowed."""
    copies = width - mask.shape[1]
    return torch.nn.functional.pad(mask, (0, copies), value=True) if copies else mask


class PlainStepper:
    """The plain form of the seam: log-probabilities over the whole vocabulary, in fp32.

    With a shortlist they are normalised over the sentence's own words: the others have no part in the softmax.
    """

    def __init__(
        self,
        model: PlainModel,
        allowed: Bool[Tensor, " V"] | None = None,
        shortlist: WordLists | None = None,
    ) -> None:
        """`allowed`: tokens that this model may ever generate."""
        self.model = model
        self.allowed = None if allowed is None else allowed.unsqueeze(0)
        self.shortlist = shortlist

    def encode(self, src: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]) -> Encoded:
        return Encoded(*self.model.encode(src, lengths), self._words(src, lengths))

    def _words(self, src: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]) -> Bool[Tensor, "B V"] | None:
        if self.shortlist is None:
            return None
        words = torch.zeros(len(src), self.shortlist.tgt_vocab, dtype=torch.bool)
        for row, ids, length in zip(words, src.tolist(), lengths.tolist(), strict=True):
            row[torch.from_numpy(self.shortlist.words(ids[:length])).long()] = True
        return words.to(src.device)

    def start(self, memory: Encoded) -> Any:
        return memory.first

    def step(
        self, prev: Int[Tensor, " N"], state: Any, memory: Encoded, allowed: Bool[Tensor, "#N V"] | None = None
    ) -> tuple[Candidates, Any, Float[Tensor, "N S"]]:
        logits, state, weights = self.model.step(prev, state, memory.memory)
        W = logits.shape[1]
        if memory.words is not None:
            words = memory.words.repeat_interleave(len(prev) // len(memory.words), dim=0)
            logits = logits.masked_fill(~with_copies(words, W), -torch.inf)
        log_probs = torch.log_softmax(logits.float(), dim=-1)
        for mask in (self.allowed, allowed):
            if mask is not None:
                log_probs = log_probs.masked_fill(~with_copies(mask, W), -torch.inf)
        return Candidates(log_probs), state, weights
